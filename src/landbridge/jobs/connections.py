"""Stored connections: add, change, and put them into dataflows. Secrets are sealed by the vault."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow import Dataflow, Step
from landbridge.dataflow.catalogue import ComponentInfo
from landbridge.dataflow.connections import (
    LEADS,
    Connected,
    Connection,
    connect,
    fits,
    kinds,
    leads_elsewhere,
    named_in,
)
from landbridge.dataflow.parameters import check_params, json_names, secret_param
from landbridge.dataflow.problems import MISSING_PARAM, did_you_mean, errors_of
from landbridge.dataflow.variables import MASK, holds_unresolved
from landbridge.errors import FlowError
from landbridge.jobs import db_connections, db_dataflows
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_connections import ConnectionRow
from landbridge.jobs.vault import Vault

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_MAX_FLOWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Values:
    """What is to be stored of a connection.

    Attributes:
        params: Values by parameter. One that is a secret must be a reference, such as ``${env:NAME}``.
        secrets: Secrets by parameter.
        unset: Parameters that are not stored any more.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    unset: Collection[str] = ()


def add(tx: Transaction, vault: Vault, name: str, *, kind: str, values: Values, by: str) -> None:
    """Store a new connection.

    Raises:
        FlowError: LB-1762, its name or kind cannot be used; LB-1763, there is one of this name; LB-1765, a value
            cannot be stored.
    """
    if not _NAME.fullmatch(name):
        raise FlowError(
            "LB-1762",
            "the name of a connection has up to 100 letters, digits, dots, dashes and underscores",
            hint="It begins with a letter or a digit: responsys-files.",
        )
    known = kinds(InstalledComponents().ids())
    if kind not in known:
        raise FlowError(
            "LB-1762",
            f'no component uses a connection to "{kind}"',
            hint=did_you_mean(kind, known, otherwise=f"The types are {', '.join(known)}."),
        )
    params, secrets = _checked(name, kind, values)
    db_connections.add(tx, name, kind=kind, params=params, sealed=vault.seal(secrets) if secrets else None, by=by)


def change(tx: Transaction, vault: Vault, name: str, *, values: Values, by: str) -> None:
    """Change some values of a connection; the others stay. One that leads elsewhere needs its secrets anew.

    Raises:
        FlowError: LB-1761, there is none; LB-1765, a value cannot be stored; LB-1768, it was changed meanwhile;
            LB-1769, it would lead elsewhere with secrets that were stored for another place.
        StorageError: LB-7505, its secrets were sealed by another key.
    """
    row = db_connections.find(tx, name)
    given, given_secrets = _checked(name, row.kind, values)
    gone = {*_canonical(row.kind, values.unset), *given, *given_secrets}
    params = {key: value for key, value in row.params.items() if key not in gone} | given
    kept = {key: value for key, value in _secrets(vault, row).items() if key not in gone}
    moved = sorted(key for key in LEADS if leads_elsewhere(key, params.get(key), row.params))
    if kept and moved:
        raise FlowError(
            "LB-1769",
            f"with another {moved[0]} the connection would send its secrets to another place",
            hint=f"Give the secrets again, too: {', '.join(sorted(kept))}.",
        )
    secrets = kept | given_secrets
    db_connections.change(tx, row, params=params, sealed=vault.seal(secrets) if secrets else None, by=by)


def remove(tx: Transaction, name: str, *, by: str, force: bool = False) -> None:
    """Remove a connection.

    Raises:
        FlowError: LB-1761, there is none; LB-1766, dataflows use it, and not ``force``.
    """
    db_connections.find(tx, name)
    users = [] if force else used_by(tx, name)
    if users:
        shown = ", ".join(f'"{user}"' for user in users[:3]) + (" and others" if len(users) > 3 else "")  # noqa: PLR2004 - enough to find them
        raise FlowError(
            "LB-1766", f'the connection "{name}" is used by {shown}', hint="Change these dataflows, or give --force."
        )
    db_connections.remove(tx, name, by=by)


def used_by(tx: Transaction, name: str) -> list[str]:
    """The names of the dataflows and drafts whose newest version names the connection."""
    rows = db_dataflows.listing(tx, kind=None, limit=_MAX_FLOWS)
    catalogue = InstalledComponents()
    return [
        row.name
        for row in rows
        if f'"{name}"' in (document := db_dataflows.version(tx, row.id).document)
        and name in named_in(Dataflow.load(document), catalogue)
    ]


def shown(row: ConnectionRow, vault: Vault | None) -> dict[str, Any]:
    """What people see of a connection; with a vault also which secrets it has, masked."""
    secrets = dict.fromkeys(_secrets(vault, row), MASK) if vault else {}
    return {
        "name": row.name,
        "type": row.kind,
        "params": {**row.params, **secrets},
        "revision": row.revision,
        "created": row.created.isoformat(),
        "updated": row.updated.isoformat(),
        "updatedBy": row.updated_by,
    }


def connected(tx: Transaction, vault: Vault, flow: Dataflow) -> Connected:
    """A dataflow with its connections put in, to be run.

    Raises:
        DataflowError: LB-1761 or LB-1764; see ``dataflow.connections.connect``.
        StorageError: LB-7505, a secret was sealed by another key.
    """
    return connect(flow, _found(tx, flow, vault), InstalledComponents())


def connected_without_secrets(tx: Transaction, flow: Dataflow) -> Dataflow:
    """A dataflow with what is no secret in its connections; as it is where one of them cannot be used."""
    try:
        return connect(flow, _found(tx, flow, None), InstalledComponents()).flow
    except FlowError:
        return flow


def _found(tx: Transaction, flow: Dataflow, vault: Vault | None) -> dict[str, Connection]:
    names = named_in(flow, InstalledComponents())
    rows = db_connections.named(tx, names) if names else []
    return {row.name: Connection(row.name, row.kind, row.params, _secrets(vault, row) if vault else {}) for row in rows}


def _secrets(vault: Vault, row: ConnectionRow) -> dict[str, str]:
    found: dict[str, str] = vault.unseal(row.sealed) if row.sealed else {}
    return found


def _checked(name: str, kind: str, values: Values) -> tuple[dict[str, Any], dict[str, str]]:
    """Parameters and secrets by their JSON names, each known to a component and fit for it."""
    infos = _components(kind)
    params: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    for given, is_sealed in ((values.params, False), (values.secrets, True)):
        for key, value in given.items():
            [canonical] = _canonical(kind, [key])
            judged = [found for info in infos if (found := secret_param(info, key)) is not None]
            if not value:
                raise FlowError("LB-1765", f"{key} is empty", hint=f"Leave it out, or give --unset {key}.")
            if any(judged) and not is_sealed and not holds_unresolved(value):
                raise FlowError(
                    "LB-1765",
                    f"{key} is a secret, which must not stand on a command line",
                    hint=f"Give --secret {key}: it is asked for, or read from standard input. Or --secret {key}=@FILE.",
                )
            if value == MASK:
                raise FlowError("LB-1765", f"{key} is the mask of a secret", hint="Give the secret itself.")
            (secrets if is_sealed else params)[canonical] = value
    for info in infos:
        step = Step(id=name, type=info.id, params={**params, **secrets})
        for problem in errors_of(check_params(step, info, place="params")):
            if problem.code == MISSING_PARAM or problem.field == "params":
                continue  # a step has the rest
            key = problem.field.removeprefix("params.")
            # The message of a rule may quote the value.
            message = f"the secret {key} does not fit" if key in secrets else problem.message
            raise FlowError("LB-1765", message, hint=problem.hint if key not in secrets else "")
    return params, secrets


def _canonical(kind: str, keys: Collection[str]) -> list[str]:
    known: dict[str, str] = {}
    for info in _components(kind):
        known |= json_names(info) or {}
    for key in keys:
        if key not in known:
            raise FlowError(
                "LB-1765",
                f"a connection to {kind} has no {key}",
                hint=did_you_mean(key, sorted(set(known.values())), otherwise="`landbridge components ID` lists all."),
            )
    return [known[key] for key in keys]


def _components(kind: str) -> list[ComponentInfo]:
    catalogue = InstalledComponents()
    return [info for id_ in catalogue.ids() if fits(kind, id_) and (info := catalogue.describe(id_)) is not None]
