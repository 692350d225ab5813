"""From a dataflow to what the runner needs: a plan, and components with validated parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

from landbridge.components import registry
from landbridge.components.base import Component, StepServices
from landbridge.components.catalogue import InstalledComponents
from landbridge.components.params import ComponentParams
from landbridge.dataflow import Dataflow, DataflowError, JobValues, Plan, PlanStep, SecretSource, make_plan, resolve
from landbridge.dataflow.lint import check_resolved
from landbridge.dataflow.parameters import secret_values
from landbridge.dataflow.problems import errors_of
from landbridge.engine.guard_settings import FlowGuards
from landbridge.engine.masking import MaskedServices
from landbridge.engine.redaction import Redaction


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataflow that is ready to run.

    Attributes:
        plan: Its steps and edges.
        secrets: Values that must not show up in any output.
        redaction: Masks them.
        guards: The thresholds that the dataflow states.
    """

    plan: Plan
    secrets: frozenset[str] = field(repr=False)
    _params: dict[str, ComponentParams] = field(repr=False)
    redaction: Redaction = field(repr=False)
    guards: FlowGuards = field(default_factory=FlowGuards)

    def make(self, step: PlanStep, services: StepServices) -> Component:
        """A new instance of the component of ``step``; what it rejects tells no secret."""
        return registry.get(step.component)(self._params[step.id], MaskedServices(services, self.redaction))


def prepare(flow: Dataflow, *, job: JobValues, source: SecretSource) -> Prepared:
    """Fill in variables, check everything that can be checked before a connection is opened, and plan.

    Raises:
        DataflowError: With every problem found.
        FlowError: LB-1751; the thresholds of guards cannot be understood.
    """
    guards = FlowGuards.read(flow)
    catalogue = InstalledComponents()
    resolved = resolve(flow, job=job, source=source)
    problems = errors_of(check_resolved(resolved.flow, catalogue))
    if problems:
        raise DataflowError(problems)
    plan = make_plan(resolved.flow, catalogue)
    secrets = set(resolved.secrets)
    for step in resolved.flow.steps:
        info = catalogue.describe(step.type)
        if info is not None:
            secrets |= secret_values(step, info)
    params = {step.id: registry.get(step.component).Params.model_validate(step.params) for step in plan.steps}
    return Prepared(plan=plan, secrets=frozenset(secrets), _params=params, redaction=Redaction(secrets), guards=guards)
