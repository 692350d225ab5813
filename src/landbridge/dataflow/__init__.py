"""The dataflow language: what a flow says, whether it makes sense, in what order it runs."""

from landbridge.dataflow.catalogue import Catalogue, ComponentInfo
from landbridge.dataflow.model import Dataflow, Step
from landbridge.dataflow.plan import Edge, Plan, PlanStep, make_plan
from landbridge.dataflow.problems import CODES, DataflowError, Problem, format_text
from landbridge.dataflow.scheduling import Scheduling
from landbridge.dataflow.variables import EnvironmentSecrets, JobValues, Resolved, SecretSource, resolve

__all__ = [
    "CODES",
    "Catalogue",
    "ComponentInfo",
    "Dataflow",
    "DataflowError",
    "Edge",
    "EnvironmentSecrets",
    "JobValues",
    "Plan",
    "PlanStep",
    "Problem",
    "Resolved",
    "Scheduling",
    "SecretSource",
    "Step",
    "format_text",
    "make_plan",
    "resolve",
]
