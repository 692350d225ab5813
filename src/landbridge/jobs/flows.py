"""Store dataflows as people and programs send them."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass

from landbridge.dataflow import Dataflow
from landbridge.errors import FlowError
from landbridge.jobs import db_dataflows
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_dataflows import UNKNOWN_DATAFLOW, DataflowRow, Kind, VersionRow
from landbridge.jobs.documents import Documents


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a dataflow; ``changed`` is False when it said what was stored already."""

    row: DataflowRow
    changed: bool


def store(
    tx: Transaction,
    documents: Documents,
    flow: Dataflow,
    *,
    by: str,
    replace: bool = True,
    fallback_name: str = "",
    kind: Kind = "published",
) -> Stored:
    """Store a dataflow: as a new version of the one with its name, or as a new one.

    Args:
        tx: The transaction.
        documents: Masks and seals its secrets.
        flow: What to store; it need not be able to run yet.
        by: Who stores it.
        replace: Whether a dataflow of the same name gets a new version.
        fallback_name: For a dataflow without a name.
        kind: ``published`` or ``draft``.

    Raises:
        FlowError: LB-1702, several have the name; LB-1770, see ``Documents.content``.
    """
    named = _named(flow, fallback_name)
    known = _known(tx, named.name, kind) if replace else None
    if known is None:
        return Stored(db_dataflows.add(tx, documents.content(named), by=by, kind=kind), changed=True)
    return change(tx, documents, known.id, named, by=by)


def change(
    tx: Transaction,
    documents: Documents,
    id: str,
    flow: Dataflow,
    *,
    by: str,
    expected_version: int | None = None,
) -> Stored:
    """Store a new version of a dataflow, unless it says the same as the newest one.

    Raises:
        FlowError: LB-1701, there is none with this id; LB-1703, somebody else changed it; LB-1770, see
            ``Documents.content``.
    """
    before = db_dataflows.version(tx, db_dataflows.get(tx, id).id)
    content = documents.content(flow, before=before)
    if documents.same(before, content):
        return Stored(db_dataflows.get(tx, id), changed=False)
    return Stored(db_dataflows.change(tx, id, content, by=by, expected_version=expected_version), changed=True)


def difference(before: VersionRow, after: VersionRow) -> list[str]:
    """What changed between two versions, as lines of a unified diff; secrets are masked in both."""
    return list(
        difflib.unified_diff(
            before.document.splitlines(),
            after.document.splitlines(),
            f"{before.name} version {before.version}",
            f"{after.name} version {after.version}",
            lineterm="",
        )
    )


def _named(flow: Dataflow, fallback: str) -> Dataflow:
    return flow if flow.name or not fallback else dataclasses.replace(flow, name=fallback)


def _known(tx: Transaction, name: str, kind: Kind) -> DataflowRow | None:
    try:
        return db_dataflows.find(tx, name, kind=kind)
    except FlowError as error:
        if error.code == UNKNOWN_DATAFLOW:
            return None
        raise
