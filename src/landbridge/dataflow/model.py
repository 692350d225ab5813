"""Dataflows as IdentitySync writes them in JSON: load, look at, change, dump, with nothing lost on the way.

``Dataflow`` and ``Step`` keep the JSON object they come from in ``raw``. ``dump`` writes that object again,
replacing only the keys whose modelled value was changed, so that unknown and server-owned keys, the order of
keys and spellings such as ``"next": null`` survive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path as FilePath
from typing import Any, NoReturn

from landbridge.dataflow import problems as codes
from landbridge.dataflow.problems import DataflowError, Problem, did_you_mean, error, errors_of, warning

JsonObject = dict[str, Any]

MAX_DEPTH = 100
"""Deeper nested JSON is refused: no dataflow needs it, and it would exhaust the stack of what reads it."""

_MAX_DIGITS = 1000
_LIKENESS = 0.8
"""From 0 to 1: "nxt" is a slip of "next", "text" is not."""
_STEP_KEYS = ("id", "type", "params", "next", "error")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a dataflow.

    Attributes:
        id: Unique name in the dataflow, free text; blanks around it are trimmed.
        type: Id of its component, trimmed too, because public dataflows carry leading blanks.
        params: The component's parameters as they stand in the JSON; not shown, as they may hold secrets.
        next: Ids of the steps that get what this step hands on; absent, null and ``[]`` are all ``()``.
        error: Ids of the steps that get the records that failed in this step; empty likewise.
        raw: The JSON object the step comes from.
    """

    id: str
    type: str
    params: JsonObject = field(default_factory=dict, repr=False)
    next: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    raw: JsonObject = field(default_factory=dict, repr=False)

    def as_json(self) -> JsonObject:
        """The step as a JSON object: ``raw`` with the values that were changed."""
        known = _step_values(self.raw)
        result = dict(self.raw)
        result |= {key: value for key, value in (("id", self.id), ("type", self.type)) if value != known[key]}
        if self.params is not self.raw.get("params") and (self.params or known["params"]):
            result["params"] = self.params
        for key, targets in (("next", self.next), ("error", self.error)):
            if targets != known[key]:
                result[key] = list(targets)
        return result


@dataclass(frozen=True, slots=True)
class Dataflow:
    """A dataflow: named steps that form a graph.

    Attributes:
        name: Title; empty when the JSON has none.
        description: Free text; empty when the JSON has none.
        steps: The steps as listed; their order has no meaning.
        raw: The JSON object the dataflow comes from.
    """

    name: str
    steps: tuple[Step, ...] = ()
    description: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """The id that the server gave the dataflow; empty for one that was never saved."""
        return _text_or_empty(self.raw.get("id"))

    @property
    def status(self) -> str:
        """``published``, ``draft`` or empty."""
        return _text_or_empty(self.raw.get("status"))

    @property
    def api_key(self) -> str:
        """API key of the owning site, as an exported dataflow carries it; else empty."""
        return _text_or_empty(self.raw.get("apiKey"))

    @classmethod
    def load(cls, text: str | bytes, source: str = "flow.json") -> Dataflow:
        """Read a dataflow from JSON text.

        Args:
            text: JSON; bytes may be UTF-8, UTF-16 or UTF-32, with or without a byte order mark.
            source: What to call the text in messages.

        Raises:
            DataflowError: With all problems of form. ``make_plan`` checks whether the graph makes sense.
        """
        flow, problems = cls.examine(text, source=source)
        if flow is None or errors_of(problems):
            raise DataflowError(problems)
        return flow

    @classmethod
    def read(cls, path: str | FilePath) -> Dataflow:
        """Read a dataflow from a file.

        Raises:
            DataflowError: As ``load``, or LB-1002 when the file cannot be read.
        """
        return cls.load(read_text(path), source=str(path))

    @classmethod
    def examine(cls, text: str | bytes, *, source: str = "flow.json") -> tuple[Dataflow | None, list[Problem]]:
        """Read as much of a dataflow as can be read, and list what is wrong with its form. Never raises.

        Returns:
            The dataflow with the steps that have an id, None when there is no JSON object; and the problems.
        """
        document, problems = parse_object(text, source=source, noun="a dataflow")
        if document is None:
            return None, problems
        flow, more = cls.from_json(document)
        return flow, problems + more

    @classmethod
    def from_json(cls, document: JsonObject) -> tuple[Dataflow, list[Problem]]:
        """Read as much of a dataflow as can be read from a JSON object. Never raises."""
        problems = [*_misspelt(document, ("name", "description", "steps"), place="", step=None)]
        problems += [
            _wrong_type(key, "a text", document[key])
            for key in ("name", "description")
            if not isinstance(document.get(key), str | None)
        ]
        listed = document.get("steps")
        if not isinstance(listed, list):
            problems.append(
                error(
                    codes.STEPS_NOT_A_LIST,
                    "the dataflow has no steps"
                    if listed is None
                    else f"steps must be a list of steps, not {_noun(listed)}",
                    field="steps",
                    hint='Give it a list: "steps": [ … ]. An empty list is a valid draft.',
                )
            )
            listed = []
        steps: list[Step] = []
        places: dict[str, int] = {}
        for index, item in enumerate(listed):
            step = _read_step(item, place=f"steps[{index}]", problems=problems)
            if step is None:
                continue
            if step.id in places:
                problems.append(
                    error(
                        codes.DUPLICATE_STEP,
                        f'two steps have the id "{step.id}" (steps[{places[step.id]}] and steps[{index}])',
                        step=step.id,
                        field=f"steps[{index}].id",
                        hint="Give one of them another id, and change the steps that name it.",
                    )
                )
                continue
            places[step.id] = index
            steps.append(step)
        flow = cls(
            name=_text_or_empty(document.get("name")),
            description=_text_or_empty(document.get("description")),
            steps=tuple(steps),
            raw=document,
        )
        return flow, problems

    def as_json(self) -> JsonObject:
        """The dataflow as a JSON object: ``raw`` with the values that were changed."""
        texts = {"name": self.name, "description": self.description}
        changed = {key: text for key, text in texts.items() if text != _text_or_empty(self.raw.get(key))}
        result = self.raw | changed
        result["steps"] = [step.as_json() for step in self.steps]
        return result

    def dump(self) -> str:
        """The dataflow as canonical JSON text (see ``dump_json``)."""
        return dump_json(self.as_json())

    def step(self, id: str) -> Step | None:
        """The step with this id, or None."""
        return next((step for step in self.steps if step.id == id), None)


def read_text(path: str | FilePath) -> bytes:
    """The content of a dataflow's file.

    Raises:
        DataflowError: LB-1002, the file cannot be read.
    """
    try:
        return FilePath(path).read_bytes()
    except (OSError, ValueError) as failure:  # ValueError: a path with a zero byte
        reason = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
        hint = "Check the path and the file's permissions."
        problem = error(codes.NOT_READABLE, f"cannot read {path}: {reason}", hint=hint)
        raise DataflowError([problem]) from failure


def dump_json(document: Any) -> str:
    """Canonical JSON text: two blanks of indent, keys in their order, unicode as it is, a newline at the end.

    Half a surrogate pair, which JSON can carry but UTF-8 cannot, is written as its escape.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def parse_object(text: str | bytes, *, source: str, noun: str) -> tuple[JsonObject | None, list[Problem]]:
    """Read a JSON object and list what is wrong with the text. Never raises.

    Args:
        text: JSON; bytes in any of JSON's Unicode encodings.
        source: What to call the text in messages.
        noun: What the text should be, for messages: ``a dataflow``.
    """
    twice: list[str] = []
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text))
        document = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_pairs_hook(twice),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except json.JSONDecodeError as failure:
        message = f"{source}, line {failure.lineno}, column {failure.colno}: {_lower_first(failure.msg)}"
        return None, [error(codes.NOT_JSON, message, hint=_syntax_hint(failure))]
    except UnicodeDecodeError as failure:
        message = f"{source} is not {failure.encoding.upper()} text: byte {failure.start} does not fit"
        return None, [error(codes.NOT_JSON, message, hint="Save the file as UTF-8.")]
    except RecursionError:
        return None, [_too_deep(source)]
    except ValueError as failure:
        return None, [error(codes.NOT_JSON, f"{source}: {failure}")]
    if _deeper_than(document, MAX_DEPTH):
        return None, [_too_deep(source)]
    if not isinstance(document, dict):
        message = f"{source} must hold {noun}, a JSON object, not {_noun(document)}"
        hint = "Take one dataflow out of the list." if isinstance(document, list) else ""
        return None, [error(codes.NOT_AN_OBJECT, message, hint=hint)]
    return document, [
        warning(codes.DUPLICATE_KEY, f'the key "{key}" stands twice in one object; the last one counts')
        for key in twice
    ]


def _read_step(item: Any, *, place: str, problems: list[Problem]) -> Step | None:
    if not isinstance(item, dict):
        message = f"{place} must be a step, a JSON object, not {_noun(item)}"
        problems.append(error(codes.STEP_NOT_AN_OBJECT, message, field=place))
        return None
    id_, type_ = _trimmed(item.get("id")), _trimmed(item.get("type"))
    step = id_ or None
    if not id_:
        problems.append(
            error(
                codes.STEP_WITHOUT_ID,
                _missing_or_wrong(place, "id", item) + (f" (its type is {type_})" if type_ else ""),
                field=f"{place}.id",
                hint="Give the step a text that is unique in the dataflow.",
            )
        )
    if not type_:
        problems.append(
            error(
                codes.STEP_WITHOUT_TYPE,
                _missing_or_wrong("the step" if id_ else place, "type", item),
                step=step,
                field=f"{place}.type",
                hint="Its type is the id of a component, such as file.format.dsv.",
            )
        )
    problems.extend(_misspelt(item, _STEP_KEYS, place=f"{place}.", step=step))
    if not isinstance(item.get("params"), dict | None):
        problems.append(_wrong_type(f"{place}.params", "an object", item["params"], step=step))
    for key in ("next", "error"):
        targets = item.get(key)
        if isinstance(targets, str):
            hint = f'Write it as a list: "{key}": {json.dumps([targets], ensure_ascii=False)}'
            problems.append(_wrong_type(f"{place}.{key}", "a list of step ids", targets, step=step, hint=hint))
        elif not isinstance(targets, list | None) or not all(isinstance(target, str) for target in targets or ()):
            problems.append(_wrong_type(f"{place}.{key}", "a list of step ids", targets, step=step))
    return Step(**_step_values(item), raw=item) if id_ else None


def _missing_or_wrong(noun: str, key: str, item: JsonObject) -> str:
    value = item.get(key)
    if isinstance(value, str | None):
        return f"{noun} has no {key}"
    return f"{noun} has {_noun(value)} as {key}, but it must be a text"


def _step_values(item: JsonObject) -> JsonObject:
    """The modelled values of a step's JSON; what has the wrong type counts as absent."""
    params = item.get("params")
    return {
        "id": _trimmed(item.get("id")),
        "type": _trimmed(item.get("type")),
        "params": params if isinstance(params, dict) else {},
        "next": _targets(item.get("next")),
        "error": _targets(item.get("error")),
    }


def _targets(value: Any) -> tuple[str, ...]:
    return tuple(item.strip() for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _misspelt(item: Mapping[str, Any], known: Sequence[str], *, place: str, step: str | None) -> list[Problem]:
    """Unknown keys are kept and allowed; one that differs from a known key by a letter or two is likely a slip."""
    found = []
    for key in item:
        close = [name for name in known if name not in item and _almost(key, name)]
        if key not in known and close:
            message = f'the key "{key}" is not known and has no effect'
            found.append(
                warning(codes.MISSPELT_KEY, message, step=step, field=place + key, hint=did_you_mean(key, close))
            )
    return found


def _almost(key: str, name: str) -> bool:
    key, name = key.strip().lower(), name.lower()
    if key.rstrip("s") == name.rstrip("s") or sorted(key) == sorted(name):
        return True
    return SequenceMatcher(None, key, name).ratio() >= _LIKENESS


def _wrong_type(place: str, wanted: str, value: Any, *, step: str | None = None, hint: str = "") -> Problem:
    key = place.rpartition(".")[2]
    message = f"{key} must be {wanted}, not {_noun(value)}"
    return error(codes.WRONG_TYPE, message, step=step, field=place, hint=hint)


def _noun(value: Any) -> str:
    if isinstance(value, list):
        return "a list" if all(isinstance(item, str) for item in value) else "a list with other values in it"
    names: dict[type, str] = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        dict: "an object",
    }
    return names.get(type(value), "null")


def _trimmed(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _text_or_empty(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _pairs_hook(twice: list[str]) -> Callable[[list[tuple[str, Any]]], JsonObject]:
    def build(pairs: list[tuple[str, Any]]) -> JsonObject:
        result: JsonObject = {}
        for key, value in pairs:
            if key in result:
                twice.append(key)
            result[key] = value
        return result

    return build


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return number


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number has more than {_MAX_DIGITS} digits")
    return int(text)


def _deeper_than(document: Any, levels: int) -> bool:
    level = [document]
    for _ in range(levels):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


def _too_deep(source: str) -> Problem:
    return error(codes.NOT_JSON, f"{source} is nested deeper than {MAX_DEPTH} levels")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _syntax_hint(failure: json.JSONDecodeError) -> str:
    if not failure.doc.strip():
        return "The text is empty."
    before, here = failure.doc[: failure.pos].rstrip(), failure.doc[failure.pos : failure.pos + 1]
    if here in "}]" and before.endswith(","):
        return "Remove the comma before the closing bracket."
    if here == "'":
        return "JSON needs double quotes."
    if here == "/":
        return "JSON knows no comments."
    if failure.pos >= len(failure.doc.rstrip()):
        return "The text ends too early; is it complete?"
    return ""
