"""Where the commands find dataflows and jobs: a data folder, or a PostgreSQL database."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.home import home_folder

if TYPE_CHECKING:
    from landbridge.jobs.db import Database
    from landbridge.jobs.vault import Vault

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar="LANDBRIDGE_DATA",
        show_default="$LANDBRIDGE_HOME/data",
        help="The data folder of the service.",
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="LANDBRIDGE_DATABASE",
        help="The database, postgresql://user@host/name, where it is not in the data folder.",
    ),
]


def data_folder(data: Path | None) -> Path:
    """The data folder that was named, or the usual one."""
    return (data or home_folder() / "data").absolute()


@contextmanager
def opened(data: Path | None, database: str | None) -> Iterator[Database]:
    """The database for the length of a command. A service may be using it at the same time.

    Raises:
        LandbridgeError: See ``Database.open``.
    """
    from landbridge.jobs.db import Database

    found = Database.open(database or data_folder(data))
    try:
        yield found
    finally:
        found.close()


def vault_of(database: Database, data: Path | None) -> Vault:
    """The vault of what is sealed in the database.

    Raises:
        LandbridgeError: See ``key_check.opened_vault``.
    """
    from landbridge.jobs.key_check import opened_vault

    return opened_vault(database, data_folder(data))


def who() -> str:
    """Who uses the command line, as the records name them: by the system's account, which no variable changes."""
    try:
        return f"cli {pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"cli {os.getuid()}"
