"""The form of a template: which values it asks for, and how the given ones are read and checked.

A form is a JSON schema (``type: object``) with a few words more for whoever renders it:

===================  ===========================================================================================
``title``            label of the field
``description``      help
``type``             ``string``, ``integer``, ``number``, ``boolean``, or ``array`` of texts or of field pairs
``enum``             choices; ``enumTitles`` are their labels
``default``          value when nothing is given; a secret's default is a reference
``examples``         shown in the field
``secret``           only a reference such as ``${secret:name}`` or ``${env:NAME}`` is taken, never the value itself
``showWhen``         ``{"other": ["value", …]}``: the field is asked for only when one before it has one of these
                     values; ``"preferences.*"`` stands for all texts that begin so
===================  ===========================================================================================

``required`` names the fields that must be given, ``anyOf`` of such lists that one of several must.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from landbridge.dataflow.problems import closest
from landbridge.errors import FlowError

PAIR: Final = ("sourceField", "targetField")
"""What an array of field pairs has in each of its objects."""

_REFERENCE: Final = re.compile(r"\$\{(secret|env):[^{}]+\}|\{\{[^{}]+\}\}")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form; ``schema`` is its JSON schema."""

    name: str
    schema: Mapping[str, Any]
    required: bool

    @property
    def label(self) -> str:
        """What people call it."""
        return str(self.schema.get("title", self.name))

    @property
    def help(self) -> str:
        """What to enter."""
        return str(self.schema.get("description", ""))

    @property
    def type(self) -> str:
        """``string``, ``integer``, ``number``, ``boolean``, ``array`` or ``pairs``."""
        if self.schema.get("type") == "array" and self.schema.get("items", {}).get("type") == "object":
            return "pairs"
        return str(self.schema.get("type", "string"))

    @property
    def is_secret(self) -> bool:
        """Whether only a reference is taken."""
        return self.schema.get("secret") is True

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values it may have; empty for any."""
        return tuple(self.schema.get("enum", ()))

    @property
    def shown_when(self) -> Mapping[str, list[Any]]:
        """Other fields, and the values of theirs with which this one is asked for."""
        found: Mapping[str, list[Any]] = self.schema.get("showWhen", {})
        return found

    @property
    def example(self) -> Any:
        """A value to show, where there is one."""
        return next(iter(self.schema.get("examples", ())), None)

    def read(self, value: Any) -> Any:
        """The value in the field's type; a text is read as people write it on a command line.

        Raises:
            ValueError: It is not a value of this field.
        """
        if isinstance(value, str) and self.type != "string":
            value = _from_text(self.type, value)
        if not _fits(self.type, value):
            raise ValueError(f"is not {_NOUNS[self.type]}")
        if self.choices and value not in self.choices:
            raise ValueError(f"is not one of {', '.join(map(str, self.choices))}")
        pattern = self.schema.get("pattern")
        if pattern and not re.search(pattern, str(value)):
            raise ValueError("does not have the expected form")
        for bound, wrong in (("minimum", "is too small"), ("maximum", "is too large")):
            limit = self.schema.get(bound)
            if limit is not None and (value < limit if bound == "minimum" else value > limit):
                raise ValueError(f"{wrong}: {bound} {limit}")
        if self.is_secret and value and not _REFERENCE.search(str(value)):
            raise ValueError("is a secret, which has no place in a file: give a reference such as ${secret:name}")
        return value


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a template.

    Attributes:
        title: The template's name for people.
        description: What it does.
        fields: In the order in which they are asked.
        schema: The whole JSON schema.
    """

    title: str
    description: str
    fields: tuple[Field, ...]
    schema: Mapping[str, Any]

    @classmethod
    def load(cls, text: bytes, *, shared: Callable[[str], bytes]) -> Form:
        """Read a form.

        Args:
            text: The form.
            shared: Gives the text of fields that several forms use, by name.
        """
        schema = msgspec.json.decode(text)
        parts = [msgspec.json.decode(shared(name)) for name in schema.pop("use", [])]
        properties: dict[str, Any] = {}
        required: list[str] = []
        choices: list[dict[str, Any]] = []
        for part in (*parts, schema):
            properties |= part.get("properties", {})
            required += part.get("required", [])
            choices += [{"anyOf": part["anyOf"]}] if "anyOf" in part else []
        schema.pop("anyOf", None)
        schema |= {"properties": properties, "required": required, "allOf": choices}
        fields = tuple(Field(name, each, name in required) for name, each in schema.get("properties", {}).items())
        return cls(schema.get("title", ""), schema.get("description", ""), fields, schema)

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All values, those that are not given by their defaults.

        Fields that are not shown for these values are left out.

        Raises:
            FlowError: LB-1524; with everything that is wrong.
        """
        known = {field.name: field for field in self.fields}
        problems = [self._unknown(name) for name in given if name not in known]
        values: dict[str, Any] = {}
        for field in self.fields:
            if not all(is_one_of(values.get(other), wanted) for other, wanted in field.shown_when.items()):
                continue
            try:
                value = given.get(field.name, field.schema.get("default"))
                if value in (None, ""):
                    if field.required:
                        problems.append(f"{field.name} ({field.label}) is missing: {field.help}")
                    values[field.name] = ""
                else:
                    values[field.name] = field.read(value)
            except ValueError as error:
                problems.append(f"{field.name} ({field.label}) {error}")
        for choice in self.schema.get("allOf", []):
            ways = [each["required"] for each in choice["anyOf"]]
            if not any(all(values.get(name, "") != "" for name in way) for way in ways):
                problems.append(f"give {' or '.join(' and '.join(way) for way in ways)}")
        if problems:
            lines = "\n  ".join(problems)
            raise FlowError(
                "LB-1524",
                f"the form of the template cannot be filled:\n  {lines}",
                hint="`landbridge templates show NAME` lists its fields.",
            )
        return values

    def examples(self) -> dict[str, Any]:
        """The examples of what must be given: required fields without a default, and one of each choice."""
        chosen = {name for choice in self.schema.get("allOf", []) for name in choice["anyOf"][0]["required"]}
        return {
            field.name: field.example
            for field in self.fields
            if (field.required or field.name in chosen) and "default" not in field.schema and field.example is not None
        }

    def _unknown(self, name: str) -> str:
        close = closest(name, (field.name for field in self.fields))
        return f"there is no field {name}" + (f"; did you mean {close}?" if close else "")


def is_one_of(value: Any, wanted: Sequence[Any]) -> bool:
    """Whether a value is among those of a condition; one that ends with ``*`` stands for all texts that begin so.

    ``"*"`` alone is any text but an empty one.
    """
    beginnings = tuple(each.removesuffix("*") for each in wanted if isinstance(each, str) and each.endswith("*"))
    return value in wanted or (isinstance(value, str) and value != "" and value.startswith(beginnings))


def pairs_of(text: str) -> Iterator[dict[str, str]]:
    """Field pairs from ``source=target, source=target``.

    Raises:
        ValueError: A part has no equals sign.
    """
    for part in filter(None, (part.strip() for part in text.split(","))):
        source, equals, target = part.partition("=")
        if not equals or not source.strip() or not target.strip():
            raise ValueError(f'"{part}" is not SOURCE=TARGET')
        yield dict(zip(PAIR, (source.strip(), target.strip()), strict=True))


_NOUNS: Final = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list of texts (a,b,c)",
    "pairs": "a list of pairs (source=target,…)",
}


def _from_text(kind: str, text: str) -> Any:
    if kind == "boolean":
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.strip().lower(), text)
    if text.lstrip().startswith(("[", "{")) or kind in ("integer", "number"):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise ValueError(f"is not {_NOUNS[kind]}") from None
    if kind == "pairs":
        return list(pairs_of(text))
    return [part.strip() for part in text.split(",") if part.strip()]


def _fits(kind: str, value: Any) -> bool:
    if kind == "array":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if kind == "pairs":
        return isinstance(value, list) and all(
            isinstance(each, dict) and all(isinstance(each.get(name), str) for name in PAIR) for each in value
        )
    if kind in ("integer", "number"):
        return isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "boolean": bool}[kind])
