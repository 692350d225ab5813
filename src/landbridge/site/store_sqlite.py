"""A site's store in one SQLite file."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from landbridge.errors import StorageError
from landbridge.search.sqlite import SqliteDialect, register_functions
from landbridge.site.store_session import Session
from landbridge.site.store_writes import Write, Writes

T = TypeVar("T")

READERS: Final = 4
_FILE_NAME: Final = "site.db"
_STEPS_BETWEEN_TIME_CHECKS: Final = 20_000
_LOOK_UP_TIMEOUT_S: Final = 5.0
_LOG: Final = logging.getLogger(__name__)

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS accounts (
  id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, doc TEXT NOT NULL, extra TEXT NOT NULL, email TEXT,
  created INTEGER, updated INTEGER, logged_in INTEGER, registered INTEGER, verified INTEGER, oldest INTEGER,
  written INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS login_ids (
  kind TEXT NOT NULL, value TEXT NOT NULL, account INTEGER NOT NULL, PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS email_accounts (
  id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE, token TEXT NOT NULL, uid TEXT NOT NULL,
  full_account INTEGER NOT NULL, doc TEXT NOT NULL, created INTEGER, updated INTEGER, written INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS objects (
  id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, oid TEXT NOT NULL, uid TEXT NOT NULL, doc TEXT NOT NULL,
  created INTEGER, updated INTEGER, written INTEGER NOT NULL, UNIQUE (type, oid, uid)
) STRICT;
CREATE TABLE IF NOT EXISTS documents (
  kind TEXT NOT NULL, name TEXT NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, doc TEXT NOT NULL, written INTEGER NOT NULL
) STRICT;
CREATE VIEW IF NOT EXISTS lite_accounts AS
  SELECT -id AS id, uid, email, created, updated, NULL AS logged_in, NULL AS registered, NULL AS verified,
    NULL AS oldest, written, json_remove(doc, '$.token', '$.channel', '$.subscriptions', '$.email') AS doc
  FROM email_accounts WHERE full_account = 0;
CREATE VIEW IF NOT EXISTS all_accounts AS
  SELECT id, uid, email, created, updated, logged_in, registered, verified, oldest, written, doc FROM accounts
  UNION ALL
  SELECT id, uid, email, created, updated, logged_in, registered, verified, oldest, written, doc FROM lite_accounts;
CREATE VIEW IF NOT EXISTS email_documents AS
  SELECT e.id AS id, e.email AS email, e.token AS token, e.uid AS uid, e.created AS created, e.updated AS updated,
    e.written AS written,
    CASE WHEN e.full_account = 0 THEN e.doc ELSE (
      SELECT json_patch(e.doc, json_object('profile', a.doc -> '$.profile', 'data', a.doc -> '$.data'))
      FROM accounts a WHERE a.uid = e.uid
    ) END AS doc
  FROM email_accounts e;
CREATE VIEW IF NOT EXISTS communications AS
  SELECT a.id * 1000 + row_number() OVER (PARTITION BY a.id) AS id, a.written AS written,
    json_object('UID', a.uid, 'topicId', c.value -> '$.topic', 'channelId', c.value -> '$.channel',
      'status', c.value -> '$.status', 'timestamp', c.value -> '$.lastModified') AS doc
  FROM accounts a, json_each(a.extra, '$.communications') c;
"""
_INDEXES: Final = {
    "accounts_email": "accounts (email) WHERE email IS NOT NULL",
    **{
        f"accounts_{column}": f"accounts ({column}) WHERE {column} IS NOT NULL"
        for column in ("created", "updated", "logged_in", "registered", "verified", "oldest")
    },
    "login_ids_account": "login_ids (account)",
    "email_accounts_uid": "email_accounts (uid)",
    "email_accounts_token": "email_accounts (token)",
    "email_accounts_updated": "email_accounts (updated)",
    "objects_uid": "objects (uid) WHERE uid <> ''",
    "objects_updated": "objects (type, updated)",
    "audit_at": "audit (at)",
}
_MANY: Final = "SELECT {what} FROM json_each(?) AS wanted CROSS JOIN {table} ON {table}.id = wanted.value"


class SqliteStore:
    """A site's store in one SQLite file: write-ahead log, one writing thread, several reading ones.

    Writes that arrive while a commit is under way share the next one, so that many small writes cost one flush to the
    disk together. Only one process may have the store open.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self._file = folder / _FILE_NAME
        self._lock = lock
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="site-read")
        self._writes = Writes(self._commit)

    @classmethod
    async def open(cls, folder: Path) -> Self:
        """Open or create the store in a folder.

        Raises:
            StorageError: LB-7301; the folder cannot be used, or another process uses it.
        """
        return await asyncio.to_thread(cls._open, folder)

    @classmethod
    def _open(cls, folder: Path) -> Self:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "site.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(folder, error.strerror or "it cannot be written") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Personal data: for the owner alone. The log files that SQLite adds take over these permissions.
            (folder / _FILE_NAME).touch(mode=0o600)
            with closing(_connected(folder / _FILE_NAME)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_TABLES)
                _create_indexes(connection)
        except BlockingIOError as error:
            os.close(lock)
            raise _unusable(folder, "another site uses it") from error
        except (sqlite3.Error, OSError) as error:
            os.close(lock)
            raise _unusable(folder, str(error)) from error
        return cls(folder, lock)

    async def read(self, work: Callable[[Session], T], *, timeout_s: float = 20.0) -> T:
        """See ``Store.read``."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work, timeout_s)

    async def look_up(self, work: Callable[[Session], T]) -> T:
        """See ``Store.look_up``; done at once, because a change of threads would take longer than the work."""
        return self._read(work, _LOOK_UP_TIMEOUT_S)

    async def write(self, work: Callable[[Session], T]) -> T:
        """See ``Store.write``."""
        return await self._writes.add(work)

    async def fill(self, parts: Iterable[Callable[[Session], None]]) -> None:
        """See ``Store.fill``; the secondary indexes are built afterwards, in one go each."""
        await self.write(lambda _session: self._on_indexes(_drop_indexes))
        await self._writes.add_all(parts)
        await self.write(lambda _session: self._on_indexes(_create_indexes))
        await asyncio.to_thread(self._shorten_log)

    async def close(self) -> None:
        """See ``Store.close``."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if not self._writes.close():
            return
        self._readers.shutdown()
        for connection in self._connections:
            connection.close()
        os.close(self._lock)

    def _on_indexes(self, change: Callable[[sqlite3.Connection], None]) -> None:
        change(self._local.writing)

    def _shorten_log(self) -> None:
        with closing(_connected(self._file)) as connection:
            connection.execute("ANALYZE")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _read(self, work: Callable[[Session], T], timeout_s: float) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "reading", None)
        if connection is None:
            connection = self._local.reading = _connected(self._file)
            self._connections.append(connection)
        deadline = time.monotonic() + timeout_s
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_TIME_CHECKS)
        connection.execute("BEGIN")
        try:
            return work(_session(connection))
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise TimeoutError("the search took too long") from error
            raise
        finally:
            connection.set_progress_handler(None, 0)
            connection.execute("ROLLBACK")

    def _commit(self, group: list[Write]) -> None:
        connection: sqlite3.Connection | None = getattr(self._local, "writing", None)
        if connection is None:
            connection = self._local.writing = _connected(self._file)
            self._connections.append(connection)
        session = _session(connection)
        try:
            connection.execute("BEGIN IMMEDIATE")
            for write in group:
                connection.execute("SAVEPOINT one")
                try:
                    write.result = write.work(session)
                except BaseException as error:  # noqa: BLE001 - it belongs to the caller of this write alone
                    write.error = error
                    connection.execute("ROLLBACK TO one")
                connection.execute("RELEASE one")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            _LOG.error("a commit of %d writes failed: %s", len(group), error)
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for write in group:
                write.error = _unusable(self._file.parent, str(error))


def _connected(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA mmap_size = 4294967296")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.text_factory = bytes
    register_functions(connection)
    return connection


def _session(connection: sqlite3.Connection) -> Session:
    def execute(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return connection.execute(statement, parameters).fetchall()

    def execute_many(statement: str, rows: Iterable[Sequence[Any]]) -> None:
        connection.executemany(statement, rows)

    return Session(execute, execute_many, connection.execute, SqliteDialect(), many=_MANY)


def _drop_indexes(connection: sqlite3.Connection) -> None:
    for name in _INDEXES:
        connection.execute(f"DROP INDEX IF EXISTS {name}")


def _create_indexes(connection: sqlite3.Connection) -> None:
    for name, columns in _INDEXES.items():
        connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")


def _unusable(folder: Path, why: str) -> StorageError:
    return StorageError("LB-7301", f'the site in "{folder}" cannot be used: {why}', hint="Choose another folder.")
