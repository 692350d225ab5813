"""``landbridge audit``: who changed what."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.listing import JsonOption, print_rows
from landbridge.cli.place import DatabaseOption, DataOption, opened

if TYPE_CHECKING:
    from landbridge.jobs.db_audit import AuditRow

app = typer.Typer(help="Who changed what, when, and from where.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep ``list`` a command of its own, although it is the only one."""


@app.command("list")
def list_audit(
    actor: Annotated[str | None, typer.Option(help="Only what this one did.")] = None,
    action: Annotated[
        str | None,
        typer.Option(help="Only this, such as dataflow.change; with a dot at its end all of a kind: user."),
    ] = None,
    of: Annotated[
        str | None, typer.Option("--object", metavar="ID", help="Only what was done to the thing with this id or name.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Such as 2026-03-02 or 2026-03-02T05:00:00Z.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many lines.")] = 50,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the audit trail, the newest line first."""
    from landbridge.jobs import db_audit
    from landbridge.jobs.db_audit import Lines

    lines = Lines(actor=actor, action=action, object_id=of, since=_moment(since) if since else None)
    with opened(data, database) as db, db.read() as tx:
        rows = db_audit.listing(tx, lines, limit=limit)
    print_rows(rows, as_json=as_json, shown=_as_json, line=_line, none="no such lines")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f'"{text}" is not a time such as 2026-03-02T05:00:00Z', param_hint="--since") from None


def _line(row: AuditRow) -> str:
    where = f" from {row.address}" if row.address else ""
    details = "  " + json.dumps(row.details, ensure_ascii=False) if row.details else ""
    what = f"{row.object_kind} {row.object_id}".strip()
    return f"{row.at:%Y-%m-%d %H:%M:%S} UTC  {row.actor}{where}  {row.action}  {what}{details}".rstrip()


def _as_json(row: AuditRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": row.at.isoformat(),
        "actor": row.actor,
        "action": row.action,
        "objectKind": row.object_kind,
        "objectId": row.object_id,
        "address": row.address,
        "details": row.details,
    }
