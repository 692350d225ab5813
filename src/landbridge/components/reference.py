"""Descriptions of components, taken from their classes: for the command line, the reference pages and forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from landbridge.components.base import Component


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, as people read it. A member of a list's objects is named ``fields[].sourceField``."""

    name: str
    type: str
    required: bool
    default: Any
    text: str
    example: Any
    secret: bool


def ports_of(cls: type[Component]) -> tuple[str, str]:
    """What a component takes and gives; ``nothing`` for the open end."""
    return cls.inputs.replace("none", "nothing"), cls.outputs.replace("none", "nothing")


def parameters_of(cls: type[Component]) -> list[Parameter]:
    """All parameters in the order of their declaration, those of nested objects behind their list."""
    schema = cls.Params.model_json_schema(by_alias=True)
    return _properties(schema, schema.get("$defs", {}), "")


def _properties(schema: dict[str, Any], defs: dict[str, Any], prefix: str) -> list[Parameter]:
    rows = []
    required = schema.get("required", [])
    for name, declared in schema.get("properties", {}).items():
        options = [option for option in declared.get("anyOf", [declared]) if option.get("type") != "null"]
        unit = declared.get("unit")
        rows.append(
            Parameter(
                name=prefix + name,
                type=" or ".join(_type_name(option, defs) for option in options) + (f", {unit}" if unit else ""),
                required=name in required,
                default=declared.get("default"),
                text=declared.get("description", "") + (" Secret." if declared.get("secret") else ""),
                example=next(iter(declared.get("examples", [])), None),
                secret=bool(declared.get("secret")),
            )
        )
        for option in options:
            nested = _resolved(option.get("items", {}), defs)
            if nested.get("properties"):
                rows += _properties(nested, defs, f"{prefix}{name}[].")
    return rows


def _resolved(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    found: dict[str, Any] = defs[reference.rpartition("/")[2]] if reference else schema
    return found


def _type_name(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    schema = _resolved(schema, defs)
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type_name(schema.get('items', {}), defs)}"
    return {"string": "text", "integer": "integer", "number": "number", "boolean": "true | false"}.get(
        schema.get("type", ""), "object" if "properties" in schema else "any"
    )
