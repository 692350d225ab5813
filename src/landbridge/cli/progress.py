"""Progress while a job runs, and its result: a live table on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import anyio

from landbridge.cli.sizes import size_text
from landbridge.engine.counts import Report, Status, StepCounts
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
    from rich.console import Console
    from rich.live import Live

    from landbridge.cli.tables import steps_table

    console = Console(stderr=True)
    started = monotonic()
    if not console.is_terminal:
        while True:
            await anyio.sleep(_LINES_INTERVAL_S)
            _say(_line(runner.steps, monotonic() - started))
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(steps_table(runner.steps, monotonic() - started), refresh=True)
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
        from landbridge.cli.console import show
        from landbridge.cli.tables import planned_table, steps_table

        show(steps_table(report.steps, seconds, final=True), stderr=True)
        for file in report.files:
            records = "" if file.records is None else f", {_count(file.records, 'record')}"
            verb = "would deliver" if report.dry_run else "delivered"
            _say(f"{verb} {file.name} ({size_text(file.bytes)}{records})")
        for remark in remarks:
            _say(remark)
        if report.planned:
            show(planned_table(report.planned), stderr=True)
        dry = "dry run " if report.dry_run else ""
        _say(f"{dry}{_WORDS[report.status]} in {seconds:.1f} s (job {report.job})")
    if report.dry_run and report.guards:
        from landbridge.cli.tables import guard_line

        for trip in report.guards:
            _say(guard_line(trip))
    if report.rejects:
        where = f"see {rejects}" if rejects else "they took an error path"
        _say(f"{_count(report.rejects, 'record')} rejected; {where}")
    if report.error:
        step = f'step "{report.error["step"]}": ' if report.error["step"] else ""
        _say(f"error: {step}{report.error['message']}  [{report.error['code']}]")
        if report.error["hint"]:
            _say(report.error["hint"])
        _say_what_is_out(report)


def _say_what_is_out(report: Report) -> None:
    """What a job that failed has already done to the outside."""
    published = len(report.files)
    if report.written:
        # A call that failed may have done some of its work.
        _say(f"At least {_count(report.written, 'record')} had been written before, and stay written.")
    if published:
        _say(f"{published} of the files had been published before.")
    elif not report.unsure and not report.written:
        _say("Nothing was published.")
    for name in report.unsure:
        _say(f'It is not known whether "{name}" was published: look into the target before you run it again.')


def _say(text: str) -> None:
    """One line as it is: a terminal breaks it itself."""
    print(text, file=sys.stderr)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _line(steps: dict[str, StepCounts], seconds: float) -> str:
    parts = [
        f"{step} {_count(max(counts.records_in, counts.records_out), 'record')}"
        + (f" {size_text(counts.bytes)}" if counts.bytes else "")
        for step, counts in steps.items()
    ]
    return f"{seconds:.0f} s: " + "; ".join(parts)
