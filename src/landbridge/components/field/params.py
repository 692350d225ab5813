"""Parameters that several ``field.*`` components share."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from landbridge.components.params import ComponentParams, Param
from landbridge.records.path import Path, parse


class FieldList(ComponentParams):
    """Parameters of the components that take a list of fields."""

    fields: list[str] = Param("The fields, as dotted paths.", example=["profile", "data"])

    @property
    def paths(self) -> list[Path]:
        """The fields as paths; blanks around a name do not count."""
        return [parse(name.strip()) for name in self.fields]

    @field_validator("fields")
    @classmethod
    def _are_paths(cls, value: list[str]) -> list[str]:
        for name in value:
            parse(name.strip())
        return value


class FieldPair(ComponentParams):
    """A field and the one it becomes."""

    source_field: str = Param("The field to take.", example="profile.email")
    target_field: str = Param("The field to make; in single quotes, dots are part of the name.", example="EMAIL")

    @property
    def paths(self) -> tuple[Path, Path]:
        """Source and target."""
        return parse(self.source_field.strip()), parse(self.target_field.strip())

    @field_validator("source_field", "target_field")
    @classmethod
    def _is_path(cls, value: str) -> str:
        parse(value.strip())
        return value


class FieldPairs(ComponentParams):
    """Parameters of the components that take pairs of fields."""

    fields: list[FieldPair] = Param(
        "What becomes what, in order.", example=[{"sourceField": "profile.email", "targetField": "EMAIL"}]
    )


class FieldValue(ComponentParams):
    """A field and the value it gets."""

    field: str = Param("The field to set.", example="data.source")
    value: Any = Param(
        "The value: a text, which may hold variables, or any JSON value.", default="", example="${jobId}"
    )

    @field_validator("field")
    @classmethod
    def _is_path(cls, value: str) -> str:
        parse(value.strip())
        return value
