"""What the shapes of requests and replies have in common: names in camelCase, instants in UTC, numbers with bounds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199


class Shown(BaseModel):
    """What a reply holds."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class Given(BaseModel):
    """What a request holds; keys that nobody knows are refused, since they are mostly misspelt."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


def _in_utc(moment: datetime) -> datetime:
    if not FIRST_YEAR < moment.year < LAST_YEAR:
        raise ValueError(f"must lie between {FIRST_YEAR + 1} and {LAST_YEAR - 1}")
    return moment.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""An instant with an offset, such as ``2026-03-02T05:00:00Z``."""

Count = Annotated[int, Field(ge=0, le=2**53)]
"""How many, as far as JSON numbers are exact."""

Key = Annotated[str, Path(min_length=1, max_length=255, description="Its id.")]
Name = Annotated[str, Path(min_length=1, max_length=255, description="Its name.")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
RowNumber = Annotated[int, Path(ge=1, le=2**63 - 1)]
Text = Annotated[str, StringConstraints(max_length=10_000)]
JsonObject = dict[str, Any]
"""An object whose keys are told by the dataflow language, not by this API."""
