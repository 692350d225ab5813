"""Parameters of a step against the model of its component, with what a job fills in later left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from landbridge.dataflow import problems as codes
from landbridge.dataflow.catalogue import ComponentInfo
from landbridge.dataflow.model import Step
from landbridge.dataflow.problems import Problem, did_you_mean, error, warning
from landbridge.dataflow.variables import MASK, holds_unresolved, is_secret_name, suggested_reference
from landbridge.errors import LandbridgeError

Location = tuple[int | str, ...]


def check_params(step: Step, info: ComponentInfo | None, *, place: str) -> list[Problem]:
    """Everything that is wrong with the parameters of a step. Never raises.

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
    unset = [key for key in keys if key.field and key.field.is_required() and _is_blank(key.value)]
    problems = _unknown(step, keys) + _plain_credentials(step, keys)
    problems += [
        warning(codes.PARAM_NOT_SET, f"{key.name} is required and not set yet", step=step.id, field=key.place)
        for key in unset
    ]
    left_out = {key.place for key in unset}
    problems += [problem for problem in _validate(step, model, place) if problem.field not in left_out]
    return problems


@dataclass(frozen=True, slots=True)
class _Key:
    """One key of the parameters, or of an object in them, and the field of the model it belongs to."""

    name: str
    field: FieldInfo | None
    value: Any
    place: str
    known: Sequence[str] = ()

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
        if key.secret
        and isinstance(key.value, str)
        and not _is_blank(key.value)
        and not holds_unresolved(key.value)
    ]


def _is_blank(value: Any) -> bool:
    """Empty, or dots as templates write them for "fill in"."""
    return value is None or (isinstance(value, str) and not value.strip(" .…"))


def _holds_gaps(params: Mapping[str, Any]) -> bool:
    return any(_is_blank(value) or holds_unresolved(value) for value in params.values())


def _validate(step: Step, model: type[BaseModel], place: str) -> list[Problem]:
    try:
        model.model_validate(step.params)
    except ValidationError as failure:
        return _from_pydantic(step, model, failure, place)
    except LandbridgeError as failure:
        return [error(failure.code, failure.message, step=step.id, field=place, hint=failure.hint)]
    except Exception as failure:  # noqa: BLE001 - the code of other packages may raise anything
        message = f"the parameters cannot be checked: {type(failure).__name__}"
        return [error(codes.COMPONENT_NOT_LOADED, message, step=step.id, field=place)]
    return []


def _from_pydantic(step: Step, model: type[BaseModel], failure: ValidationError, place: str) -> list[Problem]:
    found: dict[str, Problem] = {}
    for item in failure.errors(include_url=False, include_context=False):
        where = _place(step.params, model, item["loc"], place)
        name = where.removeprefix(f"{place}.")
        if item["type"] == "missing":
            hint = _field_hint(model, item["loc"])
            message = f"{name} is missing"
            problem = error(codes.MISSING_PARAM, message, step=step.id, field=where, hint=hint)
        elif item["loc"] and holds_unresolved(item["input"]):
            continue
        else:
            message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
            message = message.replace("Input should be", f"{name} should be", 1)
            if item["loc"] and name not in message:
                message = f"{name}: {message[:1].lower()}{message[1:]}"
            # A rule across parameters cannot be judged while some are still to be filled in.
            to_come = not item["loc"] and _holds_gaps(step.params)
            make, code = (warning, codes.PARAM_NOT_SET) if to_come else (error, codes.WRONG_PARAM)
            problem = make(code, message, step=step.id, field=where, hint=_field_hint(model, item["loc"]))
        # The branches of a union fail one by one at the same place; the first says enough.
        found.setdefault(where, problem)
    return list(found.values())


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
    return f"{field.description} Example: {examples[0]}" if examples else field.description
