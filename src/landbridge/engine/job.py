"""The facts of one run: what the runner is given besides the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from landbridge.components.base import FileHistory
from landbridge.engine.guards import Rules
from landbridge.engine.journal import Journal
from landbridge.engine.rejects import RejectStore


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    Attributes:
        limit: Read at most this many records.
        dry_run: Do everything up to the last write, and write nothing.
        stall_timeout_s: Cancel the job when a step makes no progress for this long.
        since: Read only what has changed at or after this instant, in UTC; None reads all.
        history: What earlier jobs have read of the folder that the dataflow reads; None where it does not matter.
    """

    limit: int | None = None
    dry_run: bool = False
    stall_timeout_s: float = 300.0
    since: datetime | None = None
    history: FileHistory | None = None

    def reads_changes(self, *, files: bool) -> bool:
        """Whether only what is new is read, so that reading nothing means nothing.

        Args:
            files: The dataflow reads files; ``history`` knows nothing of other sources.
        """
        return self.since is not None or (files and self.history is not None and not self.history.reads_all)


@dataclass(slots=True)
class Job:
    """The facts of one run.

    Attributes:
        id: The job's id.
        dataflow: The dataflow's name.
        started: The one instant that all variables of the job refer to, in UTC. It stays the same when a job is
            begun again after its process died.
        spool_dir: An empty folder for temporary files; its owner removes it.
        rejects: Where records go that fail without an error edge.
        options: How to run.
        rules: What guards go by.
        pieces: Folders of finished splits of the input, in order; empty where the job reads for itself.
        journal: Keeps what the job has done, so that another process can go on with it; None for a job that is
            simply run again.
    """

    id: str
    dataflow: str
    started: datetime
    spool_dir: Path
    rejects: RejectStore
    options: Options = field(default_factory=Options)
    rules: Rules = field(default_factory=Rules)
    pieces: Sequence[Path] = ()
    journal: Journal | None = None
