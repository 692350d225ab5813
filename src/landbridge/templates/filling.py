"""From a template and the values of its form to a dataflow that runs.

``{{name}}`` stands for a value of the form. ``{{name|sources}}`` and ``{{name|targets}}`` are one side of an array of
field pairs, ``{{name|joined}}`` is a list as one text, and ``{{name|purpose}}`` the name of the consent that a field
tells, as guards know it.

A step with ``when`` is left out where the form has other values (``"*"`` in place of values: none at all;
``"preferences.*"`` among them: none that begins so), and the steps before it lead to those behind it. A step with
``branchWhen`` is the first of a branch: where it is left out, nothing leads to what is behind it. Of steps side by side
one of which is chosen, each needs it: a way that steps over one would lead past the other. In a list or object
``{"when": …, "value": …}`` is a member that may be left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from landbridge.dataflow import Dataflow
from landbridge.templates.forms import PAIR, Form, is_one_of

_PLACE: Final = re.compile(r"\{\{\s*([A-Za-z]\w*)\s*(?:\|\s*(sources|targets|joined|purpose)\s*)?\}\}")
_PART: Final = re.compile(rf"(,\s*)?{_PLACE.pattern}")
"""A placeholder within a text, with the comma before it, which goes when there is no value."""

_WHEN: Final = "when"
_BRANCH: Final = "branchWhen"
_ANY: Final = "*"
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
    steps = [
        step
        for step in document["steps"]
        if all(_is_wanted(step.get(condition, {}), values) for condition in (_WHEN, _BRANCH))
    ]
    left_out = {step["id"]: step for step in document["steps"] if step not in steps}
    for step in steps:
        step.pop(_WHEN, None)
        step.pop(_BRANCH, None)
        for edge in ("next", "error"):
            if edge in step:
                step[edge] = list(dict.fromkeys(_targets(step[edge] or [], left_out)))
    made = _fill({**document, "steps": steps}, values, fields)
    scheduling = form.schema.get("scheduling")
    timed = None if scheduling is None else _fill(scheduling, values, fields)
    return Filled(Dataflow.from_json(made)[0], timed)


def _is_wanted(when: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(
        values.get(name) not in ("", None, []) if wanted == _ANY else is_one_of(values.get(name), wanted)
        for name, wanted in when.items()
    )


def _targets(ids: list[str], left_out: Mapping[str, Any]) -> list[str]:
    """The steps that an edge leads to when some on its way are left out."""
    found: list[str] = []
    for each in ids:
        if each not in left_out:
            found.append(each)
        elif _BRANCH not in left_out[each]:
            found += _targets(left_out[each].get("next") or [], left_out)
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
    if side == "purpose":
        return str(value).removesuffix(".isSubscribed").removesuffix(".isConsentGranted")
    if side is None:
        return value
    key = PAIR[0] if side == "sources" else PAIR[1]
    return list(dict.fromkeys(each[key] for each in value))
