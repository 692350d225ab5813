"""``landbridge alerts``: who is told when a job goes wrong, and what was noticed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.listing import JsonOption, print_rows
from landbridge.cli.place import DatabaseOption, DataOption, opened, vault_of, who

if TYPE_CHECKING:
    from landbridge.jobs.alert_rules import RuleSettings
    from landbridge.jobs.db_alerts import AlertRow, RuleRow

app = typer.Typer(help="Who is told when jobs go wrong, and what was noticed.", no_args_is_help=True)

RuleArgument = Annotated[str, typer.Argument(metavar="RULE", help="Its id.")]
_STATUS = {
    "pending": "not told yet",
    "sending": "being told",
    "sent": "told",
    "given_up": "given up (attempts: {attempts})",
}


@app.command("add")
def add(
    *,
    mail: Annotated[str | None, typer.Option(metavar="ADDRESSES", help="Tell these addresses by e-mail.")] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Tell this webhook.")] = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="KINDS",
            help="failure, stalled, guard, rejects, late, volume, recovery, success; all but the last without it.",
        ),
    ] = None,
    flow: Annotated[str | None, typer.Option("--flow", metavar="DATAFLOW", help="Only for this dataflow.")] = None,
    every: Annotated[bool, typer.Option("--every", help="Tell every time, not only the first until it is over.")] = (
        False
    ),
    rejects_over: Annotated[int, typer.Option(min=0, metavar="N", help="Tell of more rejects than this.")] = 0,
    rejects_share_over: Annotated[
        float, typer.Option(min=0, max=100, metavar="PERCENT", help="And of more than this share of the records.")
    ] = 0.0,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Add a rule: whom to tell of what.

    A webhook's secret, which signs the messages, is read from the environment variable LANDBRIDGE_WEBHOOK_SECRET;
    without it one is made and printed.
    """
    import secrets

    from landbridge.jobs import db_alerts, db_dataflows
    from landbridge.jobs.alert_rules import checked_settings

    if (mail is None) == (webhook is None):
        raise typer.BadParameter("give either --mail or --webhook")
    settings: dict[str, Any] = {"repeat": "every" if every else "first"}
    settings |= {"rejectsOver": rejects_over, "rejectsShareOver": rejects_share_over}
    if on:
        settings["kinds"] = [word.strip() for word in on.split(",") if word.strip()]
    if mail is not None:
        settings["to"] = [word.strip() for word in mail.split(",") if word.strip()]
    else:
        settings["url"] = webhook
    given = os.environ.get("LANDBRIDGE_WEBHOOK_SECRET")
    secret = given or secrets.token_urlsafe(32)
    with opened(data, database) as db, db.write() as tx:
        row = db_alerts.add_rule(
            tx,
            kind="email" if mail is not None else "webhook",
            settings=checked_settings(settings).as_json(),
            by=who(),
            dataflow_id=db_dataflows.find(tx, flow).id if flow else None,
            sealed=None if mail is not None else vault_of(db, data).seal({"secret": secret}),
        )
    typer.echo(row.id)
    if webhook is not None and not given:
        typer.echo(f"secret of the webhook, shown this once: {secret}", err=True)


@app.command("rules")
def rules(data: DataOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """List the rules."""
    from landbridge.jobs import db_alerts

    with opened(data, database) as db, db.read() as tx:
        rows = db_alerts.rule_listing(tx)
    none = "no rules; add one with `landbridge alerts add`"
    print_rows(rows, as_json=as_json, shown=_rule_as_json, line=_rule_line, none=none)


@app.command("list")
def list_alerts(
    only_open: Annotated[bool, typer.Option("--open", help="Only what is not over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was noticed, the newest first, and whether it was told.

    An alert is given up when its last attempt has failed, or the first one in a way that no other attempt would
    mend: nobody was told. The reason is shown.
    """
    from landbridge.jobs import db_alerts
    from landbridge.jobs.alert_rules import read_settings

    with opened(data, database) as db, db.read() as tx:
        rows = db_alerts.listing(tx, only_open=only_open, limit=limit)
        known = {row.id: read_settings(row.settings) for row in db_alerts.rule_listing(tx)}
    print_rows(rows, as_json=as_json, shown=_alert_as_json, line=lambda row: _alert_line(row, known), none="no alerts")


@app.command("test")
def send_test(rule: RuleArgument, data: DataOption = None, database: DatabaseOption = None) -> None:
    """Send a message to those whom a rule tells, now and from this machine."""
    import anyio

    from landbridge.jobs import db_alerts
    from landbridge.jobs.alert_delivery import AlertDelivery, test_message

    with opened(data, database) as db:
        with db.read() as tx:
            row = db_alerts.rule(tx, rule)
        anyio.run(AlertDelivery(db, vault_of(db, data)).send, test_message(row), row)
    typer.echo("sent")


@app.command("remove")
def remove(rule: RuleArgument, data: DataOption = None, database: DatabaseOption = None) -> None:
    """Remove a rule and what was noticed for it."""
    from landbridge.jobs import db_alerts

    with opened(data, database) as db, db.write() as tx:
        db_alerts.remove_rule(tx, rule, by=who())
    typer.echo(f"{rule}  (removed)")


def _rule_as_json(row: RuleRow) -> dict[str, Any]:
    return {"id": row.id, "dataflowId": row.dataflow_id, "channel": row.kind, "settings": row.settings}


def _rule_line(row: RuleRow) -> str:
    from landbridge.jobs.alert_rules import read_settings

    settings = read_settings(row.settings)
    whom = ", ".join(settings.to) or settings.url
    where = f"dataflow {row.dataflow_id}" if row.dataflow_id else "all dataflows"
    return f"{row.id}  {row.kind} to {whom}, {where}: {', '.join(settings.kinds)} ({settings.repeat})"


def _alert_as_json(row: AlertRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "message": row.message,
        "status": row.status,
        "occurrences": row.occurrences,
        "dataflowId": row.dataflow_id,
        "jobId": row.job_id,
        "ruleId": row.rule_id,
        "attempts": row.attempts,
        "error": row.error,
        "created": row.created.isoformat(),
        "closed": row.closed.isoformat() if row.closed else None,
    }


def _alert_line(row: AlertRow, known: Mapping[str, RuleSettings]) -> str:
    """What was noticed, and below it who was to be told."""
    state = "over" if row.closed else "open"
    times = f", {row.occurrences} times" if row.occurrences > 1 else ""
    told = _STATUS[row.status].format(attempts=row.attempts)
    settings = known.get(row.rule_id or "")
    to = settings.to or (settings.url,) if settings else row.details.get("to", ())
    by = f"rule {row.rule_id}" if row.rule_id else "the scheduling"
    job = f", job {row.job_id}" if row.job_id else ""
    lines = [
        f"{row.created:%Y-%m-%d %H:%M:%S} UTC  {row.kind:9} {state}, {told}{times}  {row.message}",
        f"    {by} to {', '.join(to)}{job}",
    ]
    if row.error:
        lines.append(f"    not told: {row.error}")
    return "\n".join(lines)
