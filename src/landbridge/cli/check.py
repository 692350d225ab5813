"""``landbridge check``: whether the far sides of a dataflow are fit for it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.place import DatabaseOption, DataOption
from landbridge.cli.run import placeholders

if TYPE_CHECKING:
    from landbridge.components.check import Finding
    from landbridge.dataflow.connections import Connected

_MARKS = {"ok": "ok", "created": "created", "warning": "WARNING", "failed": "FAILED"}


def check(
    flow: Annotated[Path, typer.Argument(metavar="FLOW", help="Dataflow file.")],
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Fill the placeholder {{NAME}}.")
    ] = None,
    values_file: Annotated[
        Path | None, typer.Option("--values", metavar="FILE", help="JSON object with values for placeholders.")
    ] = None,
    step: Annotated[
        list[str] | None, typer.Option("--step", metavar="ID", help="Test this step only; may be given several times.")
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="First make what is missing there: columns, tables, associations.")
    ] = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Test the far side of each step: login, folders, database, columns, permissions. Nothing is sent.

    Exit code 1 when something must be corrected; warnings do not count.
    """
    import anyio

    from landbridge.cli.connected import connected
    from landbridge.dataflow import Dataflow

    filled = placeholders(values or [], values_file)
    whole = connected(Dataflow.read(flow), data=data, database=database)
    failures = anyio.run(_check, whole, filled, step or [], create)
    typer.echo("\nall is well" if not failures else f"\n{failures} to correct")
    raise typer.Exit(1 if failures else 0)


async def _check(flow: Connected, filled: dict[str, str], wanted: list[str], create: bool) -> int:
    from landbridge.cli.log import log_to_stderr
    from landbridge.components.check import created, tested
    from landbridge.engine.redaction import Redaction
    from landbridge.jobs import far_sides

    failures = 0
    with tempfile.TemporaryDirectory(prefix="landbridge-") as spool:
        found = list(far_sides.of_dataflow(flow, placeholders=filled, spool=Path(spool), values_may_refer=True))
        log_to_stderr(Redaction(found[0].secrets if found else ()), debug=False)
        for far_side in found:
            if wanted and far_side.name not in wanted:
                continue
            typer.echo(f"{far_side.name}: {far_side.component.spec.id}")
            if create:
                failures += await shown_findings(created(far_side.component))
            failures += await shown_findings(tested(far_side.component))
    return failures


async def shown_findings(findings: AsyncGenerator[Finding]) -> int:
    """Print findings as they come; gives how many must be corrected."""
    failures = 0
    async with aclosing(findings):
        async for finding in findings:
            failures += finding.verdict == "failed"
            typer.echo(f"  {_MARKS[finding.verdict]:<8} {finding.what}: {finding.message}")
            if finding.hint and finding.verdict != "ok":
                typer.echo(f"           {finding.hint}")
    return failures
