"""From a template and the values of its form to a dataflow that runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from landbridge.dataflow import Dataflow
from landbridge.templates.forms import PAIR, Form

_PLACE: Final = re.compile(r"\{\{\s*([A-Za-z]\w*)\s*(?:\|\s*(sources|targets|joined)\s*)?\}\}")
_PART: Final = re.compile(rf"(,\s*)?{_PLACE.pattern}")
"""A placeholder within a text, with the comma before it, which goes when there is no value."""

_WHEN: Final = "when"
_VALUE: Final = "value"


class _Nothing:
    """Marks a parameter that is left out."""


_NOTHING: Final = _Nothing()


@dataclass(frozen=True, slots=True)
class Filled:
    """What a template has become: a dataflow, and a scheduling without its dataflow's id where the form has one."""

    flow: Dataflow
    scheduling: dict[str, Any] | None


def filled(flow: Dataflow, form: Form, values: Mapping[str, Any]) -> Filled:
    """Fill a dataflow.

    Args:
        flow: The template.
        form: Its form.
        values: As ``Form.read`` gives them.
    """
    fields = {field.name for field in form.fields}
    document = flow.as_json()
    steps = [step for step in document["steps"] if _is_wanted(step.get(_WHEN, {}), values)]
    left_out = {step["id"]: step for step in document["steps"] if step not in steps}
    for step in steps:
        step.pop(_WHEN, None)
        for edge in ("next", "error"):
            if edge in step:
                step[edge] = list(dict.fromkeys(_targets(step[edge] or [], left_out)))
    made = _fill({**document, "steps": steps}, values, fields)
    scheduling = form.schema.get("scheduling")
    timed = None if scheduling is None else _fill(scheduling, values, fields)
    return Filled(Dataflow.from_json(made)[0], timed)


def _is_wanted(when: Mapping[str, list[Any]], values: Mapping[str, Any]) -> bool:
    return all(values.get(name) in wanted for name, wanted in when.items())


def _targets(ids: list[str], left_out: Mapping[str, Any]) -> list[str]:
    """The steps that an edge leads to when some on its way are left out."""
    found: list[str] = []
    for each in ids:
        found += _targets(left_out[each].get("next") or [], left_out) if each in left_out else [each]
    return found


def _fill(node: Any, values: Mapping[str, Any], fields: set[str]) -> Any:
    if isinstance(node, dict):
        if node.keys() == {_WHEN, _VALUE}:
            return _fill(node[_VALUE], values, fields) if _is_wanted(node[_WHEN], values) else _NOTHING
        made = {name: _fill(member, values, fields) for name, member in node.items()}
        return {name: member for name, member in made.items() if member is not _NOTHING}
    if isinstance(node, list):
        return list(_members(node, values, fields))
    return _text(node, values, fields) if isinstance(node, str) else node


def _members(nodes: list[Any], values: Mapping[str, Any], fields: set[str]) -> Iterator[Any]:
    """The members of a list; a placeholder with a list as its value gives all of them."""
    for node in nodes:
        made = _fill(node, values, fields)
        if isinstance(node, str) and isinstance(made, list):
            yield from made
        elif made is not _NOTHING:
            yield made


def _text(text: str, values: Mapping[str, Any], fields: set[str]) -> Any:
    whole = _PLACE.fullmatch(text)
    if whole and whole[1] in fields:
        value = values.get(whole[1], "")
        return _NOTHING if value in ("", []) else _side(value, whole[2])

    def part(match: re.Match[str]) -> str:
        comma, name, side = match.groups()
        if name not in fields:
            return match[0]
        value = _side(values.get(name) or [], side)
        shown = ", ".join(value) if isinstance(value, list) else str(value)
        return f"{comma or ''}{shown}" if shown else ""

    return _PART.sub(part, text)


def _side(value: Any, side: str | None) -> Any:
    if side == "joined":
        return ",".join(value)
    if side is None:
        return value
    key = PAIR[0] if side == "sources" else PAIR[1]
    return list(dict.fromkeys(each[key] for each in value))
