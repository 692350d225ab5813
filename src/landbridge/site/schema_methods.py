"""accounts.getSchema, accounts.setSchema, accounts.deleteSchemaFields."""

from __future__ import annotations

from typing import Any, Final

from landbridge.gigya_wire.replies import Payload, invalid, missing
from landbridge.site.accounts import decode, encode
from landbridge.site.calls import Access, Call, Method, method
from landbridge.site.repository import Repository
from landbridge.site.schema import SECTIONS, Schema
from landbridge.site.store_session import Session

_FILTERS: Final = ("full", "explicitOnly", "clientOnly")


async def get_schema(repository: Repository, call: Call) -> Payload:
    """accounts.getSchema."""
    include = call.parameters.names("include") or list(SECTIONS)
    wanted = call.parameters.text("filter") or "full"
    if wanted not in _FILTERS:
        raise invalid("filter", f"is none of {', '.join(_FILTERS)}")
    client = wanted == "clientOnly" or not call.caller.is_application
    return {name: repository.schemas[name].as_json(client=client) for name in include if name in repository.schemas}


async def set_schema(repository: Repository, call: Call) -> Payload:
    """accounts.setSchema: the options named change, others stay."""
    changes = {name: given for name in SECTIONS if (given := call.parameters.object(name)) is not None}
    if not changes:
        raise missing("dataSchema")
    if "profileSchema" in changes:
        given = changes["profileSchema"].get("fields")
        unknown = set(given if isinstance(given, dict) else ()) - set(repository.schemas["profileSchema"].fields)
        if unknown:
            raise invalid("profileSchema", f"{min(unknown)} is no field of the profile, whose fields are fixed")

    def keep(session: Session) -> Payload:
        changed: dict[str, Schema] = {}
        for name, change in changes.items():
            # Read here and not before, so that two changes at a time do not undo each other.
            text = session.document("schema", name)
            current: dict[str, Any] = decode(text) if text else repository.schemas[name].as_json()
            changed[name] = Schema.of(current)
            changed[name].change(change)
            session.put_document("schema", name, encode(changed[name].as_json()))
        return {"changed": changed}

    payload = await repository.write(call, keep)
    repository.schemas = {**repository.schemas, **payload["changed"]}
    return {}


async def delete_schema_fields(repository: Repository, call: Call) -> Payload:
    """accounts.deleteSchemaFields: fields of the data, subscription and preference schemas."""
    wanted = {name: call.parameters.names(name) for name in SECTIONS if name != "profileSchema"}
    if not any(wanted.values()):
        raise missing("dataSchema")

    def remove(session: Session) -> Payload:
        changed: dict[str, Schema] = {}
        for name, fields in wanted.items():
            schema = Schema.of(repository.schemas[name].as_json())
            for field in fields:
                if schema.fields.pop(field, None) is None:
                    raise invalid(name, f"there is no field {field}")
            if fields:
                changed[name] = schema
                session.put_document("schema", name, encode(schema.as_json()))
        return {"changed": changed}

    payload = await repository.write(call, remove)
    repository.schemas = {**repository.schemas, **payload["changed"]}
    return {}


_SECTIONS: Final = " ".join(SECTIONS)

METHODS: Final[tuple[Method, ...]] = (
    method("accounts.getSchema", get_schema, "include filter scope", access=Access.ANYONE),
    method("accounts.setSchema", set_schema, f"{_SECTIONS} scope", is_audited=True),
    method("accounts.deleteSchemaFields", delete_schema_fields, _SECTIONS, is_audited=True),
)
