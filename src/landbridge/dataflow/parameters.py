"""Parameters of a step against the model of its component, with what a job fills in later left alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from landbridge.dataflow import problems as codes
from landbridge.dataflow.catalogue import ComponentInfo
from landbridge.dataflow.model import JsonObject, Step
from landbridge.dataflow.problems import Problem, did_you_mean, error, warning
from landbridge.dataflow.variables import MASK, holds_unresolved, is_secret_name, suggested_reference
from landbridge.errors import LandbridgeError

Location = tuple[int | str, ...]

CONNECTION: Final = "connection"
"""The parameter by which a step names a stored connection; see ``connections``."""


def check_params(step: Step, info: ComponentInfo | None, *, place: str) -> list[Problem]:
    """What is wrong with the parameters of a step of a draft, a template or an export. Never raises.

    What is empty or filled in later does not count as wrong.

    Args:
        step: The step.
        info: Its component; without one only secrets are looked for, by their names.
        place: Where the parameters stand: ``steps[2].params``.
    """
    model = info.params_model if info else None
    if model is None:
        keys = [_Key(key, None, value, f"{place}.{key}") for key, value in step.params.items()]
        return _plain_credentials(step, keys)
    keys = list(_keys(model, step.params, place))
    unset = {
        key.place: warning(
            codes.PARAM_NOT_SET, f"{key.name} is required and not set yet", step=step.id, field=key.place
        )
        for key in keys
        if key.required and is_blank(key.value)
    }
    wrong = _validate(step, model, place, open_values=holds_unresolved)
    if takes_connection(info) and not is_blank(step.params.get(CONNECTION)):
        if not isinstance(step.params[CONNECTION], str):
            where = f"{place}.{CONNECTION}"
            message = f"{CONNECTION} must be the name of a stored connection, a text"
            return [error(codes.WRONG_PARAM, message, step=step.id, field=where)]
        # What is missing may be stored, so that no rule across parameters can be judged either.
        unset = {}
        wrong = [problem for problem in wrong if problem.code != codes.MISSING_PARAM and problem.field != place]
        keys = [key for key in keys if key.name != CONNECTION or key.field is not None]
    return [
        *_unknown(step, keys),
        *_plain_credentials(step, keys),
        *unset.values(),
        *(problem for problem in wrong if problem.field not in unset),
    ]


def check_resolved_params(step: Step, info: ComponentInfo, *, place: str) -> list[Problem]:
    """What is wrong with the parameters of a step in which nothing is left to fill in. Never raises.

    All findings are errors, and none holds a value: the parameters contain secrets by now.
    """
    model = info.params_model
    if model is None:
        return []
    unset = {
        key.place: error(
            codes.PARAM_NOT_SET,
            f"{key.name} is required and not set",
            step=step.id,
            field=key.place,
            hint=key.field.description or "" if key.field else "",
        )
        for key in _keys(model, step.params, place)
        if key.required and is_blank(key.value)
    }
    wrong = _validate(step, model, place, open_values=None)
    return [*unset.values(), *(problem for problem in wrong if problem.field not in unset)]


def takes_connection(info: ComponentInfo | None) -> bool:
    """Whether ``connection`` names a stored connection, and is no parameter of the component's own."""
    names = json_names(info)
    return names is None or CONNECTION not in names


def json_names(info: ComponentInfo | None) -> dict[str, str] | None:
    """The JSON name of a component's parameter by each of its spellings; None where its parameters are not known."""
    if info is None or info.params_model is None:
        return None
    return {
        spelling: name for name, (_, others) in _spellings(info.params_model).items() for spelling in (name, *others)
    }


def secret_param(info: ComponentInfo, name: str) -> bool | None:
    """Whether a parameter is a secret; None where the component does not know it."""
    names = json_names(info)
    if info.params_model is None or names is None or name not in names:
        return None
    return _extra(_spellings(info.params_model)[names[name]][0]).get("secret") is True


def secret_values(step: Step, info: ComponentInfo) -> frozenset[str]:
    """The values of all parameters that the component declares secret, for the redaction of logs."""
    if info.params_model is None:
        return frozenset()
    keys = _keys(info.params_model, step.params, "")
    return frozenset(key.value for key in keys if key.secret and isinstance(key.value, str) and key.value)


def map_secrets(step: Step, info: ComponentInfo | None, change: Callable[[str, str], str]) -> JsonObject:
    """The parameters of a step with every secret text changed.

    What is filled in later, such as a reference to a stored secret, is none.

    Args:
        step: The step; it stays as it is.
        info: Its component; without one secrets are told by their names.
        change: Gets the place of a secret within the parameters, and its value or the mask; gives what to put there.
    """
    return _map_secrets(info.params_model if info else None, step.params, "", change)


def _map_secrets(
    model: type[BaseModel] | None, params: JsonObject, place: str, change: Callable[[str, str], str]
) -> JsonObject:
    fields = {spelling: info for info in _spellings(model).values() for spelling in info[1]} if model else {}
    result: JsonObject = {}
    for name, value in params.items():
        field = fields[name][0] if name in fields else None
        here = f"{place}.{name}" if place else name
        nested = _nested_model(field.annotation) if field else None
        if isinstance(value, str):
            is_open = holds_unresolved(value) and value != MASK
            is_secret = value and not is_open and _Key(name, field, value, here).secret
            result[name] = change(here, value) if is_secret else value
        elif isinstance(value, dict):
            result[name] = _map_secrets(nested, value, here, change)
        elif isinstance(value, list):
            result[name] = [
                _map_secrets(nested, item, f"{here}[{index}]", change) if isinstance(item, dict) else item
                for index, item in enumerate(value)
            ]
        else:
            result[name] = value
    return result


@dataclass(frozen=True, slots=True)
class _Key:
    """One key of the parameters, or of an object in them, and the field of the model it belongs to."""

    name: str
    field: FieldInfo | None
    value: Any
    place: str
    known: Sequence[str] = ()

    @property
    def required(self) -> bool:
        return self.field is not None and self.field.is_required()

    @property
    def secret(self) -> bool:
        if self.field is None:
            return is_secret_name(self.name)
        return _extra(self.field).get("secret") is True


def _keys(model: type[BaseModel], params: Mapping[str, Any], place: str) -> Iterator[_Key]:
    fields = {spelling: info for info in _spellings(model).values() for spelling in info[1]}
    known = list(_spellings(model))
    open_model = model.model_config.get("extra") == "allow"
    for name, value in params.items():
        field = fields[name][0] if name in fields else None
        if field is None and open_model:
            continue
        yield _Key(name, field, value, f"{place}.{name}", known)
        nested = _nested_model(field.annotation) if field else None
        if nested is None:
            continue
        if isinstance(value, dict):
            yield from _keys(nested, value, f"{place}.{name}")
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, dict):
                yield from _keys(nested, item, f"{place}.{name}[{index}]")


def _spellings(model: type[BaseModel]) -> dict[str, tuple[FieldInfo, tuple[str, ...]]]:
    """The fields of a model by their JSON names, each with all spellings that are understood."""
    result = {}
    for name, info in model.model_fields.items():
        aliases = _extra(info).get("aliases")
        others = [str(alias) for alias in aliases] if isinstance(aliases, list | tuple) else []
        json_name = info.alias or name
        result[json_name] = (info, (json_name, name, *others))
    return result


def _extra(info: FieldInfo) -> Mapping[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    """The model in ``Model``, ``list[Model]``, ``Model | None``; None where there is not just one."""
    found = []
    pending = [annotation]
    while pending:
        current = pending.pop()
        if isinstance(current, type) and issubclass(current, BaseModel):
            found.append(current)
        pending.extend(get_args(current))
    return found[0] if len(found) == 1 else None


def _unknown(step: Step, keys: Sequence[_Key]) -> list[Problem]:
    return [
        warning(
            codes.UNKNOWN_PARAM,
            f"{step.type} knows no parameter {key.name}; it has no effect",
            step=step.id,
            field=key.place,
            hint=did_you_mean(key.name, key.known),
        )
        for key in keys
        if key.field is None
    ]


def _plain_credentials(step: Step, keys: Sequence[_Key]) -> list[Problem]:
    return [
        warning(
            codes.PLAIN_CREDENTIAL,
            f"{key.name} stands in the dataflow as plain text",
            step=step.id,
            field=key.place,
            hint=f"Store it outside and write {suggested_reference(step.id, key.name)} here.",
        )
        for key in keys
        if key.secret and isinstance(key.value, str) and not is_blank(key.value) and not holds_unresolved(key.value)
    ]


def is_blank(value: Any) -> bool:
    """Whether a parameter is not set: absent, or dots, as templates write "fill in"; a blank or a dot may be meant."""
    return value in (None, "", "...", "…")


def _validate(
    step: Step, model: type[BaseModel], place: str, *, open_values: Callable[[Any], bool] | None
) -> list[Problem]:
    """Pydantic's findings as problems.

    ``open_values`` tells which values cannot be judged yet; without it, every value is final.
    """
    try:
        model.model_validate(step.params)
    except ValidationError as failure:
        return _from_pydantic(step, model, failure, place, open_values=open_values)
    except LandbridgeError as failure:
        return [error(failure.code, failure.message, step=step.id, field=place, hint=failure.hint)]
    except Exception as failure:  # noqa: BLE001 - the code of other packages may raise anything
        message = f"the parameters cannot be checked: {type(failure).__name__}"
        return [error(codes.COMPONENT_NOT_LOADED, message, step=step.id, field=place)]
    return []


def _from_pydantic(
    step: Step,
    model: type[BaseModel],
    failure: ValidationError,
    place: str,
    *,
    open_values: Callable[[Any], bool] | None,
) -> list[Problem]:
    found: dict[str, Problem] = {}
    for item in failure.errors(include_url=False, include_context=False):
        location = item["loc"]
        missing = item["type"] == "missing"
        if location and not missing and open_values and open_values(item["input"]):
            continue
        where = _place(step.params, model, location, place)
        name = where.removeprefix(f"{place}.")
        make, code, message = error, codes.WRONG_PARAM, _message(name if location else "", item["msg"])
        if missing:
            code, message = codes.MISSING_PARAM, f"{name} is missing"
        elif not location and open_values and _has_gaps(step.params, open_values):
            # A rule across parameters cannot be judged while some are still to be filled in.
            make, code = warning, codes.PARAM_NOT_SET
        # The branches of a union fail one by one at the same place; the first says enough.
        hint = _field_hint(model, location)
        found.setdefault(where, make(code, message, step=step.id, field=where, hint=hint))
    return list(found.values())


_WORDS = {
    "a valid dictionary": "an object",
    "a valid list": "a list",
    "a valid string": "a text",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
}
"""Pydantic's words for Python's types, and those for JSON's."""


def _message(name: str, text: str) -> str:
    """Pydantic's text with the parameter's name in it."""
    text = text.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if text.startswith("Input should be"):
        text = text.replace("'", '"').replace("Input should be", f"{name} should be", 1)
        for theirs, ours in _WORDS.items():
            text = text.replace(theirs, ours)
        text = text.partition(", unable to parse")[0]
    return text if text.startswith(name) else f"{name}: {text[:1].lower()}{text[1:]}"


def _has_gaps(params: Mapping[str, Any], open_values: Callable[[Any], bool]) -> bool:
    return any(is_blank(value) or open_values(value) for value in params.values())


def _place(params: Any, model: type[BaseModel], location: Location, place: str) -> str:
    """The place of an error in the JSON as it is written, without the tags that pydantic adds for unions."""
    current: Any = params
    for depth, part in enumerate(location):
        key: int | str = part
        if depth == 0 and isinstance(part, str) and isinstance(current, dict):
            spellings = _spellings(model).get(part, (None, (part,)))[1]
            key = next((spelling for spelling in spellings if spelling in current), part)
        if isinstance(current, dict):
            place += f".{key}"
            current = current.get(key)
        elif isinstance(current, list) and isinstance(key, int):
            place += f"[{key}]"
            current = current[key] if key < len(current) else None
        else:
            break
    return place


def _field_hint(model: type[BaseModel], location: Location) -> str:
    """What the parameter is for and an example, from its declaration."""
    current: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for part in location:
        if isinstance(part, str) and current is not None:
            entry = _spellings(current).get(part)
            if entry is None:
                break
            field = entry[0]
            current = _nested_model(field.annotation)
    if field is None or not field.description:
        return ""
    examples = [example for example in field.examples or () if example not in ("", None, MASK)]
    if not examples:
        return field.description
    example = examples[0] if isinstance(examples[0], str) else json.dumps(examples[0], ensure_ascii=False, default=str)
    return f"{field.description} Example: {example}"
