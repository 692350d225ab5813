"""Alerts: whom to tell of what, and what was noticed."""

from __future__ import annotations

import secrets
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from pydantic import Field

from landbridge.errors import FlowError
from landbridge.jobs import db_alerts, db_dataflows, db_revisions
from landbridge.jobs.alert_delivery import AlertDelivery, test_message
from landbridge.jobs.alert_rules import RuleSettings, checked_settings, read_settings
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_alerts import AlertStatus, Channel, RuleRow
from landbridge.server.api.access import Editor, Viewer
from landbridge.server.api.etags import Base, BasedOn, Tags
from landbridge.server.api.pages import Page, Pages, TimePlace
from landbridge.server.api.place import Here
from landbridge.server.api.problems import INVALID_REQUEST, unprocessable
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Key, Shown

router = Routes(tag="alerts")

_MAX_RULES: Final = 500


class RuleShown(Shown):
    """Whom to tell of what."""

    id: str
    channel: Channel
    dataflow_id: Annotated[str | None, Field(description="Only for this dataflow; null for all.")]
    enabled: bool
    settings: RuleSettings
    created: datetime
    updated: datetime
    updated_by: str


class NewRule(Given):
    """A rule to be stored; it names either addresses or a webhook."""

    dataflow_id: Annotated[str | None, Field(max_length=255)] = None
    enabled: bool = True
    settings: RuleSettings
    secret: Annotated[
        str | None,
        Field(min_length=16, max_length=1000, description="Signs messages to the webhook; of a change: a new one."),
    ] = None


class RuleCreated(RuleShown):
    """A new rule."""

    secret: Annotated[
        str | None, Field(description="Signs messages to the webhook, where none was given. It is shown this once.")
    ] = None


class RuleList(Shown):
    """All rules."""

    items: list[RuleShown]


class AlertShown(Shown):
    """Something that was noticed."""

    id: str
    rule_id: Annotated[str | None, Field(description="Null for the addresses of a scheduling.")]
    dataflow_id: str | None
    job_id: str | None
    kind: str
    message: str
    status: Annotated[AlertStatus, Field(description="Whether it was told.")]
    occurrences: int
    attempts: int
    error: Annotated[str | None, Field(description="Why the last attempt to tell it failed.")]
    created: datetime
    closed: Annotated[datetime | None, Field(description="When it was over; null while it is not.")]


@router.get("/alerts")
def list_alerts(
    here: Here,
    _: Viewer,
    pages: Pages,
    dataflow_id: Annotated[str | None, Query(alias="dataflowId", max_length=255)] = None,
    open: Annotated[bool, Query(description="Only what is not over.")] = False,
) -> Page[AlertShown]:
    """List what was noticed, the newest first."""
    with here.database.read() as tx:
        rows = db_alerts.listing(
            tx, dataflow_id=dataflow_id, only_open=open, limit=pages.limit + 1, before=pages.position(TimePlace)
        )
    return pages.page(rows, place=lambda row: (row.created, row.id), shown=AlertShown.model_validate)


@router.get("/alert-rules")
def list_alert_rules(here: Here, _: Editor) -> RuleList:
    """List the rules, the oldest first. They hold people's addresses."""
    with here.database.read() as tx:
        return RuleList(items=[_shown(row) for row in db_alerts.rule_listing(tx, limit=_MAX_RULES)])


@router.post("/alert-rules", status_code=HTTPStatus.CREATED)
def create_alert_rule(here: Here, caller: Editor, tags: Tags, wanted: NewRule) -> RuleCreated:
    """Store a new rule. The secret of a webhook is made where none is given."""
    settings = _settings(wanted)
    secret = secrets.token_urlsafe(32) if wanted.settings.url and not wanted.secret else None
    with here.database.write() as tx:
        _check_dataflow(tx, wanted)
        row = db_alerts.add_rule(
            tx,
            kind="email" if wanted.settings.to else "webhook",
            settings=settings,
            by=caller.name,
            dataflow_id=wanted.dataflow_id,
            sealed=here.vault.seal({"secret": wanted.secret or secret}) if wanted.settings.url else None,
        )
        if not wanted.enabled:
            row = db_alerts.change_rule(
                tx, row.id, settings=settings, enabled=False, by=caller.name, dataflow_id=wanted.dataflow_id
            )
    tags.response.headers["Location"] = f"/api/v1/alert-rules/{row.id}"
    tags.shown(db_revisions.number(row.updated), _shown(row))
    return RuleCreated(**dict(_shown(row)), secret=secret)


@router.get("/alert-rules/{id}")
def show_alert_rule(here: Here, _: Editor, tags: Tags, id: Key) -> RuleShown:
    """Show a rule."""
    with here.database.read() as tx:
        row = db_alerts.rule(tx, id)
    return tags.shown(db_revisions.number(row.updated), _shown(row))


@router.put("/alert-rules/{id}")
def change_alert_rule(here: Here, caller: Editor, tags: Tags, base: BasedOn, id: Key, wanted: NewRule) -> RuleShown:
    """Replace a rule; its channel stays, and so does its secret where none is given."""
    settings = _settings(wanted)
    with here.database.write() as tx:
        before = _check(tx, id, base)
        if before.kind != ("email" if wanted.settings.to else "webhook"):
            raise _other_channel()
        _check_dataflow(tx, wanted)
        row = db_alerts.change_rule(
            tx,
            id,
            settings=settings,
            enabled=wanted.enabled,
            by=caller.name,
            dataflow_id=wanted.dataflow_id,
            sealed=here.vault.seal({"secret": wanted.secret}) if wanted.secret else None,
        )
    return tags.shown(db_revisions.number(row.updated), _shown(row))


@router.delete("/alert-rules/{id}", status_code=HTTPStatus.NO_CONTENT)
def remove_alert_rule(here: Here, caller: Editor, base: BasedOn, id: Key) -> Response:
    """Remove a rule and what was noticed for it."""
    with here.database.write() as tx:
        _check(tx, id, base)
        db_alerts.remove_rule(tx, id, by=caller.name)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post("/alert-rules/{id}/test", status_code=HTTPStatus.NO_CONTENT)
async def try_alert_rule(here: Here, _: Editor, request: Request, id: Key) -> Response:
    """Send a message to those whom a rule tells."""

    def read() -> RuleRow:
        with here.database.read() as tx:
            return db_alerts.rule(tx, id)

    rule = await request.app.state.threads.run(read)
    await AlertDelivery(here.database, here.vault).send(test_message(rule), rule)  # it has time-outs of its own
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _settings(wanted: NewRule) -> dict[str, Any]:
    given = wanted.settings.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return checked_settings(given).as_json()


def _check_dataflow(tx: Transaction, wanted: NewRule) -> None:
    if wanted.dataflow_id is not None:
        with unprocessable(db_dataflows.UNKNOWN_DATAFLOW):
            db_dataflows.get(tx, wanted.dataflow_id)


def _check(tx: Transaction, id: str, base: Base) -> RuleRow:
    db_alerts.rule(tx, id)
    base.check(db_revisions.locked(tx, "alert_rule", id))
    return db_alerts.rule(tx, id)


def _other_channel() -> FlowError:
    return FlowError(
        INVALID_REQUEST, "a rule stays with e-mail or with its webhook", hint="Remove it and add another one."
    )


def _shown(row: RuleRow) -> RuleShown:
    return RuleShown(
        id=row.id,
        channel=row.kind,
        dataflow_id=row.dataflow_id,
        enabled=row.enabled,
        settings=read_settings(row.settings),
        created=row.created,
        updated=row.updated,
        updated_by=row.updated_by,
    )
