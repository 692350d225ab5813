"""Connections for commands that run or try the dataflow of a file: looked up only when it names one."""

from __future__ import annotations

from pathlib import Path

from landbridge.cli.place import data_folder, opened, vault_of
from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow import Dataflow
from landbridge.dataflow.connections import Connected, connect, named_in


def connected(flow: Dataflow, *, data: Path | None, database: str | None) -> Connected:
    """The dataflow with its stored connections put in.

    Args:
        flow: The dataflow.
        data: The data folder; None for the usual one. It is not made where it does not exist.
        database: URL of the database, where it is not in the data folder.

    Raises:
        DataflowError: LB-1761, there is no such connection; LB-1764, it is one of another system.
        StorageError: LB-7501, LB-7504 or LB-7505; what is stored cannot be read.
    """
    catalogue = InstalledComponents()
    if not named_in(flow, catalogue):
        return Connected(flow)

    from landbridge.jobs import connections
    from landbridge.jobs.db import FILE_NAME

    folder = data_folder(data)
    if database is None and not (folder / FILE_NAME).exists():
        return connect(flow, {}, catalogue)
    with opened(data, database) as db, db.read() as tx:
        return connections.connected(tx, vault_of(db, folder), flow)
