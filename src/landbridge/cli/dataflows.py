"""``landbridge dataflows``: the dataflows that the service keeps, with all their versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.listing import JsonOption, print_json, print_rows
from landbridge.cli.place import DatabaseOption, DataOption, opened, vault_of, who

if TYPE_CHECKING:
    from landbridge.jobs.db_dataflows import DataflowRow

app = typer.Typer(help="The dataflows that the service keeps, with their versions.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="DATAFLOW", help="Its name or id.")]
VersionOption = Annotated[int | None, typer.Option("--version", min=1, help="Which version; else the newest.")]


@app.command("list")
def list_dataflows(data: DataOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """List the dataflows with version and last successful run."""
    from landbridge.jobs import db_dataflows

    with opened(data, database) as db, db.read() as tx:
        rows = db_dataflows.listing(tx, limit=100_000)
    none = "no dataflows; add one with `landbridge dataflows add FILE`"
    print_rows(rows, as_json=as_json, shown=_as_json, line=_line, none=none)


@app.command("add")
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Dataflow files.")],
    data: DataOption = None,
    database: DatabaseOption = None,
    replace: Annotated[bool, typer.Option(help="A dataflow of the same name gets a new version.")] = True,
) -> None:
    """Store dataflows. One whose name is known becomes a new version of it.

    Secrets are stored encrypted and shown as ********; the mask in a file keeps the stored secret.
    """
    from landbridge.dataflow import Dataflow
    from landbridge.jobs.documents import Documents
    from landbridge.jobs.flows import store

    flows = [(file, Dataflow.read(file)) for file in files]
    with opened(data, database) as db, db.write() as tx:
        documents = Documents(vault_of(db, data))
        for file, flow in flows:
            stored = store(tx, documents, flow, by=who(), replace=replace, fallback_name=file.stem)
            verb = "unchanged" if not stored.changed else "added" if stored.row.version == 1 else "changed"
            typer.echo(f"{stored.row.id}  {stored.row.name}  ({verb}, version {stored.row.version})")


@app.command("show")
def show(
    name: NameArgument, version: VersionOption = None, data: DataOption = None, database: DatabaseOption = None
) -> None:
    """Show the steps of a dataflow."""
    from landbridge.dataflow import Dataflow
    from landbridge.jobs import db_dataflows

    with opened(data, database) as db, db.read() as tx:
        row = db_dataflows.find(tx, name)
        found = db_dataflows.version(tx, row.id, version)
    flow = Dataflow.load(found.document)
    typer.echo(
        f"{found.name}  (version {found.version} of {row.version}, {found.created:%Y-%m-%d %H:%M} UTC by "
        f"{found.created_by or 'unknown'})"
    )
    if flow.description:
        typer.echo(flow.description)
    for step in flow.steps:
        targets = "".join(f" -> {target}" for target in step.next) + "".join(f" -error-> {t}" for t in step.error)
        typer.echo(f"  {step.id}  [{step.type}]{targets}")


@app.command("export")
def export(
    name: NameArgument,
    version: VersionOption = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Print a dataflow as JSON, with masked secrets."""
    from landbridge.jobs import db_dataflows

    with opened(data, database) as db, db.read() as tx:
        found = db_dataflows.version(tx, db_dataflows.find(tx, name).id, version)
    if output is None:
        typer.echo(found.document, nl=False)
    else:
        output.write_text(found.document, encoding="utf-8")


@app.command("versions")
def versions(
    name: NameArgument, data: DataOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """List the versions of a dataflow, the newest first."""
    from landbridge.jobs import db_dataflows

    with opened(data, database) as db, db.read() as tx:
        rows = db_dataflows.all_versions(tx, db_dataflows.find(tx, name).id)
    if as_json:
        listed = [
            {"version": row.version, "name": row.name, "created": row.created.isoformat(), "createdBy": row.created_by}
            for row in rows
        ]
        print_json(listed)
        return
    for row in rows:
        typer.echo(f"{row.version:>5}  {row.created:%Y-%m-%d %H:%M:%S} UTC  {row.created_by or 'unknown'}  {row.name}")


@app.command("diff")
def diff(
    name: NameArgument,
    old: Annotated[int | None, typer.Argument(metavar="[OLD]", min=1, help="A version; else the last but one.")] = None,
    new: Annotated[int | None, typer.Argument(metavar="[NEW]", min=1, help="A version; else the newest.")] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Show what changed between two versions. Secrets are masked, so a new password shows no difference."""
    from landbridge.jobs import db_dataflows
    from landbridge.jobs.flows import difference

    with opened(data, database) as db, db.read() as tx:
        row = db_dataflows.find(tx, name)
        after = db_dataflows.version(tx, row.id, new)
        before = db_dataflows.version(tx, row.id, old or max(1, after.version - 1))
    for line in difference(before, after):
        typer.echo(line)


@app.command("remove")
def remove(name: NameArgument, data: DataOption = None, database: DatabaseOption = None) -> None:
    """Remove a dataflow and its drafts. What is known of its jobs stays."""
    from landbridge.jobs import db_dataflows

    with opened(data, database) as db, db.write() as tx:
        row = db_dataflows.find(tx, name)
        db_dataflows.remove(tx, row.id, by=who())
    typer.echo(f"removed {row.name} ({row.id})")


def _line(row: DataflowRow) -> str:
    last = f"{row.last_runtime:%Y-%m-%d %H:%M} UTC" if row.last_runtime else "never"
    return f"{row.id}  {row.name}  (version {row.version}, last successful run {last})"


def _as_json(row: DataflowRow) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "version": row.version,
        "lastRuntime": row.last_runtime.isoformat() if row.last_runtime else None,
        "created": row.created.isoformat(),
        "updated": row.updated.isoformat(),
        "updatedBy": row.updated_by,
    }
