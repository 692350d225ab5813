"""Schemas: what a field may hold, and the check of every write against them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from landbridge.gigya_wire.replies import ApiError, Payload
from landbridge.search.errors import QueryError
from landbridge.search.patterns import matcher, regex

FIELD_TYPES: Final = frozenset((
    "integer", "long", "float", "boolean", "date", "string", "basic-string", "text", "binary", "object",
    "subscription", "consent",
))  # fmt: skip
SECTIONS: Final = ("profileSchema", "dataSchema", "subscriptionsSchema", "preferencesSchema")
WRITE_ACCESS: Final = frozenset(("serverOnly", "clientCreate", "clientModify"))

_MAX_CHARS: Final = {"string": 16 << 10, "basic-string": 16 << 10, "text": 64 << 10}
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_WHOLE: Final = re.compile(r"-?\d{1,19}")
_FORMAT: Final = re.compile(r"regex\((['\"])([\s\S]*)\1\)")
_INTEGER_LIMITS: Final = {"integer": 2**31, "long": 2**63}


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks its schema."""

    code: int
    field: str
    message: str

    def as_json(self) -> Payload:
        """The entry of ``validationErrors``."""
        return {"errorCode": self.code, "message": self.message, "fieldName": self.field}


@dataclass(slots=True)
class Schema:
    """The fields of one part of the account, or of one type of the data store."""

    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    dynamic: bool = True
    _unique: frozenset[str] | None = field(default=None, init=False, repr=False, compare=False)
    """Looked up at every write, and the profile has nearly two hundred fields."""

    def as_json(self, *, client: bool = False) -> Payload:
        """The schema as getSchema shows it; a client sees no more than it needs to draw a form."""
        fields = {
            name: {key: value for key, value in options.items() if not client or key != "encrypt"}
            for name, options in sorted(self.fields.items())
        }
        return {"fields": fields, "dynamicSchema": self.dynamic}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Schema:
        """The schema of its JSON."""
        return cls(dict(stored.get("fields", {})), dynamic=bool(stored.get("dynamicSchema", True)))

    def change(self, changes: Mapping[str, Any]) -> None:
        """Apply a setSchema: options named are changed, others stay; a null removes an option.

        Raises:
            ApiError: 400006 for what is no schema, 400029 where a field's type would change.
        """
        self._unique = None
        fields = changes.get("fields", {})
        if not isinstance(fields, dict):
            raise ApiError(400006, "Invalid argument: fields is not an object")
        if isinstance(dynamic := changes.get("dynamicSchema"), bool):
            self.dynamic = dynamic
        for name, options in fields.items():
            if not isinstance(options, dict):
                raise ApiError(400006, f"Invalid argument: the options of {name} are not an object")
            _check_options(name, options)
            known = self.fields.get(name)
            if known and "type" in options and options["type"] != known.get("type", options["type"]):
                raise ApiError(400029, f"The type of {name} cannot be changed from {known['type']}")
            merged = {**(known or {"type": "string"}), **options}
            self.fields[name] = {key: value for key, value in merged.items() if value is not None}

    def check(self, value: Mapping[str, Any], *, section: str, client: bool = False) -> list[Violation]:
        """What is wrong with values that are to be written; nulls delete and are always allowed.

        Args:
            value: The values, nested.
            section: ``profile``, ``data`` … ; the prefix of the names in the violations.
            client: Whether the writer is a client, which may not write server-only fields.
        """
        found: list[Violation] = []
        for path, leaf in leaves(value):
            if leaf is None:
                continue
            name = f"{section}.{path}"
            options = self.fields.get(path)
            if options is None:
                if any(known.startswith(path + ".") for known in self.fields):
                    found.append(Violation(400023, name, f"{path} is an object"))
                elif not self.dynamic:
                    found.append(Violation(400024, name, f"{path} is not in the schema"))
                elif client:
                    found.append(Violation(400025, name, f"{path} can be written by a server only"))
                continue
            if client and options.get("writeAccess") == "serverOnly":
                found.append(Violation(400025, name, f"{path} can be written by a server only"))
            elif not fits(leaf, options.get("type", "string")):
                found.append(Violation(400023, name, f"{path} is not of type {options.get('type', 'string')}"))
            elif (pattern := _pattern(options.get("format"))) and isinstance(leaf, str) and not matcher(pattern)(leaf):
                found.append(Violation(400026, name, f"{path} does not have the format of the schema"))
        return found

    def required(self) -> Iterator[str]:
        """The paths that an account must have to be complete."""
        return (name for name, options in self.fields.items() if options.get("required"))

    def unique(self) -> frozenset[str]:
        """The paths whose values belong to one account only."""
        if self._unique is None:
            self._unique = frozenset(name for name, options in self.fields.items() if options.get("unique"))
        return self._unique

    def is_encrypted(self, path: str) -> bool:
        """Whether a field can only be compared as a whole."""
        return self.fields.get(path, {}).get("encrypt") == "AES"


def leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The written paths of nested values; the elements of arrays share their path."""
    for key, inner in value.items():
        path = f"{prefix}{key}"
        elements = inner if isinstance(inner, list) else [inner]
        for element in elements:
            if isinstance(element, dict):
                yield from leaves(element, path + ".")
            else:
                yield path, element


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of a field type; texts that spell a number or a boolean are accepted, as the vendor does."""
    match kind:
        case "boolean":
            return isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))
        case "integer" | "long":
            number = int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value
            limit = _INTEGER_LIMITS[kind]
            return isinstance(number, int) and not isinstance(number, bool) and -limit <= number < limit
        case "float":
            if isinstance(value, str):
                try:
                    float(value)
                except ValueError:
                    return False
                return True
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "date":
            return isinstance(value, str) and _is_date(value)
        case "string" | "basic-string" | "text":
            return not isinstance(value, str) or len(value) <= _MAX_CHARS[kind]
        case _:
            return True


def coerce(value: Any, kind: str) -> Any:
    """A value that fits its type, as it is stored: numbers and booleans as such, texts as texts."""
    if isinstance(value, str):
        match kind:
            case "boolean":
                return value.lower() == "true"
            case "integer" | "long":
                return int(value)
            case "float":
                return float(value)
    elif kind in _MAX_CHARS and isinstance(value, bool):
        return "true" if value else "false"
    elif kind in _MAX_CHARS and isinstance(value, int | float):
        return str(value)
    return value


def coerced(schema: Schema, value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values with every leaf in the type of its field."""
    result: dict[str, Any] = {}
    for key, inner in value.items():
        path = prefix + key
        if isinstance(inner, dict):
            result[key] = coerced(schema, inner, path + ".")
        elif isinstance(inner, list):
            result[key] = [
                coerced(schema, element, path + ".") if isinstance(element, dict) else _stored(schema, path, element)
                for element in inner
            ]
        else:
            result[key] = _stored(schema, path, inner)
    return result


def refuse(violations: list[Violation]) -> None:
    """Refuse a write that breaks the schema.

    Raises:
        ApiError: 400020 where a client writes a server-only field, else 400009; with ``validationErrors``.
    """
    if violations:
        code = 400020 if all(violation.code == 400025 for violation in violations) else 400009  # noqa: PLR2004 - codes
        details = "; ".join(f"{violation.field}: {violation.message}" for violation in violations[:3])
        raise ApiError(code, details, payload={"validationErrors": [violation.as_json() for violation in violations]})


def _stored(schema: Schema, path: str, value: Any) -> Any:
    options = schema.fields.get(path)
    return value if options is None or value is None else coerce(value, options.get("type", "string"))


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    if not re.fullmatch(r"[^\W\d][\w-]*(\.[\w-]+)*", name):
        raise ApiError(400006, f"Invalid argument: {name} is not a field name")
    if options.get("type") is not None and options["type"] not in FIELD_TYPES:
        raise ApiError(400006, f"Invalid argument: the type of {name} is not one of {', '.join(sorted(FIELD_TYPES))}")
    if options.get("writeAccess") is not None and options["writeAccess"] not in WRITE_ACCESS:
        raise ApiError(400006, f"Invalid argument: the writeAccess of {name} is unknown")
    text = options.get("format")
    if text is None:
        return
    if not isinstance(text, str):
        raise ApiError(400006, f"Invalid argument: the format of {name} is not a text")
    try:
        _pattern(text)
    except QueryError as error:
        raise ApiError(400006, f"Invalid argument: the format of {name}: {error.reason}") from error


@lru_cache(maxsize=256)
def _pattern(text: str | None) -> str | None:
    found = _FORMAT.fullmatch(text) if text else None
    if found is None:
        return None
    return regex(found[2].removeprefix("^").removesuffix("$"))


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
