"""What every job of a worker shares, and what the process of a job is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landbridge.jobs import connections, db_dataflows, db_jobs, delta
from landbridge.jobs.db import Database, Transaction
from landbridge.jobs.db_jobs import Ending, JobRow
from landbridge.jobs.documents import Documents
from landbridge.jobs.messages import Begin

Result = dict[str, Any]
"""The engine's report as JSON."""

AfterJob = Callable[[Transaction, JobRow, Ending, Result], None]
"""What else to do when a job ends, in the transaction that records it."""

Told = Callable[[str], None]
"""Gets the id of a job whose end has been recorded; it must neither raise nor take long."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every job of a worker shares.

    Attributes:
        place: Where ``database`` is: the data folder, or a URL.
        data: The data folder.
        max_starts: A job that was begun so often without an end is given up: it may be what kills its workers.
        time_limit_s: For jobs that say nothing else; None for none.
        stall_timeout_s: For jobs that say nothing else.
        after_job: See AfterJob.
        told: See Told.
        owned_until: Until when, on the monotonic clock, this worker owns its jobs; None for as long as it lives.
    """

    database: Database
    place: Path | str
    documents: Documents
    data: Path
    worker_id: str
    host: str
    max_starts: int = 100
    time_limit_s: float | None = None
    stall_timeout_s: float = 300.0
    after_job: Sequence[AfterJob] = ()
    told: Sequence[Told] = ()
    owned_until: Callable[[], float | None] = lambda: None

    @property
    def journals(self) -> Path:
        """The folder with the journals of jobs."""
        return self.data / "jobs"

    def chosen_files(self, row: JobRow) -> Path:
        """Beside the journal, which is emptied before the end of the job is recorded."""
        return self.journals / f"{row.journal}.files.json"

    def begin(self, row: JobRow, *, split: int | None = None) -> Begin:
        """What the process of a job is told; with ``split``, a process that works on one part of its input.

        Raises:
            LandbridgeError: The dataflow, its connections or its secrets cannot be read.
        """
        with self.database.read() as tx:
            version = db_dataflows.version(tx, row.dataflow_id, row.dataflow_version)
            last_good = self._last_good(tx, row) if split is None else None
            seen_files = delta.seen_files(tx, row) if split is None else {}
            flow = connections.connected(tx, self.documents.vault, self.documents.whole(version))
        if row.started is None:
            raise ValueError("the job has not begun")
        return Begin(
            job_id=row.id,
            flow=flow.flow.dump(),
            connection_secrets=dict(flow.secrets),
            kind=row.kind,
            started=row.started,
            journal=str(self.journals / row.journal),
            seen_files=seen_files,
            chosen_files=str(self.chosen_files(row)),
            options=row.options.as_json(),
            placeholders=self.documents.vault.unseal(row.sealed) if row.sealed else {},
            stall_timeout_s=self.stall_timeout_s,
            data=str(self.data),
            database=self.place if isinstance(self.place, str) else None,
            last_good=last_good,
            split=split,
        )

    def _last_good(self, tx: Transaction, row: JobRow) -> dict[str, dict[str, int]] | None:
        if row.kind == "replay":  # has a few records, or none that fit this time: a run says nothing of their number
            return None
        good = db_jobs.last_good(tx, row.dataflow_id)
        writers: Mapping[str, dict[str, int]] = good.result.get("writers", {}) if good and good.result else {}
        return dict(writers) if good and good.result else None
