"""Everything that is wrong or dangerous about a dataflow: what the language finds, and the guards that it states."""

from __future__ import annotations

from pathlib import Path

from landbridge.dataflow import Dataflow, lint as language
from landbridge.dataflow.catalogue import Catalogue
from landbridge.dataflow.model import read_text
from landbridge.dataflow.problems import DataflowError, Problem
from landbridge.engine import guard_settings


def lint(flow: Dataflow | str | bytes, catalogue: Catalogue, *, source: str = "flow.json") -> list[Problem]:
    """As ``dataflow.lint.lint``, with the guards. Never raises."""
    problems = language.lint(flow, catalogue, source=source)
    read = flow if isinstance(flow, Dataflow) else Dataflow.examine(flow, source=source)[0]
    return problems if read is None else problems + guard_settings.check(read)


def lint_file(path: str | Path, catalogue: Catalogue) -> list[Problem]:
    """As ``lint``, for a file; one that cannot be read is one problem. Never raises."""
    try:
        text = read_text(path)
    except DataflowError as failure:
        return list(failure.problems)
    return lint(text, catalogue, source=str(path))
