"""Forgets what is old: each kind of data has its time, and none is kept for ever unless somebody says so."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from landbridge.errors import FlowError
from landbridge.jobs import db_audit, db_retention, db_settings
from landbridge.jobs.db import Database, Transaction, now
from landbridge.jobs.jobs import JOURNAL_LIFE

SETTING: Final = "retention"

_FOR_EVER: Final = 1_000_000
_KEEP_LAST: Final = 5


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days each kind of data is kept; 0 for ever.

    Attributes:
        jobs: Jobs with their counts and files. The last five of a dataflow, and the last five good ones, always stay.
        traces: Lines of the trace of jobs.
        samples: Records in traces at level debug.
        rejects: Records that failed.
        audit: Who changed what, and tokens that are over.
        removed: Dataflows that were removed, after their last job is forgotten.
    """

    jobs: int = 90
    traces: int = 30
    samples: int = 7
    rejects: int = 30
    audit: int = 365
    removed: int = 90

    @classmethod
    def load(cls, tx: Transaction) -> Retention:
        """What is set in the database."""
        found: dict[str, Any] = db_settings.get(tx, SETTING) or {}
        return msgspec.convert(found, cls)

    def save(self, tx: Transaction, *, by: str) -> None:
        """Set it.

        Raises:
            FlowError: LB-1708, a number of days is negative.
        """
        days: dict[str, int] = msgspec.to_builtins(self)
        wrong = [name for name, count in days.items() if not 0 <= count < _FOR_EVER]
        if wrong:
            raise FlowError("LB-1708", f"the days for {wrong[0]} must be 0 or more", hint="0 keeps the data for ever.")
        db_settings.put(tx, SETTING, days)
        db_audit.note(tx, "retention.change", actor=by, object_kind="setting", object_id=SETTING, details=days)


@dataclass(slots=True)
class Swept:
    """What a sweep has removed, by kind."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, count: int) -> None:
        """Count something."""
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count


def sweep(database: Database, data: Path, *, forget: Callable[[Sequence[tuple[str, int]]], None]) -> Swept:
    """Remove everything that is older than its time.

    Args:
        database: The database.
        data: The data folder, with journals.
        forget: Removes jobs, given by id and turn, from the durable queue.
    """
    swept = Swept()
    with database.read() as tx:
        kept, moment = Retention.load(tx), now(tx)

    def before(days: int) -> datetime:
        return moment - timedelta(days=days or _FOR_EVER // 3)

    while jobs := _old_jobs(database, before(kept.jobs)):
        forget([(job_id, turn) for job_id, turn, _ in jobs])
        with database.write() as tx:
            db_retention.remove_jobs(tx, [job_id for job_id, _, _ in jobs])
        swept.add("jobs", len(jobs))
    parts: list[tuple[str, int, Callable[[Transaction, datetime], int]]] = [
        ("samples", kept.samples, db_retention.remove_samples),
        ("traces", kept.traces, db_retention.remove_traces),
        ("rejects", kept.rejects, db_retention.remove_rejects),
        ("audit", kept.audit, db_retention.remove_audit),
        ("tokens", kept.audit, db_retention.remove_tokens),
        ("workers", kept.jobs, db_retention.remove_workers),
        ("dataflows", kept.removed, db_retention.remove_dataflows),
    ]
    for kind, days, remove in parts:
        count = db_retention.PART
        while count == db_retention.PART:
            with database.write() as tx:
                count = remove(tx, before(days))
            swept.add(kind, count)
    swept.add("journals", _remove_journals(database, data / "jobs", failed_after=moment - JOURNAL_LIFE))
    return swept


def _old_jobs(database: Database, before: datetime) -> Sequence[tuple[str, int, str]]:
    with database.read() as tx:
        return db_retention.old_jobs(tx, before, keep_last=_KEEP_LAST)


def _remove_journals(database: Database, folder: Path, *, failed_after: datetime) -> int:
    """Journals that no job goes on from: left behind by a crash, or of jobs that failed too long ago."""
    if not folder.is_dir():
        return 0
    # A journal is made after its job is begun; what came since is not looked at.
    limit = time.time() - 60
    paths = [path for path in folder.iterdir() if path.stat().st_mtime < limit]
    removed = 0
    for at in range(0, len(paths), db_retention.PART):
        part = {path: path.name.removesuffix(".files.json") for path in paths[at : at + db_retention.PART]}
        with database.read() as tx:
            needed = db_retention.unfinished_journals(tx, list(part.values()), failed_after=failed_after)
        for path, name in part.items():
            if name not in needed:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                removed += 1
    return removed
