"""The reject store of a service: in the database that all jobs share, each record sealed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from landbridge.jobs import db_audit, db_rejects
from landbridge.jobs.db import Database, Transaction
from landbridge.jobs.db_rejects import Choice, NewReject, RejectRow
from landbridge.jobs.key_check import opened_vault
from landbridge.jobs.vault import Vault


class DatabaseRejects:
    """A ``RejectStore`` in the database; the connection is made when the first record fails. Safe in any thread.

    Args:
        place: The data folder, or the URL of the database.
        data: The data folder, with the key.
        job: The job whose rejects it keeps.
    """

    def __init__(self, place: Path | str, *, data: Path, job: str) -> None:
        self._place = place
        self._data = data
        self._job = job
        self._database: Database | None = None
        self._vault: Vault | None = None
        self._lock = threading.Lock()

    def add(self, step: str, rejects: Sequence[dict[str, Any]]) -> None:
        """See ``RejectStore``.

        Raises:
            StorageError: LB-7501 or LB-7504; what cannot be kept ends the job.
        """
        with self._lock:
            database, vault = self._opened()
            rows = [
                NewReject(
                    code=str(reject["code"]),
                    message=str(reject["message"]),
                    sealed=vault.seal({key: reject[key] for key in ("record", "text") if key in reject}),
                    file=reject.get("file"),
                    line=reject.get("line"),
                )
                for reject in rejects
            ]
            with database.write() as tx:
                db_rejects.add(tx, self._job, step, rows)

    def forget(self, steps: Collection[str]) -> None:
        """See ``RejectStore``."""
        with self._lock:
            database, _ = self._opened()
            with database.write() as tx:
                db_rejects.forget(tx, self._job, steps)

    def taken(self, replay: str, *, after: int, limit: int) -> Sequence[tuple[int, dict[str, Any]]]:
        """Id and record of the rejects that a replay has taken, by id, those behind ``after``.

        Raises:
            StorageError: LB-7501, the database cannot be used; LB-7505, a record was sealed by another key.
        """
        with self._lock:
            database, vault = self._opened()
            with database.read() as tx:
                rows = db_rejects.taken(tx, replay, after=after, limit=limit)
        return [(row.id, vault.unseal(row.sealed)["record"]) for row in rows if row.sealed]

    def close(self) -> None:
        """Let go of the database."""
        if self._database is not None:
            self._database.close()

    def _opened(self) -> tuple[Database, Vault]:
        if self._database is None or self._vault is None:
            self._database = Database.open(self._place)
            self._vault = opened_vault(self._database, self._data)
        return self._database, self._vault


def masked(row: RejectRow) -> dict[str, Any]:
    """A reject as lists show it: why, without the record."""
    return {
        "id": row.id,
        "job": row.job_id,
        "step": row.step,
        "number": row.number,
        "code": row.code,
        "message": row.message,
        "file": row.file,
        "line": row.line,
        "created": row.created.isoformat(),
        "replayedBy": row.replayed_by,
    }


def whole(row: RejectRow, vault: Vault) -> dict[str, Any]:
    """A reject with its record, or with the text that could not be read as one.

    Raises:
        StorageError: LB-7505, it was sealed by another key.
    """
    return {**masked(row), **(vault.unseal(row.sealed) if row.sealed else {})}


def reveal(tx: Transaction, vault: Vault, id: int, *, by: str) -> dict[str, Any]:
    """``whole``, and a line in the audit trail: somebody saw a person's data.

    Raises:
        FlowError: LB-1771, there is none with this id.
        StorageError: LB-7505, it was sealed by another key.
    """
    row = db_rejects.get(tx, id)
    shown = whole(row, vault)
    db_audit.note(tx, "reject.show", actor=by, object_kind="reject", object_id=str(id), details={"job": row.job_id})
    return shown


def note_export(tx: Transaction, choice: Choice, *, by: str) -> None:
    """A line in the audit trail: somebody takes the rejects of a job away, with their records."""
    details = {"step": choice.step, "codes": sorted(choice.codes)}
    db_audit.note(tx, "reject.export", actor=by, object_kind="job", object_id=choice.job_id or "", details=details)


def hidden(value: Any) -> Any:
    """A value with its shape and without its content: what a record has, not what it says."""
    if isinstance(value, dict):
        return {key: hidden(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hidden(item) for item in value]
    return None if value is None else "***"
