"""Stored connections in dataflows: ``"connection": "NAME"`` among the parameters of a step.

The step's own parameters count more than the stored ones, but for those that tell where a connection with secrets
leads: whoever writes a dataflow need not know the secrets, and must not be able to send them elsewhere. A stored value
is taken where the component knows the parameter and the step leaves it out or blank. Secrets come in as references (see
``variables``), so that a job treats them as it treats every other secret, and one that looks like a variable stays as
it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Any, Final

from landbridge.dataflow import problems as codes
from landbridge.dataflow.catalogue import Catalogue, ComponentInfo
from landbridge.dataflow.model import Dataflow, JsonObject, Step
from landbridge.dataflow.parameters import CONNECTION, is_blank, json_names, takes_connection
from landbridge.dataflow.problems import DataflowError, Problem, did_you_mean, error
from landbridge.dataflow.variables import ReferenceKind, SecretSource

_HOST: Final = "host"

LEADS: Final = frozenset(
    (_HOST, "url", "endpoint", "dataCenter", "podNumber", "appUrl", "lyticsUrl", "authenticationUrl", "loginUrl")
)
"""Parameters that tell where secrets are sent."""

PLACE: Final = LEADS | {
    "port",
    "blobUri",
    "accountName",
    "bucket",
    "bucketName",
    "container",
    "containerName",
    "apiKey",
    "affiliateId",
    "username",
    "userKey",
    "apiUser",
    "clientId",
    "clientEmail",
    "security",
    "allowUnencrypted",
    CONNECTION,
}
"""Parameters that tell, of a step with secrets of its own, which account of which system they are for, and whether they
go there encrypted."""

_GROUPS: Final = 2
"""Words of a component id before those that tell the system: ``datasource.write``."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Stored parameters of a remote system.

    Attributes:
        name: As steps name it.
        kind: The system, as component ids end: ``sftp``, ``gigya``.
        params: What is no secret, by the parameters' JSON names; variables in it are filled in as in a step.
        secrets: Secrets by the parameters' JSON names, taken as they are.
    """

    name: str
    kind: str
    params: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """A SecretSource of the secrets of connections; for all other references it asks ``behind``."""

    values: Mapping[str, str] = field(repr=False)
    behind: SecretSource

    def find(self, kind: ReferenceKind, name: str, /) -> str | None:
        """See SecretSource."""
        if kind == "secret" and name in self.values:
            return self.values[name]
        return self.behind.find(kind, name)

    def places(self, kind: ReferenceKind, name: str, /) -> Sequence[str]:
        """See SecretSource."""
        return self.behind.places(kind, name)


@dataclass(frozen=True, slots=True)
class Connected:
    """A dataflow that names no connections any more.

    Attributes:
        flow: With the stored parameters; in place of secrets it has references.
        secrets: What these references mean; see StoredSecrets.
    """

    flow: Dataflow
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def named_in(flow: Dataflow, catalogue: Catalogue) -> frozenset[str]:
    """The names of the connections that a dataflow uses."""
    return frozenset(step.params[CONNECTION] for step in flow.steps if _uses(step, _info(step, catalogue)))


def connect(flow: Dataflow, stored: Mapping[str, Connection], catalogue: Catalogue) -> Connected:
    """Put stored parameters into the steps that name a connection.

    Raises:
        DataflowError: LB-1761, there is no such connection; LB-1764, it is one of another system.
    """
    problems: list[Problem] = []
    secrets: dict[str, str] = {}
    unknown = token_hex(16)  # so that no dataflow can name the secrets by itself and send them elsewhere
    steps = []
    for index, step in enumerate(flow.steps):
        info = _info(step, catalogue)
        if not _uses(step, info):
            steps.append(step)
            continue
        found = stored.get(step.params[CONNECTION])
        problem = _problem(step, found, stored, place=f"steps[{index}].params.{CONNECTION}") or _elsewhere(
            step, info, found, place=f"steps[{index}].params"
        )
        if problem or found is None:
            problems += [problem] if problem else []
            continue
        references = {key: f"connection/{unknown}/{found.name}/{key}" for key in found.secrets}
        params = _merged(
            step, info, {**found.params, **{key: f"${{secret:{name}}}" for key, name in references.items()}}
        )
        secrets |= {name: found.secrets[key] for key, name in references.items()}
        steps.append(replace(step, params=params))
    if problems:
        raise DataflowError(problems)
    return Connected(replace(flow, steps=tuple(steps)), secrets)


def leads_elsewhere(name: str, value: Any, stored: Mapping[str, Any]) -> bool:
    """Whether a parameter would send the secrets of a connection to another place than they were stored for.

    Args:
        name: Its JSON name.
        value: What it shall be; None for nothing.
        stored: What the connection says, secrets apart. One without a host is meant for any.
    """
    if name not in LEADS or value == stored.get(name):
        return False
    return name != _HOST or _HOST in stored


def moved(before: Step, after: Step, catalogue: Catalogue) -> str | None:
    """What has changed of where the secrets of a step go: a parameter, or ``type``; None where nothing has.

    Args:
        before: The step for which the secrets were stored.
        after: The step that shall have them.
        catalogue: Knows the spellings of parameters.
    """
    if before.type.split(".")[_GROUPS : _GROUPS + 1] != after.type.split(".")[_GROUPS : _GROUPS + 1]:
        return "type"
    old, new = _place(before, _info(before, catalogue)), _place(after, _info(after, catalogue))
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return changed[0] if changed else None


def _place(step: Step, info: ComponentInfo | None) -> dict[str, Any]:
    """The parameters that tell where the secrets of a step go, by where they stand; blank ones are left out."""
    names = json_names(info) or {}

    def found(params: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
        for key, value in params.items():
            own = names.get(key, key) if not place else key
            if own in PLACE and not is_blank(value):
                yield place + own, value
            elif isinstance(value, Mapping):
                yield from found(value, f"{place}{own}.")
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, Mapping):
                        yield from found(item, f"{place}{own}[{index}].")

    return dict(found(step.params, ""))


def fits(kind: str, component: str) -> bool:
    """Whether a connection of this kind serves a component: ``gigya`` serves ``datasource.read.gigya.account``."""
    system = component.split(".")[_GROUPS:]
    words = kind.split(".")
    return system[: len(words)] == words


def kinds(ids: Collection[str]) -> list[str]:
    """All kinds of connections that these components could use, sorted."""
    return sorted(set(_kinds(ids)))


def _kinds(ids: Collection[str]) -> Iterator[str]:
    for id_ in ids:
        group, *rest = id_.split(".")
        words = rest[1:]
        if group in ("datasource", "file"):
            yield from (".".join(words[:count]) for count in range(1, len(words) + 1))


def _info(step: Step, catalogue: Catalogue) -> ComponentInfo | None:
    return catalogue.describe(step.type) if step.type in catalogue.ids() else None


def _uses(step: Step, info: ComponentInfo | None) -> bool:
    name = step.params.get(CONNECTION)
    return isinstance(name, str) and not is_blank(name) and takes_connection(info)


def _problem(step: Step, found: Connection | None, stored: Mapping[str, Connection], *, place: str) -> Problem | None:
    name = step.params[CONNECTION]
    if found is None:
        hint = did_you_mean(name, list(stored), otherwise="`landbridge connections list` shows all.")
        return error(codes.UNKNOWN_CONNECTION, f'there is no connection "{name}"', step=step.id, field=place, hint=hint)
    if not fits(found.kind, step.type):
        message = f'the connection "{name}" is one to {found.kind}, which {step.type} does not use'
        hint = "Name another connection, or none."
        return error(codes.CONNECTION_DOES_NOT_FIT, message, step=step.id, field=place, hint=hint)
    return None


def _elsewhere(step: Step, info: ComponentInfo | None, found: Connection | None, *, place: str) -> Problem | None:
    """The error for a step that would send the secrets of a connection to another place."""
    if found is None or not found.secrets:
        return None
    names = json_names(info) or {}
    for key, value in step.params.items():
        own = names.get(key, key)
        if not is_blank(value) and leads_elsewhere(own, value, found.params):
            message = f'the connection "{found.name}" leads to its own {own}; the step must not name another'
            hint = f"Leave {key} out, or store a connection to the other place."
            return error(codes.CONNECTION_DOES_NOT_FIT, message, step=step.id, field=f"{place}.{key}", hint=hint)
    return None


def _merged(step: Step, info: ComponentInfo | None, stored: JsonObject) -> JsonObject:
    names = json_names(info)
    if names is not None:
        stored = {key: value for key, value in stored.items() if key in names}

    def canonical(key: str) -> str:
        return key if names is None else names.get(key, key)

    own = {
        key: value
        for key, value in step.params.items()
        if key != CONNECTION and not (canonical(key) in stored and is_blank(value))
    }
    taken = {canonical(key) for key in own}
    return own | {key: value for key, value in stored.items() if key not in taken}
