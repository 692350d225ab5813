"""Typed findings about a dataflow: what is wrong, where, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal

from landbridge.errors import FlowError

Severity = Literal["error", "warning"]

SEVERAL: Final = "LB-1000"
NOT_JSON: Final = "LB-1001"
NOT_READABLE: Final = "LB-1002"
NOT_AN_OBJECT: Final = "LB-1003"
STEPS_NOT_A_LIST: Final = "LB-1004"
STEP_NOT_AN_OBJECT: Final = "LB-1005"
STEP_WITHOUT_ID: Final = "LB-1006"
STEP_WITHOUT_TYPE: Final = "LB-1007"
DUPLICATE_STEP: Final = "LB-1008"
WRONG_TYPE: Final = "LB-1009"
DUPLICATE_KEY: Final = "LB-1010"
MISSPELT_KEY: Final = "LB-1011"
NO_STEPS: Final = "LB-1020"
SEVERAL_ENTRIES: Final = "LB-1021"
UNKNOWN_TARGET: Final = "LB-1022"
SELF_LOOP: Final = "LB-1023"
CYCLE: Final = "LB-1024"
PORTS_DO_NOT_FIT: Final = "LB-1025"
ENTRY_NEEDS_INPUT: Final = "LB-1026"
NOT_REACHED: Final = "LB-1027"
DUPLICATE_TARGET: Final = "LB-1028"
ERROR_EDGE_IGNORED: Final = "LB-1029"
NEXT_IS_ALSO_ERROR: Final = "LB-1030"
ENDS_WITHOUT_WRITER: Final = "LB-1031"
SAME_FILE_NAME: Final = "LB-1032"
WAY_PAST: Final = "LB-1033"
UNKNOWN_VARIABLE: Final = "LB-1040"
BAD_TIME: Final = "LB-1041"
UNFILLED_PLACEHOLDER: Final = "LB-1042"
UNRESOLVED_REFERENCE: Final = "LB-1043"
MASKED_VALUE: Final = "LB-1044"
PLAIN_CREDENTIAL: Final = "LB-1045"
VARIABLE_OUT_OF_PLACE: Final = "LB-1046"
NO_VALUE: Final = "LB-1047"
UNKNOWN_PLACEHOLDER: Final = "LB-1048"
BAD_SCHEDULING: Final = "LB-1060"
UNKNOWN_PARAM: Final = "LB-1070"
MISSING_PARAM: Final = "LB-1071"
PARAM_NOT_SET: Final = "LB-1072"
WRONG_PARAM: Final = "LB-1073"
COMPONENT_NOT_LOADED: Final = "LB-1074"
UNKNOWN_COMPONENT: Final = "LB-1101"
UNKNOWN_CONNECTION: Final = "LB-1761"
CONNECTION_DOES_NOT_FIT: Final = "LB-1764"

CODES: Final[dict[str, str]] = {
    SEVERAL: "The dataflow has several problems; each is listed with its own code.",
    NOT_JSON: "The text is not valid JSON.",
    NOT_READABLE: "The dataflow's file cannot be read.",
    NOT_AN_OBJECT: "A dataflow or a scheduling must be a JSON object.",
    STEPS_NOT_A_LIST: "The dataflow has no list `steps`.",
    STEP_NOT_AN_OBJECT: "A step must be a JSON object.",
    STEP_WITHOUT_ID: "A step has no `id`.",
    STEP_WITHOUT_TYPE: "A step has no `type`, the id of its component.",
    DUPLICATE_STEP: "Two steps have the same `id`.",
    WRONG_TYPE: "A key of the dataflow holds a value of the wrong type.",
    DUPLICATE_KEY: "A JSON object holds the same key twice; the last one counts.",
    MISSPELT_KEY: "A key that the dataflow language does not know looks like a misspelt one.",
    NO_STEPS: "The dataflow has no steps, so there is nothing to run.",
    SEVERAL_ENTRIES: "More than one step could be the first: no other step names them.",
    UNKNOWN_TARGET: "`next` or `error` names a step that does not exist.",
    SELF_LOOP: "A step names itself in `next` or `error`.",
    CYCLE: "Steps form a circle, so none of them can be the first.",
    PORTS_DO_NOT_FIT: "A step hands on records where files are expected, or the other way round.",
    ENTRY_NEEDS_INPUT: "The first step is not a reader: nothing would flow into it.",
    NOT_REACHED: "A step would never run, because no path leads to it from the first step.",
    DUPLICATE_TARGET: "`next` or `error` names the same step twice.",
    ERROR_EDGE_IGNORED: "A step that does not handle single records has an error path; it is ignored.",
    NEXT_IS_ALSO_ERROR: "`next` and `error` of a step name the same step, which gets both kinds of records.",
    ENDS_WITHOUT_WRITER: "A path ends in a step that writes nothing, so that what flows into it is lost.",
    SAME_FILE_NAME: "Two steps make files of the same name, and one writer gets both: the second replaces the first.",
    WAY_PAST: "Records reach a step twice: through the steps before it, and by a direct way past them.",
    UNKNOWN_VARIABLE: "A parameter holds a variable that does not exist.",
    BAD_TIME: "A time pattern or a time shift of `${now}` cannot be understood.",
    UNFILLED_PLACEHOLDER: "A placeholder of a template has no value yet.",
    UNRESOLVED_REFERENCE: "A secret or an environment variable that a parameter refers to is not set, or is empty.",
    MASKED_VALUE: "A parameter holds the mask ******** in place of a secret.",
    PLAIN_CREDENTIAL: "A secret stands in the dataflow as plain text.",
    VARIABLE_OUT_OF_PLACE: "A variable stands where it is not replaced.",
    NO_VALUE: "A variable has no value in this run.",
    UNKNOWN_PLACEHOLDER: "A value is given for a placeholder that the dataflow does not have.",
    BAD_SCHEDULING: "A field of a scheduling holds a value that cannot be understood.",
    UNKNOWN_PARAM: "A parameter is not known to the component; it is kept and ignored.",
    MISSING_PARAM: "A required parameter is missing.",
    PARAM_NOT_SET: "A required parameter is there but empty.",
    WRONG_PARAM: "A parameter's value does not fit.",
    COMPONENT_NOT_LOADED: "A component exists but its code cannot be loaded or fails.",
    UNKNOWN_COMPONENT: "A step's `type` is not the id of a component.",
    UNKNOWN_CONNECTION: "There is no stored connection of this name.",
    CONNECTION_DOES_NOT_FIT: "A step names a stored connection to another system, or would send its secrets elsewhere.",
}
"""Every code of the dataflow language with its one-line meaning."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    Attributes:
        severity: ``error`` keeps the dataflow from running, ``warning`` does not.
        code: One of ``CODES``, or the code of the error from which the finding comes.
        message: What is wrong, in one plain sentence without secrets.
        step: Id of the step; None for the dataflow as a whole.
        field: Where in the JSON, with dots and indexes: ``steps[2].params.fileName``; empty for the whole.
        hint: What to do next.
    """

    severity: Severity
    code: str
    message: str
    step: str | None = None
    field: str = ""
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """The finding as a JSON object with all keys present."""
        return {
            "severity": self.severity,
            "code": self.code,
            "step": self.step,
            "field": self.field,
            "message": self.message,
            "hint": self.hint,
        }


class DataflowError(FlowError):
    """The dataflow cannot run. ``problems`` holds every error and warning, in the order of the text.

    The error's code is that of the only error, or ``LB-1000`` when there are several.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        errors = errors_of(self.problems)
        if len(errors) == 1:
            super().__init__(errors[0].code, errors[0].message, hint=errors[0].hint, step=errors[0].step)
        else:
            super().__init__(
                SEVERAL, f"the dataflow has {len(errors)} problems", hint=format_text(errors, summary=False)
            )


def error(code: str, message: str, *, step: str | None = None, field: str = "", hint: str = "") -> Problem:
    """A finding that keeps the dataflow from running."""
    return Problem("error", code, message, step=step, field=field, hint=hint)


def warning(code: str, message: str, *, step: str | None = None, field: str = "", hint: str = "") -> Problem:
    """A finding that does not keep the dataflow from running."""
    return Problem("warning", code, message, step=step, field=field, hint=hint)


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """Only the findings that keep the dataflow from running."""
    return [problem for problem in problems if problem.severity == "error"]


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "", cutoff: float = 0.6) -> str:
    """A hint that names the closest of the ``known`` words, or ``otherwise`` when none is close.

    ``cutoff`` is the least likeness from 0 to 1, as in ``difflib.get_close_matches``.
    """
    close = closest(word, known, cutoff=cutoff)
    return f'Did you mean "{close}"?' if close else otherwise


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The ``known`` word that is most like ``word``; None when none is close (see ``did_you_mean``)."""
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=cutoff)
    return by_lower[close[0]] if close else None


def quoted(names: Iterable[str]) -> str:
    """Names for a sentence: ``"a", "b" and "c"``."""
    words = [f'"{name}"' for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def format_text(problems: Sequence[Problem], *, summary: bool = True) -> str:
    """The findings for a terminal: one line each, its hint below, and a last line that counts."""
    lines: list[str] = []
    for problem in problems:
        where = f'step "{problem.step}": ' if problem.step is not None else ""
        lines.append(f"{problem.severity:<7}  {problem.code}  {where}{problem.message}")
        if problem.hint:
            lines.extend(f"{'':18}{line}" for line in problem.hint.splitlines())
    if summary:
        errors = len(errors_of(problems))
        warnings = len(problems) - errors
        lines.append("no problems" if not problems else f"{_count(errors, 'error')}, {_count(warnings, 'warning')}")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
