"""A new key for all that is sealed. At every moment there is a key that opens it, also when the machine stops."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from landbridge.errors import StorageError
from landbridge.jobs import db_audit, db_sealed, db_workers, vault
from landbridge.jobs.db import Database, now
from landbridge.jobs.db_workers import WorkerStatus
from landbridge.jobs.key_check import opened_vault
from landbridge.jobs.vault import KEY_VARIABLE, Vault

NOT_NOW: Final = "LB-7507"

_ALIVE: Final = timedelta(seconds=60)
"""A worker that wrote its heartbeat within this time may be running, with the old key."""


def rotate(database: Database, folder: Path, environ: Mapping[str, str] | None = None, *, by: str) -> int:
    """Seal everything anew, in one transaction: by a new key in the key file, or by the first one of the environment.

    Args:
        database: Everything sealed in it.
        folder: The data folder with the key file.
        environ: The environment; with keys in it the file is left alone.
        by: Who asks for it.

    Returns:
        How many values were sealed anew.

    Raises:
        StorageError: LB-7507, a worker is running that would not know the new key, or the environment has no new one;
            LB-7504, a key cannot be used; LB-7505, something was sealed by a key that is not there. Nothing is changed
            in the database then.
    """
    environ = os.environ if environ is None else environ
    if given := environ.get(KEY_VARIABLE):
        if "," not in given:
            raise StorageError(
                NOT_NOW,
                f"{KEY_VARIABLE} holds one key, so there is no new one to seal with",
                hint="Put a new key and a comma before it, for all services and workers. Then repeat this.",
            )
        return _seal_anew(database, opened_vault(database, folder, environ), by=by)
    with database.read() as tx:
        recent = now(tx) - _ALIVE
        living = [worker for worker in db_workers.listing(tx) if worker.status is not WorkerStatus.STOPPED]
        running = [worker.host for worker in living if worker.heartbeat > recent]
    if running:
        raise StorageError(
            NOT_NOW,
            f"a worker is running on {running[0]} with the old key",
            hint="Stop all services and workers, and repeat this. After a crash, wait a minute.",
        )
    opened_vault(database, folder, environ)  # or there would be two keys, and none that opens anything
    vault.put_new_key_first(folder)
    count = _seal_anew(database, Vault.open(folder, environ), by=by)
    vault.keep_first_key(folder)
    return count


def check_environment(environ: Mapping[str, str] | None = None) -> None:
    """Refuse where the key is in a file, as a running service must: it would not know the new one.

    Raises:
        StorageError: LB-7507.
    """
    if not (os.environ if environ is None else environ).get(KEY_VARIABLE):
        raise StorageError(
            NOT_NOW,
            "the key is in a file, which is not changed under a running service",
            hint="Stop all services and workers, and run: landbridge connections rotate-key",
        )


def _seal_anew(database: Database, keys: Vault, *, by: str) -> int:
    with database.write() as tx:
        count = db_sealed.reseal(tx, keys.reseal)
        db_audit.note(tx, "key.rotate", actor=by, object_kind="key", details={"values": count})
        return count
