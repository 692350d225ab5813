"""What is wrong or odd about a dataflow and its placeholders, told in one go before a job starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from landbridge.components import registry
from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow import (
    Dataflow,
    DataflowError,
    EnvironmentSecrets,
    JobValues,
    Problem,
    problems as codes,
    resolve,
)
from landbridge.dataflow.connections import Connected, StoredSecrets
from landbridge.dataflow.lint import check_resolved, lint
from landbridge.dataflow.model import read_text
from landbridge.dataflow.problems import did_you_mean, error, errors_of, quoted, warning
from landbridge.dataflow.variables import placeholders_of
from landbridge.engine import guard_settings
from landbridge.errors import FlowError

_SETTLED: Final = frozenset((codes.UNFILLED_PLACEHOLDER, codes.MASKED_VALUE, codes.PARAM_NOT_SET))
"""Warnings about what is filled in when a job starts; what is still missing then is an error."""


def ready(
    path: Path,
    *,
    placeholders: Mapping[str, str],
    set_names: Collection[str],
    connected: Callable[[Dataflow], Connected] = Connected,
) -> tuple[Connected, list[Problem]]:
    """The dataflow of a file with its connections, and the warnings that somebody who runs it wants to see.

    Args:
        path: The file.
        placeholders: All values for placeholders.
        set_names: Those of them that were given one by one, so that each is meant for this dataflow.
        connected: Looks up connections.

    Raises:
        DataflowError: It cannot run; with every error that can be found without a connection.
    """
    text = read_text(path)
    catalogue = InstalledComponents()
    found = lint(text, catalogue, source=str(path))
    flow, form = Dataflow.examine(text, source=str(path))
    blocking, last = errors_of(form), []
    whole = None
    if flow is not None:
        values = JobValues(now=datetime.now(UTC), job_id="check", placeholders=placeholders, values_may_refer=True)
        try:
            whole = connected(flow)
            source = StoredSecrets(whole.secrets, EnvironmentSecrets(os.environ))
            filled = resolve(whole.flow, job=values, source=source).flow
        except DataflowError as failure:
            blocking += failure.problems
        else:
            last = check_resolved(filled, catalogue) if not blocking else []
            stated = guard_settings.check(filled)
            blocking += errors_of(stated)
            found += stated
            blocking += errors_of(last) or (_without_site(filled) if not blocking else [])
    if flow is None or whole is None or blocking:
        raise DataflowError(_each_once([*errors_of(found), *blocking]))
    odd = [problem for problem in [*found, *last] if problem.severity == "warning" and problem.code not in _SETTLED]
    return whole, [*_each_once(odd), *_unknown_names(flow, set_names)]


def _without_site(flow: Dataflow) -> list[Problem]:
    """Steps that do not know their identity site, which parameters and environment name together."""
    found = []
    for index, step in enumerate(flow.steps):
        if ".gigya." not in step.type:
            continue
        from landbridge.components.datasource.gigya_site import SiteParams, login_of, tier_of

        params = registry.get(step.type).Params.model_validate(step.params)
        if not isinstance(params, SiteParams):
            continue
        try:
            tier_of(params, login_of(params))
        except FlowError as failure:
            place = f"steps[{index}].params"
            found.append(error(failure.code, failure.message, step=step.id, field=place, hint=failure.hint))
    return found


def _each_once(problems: Iterable[Problem]) -> list[Problem]:
    """Without repetitions; the first of two that say the same of the same place stays."""
    once: dict[tuple[str, str | None, str], Problem] = {}
    for problem in problems:
        once.setdefault((problem.code, problem.step, problem.field or problem.message), problem)
    return list(once.values())


def _unknown_names(flow: Dataflow, names: Collection[str]) -> list[Problem]:
    known = placeholders_of(flow)
    otherwise = f"Its placeholders are {quoted(sorted(known))}." if known else "It has no placeholders."
    return [
        warning(
            codes.UNKNOWN_PLACEHOLDER,
            f'the dataflow has no placeholder "{name}"; its value is not used',
            hint=did_you_mean(name, known, otherwise=otherwise),
        )
        for name in names
        if name not in known
    ]
