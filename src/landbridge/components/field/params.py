"""Parameters that several ``field.*`` components share."""

from __future__ import annotations

from typing import Any

from landbridge.components.params import ComponentParams, FieldPath, Param
from landbridge.records.path import Path, parse


class FieldList(ComponentParams):
    """Parameters of the components that take a list of fields."""

    fields: list[FieldPath] = Param("The fields, as dotted paths.", example=["profile", "data"])

    @property
    def paths(self) -> list[Path]:
        """The fields as paths."""
        return [parse(name) for name in self.fields]


class FieldPair(ComponentParams):
    """A field and the one it becomes."""

    source_field: FieldPath = Param("The field to take.", example="profile.email")
    target_field: FieldPath = Param("The field to make; in single quotes, dots are part of the name.", example="EMAIL")

    @property
    def paths(self) -> tuple[Path, Path]:
        """Source and target."""
        return parse(self.source_field), parse(self.target_field)


class FieldPairs(ComponentParams):
    """Parameters of the components that take pairs of fields."""

    fields: list[FieldPair] = Param(
        "What becomes what, in order.", example=[{"sourceField": "profile.email", "targetField": "EMAIL"}]
    )


class FieldValue(ComponentParams):
    """A field and the value it gets."""

    field: FieldPath = Param("The field to set.", example="data.source")
    value: Any = Param(
        "The value: a text, which may hold variables, or any JSON value.", default="", example="${jobId}"
    )
