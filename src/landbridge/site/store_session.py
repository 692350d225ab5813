"""All that a site asks of its database, as SQL that SQLite and PostgreSQL share."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from landbridge.search import sql
from landbridge.search.query import Condition, FieldPath, Order
from landbridge.search.sql import Column, ColumnType, Dialect, Fragment, Layout, Side

Execute: TypeAlias = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Runs a statement with question marks; gives the rows, empty for statements without."""

ExecuteMany: TypeAlias = Callable[[str, Iterable[Sequence[Any]]], None]
"""Runs a statement with question marks for many rows."""

Stream: TypeAlias = Callable[[str, Sequence[Any]], Iterable[tuple[Any, ...]]]
"""Like ``Execute`` for very many rows, which are read one after another."""


class Source(StrEnum):
    """What a search looks through."""

    ACCOUNTS = "accounts"
    LITE_ACCOUNTS = "lite_accounts"
    ALL_ACCOUNTS = "all_accounts"
    EMAIL_ACCOUNTS = "email_documents"
    OBJECTS = "objects"
    AUDIT = "audit"
    COMMUNICATIONS = "communications"


TIMESTAMPS: Final[Mapping[str, str]] = {
    "createdTimestamp": "created",
    "lastUpdatedTimestamp": "updated",
    "lastLoginTimestamp": "logged_in",
    "registeredTimestamp": "registered",
    "verifiedTimestamp": "verified",
    "oldestDataUpdatedTimestamp": "oldest",
}
"""The account's timestamps that have an indexed column."""

ACCOUNT_COLUMNS: Final = ("email", *TIMESTAMPS.values())
"""The columns beside an account's document, in the order of ``insert_account``."""

_ACCOUNT_COLUMNS: Final[dict[tuple[str, ...], Column | Side]] = {
    ("UID",): Column("uid", ColumnType.TEXT),
    ("profile", "email"): Column("email", ColumnType.TEXT),
    **{(name,): Column(column, ColumnType.INTEGER) for name, column in TIMESTAMPS.items()},
}
_LAYOUTS: Final = {
    Source.ACCOUNTS: Layout(
        "doc",
        columns={
            **_ACCOUNT_COLUMNS,
            ("loginIDs", "emails"): Side("login_ids", "account", "value", "kind = 'emails'"),
            ("loginIDs", "username"): Side("login_ids", "account", "value", "kind = 'username'"),
        },
    ),
    Source.LITE_ACCOUNTS: Layout("doc", columns=_ACCOUNT_COLUMNS),
    Source.ALL_ACCOUNTS: Layout("doc", columns=_ACCOUNT_COLUMNS),
    Source.EMAIL_ACCOUNTS: Layout(
        "doc",
        columns={
            ("email",): Column("email", ColumnType.TEXT),
            ("token",): Column("token", ColumnType.TEXT),
            ("UID",): Column("uid", ColumnType.TEXT),
            ("lastUpdatedTimestamp",): Column("updated", ColumnType.INTEGER),
            ("createdTimestamp",): Column("created", ColumnType.INTEGER),
        },
    ),
    Source.OBJECTS: Layout(
        "doc",
        columns={
            ("oid",): Column("oid", ColumnType.TEXT),
            ("lastUpdated",): Column("updated", ColumnType.INTEGER),
            ("created",): Column("created", ColumnType.INTEGER),
        },
    ),
    Source.AUDIT: Layout("doc", columns={("@timestamp",): Column("at", ColumnType.TEXT)}),
    Source.COMMUNICATIONS: Layout("doc"),
}


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A full account as stored: ``doc`` is what a search returns, ``extra`` what it never returns unasked."""

    id: int
    uid: str
    doc: bytes
    extra: bytes


@dataclass(frozen=True, slots=True)
class EmailRow:
    """An e-mail address with its subscriptions; ``full`` where it belongs to a full account."""

    id: int
    email: str
    token: str
    uid: str
    full: bool
    doc: bytes


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """An object of the data store; ``uid`` is empty where it belongs to no account."""

    id: int
    oid: str
    uid: str
    doc: bytes


class Session:
    """One open transaction."""

    def __init__(
        self, execute: Execute, execute_many: ExecuteMany, stream: Stream, dialect: Dialect, *, many: str
    ) -> None:
        self._execute = execute
        self._execute_many = execute_many
        self._stream = stream
        self._dialect = dialect
        self._many = many

    # accounts

    def account(self, uid: str) -> AccountRow | None:
        """The full account with a UID."""
        rows = self._execute("SELECT id, uid, doc, extra FROM accounts WHERE uid = ?", (uid,))
        return _account(rows[0]) if rows else None

    def account_by_login(self, kind: str, value: str) -> AccountRow | None:
        """The full account with a login identifier; ``kind`` is ``emails``, ``username`` or ``phoneNumber``."""
        rows = self._execute(
            "SELECT a.id, a.uid, a.doc, a.extra FROM login_ids l JOIN accounts a ON a.id = l.account"
            " WHERE l.kind = ? AND l.value = ?",
            (kind, value),
        )
        return _account(rows[0]) if rows else None

    def accounts_with_email(self, email: str) -> list[AccountRow]:
        """The full accounts whose ``profile.email`` is this text, two at most."""
        rows = self._execute("SELECT id, uid, doc, extra FROM accounts WHERE email = ? LIMIT 2", (email,))
        return [_account(row) for row in rows]

    def insert_account(self, uid: str, *, doc: str, extra: str, columns: Sequence[Any], now_ms: int) -> int:
        """Add an account; ``columns`` are the values of ``ACCOUNT_COLUMNS``. Returns its id."""
        names = ", ".join(ACCOUNT_COLUMNS)
        rows = self._execute(
            f"INSERT INTO accounts (uid, doc, extra, {names}, written)"  # noqa: S608 - names are ours
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (uid, doc, extra, *columns, now_ms),
        )
        return int(rows[0][0])

    def update_account(self, account: int, *, doc: str, extra: str, columns: Mapping[str, Any], now_ms: int) -> None:
        """Replace an account's content; ``columns`` are those of ``ACCOUNT_COLUMNS`` that change.

        A column that is named costs the renewal of its index, whether its value changes or not.
        """
        names = "".join(f", {column} = ?" for column in columns)
        self._execute(
            f"UPDATE accounts SET doc = ?, extra = ?{names}, written = ? WHERE id = ?",  # noqa: S608 - names are ours
            (doc, extra, *columns.values(), now_ms, account),
        )

    def set_login_ids(self, account: int, identifiers: Iterable[tuple[str, str]]) -> None:
        """Replace an account's login identifiers, pairs of kind and value."""
        self._execute("DELETE FROM login_ids WHERE account = ?", (account,))
        for kind, value in identifiers:
            self.add_login_id(account, kind, value)

    def add_login_id(self, account: int, kind: str, value: str) -> None:
        """Add a login identifier to an account."""
        self._execute("INSERT INTO login_ids (kind, value, account) VALUES (?, ?, ?)", (kind, value, account))

    def add_people(self, accounts: Iterable[Sequence[Any]], email_accounts: Iterable[Sequence[Any]]) -> None:
        """Add many accounts with their e-mail accounts; a quick way for what is known to be new.

        Args:
            accounts: UID, document, the values of ``ACCOUNT_COLUMNS``, and the moment of writing. The e-mail address
                becomes the login identifier.
            email_accounts: Address, token, UID, document, creation, update, and the moment of writing.
        """
        last = self._execute("SELECT coalesce(max(id), 0) FROM accounts", ())[0][0]
        self._execute_many(
            f"INSERT INTO accounts (uid, doc, extra, {', '.join(ACCOUNT_COLUMNS)}, written)"  # noqa: S608 - names are ours
            " VALUES (?, ?, '{}', ?, ?, ?, ?, ?, ?, ?, ?)",
            accounts,
        )
        self._execute(
            "INSERT INTO login_ids (kind, value, account) SELECT 'emails', email, id FROM accounts WHERE id > ?",
            (last,),
        )
        self._execute_many(
            "INSERT INTO email_accounts (email, token, uid, full_account, doc, created, updated, written)"
            " VALUES (?, ?, ?, 1, ?, ?, ?, ?)",
            email_accounts,
        )

    def delete_account(self, account: int) -> None:
        """Remove an account with its login identifiers."""
        self._execute("DELETE FROM login_ids WHERE account = ?", (account,))
        self._execute("DELETE FROM accounts WHERE id = ?", (account,))

    def count_accounts(self) -> int:
        """The number of full accounts."""
        return int(self._execute("SELECT count(*) FROM accounts", ())[0][0])

    def has_other_value(self, account: int, condition: Condition) -> bool:
        """Whether another account than this fulfils a condition."""
        where = sql.where(condition, _LAYOUTS[Source.ACCOUNTS], self._dialect)
        rows = self._execute(
            f"SELECT 1 FROM accounts WHERE {where.text} AND id <> ? LIMIT 1",  # noqa: S608 - compiled, values are bound
            (*where.parameters, account),
        )
        return bool(rows)

    # e-mail accounts

    def email_account(self, email: str) -> EmailRow | None:
        """The row of an e-mail address (in lower case)."""
        return self._email_row("email", email)

    def email_account_by_token(self, token: str) -> EmailRow | None:
        """The row with an ``emailAccountToken``."""
        return self._email_row("token", token)

    def email_account_of(self, uid: str) -> EmailRow | None:
        """The row that belongs to an account."""
        return self._email_row("uid", uid)

    def _email_row(self, column: str, value: str) -> EmailRow | None:
        rows = self._execute(
            f"SELECT id, email, token, uid, full_account, doc FROM email_accounts WHERE {column} = ?",  # noqa: S608
            (value,),
        )
        if not rows:
            return None
        number, email, token, uid, full, doc = rows[0]
        return EmailRow(number, _text(email), _text(token), _text(uid), bool(full), _bytes(doc))

    def put_email_account(
        self, *, email: str, token: str, uid: str, full: bool, doc: str, created: int, updated: int, now_ms: int
    ) -> None:
        """Add or replace the row of an e-mail address."""
        self._execute(
            "INSERT INTO email_accounts (email, token, uid, full_account, doc, created, updated, written)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (email) DO UPDATE SET token = excluded.token,"
            " uid = excluded.uid, full_account = excluded.full_account, doc = excluded.doc,"
            " created = excluded.created, updated = excluded.updated, written = excluded.written",
            (email, token, uid, int(full), doc, created, updated, now_ms),
        )

    def update_email_account(
        self, row: EmailRow, *, uid: str, full: bool, doc: str, created: int, updated: int, now_ms: int
    ) -> None:
        """Replace the content of an e-mail address's row; its address and token stay."""
        # The UID is named only where it changes, which spares its index.
        name, value = (", uid = ?", (uid,)) if uid != row.uid else ("", ())
        self._execute(
            "UPDATE email_accounts SET full_account = ?, doc = ?, created = ?, updated = ?, written = ?"  # noqa: S608
            f"{name} WHERE id = ?",
            (int(full), doc, created, updated, now_ms, *value, row.id),
        )

    def delete_email_account(self, number: int) -> None:
        """Remove the row of an e-mail address."""
        self._execute("DELETE FROM email_accounts WHERE id = ?", (number,))

    # data store

    def object(self, kind: str, oid: str, uid: str | None) -> ObjectRow | None:
        """An object; without ``uid`` whichever has the ``oid``."""
        statement = "SELECT id, oid, uid, doc FROM objects WHERE type = ? AND oid = ?"
        if uid is None:
            rows = self._execute(statement + " ORDER BY uid LIMIT 1", (kind, oid))
        else:
            rows = self._execute(statement + " AND uid = ?", (kind, oid, uid))
        return ObjectRow(rows[0][0], _text(rows[0][1]), _text(rows[0][2]), _bytes(rows[0][3])) if rows else None

    def put_object(self, kind: str, oid: str, uid: str, *, doc: str, created: int, updated: int) -> None:
        """Add or replace an object."""
        self._execute(
            "INSERT INTO objects (type, oid, uid, doc, created, updated, written) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (type, oid, uid) DO UPDATE SET doc = excluded.doc, created = excluded.created,"
            " updated = excluded.updated, written = excluded.written",
            (kind, oid, uid, doc, created, updated, updated),
        )

    def delete_object(self, number: int) -> None:
        """Remove an object."""
        self._execute("DELETE FROM objects WHERE id = ?", (number,))

    def delete_objects_of(self, uid: str) -> None:
        """Remove the objects of an account."""
        self._execute("DELETE FROM objects WHERE uid = ?", (uid,))

    def object_types(self) -> list[str]:
        """The types that have objects."""
        return [_text(row[0]) for row in self._execute("SELECT DISTINCT type FROM objects ORDER BY type", ())]

    # small documents: settings, webhooks, counters, points

    def document(self, kind: str, key: str) -> bytes | None:
        """A small document."""
        rows = self._execute("SELECT doc FROM documents WHERE kind = ? AND name = ?", (kind, key))
        return _bytes(rows[0][0]) if rows else None

    def documents(self, kind: str) -> list[tuple[str, bytes]]:
        """All small documents of a kind with their keys, in the order of the keys."""
        rows = self._execute("SELECT name, doc FROM documents WHERE kind = ? ORDER BY name", (kind,))
        return [(_text(key), _bytes(doc)) for key, doc in rows]

    def put_document(self, kind: str, key: str, doc: str) -> None:
        """Add or replace a small document."""
        self._execute(
            "INSERT INTO documents (kind, name, doc) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, name) DO UPDATE SET doc = excluded.doc",
            (kind, key, doc),
        )

    def delete_document(self, kind: str, key: str) -> bool:
        """Remove a small document; whether there was one."""
        return bool(self._execute("DELETE FROM documents WHERE kind = ? AND name = ? RETURNING name", (kind, key)))

    def take_document(self, kind: str, key: str) -> bytes | None:
        """Remove a small document and give its content."""
        rows = self._execute("DELETE FROM documents WHERE kind = ? AND name = ? RETURNING doc", (kind, key))
        return _bytes(rows[0][0]) if rows else None

    # audit log

    def append_audit(self, at: str, doc: str) -> None:
        """Add a line to the audit log."""
        self._execute("INSERT INTO audit (at, doc, written) VALUES (?, ?, 0)", (at, doc))

    # searching

    def count(
        self, source: Source, where: Condition | None, *, kind: str = "", written_before_ms: int | None = None
    ) -> int:
        """The number of documents that fulfil a condition."""
        condition = self._condition(source, where, kind, written_before_ms)
        rows = self._execute(f"SELECT count(*) FROM {source} WHERE {condition.text}", condition.parameters)  # noqa: S608
        return int(rows[0][0])

    def find(
        self,
        source: Source,
        where: Condition | None,
        order: Sequence[Order],
        *,
        kind: str = "",
        written_before_ms: int | None = None,
        start: int = 0,
        limit: int | None = None,
    ) -> array[int]:
        """The ids of the documents that fulfil a condition, in order.

        Args:
            source: What to look through.
            where: The condition; None for all.
            order: The order; the order of insertion where it leaves a choice.
            kind: The type of a data store object.
            written_before_ms: Leave out what was written later, as an index that lags behind does.
            start: Number of ids to skip.
            limit: Number of ids at most; None for all.
        """
        layout = _LAYOUTS[source]
        condition = self._condition(source, where, kind, written_before_ms)
        statement = f"SELECT id FROM {source} WHERE {condition.text}"  # noqa: S608 - compiled, values are bound
        parameters: tuple[Any, ...] = condition.parameters
        if not order and limit is None:
            # Sorted here, so that the database may read a small index and not every document.
            return array("q", sorted((row[0] for row in self._stream(statement, parameters)), key=abs))
        sorting = sql.order_by(order, layout, self._dialect)
        statement += f" ORDER BY {sorting.text}"
        parameters += sorting.parameters
        if limit is not None:
            statement += " LIMIT ? OFFSET ?"
            parameters += (limit, start)
        return array("q", (row[0] for row in self._stream(statement, parameters)))

    def groups(
        self,
        source: Source,
        where: Condition | None,
        paths: Sequence[FieldPath],
        *,
        few: bool,
        kind: str = "",
        written_before_ms: int | None = None,
    ) -> Iterable[tuple[tuple[str | None, ...], int]]:
        """What the documents that fulfil a condition have at some paths, in the order of insertion.

        Args:
            source: What to look through.
            where: The condition; None for all.
            paths: Where to look.
            few: Few different values are expected, so that documents with equal ones are counted together.
            kind: The type of a data store object.
            written_before_ms: See ``find``.

        Yields:
            The texts of the parts (see ``sql.parts``), and the number of documents that have just these.
        """
        layout = _LAYOUTS[source]
        condition = self._condition(source, where, kind, written_before_ms)
        columns = f"{sql.parts(paths, layout.document, self._dialect)}, " if paths else ""
        numbers = ", ".join(str(number + 1) for number in range(len(paths)))
        if few and paths:
            counts, grouping = "count(*), min(abs(id))", f" GROUP BY {numbers}"
        else:
            counts, grouping = ("1, abs(id)", "") if paths else ("count(*), 0", "")
        statement = (
            f"SELECT {columns}{counts} FROM {source} WHERE {condition.text}{grouping}"  # noqa: S608 - values are bound
            f" ORDER BY {len(paths) + 2}"
        )
        for row in self._stream(statement, condition.parameters):
            *found, count, _first = row
            yield tuple(None if text is None else _text(text) for text in found), int(count)

    def fetch(self, source: Source, ids: Sequence[int]) -> list[bytes]:
        """The JSON texts of documents, in the order of ``ids``; those that are gone are left out."""
        if source is Source.ALL_ACCOUNTS:
            return self._fetch_both(ids)
        statement = self._many.format(table=source, what="doc")
        return [_bytes(row[0]) for row in self._execute(statement, (_array(ids),))]

    def fetch_with_extra(self, ids: Sequence[int]) -> list[tuple[bytes, bytes]]:
        """Like ``fetch`` for full accounts, with what a search never returns unasked."""
        statement = self._many.format(table="accounts", what="doc, extra")
        return [(_bytes(row[0]), _bytes(row[1])) for row in self._execute(statement, (_array(ids),))]

    def _fetch_both(self, ids: Sequence[int]) -> list[bytes]:
        # A lite account's id is negative in the view of both, where its own table counts from 1.
        full = [number for number in ids if number > 0]
        lite = [number for number in ids if number < 0]
        found = {
            row[1]: _bytes(row[0])
            for table, part in ((Source.ACCOUNTS, full), (Source.LITE_ACCOUNTS, lite))
            for row in self._execute(self._many.format(table=table, what=f"doc, {table}.id"), (_array(part),))
        }
        return [found[number] for number in ids if number in found]

    def _condition(self, source: Source, where: Condition | None, kind: str, written_before_ms: int | None) -> Fragment:
        fragment = sql.where(where, _LAYOUTS[source], self._dialect)
        text, parameters = fragment.text, fragment.parameters
        if source is Source.OBJECTS:
            text, parameters = f"type = ? AND ({text})", (kind, *parameters)
        if written_before_ms is not None:
            text, parameters = f"written <= ? AND ({text})", (written_before_ms, *parameters)
        return Fragment(text, parameters)


def _account(row: Sequence[Any]) -> AccountRow:
    number, uid, doc, extra = row
    return AccountRow(number, _text(uid), _bytes(doc), _bytes(extra))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _array(ids: Iterable[int]) -> str:
    return f"[{','.join(map(str, ids))}]"
