"""The store of a site: documents in tables, reads side by side, writes one after another with a shared commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from landbridge.errors import FlowError

if TYPE_CHECKING:
    from landbridge.site.store_session import Session

T = TypeVar("T")


class Store(Protocol):
    """Where a site keeps everything.

    A write is acknowledged only when it would survive the end of the process and of the machine. Writes run one at a
    time, so that what a write reads stays true until it is done.
    """

    async def read(self, work: Callable[[Session], T], *, timeout_s: float = 20.0) -> T:
        """Run ``work`` on a consistent state.

        Raises:
            TimeoutError: ``work`` took longer than ``timeout_s``.
        """
        ...

    async def look_up(self, work: Callable[[Session], T]) -> T:
        """Like ``read`` for work that finds a few rows by their keys."""
        ...

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` alone and keep what it did; where it raises, nothing of it stays.

        Raises:
            StorageError: LB-7301; the database cannot be written.
        """
        ...

    async def fill(self, parts: Iterable[Callable[[Session], None]]) -> None:
        """Do very many writes, each of ``parts`` with a commit of its own, while nobody searches yet.

        Raises:
            StorageError: LB-7301; what was committed before stays.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way and close the database."""
        ...


async def open_store(place: str | Path) -> Store:
    """Open or create a store.

    Args:
        place: A folder for SQLite, or ``postgresql://user@host/database``.

    Raises:
        FlowError: LB-1901; the URL names a database that is not supported.
        StorageError: LB-7301; the database cannot be opened, or another site uses it.
    """
    scheme, separator, _ = str(place).partition("://")
    if separator and scheme in ("postgresql", "postgres"):
        from landbridge.site.store_postgres import PostgresStore  # noqa: PLC0415 - only one of the two is needed

        return await PostgresStore.open(str(place))
    if separator:
        raise FlowError("LB-1901", f'a site cannot be kept in "{scheme}"', hint="Use a folder or postgresql://…")
    from landbridge.site.store_sqlite import SqliteStore  # noqa: PLC0415 - only one of the two is needed

    return await SqliteStore.open(Path(place))
