"""Parameters of components: one pydantic model per component, from which lint, docs, forms and schemas come."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from landbridge.errors import FlowError
from landbridge.records.path import parse
from landbridge.remote.endpoint import checked_endpoint


def Param(  # noqa: N802 - reads as a declaration, like pydantic's Field
    description: str,
    *,
    default: Any = ...,
    example: Any = None,
    secret: bool = False,
    aliases: tuple[str, ...] = (),
    ge: float | None = None,
    le: float | None = None,
    unit: str | None = None,
) -> Any:
    """Declare a parameter.

    Args:
        description: One sentence for the reference page and the form.
        default: Value when absent; without one the parameter is required.
        example: Shown in the reference and used by the contract tests.
        secret: Masked in every output and never written to a log.
        aliases: Other spellings seen in public dataflows (``podNumer``).
        ge: Smallest number allowed.
        le: Largest number allowed.
        unit: Unit of a number, such as ``s`` or ``MB``.
    """
    extra: dict[str, Any] = {"secret": secret}
    if unit:
        extra["unit"] = unit
    if aliases:
        extra["aliases"] = list(aliases)
    examples = None if example is None else [example]
    return Field(default, description=description, examples=examples, ge=ge, le=le, json_schema_extra=extra)


def _safe(url: str) -> str:
    try:
        return checked_endpoint(url)
    except FlowError as error:
        raise ValueError(f"{error.message}. {error.hint}") from None


Address = Annotated[str, AfterValidator(_safe)]
"""A parameter with the address of a server, which must be encrypted, or on this machine."""


def _path(text: str) -> str:
    written = text.strip()
    parse(written)
    return written


FieldPath = Annotated[str, AfterValidator(_path)]
"""A parameter with the written path of a field (see ``records.path``); blanks around it do not count."""


def separated(value: object) -> object:
    """The parts of a text with commas, without blanks and empty ones; anything else as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


TextList = Annotated[list[str], BeforeValidator(separated)]
"""A parameter with several texts, which a dataflow may also write as one text with commas."""


class ComponentParams(BaseModel):
    """Base of all Params models.

    JSON names are the camel-case form of the Python names. Unknown keys are kept out of the model (lint reports
    them) and stay in the dataflow. An empty string means "not set", as public dataflows write it.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
        use_attribute_docstrings=False,
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
    )

    @model_validator(mode="before")
    @classmethod
    def _normalise(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        spellings = {}
        for name, info in cls.model_fields.items():
            extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            for alias in (name, info.alias or name, *_texts(extra.get("aliases"))):
                spellings[alias] = info.alias or name
        optional = {info.alias or name for name, info in cls.model_fields.items() if not info.is_required()}
        renamed = {spellings.get(key, key): value for key, value in data.items()}
        return {key: value for key, value in renamed.items() if not (key in optional and value in ("", None))}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
