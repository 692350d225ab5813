"""Files that would get the same name at the same writer, so that the later one replaces the earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from landbridge.dataflow import problems as codes
from landbridge.dataflow.catalogue import ComponentInfo
from landbridge.dataflow.model import Dataflow, Step
from landbridge.dataflow.problems import Problem, warning

Way = tuple[str, str, tuple[str, ...]]
"""Where a file ends and what it is called: the writer, ``fileName``, and the steps that add their suffix to it."""


def check_file_names(flow: Dataflow, infos: Mapping[str, ComponentInfo]) -> list[Problem]:
    """A warning for each step that makes a file of a name that another step makes for the same writer.

    Names are compared as they stand: two that hold the same variables are the same. A warning only, because each of
    the two may make no file where it gets no records.

    Args:
        flow: A dataflow without circles.
        infos: The components of its steps, by step id.
    """
    by_id = {step.id: step for step in flow.steps}
    makers: dict[Way, Step] = {}
    problems = []
    for index, step in enumerate(flow.steps):
        name = step.params.get("fileName")
        if step.id not in infos or infos[step.id].kind != "formatter" or not isinstance(name, str) or not name.strip():
            continue
        for writer, suffixes in _ways(step, by_id, infos):
            other = makers.setdefault((writer, name.strip(), suffixes), step)
            if other is not step:
                message = f'steps "{other.id}" and "{step.id}" both make the file {name} for step "{writer}"'
                hint = "Give one of them another fileName; otherwise the second file replaces the first."
                place = f"steps[{index}].params.fileName"
                problems.append(warning(codes.SAME_FILE_NAME, message, step=step.id, field=place, hint=hint))
    return problems


def _ways(
    step: Step, by_id: Mapping[str, Step], infos: Mapping[str, ComponentInfo]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The writers to which files of a step lead, each with the components on the way."""
    pending: list[tuple[str, tuple[str, ...]]] = [(target, ()) for target in step.next]
    while pending:
        id_, way = pending.pop()
        if id_ not in infos:
            continue
        if infos[id_].kind == "file_writer":
            yield id_, way
        elif infos[id_].kind == "file_transform":
            pending += [(target, (*way, by_id[id_].type)) for target in by_id[id_].next]
