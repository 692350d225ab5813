"""The database of the control side: a file in the data folder, or PostgreSQL that several machines share.

All statements are in the modules ``db_*``, as functions that take the connection of a transaction:
``with database.write() as tx: db_dataflows.add(tx, …)``. They are plain blocking calls; in an event loop use a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from landbridge.errors import FlowError, LandbridgeError, StorageError
from landbridge.jobs.db_tables import change
from landbridge.jobs.outage import Outage
from landbridge.jobs.private import private_file

T = TypeVar("T")

FILE_NAME: Final = "landbridge.db"
"""The database's file in the data folder."""

AWAY: Final = "LB-7501"
"""The code of a database that cannot be used, maybe only now."""

HEAD: Final = "0001"
"""The newest migration; a test compares it with the folder ``migrations``."""

Transaction = sa.Connection
"""What the functions of ``db_*`` work on."""

_BUSY_TIMEOUT_S: Final = 30
_CONNECT_TIMEOUT_S: Final = 10
_STATEMENT_TIMEOUT_MS: Final = 60_000
_MORE_CONNECTIONS: Final = 24
"""For a moment: however many ask the service at once, the worker's heartbeat must not wait for them."""
_UPGRADE_LOCK: Final = 0x6C62_6A6F_6273
_LOCKS: Final = 0x6C62_6A
_ATTEMPTS: Final = 3
_COLLISIONS: Final = {"40P01", "40001"}
"""Of two transactions that waited for each other, or changed the same, one was taken back."""

_NO_CONNECTION: Final = ("08", "57P")
"""How the codes of a server begin that cannot be reached, or ends its connections."""

_ALREADY_THERE: Final = {"23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}


class Database:
    """A database with its tables in place.

    Attributes:
        url: Where it is, without a password.
        is_shared: Whether processes of several machines may use it: PostgreSQL.
        outage: Is told whenever it can be used, and when it is away; None where nobody wants to know.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.url = engine.url.render_as_string(hide_password=True)
        self.is_shared = engine.dialect.name == "postgresql"
        self.outage: Outage | None = None

    @classmethod
    def open(cls, place: Path | str) -> Self:
        """Open a database and bring its tables up to date.

        Args:
            place: The data folder, made when it is missing; or ``postgresql://user@host/name``.

        Raises:
            FlowError: LB-1704, the URL cannot be used.
            StorageError: LB-7501, it cannot be opened; LB-7503, a newer version of landbridge made it.
        """
        database = cls(_shared_engine(place) if isinstance(place, str) else _file_engine(place))
        try:
            database.upgrade()
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads; it sees one state of the database.

        Raises:
            StorageError: LB-7501, the database cannot be used.
        """
        with _explained(self.outage), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction; an exception takes all of it back.

        Raises:
            StorageError: LB-7501, the database cannot be used.
        """
        with (
            _explained(self.outage),
            self._engine.connect() as connection,
            connection.execution_options(landbridge_writes=True).begin(),
        ):
            yield connection

    def upgrade(self) -> None:
        """Run the migrations that are missing; only one process does it at a time.

        Raises:
            StorageError: LB-7501 or LB-7503.
        """
        with self.read() as tx:
            if _version(tx) == HEAD:
                return
        with self.write() as tx:
            if self.is_shared:
                tx.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
            found = _version(tx)
            if found != HEAD:
                _migrate(tx, found)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def shared(url: str | None) -> str:
    """The URL of a database that a worker without a data folder of its own needs.

    Raises:
        FlowError: LB-1704, there is none.
    """
    if url is None:
        raise FlowError(
            "LB-1704",
            "a worker needs --database: a data folder has one worker, that of its service",
            hint="Give postgresql://user@host/name, or raise --slots of `landbridge serve`.",
        )
    return url


def now(tx: Transaction) -> datetime:
    """The database's time: where several machines share it, the one clock that all of them see."""
    if tx.dialect.name == "postgresql":
        moment = tx.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        return moment.astimezone(UTC)  # type: ignore[no-any-return]  # a row's values are untyped
    return datetime.now(UTC)


def changed(tx: Transaction, area: str) -> None:
    """Count a change of ``area``, for those that wait for one."""
    updated = tx.execute(sa.update(change).where(change.c.area == area).values(count=change.c.count + 1))
    if not updated.rowcount:
        with contextlib.suppress(AlreadyThere):
            insert_new(tx, sa.insert(change).values(area=area, count=1))


def changes(tx: Transaction, area: str) -> int:
    """How often ``area`` was changed."""
    return tx.execute(sa.select(change.c.count).where(change.c.area == area)).scalar() or 0


def all_changes(tx: Transaction) -> dict[str, int]:
    """How often each area was changed."""
    return {row[0]: row[1] for row in tx.execute(sa.select(change.c.area, change.c["count"]).limit(100))}


def exclusive(tx: Transaction, purpose: str) -> bool:
    """Whether this transaction is the only one for ``purpose``; a file has one writer at a time anyway."""
    if tx.dialect.name != "postgresql":
        return True
    lock = sa.select(sa.func.pg_try_advisory_xact_lock(_LOCKS, sa.func.hashtext(purpose)))
    return bool(tx.execute(lock).scalar())


class Collision(StorageError):
    """A transaction met another one and was taken back; it may succeed when it is repeated."""


def repeated(work: Callable[[], T]) -> T:
    """Do work that is one transaction; again, a few times, where another transaction was preferred to it.

    Raises:
        Collision: Each time.
    """
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(Collision):
            return work()
    return work()


class AlreadyThere(Exception):
    """A row with this key exists."""


def insert_new(tx: Transaction, statement: sa.Insert) -> None:
    """Insert a row unless its key exists; the transaction stays usable either way.

    Raises:
        AlreadyThere: The key exists.
    """
    try:
        with tx.begin_nested():
            tx.execute(statement)
    except sa.exc.IntegrityError as error:
        cause: Any = error.orig
        code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
        if code not in _ALREADY_THERE:
            raise
        raise AlreadyThere from None


def _file_engine(folder: Path) -> sa.Engine:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder.absolute() / FILE_NAME
        private_file(file)
    except OSError as error:
        raise unusable(f"{folder}: {error.strerror or error}") from error
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(file)),
        connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False},
        pool_size=8,
        max_overflow=_MORE_CONNECTIONS,
        hide_parameters=True,  # of statements that fail: the log would show them
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        del record
        connection.isolation_level = None  # transactions are begun below
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # Who will write takes the lock at once: a reader that turns writer may find its state outdated and fail.
        writes = connection.get_execution_options().get("landbridge_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _shared_engine(url: str) -> sa.Engine:
    scheme, colon, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres") or not colon:
        raise FlowError(
            "LB-1704",
            f'the database "{scheme}" is not supported',
            hint="Give postgresql://user@host/name, or leave it out to use the data folder.",
        )
    try:
        parsed = make_url(f"postgresql+psycopg://{rest}")
    except (sa.exc.ArgumentError, ValueError):
        raise FlowError(
            "LB-1704", "the URL of the database cannot be read", hint="Its form is postgresql://user@host/name."
        ) from None
    engine = sa.create_engine(
        parsed,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
            "application_name": "landbridge",
        },
        pool_size=8,
        max_overflow=_MORE_CONNECTIONS,
        hide_parameters=True,  # of statements that fail: the log would show them
        pool_pre_ping=True,
    )

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("landbridge_writes"):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine


def _version(tx: Transaction) -> str | None:
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(tx: Transaction, found: str | None) -> None:
    # Imported here: a database that is up to date does not need it.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above
    from alembic.util import CommandError  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = tx
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StorageError(
            "LB-7503",
            f'the database has the version "{found}", which this version of landbridge does not know',
            hint="Use the version of landbridge that made it, or a newer one.",
        ) from error


@contextmanager
def _explained(outage: Outage | None) -> Iterator[None]:
    """Turn what the driver raises into an error with a code; its message may quote values and is left out."""
    try:
        yield
        if outage is not None:
            outage.worked()
    except LandbridgeError:
        raise
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError, sa.exc.InternalError) as error:
        cause = getattr(error, "orig", None)
        if getattr(cause, "sqlstate", None) in _COLLISIONS:
            raise Collision(AWAY, "two changes waited for each other", hint="Try again in a moment.") from error
        first = str(cause).strip().splitlines()[0] if cause and str(cause).strip() else type(error).__name__
        if outage is not None and _is_away(error):
            outage.failed(first)
        raise unusable(first) from error
    except sa.exc.DatabaseError as error:
        if type(error) is sa.exc.DatabaseError:  # SQLite: the file is no database, or damaged
            raise unusable(str(error.orig)) from error
        raise


def _is_away(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether it is the database that fails, and not this one statement."""
    cause = getattr(error, "orig", None)
    if cause is None:
        return False  # all connections of this process are in use
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_NO_CONNECTION)
    return getattr(cause, "sqlite_errorname", None) not in ("SQLITE_BUSY", "SQLITE_LOCKED")


def unusable(reason: str) -> StorageError:
    """The error for a data folder or database that cannot be used."""
    return StorageError(
        AWAY,
        f"the database cannot be used: {reason}",
        hint="Check the data folder or the database server, and that this user may write there.",
    )
