"""Thresholds of guards, as a dataflow states them under its key ``landbridge``; IdentitySync does not know that key.

.. code-block:: json

    {"landbridge": {"guards": {
        "emptySource": "afterRecords",
        "optOuts": {"more": 1000, "percent": 20},
        "deactivations": {"more": 1000, "percent": 20},
        "deletes": {"more": 100, "percent": 10},
        "duplicates": {"field": "UID", "more": 0},
        "consent": {"action": "stop", "fields": []},
        "steps": {"write": {"optOuts": false}}}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from landbridge.components.params import FieldPath
from landbridge.dataflow.model import Dataflow
from landbridge.dataflow.problems import Problem, error, warning
from landbridge.engine.consent import ConsentField, Person
from landbridge.errors import FlowError

KEY: Final = "landbridge"
CONSENT_OFF: Final = "LB-1752"


class _Setting(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Threshold(_Setting):
    """How much of a change is too much.

    Attributes:
        more: At most so many more than in the last good run, or in all where there was none.
        percent: And at most so many more as this part of the last good run's records, in percent.
    """

    more: int | None = Field(default=None, ge=0)
    percent: float | None = Field(default=None, ge=0, le=100)


class Duplicates(_Setting):
    """How often the same identifier may occur twice in one job."""

    field: FieldPath = "UID"
    more: int = Field(default=0, ge=0)


class DeclaredConsent(_Setting):
    """A field that tells a consent; see ``consent.ConsentField``."""

    field: FieldPath
    granted: list[str | int | bool] = Field(min_length=1)
    purpose: str = Field(min_length=1)
    time: FieldPath | None = None

    def as_field(self) -> ConsentField:
        """As records are read by it."""
        texts = tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in self.granted)
        return ConsentField(self.field, texts, self.purpose, self.time)


class ConsentRule(_Setting):
    """What happens to records that would raise a consent without a newer yes than the last known opt-out."""

    action: Literal["stop", "reject", "off"] = "stop"
    fields: list[DeclaredConsent] = []
    uid: str = "UID"
    address: list[str] = ["profile.email", "email"]

    @property
    def declared(self) -> tuple[ConsentField, ...]:
        """The declared fields."""
        return tuple(item.as_field() for item in self.fields)

    @property
    def person(self) -> Person:
        """How a record names a person."""
        return Person(self.uid, tuple(self.address))


_NONE: Final = Threshold()


class GuardSettings(_Setting):
    """The guards of one writer. ``false`` in place of a threshold switches a guard off."""

    empty_source: Literal["afterRecords", "always", "never"] = "afterRecords"
    opt_outs: Threshold | Literal[False] = Threshold(more=1000, percent=20)
    deactivations: Threshold | Literal[False] = Threshold(more=1000, percent=20)
    deletes: Threshold | Literal[False] = Threshold(more=100, percent=10)
    duplicates: Duplicates | Literal[False] | None = None
    consent: ConsentRule = ConsentRule()

    def threshold(self, change: str) -> Threshold:
        """What is allowed of a kind of change: ``optOuts``, ``deactivations`` or ``deletes``."""
        chosen = {"optOuts": self.opt_outs, "deactivations": self.deactivations, "deletes": self.deletes}[change]
        return chosen or _NONE

    def repeated(self, *, by_default: bool) -> Duplicates | None:
        """The rule for identifiers that occur twice; without one of its own a writer has it ``by_default`` or not."""
        if self.duplicates is None:
            return Duplicates() if by_default else None
        return self.duplicates or None


@dataclass(frozen=True, slots=True)
class FlowGuards:
    """The guards of all writers of a dataflow."""

    usual: GuardSettings = field(default_factory=GuardSettings)
    steps: Mapping[str, GuardSettings] = field(default_factory=dict)

    def of(self, step: str) -> GuardSettings:
        """The guards of one writer."""
        return self.steps.get(step, self.usual)

    @property
    def consent_is_off(self) -> bool:
        """Whether a writer may undo opt-outs."""
        return any(settings.consent.action == "off" for settings in (self.usual, *self.steps.values()))

    @classmethod
    def read(cls, flow: Dataflow) -> Self:
        """The guards that a dataflow states.

        Raises:
            FlowError: LB-1751; something in them cannot be understood.
        """
        own = flow.raw.get(KEY)
        if own is None:
            return cls()
        if not isinstance(own, dict) or not isinstance(own.get("guards", {}), dict):
            raise _not_understood(f"{KEY}.guards", "it must be an object")
        stated = dict(own.get("guards", {}))
        steps = stated.pop("steps", {})
        if not isinstance(steps, dict) or not all(isinstance(value, dict) for value in steps.values()):
            raise _not_understood(f"{KEY}.guards.steps", "it must be an object with an object for each step")
        known = {step.id for step in flow.steps}
        for name in steps:
            if name not in known:
                raise _not_understood(f"{KEY}.guards.steps", f'there is no step "{name}"')
        usual = _settings(stated, f"{KEY}.guards")
        overrides = {
            name: _settings({**stated, **value}, f"{KEY}.guards.steps.{name}") for name, value in steps.items()
        }
        return cls(usual, overrides)


def check(flow: Dataflow) -> list[Problem]:
    """What is wrong or dangerous about the guards that a dataflow states."""
    place = f"{KEY}.guards"
    try:
        guards = FlowGuards.read(flow)
    except FlowError as failure:
        return [error(failure.code, failure.message, field=place, hint=failure.hint)]
    if not guards.consent_is_off:
        return []
    message = "the guard of consents is off: whoever has opted out may be opted in again"
    return [warning(CONSENT_OFF, message, field=f"{place}.consent", hint='"action": "reject" leaves them out.')]


OFF: Final = FlowGuards(
    GuardSettings(
        empty_source="never",
        opt_outs=False,
        deactivations=False,
        deletes=False,
        duplicates=False,
        consent=ConsentRule(action="off"),
    )
)
"""No guard at all, for a part of a job that writes nothing."""


def _settings(stated: Mapping[str, Any], place: str) -> GuardSettings:
    try:
        return GuardSettings.model_validate(dict(stated))
    except (ValidationError, FlowError) as failure:
        if isinstance(failure, FlowError):
            raise _not_understood(place, failure.message) from None
        first = failure.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"] if isinstance(part, str) and part.isidentifier())
        raise _not_understood(f"{place}.{where}" if where else place, first["msg"]) from None


def _not_understood(place: str, reason: str) -> FlowError:
    return FlowError(
        "LB-1751",
        f"the dataflow's {place} cannot be understood: {reason}",
        hint="Its form is described in the guide to guards and dry runs.",
    )
