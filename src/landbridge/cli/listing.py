"""How the commands print what they found: JSON for programs, a line each for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer

T = TypeVar("T")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(value: Any) -> None:
    """Print a JSON value."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(
    rows: Sequence[T], *, as_json: bool, shown: Callable[[T], Any], line: Callable[[T], str], none: str
) -> None:
    """Print all rows.

    Args:
        rows: What was found.
        as_json: One JSON array in place of lines.
        shown: The JSON value of a row.
        line: The text of a row.
        none: What people are told where there are none.
    """
    if as_json:
        print_json([shown(row) for row in rows])
        return
    for row in rows:
        typer.echo(line(row))
    if not rows:
        typer.echo(none, err=True)
