"""idx.createScheduling, getScheduling, setScheduling, deleteScheduling.

A new ``once`` without a time, or with one that is past, runs at once. A set changes what it names and keeps the rest,
so that a client which only switches a scheduling off or on does not turn it into one that runs once.
"""

from __future__ import annotations

import json
from typing import Any, Final

from landbridge.dataflow import Scheduling
from landbridge.dataflow.model import JsonObject
from landbridge.dataflow.problems import DataflowError
from landbridge.gigya_wire.replies import ApiError, Payload, invalid, missing
from landbridge.jobs import db_idx, db_schedules
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_schedules import SchedulingRow
from landbridge.server.idx_calls import Call, Method, identifier, method, understood, without
from landbridge.server.idx_dataflows import own_dataflow
from landbridge.server.idx_records import OWNED_BY_SCHEDULER, scheduling_record


def _create(call: Call) -> Payload:
    document = call.object("data", noun="a scheduling")
    own = without(document, OWNED_BY_SCHEDULER)
    with call.database.write() as tx:
        dataflow_id = _dataflow_id(tx, call, document)
        if dataflow_id is None:
            raise missing("data.dataflowId")
        try:
            row = db_schedules.add(tx, Scheduling.from_json(own | {"dataflowId": dataflow_id}), by=call.by)
        except DataflowError as error:
            raise understood(error, parameter="data") from error
    return {"id": row.id}


def _get(call: Call) -> Payload:
    with call.database.read() as tx:
        return _found(tx, call, identifier(call.parameters.required("id")))[1]


def _set(call: Call) -> Payload:
    document = call.object("data", noun="a scheduling")
    with call.database.write() as tx:
        before, _ = _found(tx, call, call.id_in(document))
        merged = _merged(json.loads(before.document), without(document, OWNED_BY_SCHEDULER))
        merged["dataflowId"] = _dataflow_id(tx, call, document) or before.dataflow_id
        try:
            db_schedules.change(tx, before.id, Scheduling.from_json(merged), by=call.by)
        except DataflowError as error:
            raise understood(error, parameter="data") from error
    return {}


def _delete(call: Call) -> Payload:
    with call.database.write() as tx:
        row, _ = _found(tx, call, identifier(call.parameters.required("id")))
        db_schedules.remove(tx, row.id, by=call.by)
    return {}


def _found(tx: Transaction, call: Call, id: str) -> tuple[SchedulingRow, Payload]:
    """The scheduling of the call's site with this id, and as it is shown."""
    for row, job_status, job_started in db_idx.schedulings(tx, call.site.scope, ids=[id]):
        return row, scheduling_record(call.site, row, job_status=job_status, job_started=job_started)
    raise ApiError(404000, "There is no scheduling with this id")


def _dataflow_id(tx: Transaction, call: Call, document: JsonObject) -> str | None:
    """The dataflow that a scheduling names, in any case of letters; None where it names none."""
    value: Any = next((document[key] for key in document if key.lower() == "dataflowid" and document[key]), None)
    if value is None:
        return None
    if not isinstance(value, str) or own_dataflow(tx, call, value.strip()) is None:
        raise invalid("data.dataflowId", "there is no such dataflow")
    return value.strip()


def _merged(before: JsonObject, given: JsonObject) -> JsonObject:
    """``before`` with what was given; keys match in any case of letters."""
    names = {key.lower() for key in given}
    kept = {key: value for key, value in before.items() if key.lower() not in names | OWNED_BY_SCHEDULER}
    return kept | given


METHODS: Final[tuple[Method, ...]] = (
    method("idx.createScheduling", _create, "data"),
    method("idx.getScheduling", _get, "id"),
    method("idx.setScheduling", _set, "data id"),
    method("idx.deleteScheduling", _delete, "id"),
)
