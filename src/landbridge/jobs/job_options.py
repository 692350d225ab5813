"""How a job runs: what a scheduling, a person or another program asked for. Kept with the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

JobKind = Literal["run", "test", "dry_run", "replay"]
LogLevel = Literal["info", "error", "debug"]

MAX_SPLITS: Final = 1000

TEST_RECORDS: Final = 10
"""How many records a test run reads."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a job runs.

    Attributes:
        limit: Read at most this many records.
        full_extract: Read all records, not only what changed since the last job.
        since: Read what changed at or after this instant; set by ``delta.prepare`` when the job begins.
        first: Nothing was delivered before, so that ``since`` is a guess: one period back.
        mark_revision: The state of the dataflow's mark at that moment; None before.
        log_level: Which lines the trace keeps; ``debug`` keeps samples of records, too.
        time_limit_s: Stop the job after so many seconds of running; None for the default of the service.
        stall_timeout_s: Stop the job when a step makes no progress for so long; None for the default.
        may_overlap: Run it although another job of the dataflow is running.
        splits: Divide the input into about so many parts, which all workers share; 0 for no division.
        approvals: Codes of guards that a person has approved.
        placeholders: Names of the placeholders that are filled; their values may be secret and are sealed in the job.
        replay: Of a replay, under which id it has taken its rejects.
        replay_step: Of a replay, the step that rejected them.
    """

    limit: int | None = None
    full_extract: bool = False
    since: datetime | None = None
    first: bool = False
    mark_revision: int | None = None
    log_level: LogLevel = "info"
    time_limit_s: float | None = None
    stall_timeout_s: float | None = None
    may_overlap: bool = False
    splits: int = 0
    approvals: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()
    replay: str = ""
    replay_step: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the database keeps it: only what differs from the defaults."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        usual: dict[str, Any] = msgspec.to_builtins(JobOptions())
        return {key: value for key, value in plain.items() if value != usual[key]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> JobOptions:
        """From the database; keys of a newer version are ignored."""
        return msgspec.convert(document, cls)
