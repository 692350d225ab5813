"""idx.createDataflow, getDataflow, setDataflow, deleteDataflow, and the same for drafts.

Clients send what they were shown, also by another site: keys that the service sets itself count for nothing. A set
replaces the whole dataflow. Saving does not ask whether it can run, so that templates with open placeholders are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from landbridge.dataflow import Dataflow
from landbridge.dataflow.model import JsonObject
from landbridge.dataflow.problems import errors_of
from landbridge.errors import AccessRefused, FlowError
from landbridge.gigya_wire.replies import ApiError, Payload, invalid, missing
from landbridge.jobs import db_dataflows, db_idx, db_schedules
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_dataflows import Content, DataflowRow, Kind, VersionRow
from landbridge.server.consent_rule import check_consent_guard
from landbridge.server.idx_calls import Call, Method, identifier, method, refused, without
from landbridge.server.idx_records import OWNED_BY_SERVICE, dataflow_record

_MAX_AT_ONCE: Final = 100

_ENVELOPE: Final = frozenset(
    (
        "callid",
        "context",
        "errorcode",
        "errordetails",
        "errormessage",
        "apiversion",
        "statuscode",
        "statusreason",
        "time",
    )
)
"""Keys that a dataflow may have as well, and that mean something else in a reply, in small letters."""


def _create(call: Call, *, kind: Kind) -> Payload:
    document = call.object("data", noun="a dataflow")
    flow = _flow(call, document)
    with call.database.write() as tx:
        published = _published(tx, call, document, flow) if kind == "draft" else None
        before = db_dataflows.version(tx, published.id) if published else None
        _check_consent(call, flow, before)
        content = call.documents.content(flow, before=before)
        row = db_dataflows.add(tx, content, by=call.by, kind=kind, draft_of=published.id if published else None)
    return {"id": row.id}


def _get(call: Call) -> Payload:
    text = call.parameters.required("id")
    if text.startswith("["):
        ids = [identifier(each) for each in call.parameters.names("id")]
        if len(ids) > _MAX_AT_ONCE:
            raise invalid("id", f"names more than {_MAX_AT_ONCE} dataflows")
        with call.database.read() as tx:
            rows = [_own(tx, call, each) for each in ids]
            return {"result": [_record(tx, call, row) for row in rows]}
    with call.database.read() as tx:
        record = _record(tx, call, _own(tx, call, identifier(text)))
    return without(record, _ENVELOPE)


def _set(call: Call, *, kind: Kind) -> Payload:
    document = call.object("data", noun="a dataflow")
    flow = _flow(call, document)
    with call.database.write() as tx:
        row = _own(tx, call, call.id_in(document), kind=kind)
        before = db_dataflows.version(tx, row.id)
        _check_consent(call, flow, before)
        content = call.documents.content(flow, before=before)
        if _is_same(call, before, content):
            raise ApiError(403200, "dataflow has not changed")
        return {"version": db_dataflows.change(tx, row.id, content, by=call.by).version}


def _delete(call: Call) -> Payload:
    with call.database.write() as tx:
        row = _own(tx, call, identifier(call.parameters.required("id")))
        for scheduling_id in db_idx.schedulings_of(tx, [row.id, *db_idx.drafts_of(tx, row.id)]):
            db_schedules.remove(tx, scheduling_id, by=call.by)
        db_dataflows.remove(tx, row.id, by=call.by)
    return {}


def own_dataflow(tx: Transaction, call: Call, id: str) -> DataflowRow | None:
    """The dataflow of the call's site with this id; None when there is none."""
    try:
        row = db_dataflows.get(tx, id)
    except FlowError:
        return None
    return row if call.site.scope.owns(row.api_key) else None


def _own(tx: Transaction, call: Call, id: str, *, kind: Kind | None = None) -> DataflowRow:
    row = own_dataflow(tx, call, id)
    if row is None or kind not in (None, row.kind):
        what = "draft of a dataflow" if kind == "draft" else "dataflow"
        raise ApiError(404000, f"There is no {what} with this id")
    return row


def _flow(call: Call, document: JsonObject) -> Dataflow:
    """The dataflow that a client sent, as the site's own."""
    sent = without(document, _ENVELOPE) if _is_reply(document) else document
    own = without(sent, OWNED_BY_SERVICE) | {"apiKey": call.site.api_key}
    flow, problems = Dataflow.from_json(own)
    if errors_of(problems):
        raise refused(problems, parameter="data")
    if not flow.name:
        raise missing("data.name")
    return flow


def _check_consent(call: Call, flow: Dataflow, before: VersionRow | None) -> None:
    """What takes an admin is not for the application of a site, which has no role."""
    try:
        check_consent_guard(flow, None if before is None else call.documents.masked(before))
    except AccessRefused as error:
        raise ApiError(403007, error.message) from error


def _is_reply(document: JsonObject) -> bool:
    """Whether a client sends back all of what getDataflow has answered."""
    return {"callid", "errorcode"} <= {key.lower() for key in document}


def _published(tx: Transaction, call: Call, document: JsonObject, flow: Dataflow) -> DataflowRow | None:
    """What a new draft is a draft of: the dataflow whose id it carries, or else the only one of its name."""
    given = document.get("id")
    if isinstance(given, str) and given:
        row = own_dataflow(tx, call, given)
        if row is not None and row.kind == "published":
            return row
    ids = db_idx.named(tx, call.site.scope, flow.name)
    return db_dataflows.get(tx, ids[0]) if len(ids) == 1 else None


def _is_same(call: Call, before: VersionRow, content: Content) -> bool:
    """Whether a version says what ``content`` says; the order of keys and the service's own keys do not matter."""
    old, new = (without(json.loads(text), OWNED_BY_SERVICE) for text in (before.document, content.document))
    return old == new and call.documents.same(replace(before, document=content.document), content)


def _record(tx: Transaction, call: Call, row: DataflowRow) -> Payload:
    return dataflow_record(call.site, row, db_dataflows.version(tx, row.id))


def _for(kind: Kind, handler: Callable[..., Payload]) -> Callable[[Call], Payload]:
    return partial(handler, kind=kind)


METHODS: Final[tuple[Method, ...]] = (
    method("idx.createDataflow", _for("published", _create), "data"),
    method("idx.getDataflow", _get, "id"),
    method("idx.setDataflow", _for("published", _set), "data id"),
    method("idx.deleteDataflow", _delete, "id"),
    method("idx.createDataflowDraft", _for("draft", _create), "data"),
    method("idx.setDataflowDraft", _for("draft", _set), "data id"),
)
