"""A site's store in a PostgreSQL database."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self, TypeVar

import psycopg

from landbridge.errors import StorageError
from landbridge.search.postgres import PostgresDialect
from landbridge.site.store_session import Session
from landbridge.site.store_writes import Write, Writes

T = TypeVar("T")

READERS: Final = 8
_CONNECT_TIMEOUT_S: Final = 10
_WRITE_TIMEOUT_MS: Final = 3_600_000
_LOOK_UP_TIMEOUT_S: Final = 5.0
_LOCK: Final = 0x6C616E6462726964
_LOG: Final = logging.getLogger(__name__)

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS accounts (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, uid TEXT COLLATE "C" NOT NULL UNIQUE, doc TEXT NOT NULL,
  extra TEXT NOT NULL, email TEXT COLLATE "C", created BIGINT, updated BIGINT, logged_in BIGINT, registered BIGINT,
  verified BIGINT, oldest BIGINT, written BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS login_ids (
  kind TEXT COLLATE "C" NOT NULL, value TEXT COLLATE "C" NOT NULL, account BIGINT NOT NULL, PRIMARY KEY (kind, value)
);
CREATE TABLE IF NOT EXISTS email_accounts (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email TEXT COLLATE "C" NOT NULL UNIQUE,
  token TEXT COLLATE "C" NOT NULL, uid TEXT COLLATE "C" NOT NULL, full_account INTEGER NOT NULL, doc TEXT NOT NULL,
  created BIGINT, updated BIGINT, written BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS objects (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, type TEXT COLLATE "C" NOT NULL, oid TEXT COLLATE "C" NOT NULL,
  uid TEXT COLLATE "C" NOT NULL, doc TEXT NOT NULL, created BIGINT, updated BIGINT, written BIGINT NOT NULL,
  UNIQUE (type, oid, uid)
);
CREATE TABLE IF NOT EXISTS documents (
  kind TEXT COLLATE "C" NOT NULL, name TEXT COLLATE "C" NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (kind, name)
);
CREATE TABLE IF NOT EXISTS audit (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at TEXT COLLATE "C" NOT NULL, doc TEXT NOT NULL,
  written BIGINT NOT NULL
);
CREATE OR REPLACE VIEW lite_accounts AS
  SELECT -id AS id, uid, email, created, updated, NULL::BIGINT AS logged_in, NULL::BIGINT AS registered,
    NULL::BIGINT AS verified, NULL::BIGINT AS oldest, written,
    (doc::jsonb - 'token' - 'channel' - 'subscriptions' - 'email')::text AS doc
  FROM email_accounts WHERE full_account = 0;
CREATE OR REPLACE VIEW all_accounts AS
  SELECT id, uid, email, created, updated, logged_in, registered, verified, oldest, written, doc FROM accounts
  UNION ALL
  SELECT id, uid, email, created, updated, logged_in, registered, verified, oldest, written, doc FROM lite_accounts;
CREATE OR REPLACE VIEW email_documents AS
  SELECT e.id, e.email, e.token, e.uid, e.created, e.updated, e.written,
    CASE WHEN e.full_account = 0 THEN e.doc ELSE (
      SELECT (e.doc::jsonb || jsonb_strip_nulls(
        jsonb_build_object('profile', a.doc::jsonb -> 'profile', 'data', a.doc::jsonb -> 'data')))::text
      FROM accounts a WHERE a.uid = e.uid
    ) END AS doc
  FROM email_accounts e;
CREATE OR REPLACE VIEW communications AS
  SELECT a.id * 1000 + row_number() OVER (PARTITION BY a.id) AS id, a.written,
    jsonb_build_object('UID', a.uid, 'topicId', c.value -> 'topic', 'channelId', c.value -> 'channel',
      'status', c.value -> 'status', 'timestamp', c.value -> 'lastModified')::text AS doc
  FROM accounts a, jsonb_each(a.extra::jsonb -> 'communications') c;
"""
_INDEXES: Final = (
    "accounts_email ON accounts (email)",
    *(
        f"accounts_{column} ON accounts ({column})"
        for column in ("created", "updated", "logged_in", "registered", "verified", "oldest")
    ),
    "login_ids_account ON login_ids (account)",
    "email_accounts_uid ON email_accounts (uid)",
    "email_accounts_token ON email_accounts (token)",
    "email_accounts_updated ON email_accounts (updated)",
    "objects_uid ON objects (uid)",
    "objects_updated ON objects (type, updated)",
    "audit_at ON audit (at)",
)
_MANY: Final = (
    "SELECT {what} FROM json_array_elements_text(?::json) WITH ORDINALITY AS wanted(value, place)"
    " JOIN {table} ON {table}.id = wanted.value::bigint ORDER BY wanted.place"
)


class PostgresStore:
    """A site's store in a PostgreSQL database, which only one site may use at a time.

    Writes are done as with SQLite: one after another, those that wait share a commit. So what a write reads stays true
    until it is done, without locks on rows.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._local = threading.local()
        self._connections: list[psycopg.Connection[Any]] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="site-read")
        self._owner: psycopg.Connection[Any] | None = None
        self._writes = Writes(self._commit)

    @classmethod
    async def open(cls, url: str) -> Self:
        """Open the store and create what is missing in the database.

        Raises:
            StorageError: LB-7301; the database cannot be reached, or another site uses it.
        """
        store = cls(url)
        try:
            await asyncio.to_thread(store._prepare)
        except (psycopg.Error, StorageError) as error:
            await store.close()
            if isinstance(error, StorageError):
                raise
            raise _unusable(_plain(error)) from error
        return store

    async def read(self, work: Callable[[Session], T], *, timeout_s: float = 20.0) -> T:
        """See ``Store.read``."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work, timeout_s)

    async def look_up(self, work: Callable[[Session], T]) -> T:
        """See ``Store.look_up``."""
        return await self.read(work, timeout_s=_LOOK_UP_TIMEOUT_S)

    async def write(self, work: Callable[[Session], T]) -> T:
        """See ``Store.write``."""
        return await self._writes.add(work)

    async def fill(self, parts: Iterable[Callable[[Session], None]]) -> None:
        """See ``Store.fill``; the indexes are built afterwards."""
        await self.write(lambda _session: self._on_indexes(_drop_indexes))
        await self._writes.add_all(parts)
        await self.write(lambda _session: self._on_indexes(_create_indexes))

    async def close(self) -> None:
        """See ``Store.close``."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if not self._writes.close():
            return
        self._readers.shutdown()
        for connection in self._connections:
            connection.close()

    def _prepare(self) -> None:
        self._owner = self._connect()
        row = self._owner.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if row is None or not row[0]:
            raise _unusable("another site uses it")
        with self._owner.transaction():
            self._owner.execute(_TABLES)
            _create_indexes(self._owner)

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)
        self._connections.append(connection)
        return connection

    def _on_indexes(self, change: Callable[[psycopg.Connection[Any]], None]) -> None:
        change(self._local.writing)

    def _read(self, work: Callable[[Session], T], timeout_s: float) -> T:
        connection: psycopg.Connection[Any] | None = getattr(self._local, "reading", None)
        if connection is None or connection.closed:
            connection = self._local.reading = self._connect()
        try:
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                connection.execute(f"SET LOCAL statement_timeout = {max(1, int(timeout_s * 1000))}".encode())
                return work(_session(connection))
        except psycopg.errors.QueryCanceled as error:
            raise TimeoutError("the search took too long") from error
        except psycopg.Error as error:
            raise _unusable(_plain(error)) from error

    def _commit(self, group: list[Write]) -> None:
        try:
            connection: psycopg.Connection[Any] | None = getattr(self._local, "writing", None)
            if connection is None or connection.closed:
                connection = self._local.writing = self._connect()
            session = _session(connection)
            with connection.transaction():
                connection.execute(f"SET LOCAL statement_timeout = {_WRITE_TIMEOUT_MS}".encode())
                for write in group:
                    _attempt(connection, session, write)
        except psycopg.Error as error:
            _LOG.error("a commit of %d writes failed: %s", len(group), _plain(error))
            for write in group:
                write.error = _unusable(_plain(error))


def _attempt(connection: psycopg.Connection[Any], session: Session, write: Write) -> None:
    try:
        with connection.transaction():
            write.result = write.work(session)
    except BaseException as error:
        write.error = error
        if connection.closed:
            raise psycopg.OperationalError("the connection is lost") from error


def _session(connection: psycopg.Connection[Any]) -> Session:
    def execute(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        cursor = connection.execute(_translated(statement), parameters)
        return cursor.fetchall() if cursor.description else []

    def execute_many(statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(_translated(statement), rows)

    def stream(statement: str, parameters: Sequence[Any]) -> Any:
        with connection.cursor() as cursor:
            yield from cursor.stream(_translated(statement), parameters)

    return Session(execute, execute_many, stream, PostgresDialect(), many=_MANY)


def _translated(statement: str) -> bytes:
    # Nothing that the site writes holds a question mark or a percent sign that is no parameter.
    return statement.replace("?", "%s").encode()


def _drop_indexes(connection: psycopg.Connection[Any]) -> None:
    for index in _INDEXES:
        connection.execute(f"DROP INDEX IF EXISTS {index.split()[0]}".encode())


def _create_indexes(connection: psycopg.Connection[Any]) -> None:
    for index in _INDEXES:
        connection.execute(f"CREATE INDEX IF NOT EXISTS {index}".encode())


def _plain(error: psycopg.Error) -> str:
    # The driver's text may hold the host but neither a password nor a value of a row when only its first line is taken.
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _unusable(why: str) -> StorageError:
    return StorageError("LB-7301", f"the site's database cannot be used: {why}", hint="Check the URL and the server.")
