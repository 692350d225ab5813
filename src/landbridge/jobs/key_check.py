"""Whether the key at hand is the one of the database: told at the start, and not when a secret is needed at night.

A service leaves a known text in the database, sealed. Until one has run, anything that is sealed there does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from landbridge.errors import StorageError
from landbridge.jobs import db_sealed, vault
from landbridge.jobs.db import Database, Transaction, exclusive
from landbridge.jobs.vault import Vault

_KNOWN_TEXT: Final = "landbridge"


def opened_vault(database: Database, folder: Path, environ: Mapping[str, str] | None = None) -> Vault:
    """The vault of a data folder, whose key opens what is sealed in the database.

    No key is made as long as nothing is sealed with it.

    Raises:
        StorageError: LB-7505, the key is missing, or another one than that of the database; LB-7504, it cannot be
            read or used; LB-7501, the database cannot be used.
    """
    found = Vault.open(folder, environ)
    with database.read() as tx:
        _verify(tx, found, folder)
    return found


def service_vault(database: Database, folder: Path) -> Vault:
    """The same for a service, which makes the key where there is none, and leaves what others check theirs by.

    Raises:
        StorageError: See ``opened_vault``; LB-7504 also where the key cannot be written.
    """
    found = opened_vault(database, folder)
    found.make_key()
    with database.read() as tx:
        is_known = db_sealed.check_value(tx) is not None
    while not is_known:
        with database.write() as tx:
            is_known = exclusive(tx, "keyCheck")
            if is_known:
                _verify(tx, found, folder)
                if db_sealed.check_value(tx) is None:
                    db_sealed.put_check_value(tx, found.seal(_KNOWN_TEXT))
    return found


def _verify(tx: Transaction, found: Vault, folder: Path) -> None:
    sealed = db_sealed.check_value(tx) or db_sealed.any_value(tx)
    if sealed is None:
        return
    if not found.has_key:
        raise vault.missing_key(folder)
    try:
        found.unseal(sealed)
    except StorageError:
        raise vault.wrong_key(folder) from None
