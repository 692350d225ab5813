"""Progress while a job runs, and its result: a live table on a terminal, plain lines otherwise."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import anyio
from rich.console import Console
from rich.live import Live
from rich.table import Table

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
            console.print(_line(runner.steps, monotonic() - started), highlight=False, soft_wrap=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(_table(runner.steps, monotonic() - started), refresh=True)
            await anyio.sleep(_TERMINAL_INTERVAL_S)


def show_report(report: Report, *, rejects: Path, quiet: bool) -> None:
    """Print the result: a table of the steps, the files, and what to do about rejects or an error."""
    console = Console(stderr=True, soft_wrap=True)
    seconds = (report.ended - report.started).total_seconds()
    if not quiet:
        console.print(_table(report.steps, seconds, final=True))
        for file in report.files:
            records = "" if file.records is None else f", {file.records:,} records"
            verb = "would deliver" if report.dry_run else "delivered"
            console.print(f"{verb} {file.name} ({size_text(file.bytes)}{records})", highlight=False, markup=False)
        dry = "dry run " if report.dry_run else ""
        console.print(f"{dry}{_WORDS[report.status]} in {seconds:.1f} s (job {report.job})", highlight=False)
    if report.rejects and rejects.exists():
        noun = "record" if report.rejects == 1 else "records"
        console.print(f"{report.rejects:,} {noun} rejected; see {rejects}", highlight=False, markup=False)
    if report.error:
        step = f'step "{report.error["step"]}": ' if report.error["step"] else ""
        console.print(
            f"error: {step}{report.error['message']}  [{report.error['code']}]", highlight=False, markup=False
        )
        if report.error["hint"]:
            console.print(report.error["hint"], highlight=False, markup=False)
        published = len(report.files)
        console.print(
            f"{published} of the files had been published before." if published else "Nothing was published.",
            highlight=False,
        )


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
    table.add_column("step")
    for title in ("in", "out", "rejected", "filtered", "bytes", "files", "records/s"):
        table.add_column(title, justify="right")
    if not final:
        table.add_column("")
    for step, counts in steps.items():
        records = max(counts.records_in, counts.records_out)
        rate = f"{records / seconds:,.0f}" if records and seconds > 0 else ""
        row = [
            step,
            *(f"{number:,}" if number else "" for number in (counts.records_in, counts.records_out)),
            *(f"{number:,}" if number else "" for number in (counts.rejected, counts.filtered)),
            size_text(counts.bytes) if counts.bytes else "",
            f"{counts.files:,}" if counts.files else "",
            rate,
        ]
        table.add_row(*row, *([] if final else ["done" if counts.activity is Activity.DONE else ""]))
    return table


def _line(steps: dict[str, StepCounts], seconds: float) -> str:
    parts = [
        f"{step} {max(counts.records_in, counts.records_out):,} records"
        + (f" {size_text(counts.bytes)}" if counts.bytes else "")
        for step, counts in steps.items()
    ]
    return f"{seconds:.0f} s: " + "; ".join(parts)
