"""Why a job that succeeded has delivered nothing: no file matched, or the files hold no records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from landbridge.dataflow import Plan, PlanStep
from landbridge.engine.counts import Report, Status

_FOLDERS: Final = ("path", "remotePath", "objectKeyPrefix", "blobPrefix", "bucketName", "container")
"""Parameters of readers that tell where they look, the closest first."""


def nothing_read(plan: Plan, report: Report) -> Iterator[str]:
    """Lines for a person, where the input was empty."""
    entry = plan.step(plan.entry)
    if report.status not in (Status.SUCCEEDED, Status.SUCCEEDED_WITH_ERRORS):
        return
    counts = report.steps[entry.id]
    if entry.kind == "record_reader" and not counts.records_out:
        yield f'step "{entry.id}" found no records'
    if entry.kind != "file_reader":
        return
    if not counts.files:
        yield _no_file(entry)
        return
    for step in plan.steps:
        if step.kind == "parser" and not report.steps[step.id].records_out and not report.steps[step.id].rejected:
            noun = "file holds" if counts.files == 1 else "files hold"
            yield f'the {noun} no records for step "{step.id}"'


def _no_file(entry: PlanStep) -> str:
    place = next((str(entry.params[name]) for name in _FOLDERS if entry.params.get(name)), "")
    pattern = entry.params.get("fileNameRegex")
    what = f'no file matched "{pattern}"' if pattern else "there is no file"
    where = f' in "{place}"' if place else ""
    ready = entry.params.get("readyFile")
    beside = f', or its ready file "{ready}" is missing or older' if ready else ""
    return f'step "{entry.id}": {what}{where}{beside}'
