"""The data store: ds.store, ds.get, ds.delete, ds.getTypes and its schemas."""

from __future__ import annotations

import re
from typing import Any, Final
from uuid import uuid4

import msgspec

from landbridge.gigya_wire.replies import ApiError, Payload, invalid, iso, missing
from landbridge.site.accounts import decode, encode, merge
from landbridge.site.calls import Call, Method, method
from landbridge.site.repository import Repository
from landbridge.site.schema import Schema, coerced, refuse
from landbridge.site.store_session import Session

MAX_OBJECT_BYTES: Final = 512 << 10
_TYPE: Final = re.compile(r"[^\W\d]\w{0,99}")
_OID: Final = re.compile(r"[^\x00-\x1f]{1,252}")
_BEHAVIORS: Final = ("arrayPush", "arraySet", "replace")
_SUFFIXES: Final = {"i": "integer", "f": "float", "s": "string", "t": "text", "b": "boolean", "d": "date"}


async def store_object(repository: Repository, call: Call) -> Payload:
    """ds.store: create an object or merge into it."""
    parameters = call.parameters
    kind = _kind(call)
    oid = parameters.required("oid")
    if not _OID.fullmatch(oid):
        raise invalid("oid", "is not up to 252 printable characters")
    oid = uuid4().hex if oid == "auto" else oid
    uid = parameters.text("UID") or ""
    data = parameters.object("data")
    if data is None:
        raise missing("data")
    behavior = parameters.text("updateBehavior") or "arrayPush"
    if behavior not in _BEHAVIORS:
        raise invalid("updateBehavior", f"is none of {', '.join(_BEHAVIORS)}")
    schema = _schema_of(repository, kind)
    refuse(_with_suffixes(schema, data).check(data, section="data"))

    def put(session: Session) -> Payload:
        if uid and session.account(uid) is None:
            raise ApiError(403005, "Unauthorized user")
        row = session.object(kind, oid, uid)
        doc: dict[str, Any] = decode(row.doc) if row else {"created": call.now_ms, "createdTime": iso(call.now_ms)}
        stored = {} if behavior == "replace" else doc.get("data", {})
        changes = coerced(_with_suffixes(schema, data), data)
        merge(stored, _pushed(stored, changes) if behavior == "arrayPush" else changes)
        doc |= {"oid": oid, "data": stored, "lastUpdated": call.now_ms, "lastUpdatedTime": iso(call.now_ms)}
        if uid:
            doc["UID"] = uid
        text = encode(doc)
        if len(text.encode()) > MAX_OBJECT_BYTES:
            raise ApiError(413003, f"The object is larger than {MAX_OBJECT_BYTES >> 10} KB")
        session.put_object(kind, oid, uid, doc=text, created=doc["created"], updated=call.now_ms)
        return {"oid": oid}

    return await repository.write(call, put)


async def get_object(repository: Repository, call: Call) -> Payload:
    """ds.get."""
    kind, oid, uid = _kind(call), call.parameters.required("oid"), call.parameters.text("UID")
    fields = call.parameters.names("fields")
    row = await repository.store.look_up(lambda session: session.object(kind, oid, uid))
    if row is None:
        raise ApiError(404000, "There is no such object")
    doc: Payload = {**decode(row.doc), "type": kind}
    if fields and "*" not in fields:
        doc["data"] = _picked(doc["data"], fields)
    return doc


async def delete_object(repository: Repository, call: Call) -> Payload:
    """ds.delete: the object, or only some of its fields."""
    kind, oid, uid = _kind(call), call.parameters.required("oid"), call.parameters.text("UID")
    fields = call.parameters.names("fields")

    def delete(session: Session) -> Payload:
        row = session.object(kind, oid, uid)
        if row is None:
            raise ApiError(404000, "There is no such object")
        if not fields:
            session.delete_object(row.id)
            return {}
        doc: dict[str, Any] = decode(row.doc)
        for field in fields:
            holder = doc["data"]
            *parents, last = field.removeprefix("data.").split(".")
            for key in parents:
                holder = holder.get(key, {}) if isinstance(holder, dict) else {}
            if isinstance(holder, dict):
                holder.pop(last, None)
        doc |= {"lastUpdated": call.now_ms, "lastUpdatedTime": iso(call.now_ms)}
        session.put_object(kind, row.oid, row.uid, doc=encode(doc), created=doc["created"], updated=call.now_ms)
        return {}

    return await repository.write(call, delete)


async def get_types(repository: Repository, call: Call) -> Payload:
    """ds.getTypes."""
    del call
    stored = await repository.store.read(Session.object_types)
    return {"types": sorted({*stored, *repository.object_schemas})}


async def get_schema(repository: Repository, call: Call) -> Payload:
    """ds.getSchema."""
    kind = _kind(call)
    if kind not in repository.object_schemas and kind not in await repository.store.read(Session.object_types):
        raise ApiError(404000, "There is no such type")
    return {"schema": _schema_of(repository, kind).as_json()}


async def set_schema(repository: Repository, call: Call) -> Payload:
    """ds.setSchema."""
    kind = _kind(call)
    changes = call.parameters.object("dataSchema") or call.parameters.object("schema")
    if changes is None:
        raise missing("dataSchema")
    if "fields" not in changes and "dynamicSchema" not in changes:
        changes = {"fields": changes}
    schema = Schema.of(msgspec.json.decode(encode(_schema_of(repository, kind).as_json())))
    schema.change(changes)
    await _keep_schema(repository, call, kind, schema)
    return {}


async def delete_schema_fields(repository: Repository, call: Call) -> Payload:
    """ds.deleteSchemaFields."""
    kind, names = _kind(call), call.parameters.names("dataSchema") or call.parameters.names("fields")
    schema = Schema.of(_schema_of(repository, kind).as_json())
    for name in names:
        if schema.fields.pop(name.removeprefix("data."), None) is None:
            raise invalid("dataSchema", f"there is no field {name}")
    await _keep_schema(repository, call, kind, schema)
    return {}


async def _keep_schema(repository: Repository, call: Call, kind: str, schema: Schema) -> None:
    def keep(session: Session) -> Payload:
        session.put_document("object_schema", kind, encode(schema.as_json()))
        return {}

    await repository.write(call, keep)
    repository.object_schemas[kind] = schema


def _kind(call: Call) -> str:
    kind = call.parameters.required("type")
    if not _TYPE.fullmatch(kind):
        raise invalid("type", "is not a letter followed by letters, digits and underscores")
    return kind


def _schema_of(repository: Repository, kind: str) -> Schema:
    return repository.object_schemas.get(kind) or Schema()


def _with_suffixes(schema: Schema, data: dict[str, Any]) -> Schema:
    """The schema with the fields that tell their type by the end of their name, such as ``points_i``."""
    fields = dict(schema.fields)

    def visit(value: dict[str, Any], prefix: str) -> None:
        for key, inner in value.items():
            path = prefix + key
            if isinstance(inner, dict):
                visit(inner, path + ".")
            elif path not in fields and len(key) > 2 and key[-2] == "_" and key[-1] in _SUFFIXES:  # noqa: PLR2004
                fields[path] = {"type": _SUFFIXES[key[-1]]}

    if schema.dynamic:
        visit(data, "")
    return Schema(fields, dynamic=schema.dynamic)


def _pushed(stored: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in changes.items():
        before = stored.get(key)
        if isinstance(value, list) and isinstance(before, list):
            result[key] = before + value
        elif isinstance(value, dict) and isinstance(before, dict):
            result[key] = _pushed(before, value)
        else:
            result[key] = value
    return result


def _picked(data: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for field in fields:
        source, target = data, picked
        *parents, last = field.removeprefix("data.").split(".")
        if field == "data":
            return data
        for key in parents:
            source = source.get(key, {}) if isinstance(source, dict) else {}
            target = target.setdefault(key, {})
        if isinstance(source, dict) and last in source:
            target[last] = source[last]
    return picked


METHODS: Final[tuple[Method, ...]] = (
    method("ds.store", store_object, "type oid UID data updateBehavior"),
    method("ds.get", get_object, "type oid UID fields"),
    method("ds.delete", delete_object, "type oid UID fields"),
    method("ds.getTypes", get_types),
    method("ds.getSchema", get_schema, "type mode"),
    method("ds.setSchema", set_schema, "type dataSchema schema", is_audited=True),
    method("ds.deleteSchemaFields", delete_schema_fields, "type dataSchema fields", is_audited=True),
)
