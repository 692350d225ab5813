"""Dataflows and their versions. Every set makes a version; a removed dataflow stays until retention forgets it.

A document is the dataflow's JSON text with masked secrets; the secrets themselves are in ``sealed``.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import sqlalchemy as sa

from landbridge.errors import FlowError
from landbridge.jobs import db_audit
from landbridge.jobs.db import Transaction, changed, now
from landbridge.jobs.db_tables import dataflow as table, dataflow_version as versions

Kind = Literal["published", "draft"]

AREA: Final = "dataflow"
"""What is counted by ``db.changes``."""

UNKNOWN_DATAFLOW: Final = "LB-1701"
CHANGED_MEANWHILE: Final = "LB-1703"


@dataclass(frozen=True, slots=True)
class Content:
    """What one version of a dataflow says.

    Attributes:
        name: Its title.
        document: The dataflow as JSON text, secrets masked.
        description: From the document.
        sealed: Its secrets, encrypted; None without any.
        api_key: The site it belongs to; empty when it does not say.
    """

    name: str
    document: str
    description: str = ""
    sealed: bytes | None = field(default=None, repr=False)
    api_key: str = ""


@dataclass(frozen=True, slots=True)
class DataflowRow:
    """A dataflow as it is listed.

    Attributes:
        kind: ``published`` or ``draft``.
        draft_of: The dataflow that a draft belongs to.
        version: The newest version.
        last_runtime: Start of the last job that succeeded.
    """

    id: str
    kind: Kind
    draft_of: str | None
    api_key: str
    name: str
    description: str
    version: int
    last_runtime: datetime | None
    created: datetime
    updated: datetime
    updated_by: str
    removed: datetime | None


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of a dataflow; see ``Content``."""

    dataflow_id: str
    version: int
    name: str
    document: str
    created: datetime
    created_by: str
    sealed: bytes | None = field(default=None, repr=False)


def add(
    tx: Transaction, content: Content, *, by: str, kind: Kind = "published", draft_of: str | None = None
) -> DataflowRow:
    """Store a new dataflow as its version 1, with an id of its own."""
    moment = now(tx)
    row = DataflowRow(
        id=uuid.uuid4().hex,
        kind=kind,
        draft_of=draft_of,
        api_key=content.api_key,
        name=content.name,
        description=content.description,
        version=1,
        last_runtime=None,
        created=moment,
        updated=moment,
        updated_by=by,
        removed=None,
    )
    tx.execute(sa.insert(table).values({key: getattr(row, key) for key in DataflowRow.__slots__}))
    _add_version(tx, row, content)
    _note(tx, "dataflow.add", row, by=by)
    return row


def change(tx: Transaction, id: str, content: Content, *, by: str, expected_version: int | None = None) -> DataflowRow:
    """Store a new version of a dataflow.

    Args:
        tx: The transaction.
        id: The dataflow.
        content: What it says from now on.
        by: Who changes it.
        expected_version: Refuse when the newest version is another one.

    Raises:
        FlowError: LB-1701, there is none with this id; LB-1703, somebody else changed it.
    """
    before = get(tx, id)
    condition = table.c.version == (before.version if expected_version is None else expected_version)
    moment = now(tx)
    done = tx.execute(
        sa.update(table)
        .where(table.c.id == id, condition)
        .values(
            name=content.name,
            description=content.description,
            api_key=content.api_key,
            version=table.c.version + 1,
            updated=moment,
            updated_by=by,
        )
    )
    if not done.rowcount:
        raise FlowError(
            CHANGED_MEANWHILE,
            f'the dataflow "{before.name}" was changed by {before.updated_by or "somebody"} meanwhile',
            hint="Read it again and repeat the change.",
        )
    row = get(tx, id)
    _add_version(tx, row, content)
    _note(tx, "dataflow.change", row, by=by)
    return row


def get(tx: Transaction, id: str) -> DataflowRow:
    """The dataflow with this id.

    Raises:
        FlowError: LB-1701, there is none, or it was removed.
    """
    row = tx.execute(sa.select(table).where(table.c.id == id, table.c.removed.is_(None))).one_or_none()
    if row is None:
        raise not_found(id)
    return _row(row)


def find(tx: Transaction, name: str, *, kind: Kind = "published") -> DataflowRow:
    """The dataflow with this id or, where no id is equal, with this name.

    Raises:
        FlowError: LB-1701, there is none; LB-1702, several have the name.
    """
    here = sa.select(table).where(table.c.kind == kind, table.c.removed.is_(None))
    rows = tx.execute(here.where(table.c.id == name)).all()
    rows = rows or tx.execute(here.where(table.c.name == name).order_by(table.c.created)).all()
    if not rows:
        raise not_found(name)
    if len(rows) > 1:
        raise FlowError(
            "LB-1702",
            f'{len(rows)} dataflows have the name "{name}"',
            hint="Give the id: " + ", ".join(row.id for row in rows),
        )
    return _row(rows[0])


def listing(
    tx: Transaction,
    *,
    kind: Kind | None = "published",
    draft_of: str | None = None,
    name: str | None = None,
    limit: int = 1000,
    after: tuple[str, str] | None = None,
) -> Sequence[DataflowRow]:
    """Dataflows by name, then id.

    Args:
        tx: The transaction.
        kind: Only these; None for both kinds.
        draft_of: Only drafts of this dataflow.
        name: Only those whose names contain this, in any case of letters.
        limit: At most so many.
        after: Name and id of the last one that was listed.
    """
    wanted = sa.select(table).where(table.c.removed.is_(None)).order_by(table.c.name, table.c.id).limit(limit)
    if kind is not None:
        wanted = wanted.where(table.c.kind == kind)
    if draft_of is not None:
        wanted = wanted.where(table.c.draft_of == draft_of)
    if name is not None:
        wanted = wanted.where(table.c.name.icontains(name, autoescape=True))
    if after is not None:
        wanted = wanted.where(sa.tuple_(table.c.name, table.c.id) > sa.tuple_(*map(sa.literal, after)))
    return [_row(row) for row in tx.execute(wanted)]


def remove(tx: Transaction, id: str, *, by: str) -> None:
    """Remove a dataflow and its drafts from sight. Its jobs keep their version.

    Raises:
        FlowError: LB-1701, there is none with this id.
    """
    row = get(tx, id)
    tx.execute(
        sa.update(table)
        .where(sa.or_(table.c.id == id, table.c.draft_of == id), table.c.removed.is_(None))
        .values(removed=now(tx))
    )
    changed(tx, AREA)
    _note(tx, "dataflow.remove", row, by=by)


def version(tx: Transaction, id: str, number: int | None = None) -> VersionRow:
    """One version of a dataflow, removed ones too; the newest without ``number``.

    Raises:
        FlowError: LB-1701, there is none.
    """
    wanted = sa.select(versions).where(versions.c.dataflow_id == id).order_by(versions.c.version.desc()).limit(1)
    if number is not None:
        wanted = wanted.where(versions.c.version == number)
    row = tx.execute(wanted).one_or_none()
    if row is None:
        raise not_found(id if number is None else f"{id}, version {number}")
    return _version_row(row)


def newest_versions(tx: Transaction, ids: Collection[str]) -> Sequence[tuple[DataflowRow, VersionRow]]:
    """These dataflows with their newest versions; removed ones are left out."""
    rows = [_row(row) for row in tx.execute(sa.select(table).where(table.c.id.in_(ids), table.c.removed.is_(None)))]
    newest = sa.and_(versions.c.dataflow_id == table.c.id, versions.c.version == table.c.version)
    wanted = sa.select(versions).join(table, newest).where(table.c.id.in_(ids))
    contents = {row.dataflow_id: _version_row(row) for row in tx.execute(wanted)}
    return [(row, contents[row.id]) for row in rows]


def all_versions(
    tx: Transaction, id: str, *, before: int | None = None, limit: int | None = None
) -> Sequence[VersionRow]:
    """The versions of a dataflow, the newest first; or at most ``limit`` of those before a version."""
    wanted = sa.select(versions).where(versions.c.dataflow_id == id).order_by(versions.c.version.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(versions.c.version < before)
    return [_version_row(row) for row in tx.execute(wanted)]


def succeeded(tx: Transaction, id: str, *, started: datetime) -> None:
    """Note the start of a job that succeeded; an older one changes nothing."""
    tx.execute(
        sa.update(table)
        .where(table.c.id == id, sa.or_(table.c.last_runtime.is_(None), table.c.last_runtime < started))
        .values(last_runtime=started)
    )


def not_found(name: str) -> FlowError:
    """The error for a name or id that no dataflow has."""
    return FlowError(UNKNOWN_DATAFLOW, f'there is no dataflow "{name}"', hint="`landbridge dataflows list` shows all.")


def _add_version(tx: Transaction, row: DataflowRow, content: Content) -> None:
    tx.execute(
        sa.insert(versions).values(
            dataflow_id=row.id,
            version=row.version,
            name=content.name,
            document=content.document,
            sealed=content.sealed,
            created=row.updated,
            created_by=row.updated_by,
        )
    )
    changed(tx, AREA)


def _note(tx: Transaction, action: str, row: DataflowRow, *, by: str) -> None:
    details = {"name": row.name, "version": row.version, "kind": row.kind}
    db_audit.note(tx, action, actor=by, object_kind="dataflow", object_id=row.id, details=details)


def _row(row: sa.Row[tuple[object, ...]]) -> DataflowRow:
    return DataflowRow(**row._mapping)  # noqa: SLF001 - the public name of a row's columns in SQLAlchemy


def _version_row(row: sa.Row[tuple[object, ...]]) -> VersionRow:
    return VersionRow(**row._mapping)  # noqa: SLF001 - see _row
