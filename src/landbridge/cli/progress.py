"""Progress while a job runs, and its result: a live table on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

import anyio
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from landbridge.cli.console import show
from landbridge.engine.counts import Activity, Report, Status, StepCounts
from landbridge.engine.runner import Runner

_TERMINAL_INTERVAL_S = 0.2
_LINES_INTERVAL_S = 5.0
_WORDS = {
    Status.SUCCEEDED: "succeeded",
    Status.SUCCEEDED_WITH_ERRORS: "succeeded, with rejects",
    Status.FAILED: "failed",
    Status.STOPPED: "stopped",
}


async def show_progress(runner: Runner) -> None:
    """Show the live counts until cancelled."""
    console = Console(stderr=True)
    started = monotonic()
    if not console.is_terminal:
        while True:
            await anyio.sleep(_LINES_INTERVAL_S)
            _say(_line(runner.steps, monotonic() - started))
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(_table(runner.steps, monotonic() - started), refresh=True)
            await anyio.sleep(_TERMINAL_INTERVAL_S)


def show_parts(done: int, of: int) -> None:
    """Tell how many parts of the input are finished."""
    _say(f"{done} of {of} parts of the input")


def show_report(report: Report, *, rejects: Path | None, remarks: Sequence[str] = (), quiet: bool = False) -> None:
    """Print the result: a table of the steps, the files, and what to do about rejects or an error.

    Args:
        report: The result.
        rejects: The file that holds records of this job; None where error paths took all that failed.
        remarks: What else a person should know.
        quiet: Print only what went wrong.
    """
    seconds = (report.ended - report.started).total_seconds()
    if not quiet:
        show(_table(report.steps, seconds, final=True), stderr=True)
        for file in report.files:
            records = "" if file.records is None else f", {_count(file.records, 'record')}"
            verb = "would deliver" if report.dry_run else "delivered"
            _say(f"{verb} {file.name} ({size_text(file.bytes)}{records})")
        for remark in remarks:
            _say(remark)
        if report.planned:
            show(_planned_table(report.planned), stderr=True)
        dry = "dry run " if report.dry_run else ""
        _say(f"{dry}{_WORDS[report.status]} in {seconds:.1f} s (job {report.job})")
    for trip in report.guards if report.dry_run else ():
        _say(f'a guard would stop step "{trip["step"]}": {trip["message"]}  [{trip["code"]}]')
    if report.rejects:
        where = f"see {rejects}" if rejects else "they took an error path"
        _say(f"{_count(report.rejects, 'record')} rejected; {where}")
    if report.error:
        step = f'step "{report.error["step"]}": ' if report.error["step"] else ""
        _say(f"error: {step}{report.error['message']}  [{report.error['code']}]")
        if report.error["hint"]:
            _say(report.error["hint"])
        published = len(report.files)
        if published or not report.unsure:
            _say(f"{published} of the files had been published before." if published else "Nothing was published.")
        for name in report.unsure:
            _say(f'It is not known whether "{name}" was published: look into the target before you run it again.')


def _say(text: str) -> None:
    """One line as it is: a terminal breaks it itself."""
    print(text, file=sys.stderr)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size_text(size: int) -> str:
    """A size in bytes as people read it."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - decimal units
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _table(steps: dict[str, StepCounts], seconds: float, *, final: bool = False) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step", no_wrap=final)
    for title in ("in", "out", "rejected", "filtered", "bytes", "files", "records/s"):
        table.add_column(title, justify="right", no_wrap=final)
    if not final:
        table.add_column("")
    for step, counts in steps.items():
        records = max(counts.records_in, counts.records_out)
        rate = f"{records / seconds:,.0f}" if records and seconds > 0 else ""
        row = [
            escape(step),
            *(f"{number:,}" if number else "" for number in (counts.records_in, counts.records_out)),
            *(f"{number:,}" if number else "" for number in (counts.rejected, counts.filtered)),
            size_text(counts.bytes) if counts.bytes else "",
            f"{counts.files:,}" if counts.files else "",
            rate,
        ]
        table.add_row(*row, *([] if final else ["done" if counts.activity is Activity.DONE else ""]))
    return table


_PLANNED = {
    "creates": "creates",
    "updates": "updates",
    "unchanged": "unchanged",
    "invalid": "invalid",
    "cannotTell": "cannot tell",
    "optOuts": "opt-outs",
    "deactivations": "deactivations",
    "deletes": "deletes",
}


def _planned_table(planned: Mapping[str, Mapping[str, int]]) -> Table:
    """What each writer would have done, in records."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("planned", no_wrap=True)
    for title in _PLANNED.values():
        table.add_column(title, justify="right", no_wrap=True)
    for step, counts in planned.items():
        table.add_row(escape(step), *(f"{counts[name]:,}" if counts[name] else "" for name in _PLANNED))
    return table


def _line(steps: dict[str, StepCounts], seconds: float) -> str:
    parts = [
        f"{step} {_count(max(counts.records_in, counts.records_out), 'record')}"
        + (f" {size_text(counts.bytes)}" if counts.bytes else "")
        for step, counts in steps.items()
    ]
    return f"{seconds:.0f} s: " + "; ".join(parts)
