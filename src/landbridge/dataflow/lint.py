"""All that is wrong with a dataflow, in one go and before it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from landbridge.dataflow import problems as codes
from landbridge.dataflow.catalogue import Catalogue
from landbridge.dataflow.file_names import check_file_names
from landbridge.dataflow.model import Dataflow, Step
from landbridge.dataflow.parameters import check_params, check_resolved_params
from landbridge.dataflow.plan import check_ends, check_graph, check_ways_past, describe_steps
from landbridge.dataflow.problems import CODES, Problem, error, errors_of, format_text, warning
from landbridge.dataflow.variables import (
    MASK,
    PLACEHOLDER,
    SECRET_MARK,
    VARIABLE,
    check_variable,
    name_of,
    placeholders_in,
    suggested_reference,
    texts,
)
from landbridge.errors import FlowError

_LOWER_BRACKETS = re.compile(r"\[\[([A-Za-z]\w+)\]\]")

__all__ = ["CODES", "Problem", "check_resolved", "errors_of", "format_text", "lint"]


def lint(flow: Dataflow | str | bytes, catalogue: Catalogue, *, source: str = "flow.json") -> list[Problem]:
    """Check a dataflow: its form, graph, components, parameters, variables and secrets. Never raises.

    What a job fills in later (placeholders, variables, references, masked secrets) is not checked for its
    type. Placeholders and masked secrets are warnings, because a template or an export is meant to have them.

    Args:
        flow: The dataflow or its JSON text.
        catalogue: Where components are looked up.
        source: What to call the text in messages.

    Returns:
        Errors and warnings in the order of the steps; empty when all is well.
    """
    if isinstance(flow, Dataflow):
        read, problems = Dataflow.from_json(flow.as_json())
    else:
        examined, problems = Dataflow.examine(flow, source=source)
        if examined is None:
            return problems
        read = examined
    if not read.steps:
        return problems or [_no_steps()]
    infos, more = describe_steps(read, catalogue)
    problems += more
    problems += check_graph(read, infos, catalogue, complete=not errors_of(problems))
    for index, step in enumerate(read.steps):
        place = f"steps[{index}].params"
        problems += check_params(step, infos.get(step.id), place=place)
        problems += _check_tokens(step, place=place)
    if not errors_of(problems):  # a circle has no end
        problems += check_ends(read, infos)
        problems += check_ways_past(read, infos)
        problems += check_file_names(read, infos)
    problems += _out_of_place(read)
    return _in_order(problems, read)


def check_resolved(flow: Dataflow, catalogue: Catalogue) -> list[Problem]:
    """Check a dataflow that ``resolve`` has filled in, right before a job. Never raises.

    Other than ``lint``, it takes every value for final: a required parameter that is empty is an error, a
    secret that looks like a placeholder is none. Findings hold no values.
    """
    infos, problems = describe_steps(flow, catalogue)
    problems += check_graph(flow, infos, catalogue)
    for index, step in enumerate(flow.steps):
        if step.id in infos:
            problems += check_resolved_params(step, infos[step.id], place=f"steps[{index}].params")
    if not errors_of(problems):
        problems += check_file_names(flow, infos)
    return _in_order(problems, flow) or ([] if flow.steps else [replace(_no_steps(), severity="error")])


def _no_steps() -> Problem:
    message = "the dataflow has no steps yet, so there is nothing to run"
    hint = "Add a reader, what is to be done with the records, and a writer."
    return warning(codes.NO_STEPS, message, field="steps", hint=hint)


def _check_tokens(step: Step, *, place: str) -> Iterator[Problem]:
    for where, key, text in texts(step.params, place):
        if text == MASK:
            message = f"{name_of(where)} is masked: the dataflow was exported without the secret"
            hint = f"Put a reference in its place, such as {suggested_reference(step.id, key)}."
            yield warning(codes.MASKED_VALUE, message, step=step.id, field=where, hint=hint)
            continue
        yield from _unfilled(step, where, placeholders_in(text, key=key))
        if key != "script":
            yield from _lower_case_brackets(step, where, key, text)
            yield from _check_variables(step, where, key, text)


def _unfilled(step: Step, where: str, names: list[str]) -> Iterator[Problem]:
    for name in names:
        message = f'{name_of(where)} holds the placeholder "{name}", which has no value yet'
        hint = f"Set it when you run the dataflow: --set {name}=value"
        yield warning(codes.UNFILLED_PLACEHOLDER, message, step=step.id, field=where, hint=hint)


def _lower_case_brackets(step: Step, where: str, key: str, text: str) -> Iterator[Problem]:
    """``[[target]]``, meant as a placeholder; in a regular expression it is a set of letters."""
    if re.search("regex|pattern|expression|replacement", key, re.IGNORECASE):
        return
    for name in dict.fromkeys(_LOWER_BRACKETS.findall(text)):
        if name == name.upper():
            continue
        message = f"{name_of(where)} holds [[{name}]], which is no placeholder"
        hint = f"Placeholders are written {{{{{name}}}}}, or [[{name.upper()}]] in capitals."
        yield warning(codes.VARIABLE_OUT_OF_PLACE, message, step=step.id, field=where, hint=hint)


def _check_variables(step: Step, where: str, key: str, text: str) -> Iterator[Problem]:
    for inner in dict.fromkeys(VARIABLE.findall(PLACEHOLDER.sub("", text))):
        try:
            check_variable(inner)
        except FlowError as failure:
            if failure.code == codes.UNKNOWN_VARIABLE and key == "replacement":
                continue  # a named group of the regular expression
            message = f"{name_of(where)}: {failure.message}"
            yield error(failure.code, message, step=step.id, field=where, hint=failure.hint)
        else:
            if key == "fileName" and inner.strip().startswith("secret:"):
                message = "fileName holds a secret, which everybody who sees the file could read"
                yield warning(codes.VARIABLE_OUT_OF_PLACE, message, step=step.id, field=where)


def _out_of_place(flow: Dataflow) -> Iterator[Problem]:
    hint = "Variables are replaced in the values of params only."
    for key, text in (("name", flow.name), ("description", flow.description)):
        if VARIABLE.search(text) or SECRET_MARK.search(text):
            message = f"{key} holds a variable, which is not replaced there"
            yield warning(codes.VARIABLE_OUT_OF_PLACE, message, field=key, hint=hint)
    for index, step in enumerate(flow.steps):
        words: dict[str, tuple[str, ...]] = {"id": (step.id,), "type": (step.type,)}
        words |= {"next": step.next, "error": step.error, "params": tuple(_param_names(step.params))}
        for key, names in words.items():
            for name in names:
                if any(token.search(name) for token in (VARIABLE, SECRET_MARK, PLACEHOLDER)):
                    where = "the name of a parameter" if key == "params" else key
                    message = f'"{name}" in {where} holds a variable, which is not replaced there'
                    place = f"steps[{index}].{key}"
                    yield warning(codes.VARIABLE_OUT_OF_PLACE, message, step=step.id, field=place, hint=hint)


def _param_names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _param_names(item)


def _in_order(problems: list[Problem], flow: Dataflow) -> list[Problem]:
    """Sorted by step, what concerns the whole dataflow first; the order of one step's problems is kept."""
    positions = {step.id: index for index, step in enumerate(flow.steps)}

    def position(problem: Problem) -> int:
        if match := re.match(r"steps\[(\d+)\]", problem.field):
            return int(match[1])
        return positions.get(problem.step or "", -1)

    return sorted(problems, key=position)
