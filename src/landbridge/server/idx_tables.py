"""The tables of ``idx.search``. Each streams its records and finds those with given keys again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from landbridge.jobs import db_idx
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_dataflows import Kind
from landbridge.search.query import And, Compare, Comparison, Condition
from landbridge.server.idx_cursors import Key
from landbridge.server.idx_records import (
    TRACE_LINES,
    Record,
    component_records,
    dataflow_record,
    job_record,
    scheduling_record,
    trace_of_job,
)
from landbridge.server.idx_sites import Site


class Table(Protocol):
    """A table of one site."""

    def scan(self, tx: Transaction, site: Site, where: Condition | None) -> Iterable[tuple[Key, Record]]:
        """Keys and records, the oldest first; those that cannot fulfil ``where`` may be left out."""

    def fetch(self, tx: Transaction, site: Site, keys: Sequence[Key]) -> Mapping[Key, Record]:
        """The records with these keys that are still there."""


@dataclass(frozen=True, slots=True)
class _Dataflows:
    kind: Kind
    all_versions: bool = False

    def scan(self, tx: Transaction, site: Site, where: Condition | None) -> Iterator[tuple[Key, Record]]:
        wanted = _equal_to(where, "id")
        return self._records(tx, site, None if wanted is None else {wanted})

    def fetch(self, tx: Transaction, site: Site, keys: Sequence[Key]) -> Mapping[Key, Record]:
        wanted = set(keys)
        ids = {key[0] for key in keys if isinstance(key, tuple)}
        return {key: record for key, record in self._records(tx, site, ids) if key in wanted}

    def _records(self, tx: Transaction, site: Site, ids: set[str] | None) -> Iterator[tuple[Key, Record]]:
        for row, version in db_idx.dataflows(tx, site.scope, self.kind, all_versions=self.all_versions, ids=ids):
            # A dataflow that is changed between two pages is shown as it is then; an old version never changes.
            yield (row.id, version.version if self.all_versions else 0), dataflow_record(site, row, version)


class _Schedulings:
    def scan(self, tx: Transaction, site: Site, where: Condition | None) -> Iterator[tuple[Key, Record]]:
        wanted = _equal_to(where, "id")
        return self._records(tx, site, None if wanted is None else [wanted])

    def fetch(self, tx: Transaction, site: Site, keys: Sequence[Key]) -> Mapping[Key, Record]:
        return dict(self._records(tx, site, [key for key in keys if isinstance(key, str)]))

    def _records(self, tx: Transaction, site: Site, ids: Sequence[str] | None) -> Iterator[tuple[Key, Record]]:
        for row, status, started in db_idx.schedulings(tx, site.scope, ids=ids):
            yield row.id, scheduling_record(site, row, job_status=status, job_started=started)


class _Jobs:
    """Its trace is shown, and cannot be searched."""

    def scan(self, tx: Transaction, site: Site, where: Condition | None) -> Iterator[tuple[Key, Record]]:
        wanted = _equal_to(where, "id")
        found = db_idx.jobs(
            tx,
            site.scope,
            ids=None if wanted is None else [wanted],
            dataflow_id=_equal_to(where, "dataflowId"),
            scheduling_id=_equal_to(where, "schedulingId"),
        )
        for job in found:
            yield job.id, job_record(site, job)

    def fetch(self, tx: Transaction, site: Site, keys: Sequence[Key]) -> Mapping[Key, Record]:
        jobs = list(db_idx.jobs(tx, site.scope, ids=[key for key in keys if isinstance(key, str)]))
        ids = [job.id for job in jobs]
        files, traces = db_idx.job_files(tx, ids), db_idx.job_traces(tx, ids, limit=TRACE_LINES)
        return {
            job.id: job_record(site, job) | {"trace": trace_of_job(job, files[job.id], traces[job.id])} for job in jobs
        }


class _Scripts:
    def scan(self, tx: Transaction, site: Site, where: Condition | None) -> Iterator[tuple[Key, Record]]:
        del tx, site, where
        for record in component_records():
            yield record["id"], record

    def fetch(self, tx: Transaction, site: Site, keys: Sequence[Key]) -> Mapping[Key, Record]:
        wanted = set(keys)
        return {key: record for key, record in self.scan(tx, site, None) if key in wanted}


TABLES: Final[Mapping[str, Table]] = {
    "dataflow": _Dataflows("published"),
    "dataflow_draft": _Dataflows("draft"),
    "dataflow_version": _Dataflows("published", all_versions=True),
    "dataflow_draft_version": _Dataflows("draft", all_versions=True),
    "scheduling": _Schedulings(),
    "idx_job_status": _Jobs(),
    "script": _Scripts(),
}


def _equal_to(where: Condition | None, name: str) -> str | None:
    """The text that a field of every found record equals, where the condition says so."""
    parts = where.conditions if isinstance(where, And) else (where,)
    for part in parts:
        if isinstance(part, Compare) and part.path == (name,) and part.operator is Comparison.EQUAL:
            return part.literal.text
    return None
