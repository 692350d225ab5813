"""From a dataflow to a plan that can run: one entry, no circles, ports that fit, edges in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import count
from typing import Any, Final, Literal

from landbridge.dataflow import problems as codes
from landbridge.dataflow.catalogue import Catalogue, ComponentInfo, Kind, Port, unknown_component
from landbridge.dataflow.model import Dataflow, Step
from landbridge.dataflow.problems import (
    DataflowError,
    Problem,
    did_you_mean,
    error,
    errors_of,
    quoted,
    warning,
)
from landbridge.errors import LandbridgeError

EMPTY_FILE: Final = "file.empty"
"""The one component that takes records and may yet be the first step: it only writes an empty marker file."""

EdgeKind = Literal["next", "error"]

_WRITERS: Final[frozenset[Kind]] = frozenset(("file_writer", "record_writer"))


@dataclass(frozen=True, slots=True)
class PlanStep:
    """A step that is known to fit its neighbours.

    Attributes:
        id: The step's id in the dataflow.
        component: Id of its component.
        kind: What sort of step it is.
        params: Its parameters as they stand in the dataflow; not shown, as they may hold secrets.
        next: The steps that get what it hands on, in the order of the dataflow.
        error: The steps that get its failed records; empty where its component has no error path.
    """

    id: str
    component: str
    kind: Kind
    params: Mapping[str, Any] = field(repr=False)
    next: tuple[str, ...] = ()
    error: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """What flows from one step to another.

    Attributes:
        source: Id of the step that hands on.
        target: Id of the step that receives.
        kind: ``next`` for what succeeded, ``error`` for failed records.
        port: Whether records or files flow.
        order: Place in the depth-first walk along ``next``. Where several edges end in one writer, files of
            the lower number must be published first: a marker file stands after the data it announces.
    """

    source: str
    target: str
    kind: EdgeKind
    port: Port
    order: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A dataflow that can run.

    Attributes:
        name: The dataflow's name.
        entry: Id of the first step.
        steps: Steps so ordered that each stands after all that feed it.
        edges: All edges, by ``order``.
        warnings: What was found on the way and does not prevent a run.
    """

    name: str
    entry: str
    steps: tuple[PlanStep, ...]
    edges: tuple[Edge, ...]
    warnings: tuple[Problem, ...] = ()

    def step(self, id: str) -> PlanStep:
        """The step with this id.

        Raises:
            KeyError: There is none.
        """
        for step in self.steps:
            if step.id == id:
                return step
        raise KeyError(id)

    def edges_from(self, id: str) -> tuple[Edge, ...]:
        """The edges that leave a step, in their order."""
        return tuple(edge for edge in self.edges if edge.source == id)

    def edges_to(self, id: str) -> tuple[Edge, ...]:
        """The edges that end in a step, in their order."""
        return tuple(edge for edge in self.edges if edge.target == id)


def make_plan(flow: Dataflow, catalogue: Catalogue) -> Plan:
    """Check the graph of a dataflow and order it.

    Raises:
        DataflowError: With all problems of the graph. Parameters are not looked at; ``lint`` does that.
    """
    infos, problems = describe_steps(flow, catalogue)
    problems += check_graph(flow, infos, catalogue)
    if not flow.steps:
        message = "the dataflow has no steps, so there is nothing to run"
        problems.append(error(codes.NO_STEPS, message, field="steps"))
    if errors_of(problems):
        raise DataflowError(problems)
    targets = {step.id: step.next + effective_error(step, infos[step.id]) for step in flow.steps}
    entry = _unnamed(flow)[0].id
    order = _topological(entry, targets)
    by_id = {step.id: step for step in flow.steps}
    return Plan(
        name=flow.name,
        entry=entry,
        steps=tuple(_plan_step(by_id[id_], infos[id_]) for id_ in order),
        edges=tuple(_edges(entry, by_id, infos)),
        warnings=tuple(problems),
    )


def describe_steps(flow: Dataflow, catalogue: Catalogue) -> tuple[dict[str, ComponentInfo], list[Problem]]:
    """The component of each step that has a usable one, and a problem for each of the others."""
    infos: dict[str, ComponentInfo] = {}
    problems: list[Problem] = []
    for index, step in enumerate(flow.steps):
        place = f"steps[{index}].type"
        if not step.type:  # reported when the dataflow was read
            continue
        try:
            info = catalogue.describe(step.type)
        except LandbridgeError as failure:
            problems.append(error(failure.code, failure.message, step=step.id, field=place, hint=failure.hint))
            continue
        except Exception as failure:  # noqa: BLE001 - the code of other packages may raise anything
            message = f'the component "{step.type}" cannot be loaded: {type(failure).__name__}: {failure}'
            hint = "Ask the maker of the package that provides it, or install another version."
            problems.append(error(codes.COMPONENT_NOT_LOADED, message, step=step.id, field=place, hint=hint))
            continue
        if info is None:
            unknown = unknown_component(step.type, catalogue.ids())
            problems.append(error(unknown.code, unknown.message, step=step.id, field=place, hint=unknown.hint))
            continue
        infos[step.id] = info
    return infos, problems


def effective_error(step: Step, info: ComponentInfo) -> tuple[str, ...]:
    """The error targets that count: none where the component does not handle single records."""
    return step.error if info.has_error_edge else ()


def check_graph(
    flow: Dataflow, infos: Mapping[str, ComponentInfo], catalogue: Catalogue, *, complete: bool = True
) -> list[Problem]:
    """Everything that is wrong with the edges.

    Args:
        flow: The dataflow.
        infos: The components of its steps, by step id; a step without one is left out of the port checks.
        catalogue: Where the components that would fit between two steps are looked up.
        complete: False when some steps could not be read. Which step is the first cannot be told then, nor
            after a wrong name in ``next``: one slip is to give one problem.
    """
    if not flow.steps:
        return []
    problems: list[Problem] = []
    for index, step in enumerate(flow.steps):
        problems += _check_targets(flow, step, index=index)
    problems += _check_cycles(flow, infos)
    if complete and not errors_of(problems):
        problems += _check_entry(flow, infos)
    for index, step in enumerate(flow.steps):
        if step.id in infos:
            problems += _check_ports(step, infos, index=index, catalogue=catalogue)
    if complete and not errors_of(problems):
        problems += _check_reached(flow, infos)
    return problems


def _counted_error(step: Step, infos: Mapping[str, ComponentInfo]) -> tuple[str, ...]:
    """The error targets; they count until the component is known to have no error path."""
    return effective_error(step, infos[step.id]) if step.id in infos else step.error


def _check_targets(flow: Dataflow, step: Step, *, index: int) -> list[Problem]:
    problems = []
    ids = [other.id for other in flow.steps]
    for key, targets in (("next", step.next), ("error", step.error)):
        place = f"steps[{index}].{key}"
        for target in dict.fromkeys(targets):
            if target not in ids:
                hint = did_you_mean(target, ids, otherwise=f"The steps are {quoted(ids)}.")
                message = f'{key} names the step "{target}", which does not exist'
                problems.append(error(codes.UNKNOWN_TARGET, message, step=step.id, field=place, hint=hint))
            elif target == step.id:
                message = f"the step names itself in {key}"
                hint = "Remove the name, or name the step that comes after it."
                problems.append(error(codes.SELF_LOOP, message, step=step.id, field=place, hint=hint))
            if targets.count(target) > 1:
                message = f'{key} names the step "{target}" {targets.count(target)} times'
                hint = "Name it once; otherwise it would get every record several times."
                problems.append(error(codes.DUPLICATE_TARGET, message, step=step.id, field=place, hint=hint))
    for target in dict.fromkeys(step.next):
        if target in step.error:
            message = f'both next and error name the step "{target}": failed records go the way of the others'
            hint = f'If that is not meant, remove "{target}" from error.'
            place = f"steps[{index}].error"
            problems.append(warning(codes.NEXT_IS_ALSO_ERROR, message, step=step.id, field=place, hint=hint))
    return problems


def _check_cycles(flow: Dataflow, infos: Mapping[str, ComponentInfo]) -> list[Problem]:
    """One problem for each circle; steps that name only themselves are reported with their targets."""
    remaining = {
        step.id: [target for target in step.next + _counted_error(step, infos) if target != step.id]
        for step in flow.steps
    }
    problems = []
    while True:
        try:
            TopologicalSorter(
                {id_: [t for t in targets if t in remaining] for id_, targets in remaining.items()}
            ).prepare()
        except CycleError as failure:
            # graphlib names predecessors first; our edges point the other way.
            circle: list[str] = list(reversed(failure.args[1]))
            ring = circle[:-1]
            first = ring.index(next(step.id for step in flow.steps if step.id in ring))
            walk = [*ring[first:], *ring[:first], ring[first]]
            message = f"these steps form a circle: {' > '.join(walk)}"
            hint = f'Remove one of these connections, for example "{walk[0]}" from step "{walk[-2]}".'
            problems.append(error(codes.CYCLE, message, step=walk[0], hint=hint))
            for id_ in ring:
                del remaining[id_]
        else:
            return problems


def _unnamed(flow: Dataflow) -> list[Step]:
    """The steps that no other step names."""
    named = {target for step in flow.steps for target in step.next + step.error if target != step.id}
    return [step for step in flow.steps if step.id not in named]


def _check_entry(flow: Dataflow, infos: Mapping[str, ComponentInfo]) -> list[Problem]:
    """Without a circle there is always a step that no other one names."""
    unnamed = _unnamed(flow)
    readers = [step for step in unnamed if step.id not in infos or infos[step.id].inputs == "none"]
    starts = readers or [step for step in unnamed if step.type == EMPTY_FILE]
    if len(unnamed) == 1:
        if starts:
            return []
        step = unnamed[0]
        message = f"the first step needs {infos[step.id].inputs} to flow into it, but no step comes before it"
        hint = "Put a reader before it, such as datasource.read.sftp, or name it in the next of another step."
        return [error(codes.ENTRY_NEEDS_INPUT, message, step=step.id, field=_place(flow, step), hint=hint)]
    if len(starts) == 1:
        return [_not_reached(flow, step) for step in unnamed if step is not starts[0]]
    message = f"there must be one first step, but no step names {quoted(step.id for step in unnamed)}"
    hint = "Connect them, or make a dataflow of each."
    return [error(codes.SEVERAL_ENTRIES, message, field="steps", hint=hint)]


def _not_reached(flow: Dataflow, step: Step) -> Problem:
    message = "no step leads here, so it would never run"
    hint = "Name it in next or error of the step that comes before it, or remove it."
    return error(codes.NOT_REACHED, message, step=step.id, field=_place(flow, step), hint=hint)


def _check_ports(step: Step, infos: Mapping[str, ComponentInfo], *, index: int, catalogue: Catalogue) -> list[Problem]:
    info = infos[step.id]
    problems = []
    if step.error and not info.has_error_edge:
        message = f"{info.id} does not handle single records, so its error path to {quoted(step.error)} is ignored"
        hint = "Put the error path on the step that reads or delivers the records."
        place = f"steps[{index}].error"
        problems.append(warning(codes.ERROR_EDGE_IGNORED, message, step=step.id, field=place, hint=hint))
    for _, target, key, port in dict.fromkeys(_leaving(step, info)):
        other = infos.get(target)
        if other is None or other.inputs == port or target == step.id:
            continue
        message = f'{info.id} hands on {port} but step "{target}" ({other.id}) takes {other.inputs}'
        if key == "error":
            message = f'failed records go to step "{target}" ({other.id}), which takes {other.inputs}'
        if other.inputs == "none":
            message = f'{key} names step "{target}" ({other.id}), a reader, which can only be the first step'
        place = f"steps[{index}].{key}"
        hint = _what_fits(port, other.inputs, catalogue.ids())
        problems.append(error(codes.PORTS_DO_NOT_FIT, message, step=step.id, field=place, hint=hint))
    return problems


def _what_fits(given: Port, wanted: Port, ids: Iterable[str]) -> str:
    if given == "records" and wanted == "files":
        return f"Put a formatter between them, such as {_example('file.format.', 'file.format.dsv', ids)}."
    if given == "files" and wanted == "records":
        return f"Put a parser between them, such as {_example('file.parse.', 'file.parse.dsv', ids)}."
    return "Remove the connection."


def _example(prefix: str, favourite: str, ids: Iterable[str]) -> str:
    candidates = [id_ for id_ in ids if id_.startswith(prefix)]
    return favourite if favourite in candidates or not candidates else candidates[0]


def _check_reached(flow: Dataflow, infos: Mapping[str, ComponentInfo]) -> list[Problem]:
    """Steps that hang on an ignored error path only: they are left out of the plan."""
    if len(infos) < len(flow.steps):
        return []
    targets = {step.id: step.next + effective_error(step, infos[step.id]) for step in flow.steps}
    reached = set(_topological(_unnamed(flow)[0].id, targets))
    message = "only an ignored error path leads here, so it will not run"
    return [
        warning(codes.NOT_REACHED, message, step=step.id, field=_place(flow, step))
        for step in flow.steps
        if step.id not in reached
    ]


def check_ends(flow: Dataflow, infos: Mapping[str, ComponentInfo]) -> list[Problem]:
    """A warning for each step after which nothing comes, though it only hands on."""
    hint = "Name a step that writes in its next, such as datasource.write.sftp."
    return [
        warning(
            codes.ENDS_WITHOUT_WRITER,
            f"the path ends here, and {step.type} writes nothing: its {infos[step.id].outputs} go nowhere",
            step=step.id,
            field=_place(flow, step),
            hint=hint,
        )
        for step in flow.steps
        if step.id in infos and not step.next and infos[step.id].kind not in _WRITERS
    ]


def check_ways_past(flow: Dataflow, infos: Mapping[str, ComponentInfo]) -> list[Problem]:
    """A warning for each edge along which records pass a second time what they reach through other steps as well.

    Files may take two ways, as a plain and a packed copy do. There must be no circle.
    """
    next_of = {step.id: step.next for step in flow.steps}
    problems = []
    for step in flow.steps:
        if step.id not in infos or infos[step.id].outputs != "records":
            continue
        for target in step.next:
            way = next((other for other in step.next if other != target and target in _behind(other, next_of)), None)
            if way is not None:
                message = f'"{target}" gets every record twice: from here, and through "{way}"'
                hint = f'If that is not meant, remove "{target}" from the next of "{step.id}".'
                place = f"{_place(flow, step)}.next"
                problems.append(warning(codes.WAY_PAST, message, step=step.id, field=place, hint=hint))
    return problems


def _behind(start: str, next_of: Mapping[str, tuple[str, ...]]) -> set[str]:
    """A step and all that are reached from it along ``next``."""
    return set(_topological(start, next_of))


def _place(flow: Dataflow, step: Step) -> str:
    return f"steps[{flow.steps.index(step)}]"


def _topological(entry: str, targets: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Reverse post-order of the depth-first walk: the order of the steps has no influence."""
    order: list[str] = []
    seen = {entry}
    stack = [(entry, iter(reversed(targets[entry])))]
    while stack:
        current, rest = stack[-1]
        for target in rest:
            if target not in seen:
                seen.add(target)
                stack.append((target, iter(reversed(targets[target]))))
                break
        else:
            order.append(current)
            stack.pop()
    return order[::-1]


def _edges(entry: str, by_id: Mapping[str, Step], infos: Mapping[str, ComponentInfo]) -> Iterator[Edge]:
    """All edges in the order of the depth-first walk, ``next`` before ``error``."""
    seen = {entry}
    pending = _leaving(by_id[entry], infos[entry])[::-1]
    for order in count():
        if not pending:
            return
        source, target, kind, port = pending.pop()
        yield Edge(source=source, target=target, kind=kind, port=port, order=order)
        if target not in seen:
            seen.add(target)
            pending += _leaving(by_id[target], infos[target])[::-1]


def _leaving(step: Step, info: ComponentInfo) -> list[tuple[str, str, EdgeKind, Port]]:
    """Source, target, kind and port of each edge that leaves a step."""
    succeeded: list[tuple[str, str, EdgeKind, Port]] = [(step.id, id_, "next", info.outputs) for id_ in step.next]
    failed: list[tuple[str, str, EdgeKind, Port]] = [
        (step.id, id_, "error", "records") for id_ in effective_error(step, info)
    ]
    return succeeded + failed


def _plan_step(step: Step, info: ComponentInfo) -> PlanStep:
    return PlanStep(
        id=step.id,
        component=step.type,
        kind=info.kind,
        params=step.params,
        next=step.next,
        error=effective_error(step, info),
    )
