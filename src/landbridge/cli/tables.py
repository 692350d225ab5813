"""Tables of a job's counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from landbridge.cli.sizes import size_text
from landbridge.engine.counts import Activity, StepCounts


def steps_table(steps: dict[str, StepCounts], seconds: float, *, final: bool = False) -> Table:
    """The counts of each step; ``final`` leaves out what only tells of work under way."""
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


def guard_line(trip: Mapping[str, Any]) -> str:
    """What a guard would have stopped in a dry run; see ``engine.guards.Trip``."""
    return f'a guard would stop step "{trip["step"]}": {trip["message"]}  [{trip["code"]}]'


def planned_table(planned: Mapping[str, Mapping[str, int]]) -> Table:
    """What each writer would have done, in records."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("planned", no_wrap=True)
    for title in _PLANNED.values():
        table.add_column(title, justify="right", no_wrap=True)
    for step, counts in planned.items():
        table.add_row(escape(step), *(f"{counts[name]:,}" if counts[name] else "" for name in _PLANNED))
    return table
