"""Asking the far side of a connection, or of each step of a dataflow, whether it is fit. Nothing is sent there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from landbridge.components import registry
from landbridge.components.base import Component
from landbridge.components.catalogue import InstalledComponents
from landbridge.components.check import can_be_tested
from landbridge.dataflow import Dataflow, EnvironmentSecrets, JobValues, Problem, resolve
from landbridge.dataflow.connections import Connected, StoredSecrets, fits
from landbridge.dataflow.parameters import check_resolved_params, secret_values
from landbridge.dataflow.problems import errors_of
from landbridge.engine.counts import StepCounts
from landbridge.engine.prepare import prepare
from landbridge.engine.services import Services
from landbridge.errors import FlowError
from landbridge.jobs import connections, db_connections
from landbridge.jobs.db import Transaction
from landbridge.jobs.vault import Vault


@dataclass(frozen=True, slots=True)
class FarSide:
    """Something that can be tested.

    Attributes:
        name: The step, or the connection.
        component: What talks to it; see ``components.check.tested``.
        secrets: Values that no message may hold.
    """

    name: str
    component: Component
    secrets: frozenset[str] = field(repr=False)


def candidates(tx: Transaction, vault: Vault, name: str, given: Mapping[str, str]) -> list[Connected]:
    """Dataflows of one step each that use a connection, one for each component that fits it.

    Args:
        tx: The transaction.
        vault: Opens the connection's secrets.
        name: The connection.
        given: Parameters that are not stored, such as ``remotePath``.

    Raises:
        FlowError: LB-1761, there is no such connection.
        StorageError: LB-7505, a secret was sealed by another key.
    """
    kind = db_connections.find(tx, name).kind
    fitting = [id_ for id_ in InstalledComponents().ids() if fits(kind, id_)]
    return [connections.connected(tx, vault, _one_step(id_, name, given)) for id_ in fitting]


def of_connection(name: str, wholes: list[Connected], *, spool: Path) -> FarSide:
    """The first component that can test a connection by what is stored of it.

    Args:
        name: The connection.
        wholes: What ``candidates`` gives.
        spool: A folder for temporary files.

    Raises:
        FlowError: LB-1767, something is missing, or no component can test it.
    """
    now, job_id = datetime.now(UTC), f"test-{secrets.token_hex(6)}"
    catalogue = InstalledComponents()
    lacking: list[Problem] = []
    for whole in wholes:
        source = StoredSecrets(whole.secrets, EnvironmentSecrets(os.environ))
        resolved = resolve(whole.flow, job=JobValues(now=now, job_id=job_id), source=source)
        [step] = resolved.flow.steps
        info = catalogue.describe(step.type)
        problems = errors_of(check_resolved_params(step, info, place="params")) if info else []
        if problems:
            lacking += problems
            continue
        made = registry.get(step.type)
        component = made(made.Params.model_validate(step.params), _services(name, job_id, now, spool))
        if can_be_tested(component):
            known = resolved.secrets | (secret_values(step, info) if info else frozenset())
            return FarSide(name, component, frozenset(known))
    message = f'the connection "{name}" cannot be tested with what is stored'
    if lacking:
        message += f": {lacking[0].message}"
    raise FlowError("LB-1767", message, hint="Give what is missing: --set PARAM=VALUE" if lacking else "")


def of_dataflow(
    flow: Connected, *, placeholders: Mapping[str, str], spool: Path, values_may_refer: bool = False
) -> Iterator[FarSide]:
    """The steps of a dataflow whose far sides can be tested, in the order of its plan.

    Args:
        flow: With its connections put in.
        placeholders: Values for ``{{name}}``.
        spool: A folder for temporary files.
        values_may_refer: See ``JobValues``.

    Raises:
        DataflowError: With everything that keeps it from running.
    """
    now, job_id = datetime.now(UTC), f"check-{secrets.token_hex(6)}"
    ready = prepare(
        flow.flow,
        job=JobValues(now=now, job_id=job_id, placeholders=placeholders, values_may_refer=values_may_refer),
        source=StoredSecrets(flow.secrets, EnvironmentSecrets(os.environ)),
    )
    for step in ready.plan.steps:
        component = ready.make(step, _services(step.id, job_id, now, spool))
        if can_be_tested(component):
            yield FarSide(step.id, component, frozenset(ready.secrets))


def _services(step: str, job_id: str, now: datetime, spool: Path) -> Services:
    return Services(
        step_id=step, job_id=job_id, started=now, spool_dir=spool, counts=StepCounts(), write_log=lambda *_: None
    )


def _one_step(component: str, connection: str, given: Mapping[str, str]) -> Dataflow:
    params: dict[str, Any] = {**given, "connection": connection}
    return Dataflow.from_json({"name": connection, "steps": [{"id": connection, "type": component, "params": params}]})[
        0
    ]
