"""What is worth an alert: the kinds, the settings of a rule, and the usual range of a dataflow."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from statistics import median
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from landbridge.dataflow.problems import closest
from landbridge.errors import FlowError
from landbridge.records.mail_address import ADDRESS
from landbridge.remote.endpoint import checked_endpoint

_SHOWN: Final = 60
"""Characters of what is no kind."""

_LEAST_RUNS: Final = 5
"""Fewer good runs tell no usual range."""

_TO_SIGMA: Final = 1.4826
"""The median distance from the median, times this, is the standard deviation where values are normally distributed."""

_LEAST_SHARE: Final = 0.1
"""Runs that were all alike: a tenth more or less is still usual."""


class AlertKind(StrEnum):
    """What is noticed."""

    FAILURE = "failure"
    STALLED = "stalled"
    GUARD = "guard"
    REJECTS = "rejects"
    LATE = "late"
    VOLUME = "volume"
    RECOVERY = "recovery"
    SUCCESS = "success"


class RuleSettings(BaseModel):
    """What a rule looks for, and how often it tells."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    kinds: Annotated[
        tuple[AlertKind, ...], Field(min_length=1, description="What to tell of. Recovery tells when it is over.")
    ] = tuple(kind for kind in AlertKind if kind is not AlertKind.SUCCESS)
    to: Annotated[tuple[str, ...], Field(description="Addresses of an e-mail rule.")] = ()
    url: Annotated[str, Field(description="Address of a webhook.")] = ""
    repeat: Annotated[
        Literal["first", "every"], Field(description="Tell the first time until it is over, or every time.")
    ] = "first"
    rejects_over: Annotated[int, Field(ge=0, description="Tell of more rejected records than this.")] = 0
    rejects_share_over: Annotated[
        float, Field(ge=0, le=100, description="And of more than this percentage of the records read.")
    ] = 0.0
    volume_runs: Annotated[
        int, Field(ge=_LEAST_RUNS, le=100, description="The usual range comes from so many good runs.")
    ] = 10
    volume_deviations: Annotated[
        float, Field(gt=0, le=100, description="How many standard deviations around their median are usual.")
    ] = 5.0

    def as_json(self) -> dict[str, Any]:
        """As the database keeps it: only what differs from the defaults."""
        shown: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return shown


def read_settings(values: dict[str, Any]) -> RuleSettings:
    """Understand the settings of a rule.

    Raises:
        FlowError: LB-1743, with everything that is wrong.
    """
    try:
        return RuleSettings.model_validate(values)
    except ValidationError as failure:
        found = failure.errors(include_url=False)
        unknown = [str(error["input"])[:_SHOWN] for error in found if error["loc"][0] == "kinds" and error["loc"][1:]]
        if unknown:
            raise _no_such_kind(unknown[0]) from None
        told = [f"{'.'.join(str(part) for part in error['loc'])}: {error['msg'].lower()}" for error in found]
        raise FlowError("LB-1743", f"the rule cannot be understood: {'; '.join(told)}") from None


def _no_such_kind(name: str) -> FlowError:
    near = closest(name, AlertKind)
    meant = f'; did you mean "{near}"?' if near else ""
    return FlowError(
        "LB-1743", f'there is no "{name}" among the kinds of alerts{meant}', hint=f"There are {', '.join(AlertKind)}."
    )


def checked_settings(values: dict[str, Any]) -> RuleSettings:
    """Understand the settings of a new rule, which tells either addresses or a webhook.

    Raises:
        FlowError: LB-1743, it cannot be understood or tells nobody; LB-1303, the webhook would be unencrypted.
    """
    settings = read_settings(values)
    wrong = [address for address in settings.to if not ADDRESS.fullmatch(address)]
    if wrong:
        raise FlowError("LB-1743", f"the rule names something that is no e-mail address: {', '.join(wrong)}")
    if bool(settings.to) == bool(settings.url):
        raise FlowError("LB-1743", "the rule must name either e-mail addresses or a webhook")
    if settings.url:
        checked_endpoint(settings.url)
    return settings


def usual_range(volumes: Sequence[int], *, deviations: float) -> tuple[int, int] | None:
    """The range in which the volume of a run is usual; None when too few are known.

    It comes from medians, which one odd run cannot move.
    """
    if len(volumes) < _LEAST_RUNS:
        return None
    middle = median(volumes)
    spread = _TO_SIGMA * median(abs(volume - middle) for volume in volumes)
    # Small numbers vary by their square root, whatever the past runs happened to be.
    width = deviations * max(spread, _LEAST_SHARE * middle / 2, middle**0.5 / 2, 0.5)
    return max(0, int(middle - width)), int(middle + width) + 1
