"""Tells people of alerts: takes them from the database and sends them, again and again until somebody takes them."""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio
import anyio.to_thread

from landbridge.errors import FlowError, LandbridgeError, TransientError
from landbridge.jobs import alerts, db_alerts
from landbridge.jobs.alert_rules import read_settings
from landbridge.jobs.db import Database
from landbridge.jobs.db_alerts import AlertRow, AlertStatus, RuleRow
from landbridge.jobs.vault import Vault
from landbridge.remote.mail import URL_VARIABLE, Mail, MailServer, send_mail
from landbridge.remote.webhook import post_webhook

_LOG = logging.getLogger("landbridge.alerts")

DELAYS: Final = (
    timedelta(0),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
)
"""How long to wait before each attempt; then the alert is given up. The only place where alerts are repeated."""

_LEASE: Final = timedelta(minutes=5)
"""Longer than any attempt takes."""

_ROUND_S: Final = 2.0
_LATE_ROUND_S: Final = 30.0
_AT_ONCE: Final = 4


class AlertDelivery:
    """Sends alerts; any number of processes may do so on one database.

    Args:
        database: Where alerts are.
        vault: Opens the secrets of webhooks.
        environ: Names the mail server.
        delays: See DELAYS.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        environ: Mapping[str, str] | None = None,
        delays: tuple[timedelta, ...] = DELAYS,
    ) -> None:
        self._database = database
        self._vault = vault
        self._environ = os.environ if environ is None else environ
        self._delays = delays
        self._looked_for_late = 0.0

    async def run(self) -> None:
        """Send alerts until the task is cancelled. Faults of the database are waited out."""
        while True:
            try:
                await self.round()
            except LandbridgeError as failure:
                _LOG.error("alerts wait for the database: %s", failure)
            except Exception:  # noqa: BLE001 - one fault of ours must not silence all alerts
                _LOG.exception("a round of alerts failed")
            await anyio.sleep(_ROUND_S)

    async def round(self) -> int:
        """Send what is to be sent now; gives the number of attempts.

        Raises:
            StorageError: The database cannot be used.
        """
        if time.monotonic() - self._looked_for_late > _LATE_ROUND_S or not self._looked_for_late:
            await anyio.to_thread.run_sync(self._notice_late)
            self._looked_for_late = time.monotonic()
        taken = await anyio.to_thread.run_sync(self._take)
        limit = anyio.CapacityLimiter(_AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for row, rule in taken:
                tasks.start_soon(self._tell, row, rule, limit)
        return len(taken)

    async def _tell(self, row: AlertRow, rule: RuleRow | None, limit: anyio.CapacityLimiter) -> None:
        async with limit:
            error: str | None = None
            try:
                await self.send(row, rule)
                status: AlertStatus = "sent"
            except LandbridgeError as failure:
                more = isinstance(failure, TransientError) and row.attempts + 1 < len(self._delays)
                status = "pending" if more else "given_up"
                error = f"{failure.message}  [{failure.code}]"
                _LOG.log(
                    logging.WARNING if more else logging.ERROR,
                    "alert %s was not sent (attempt %d%s): %s",
                    row.id,
                    row.attempts + 1,
                    "" if more else ", the last one",
                    failure,
                )
        await anyio.to_thread.run_sync(self._told, row.id, status, error)

    async def send(self, row: AlertRow, rule: RuleRow | None) -> None:
        """Send one alert; one attempt.

        Raises:
            LandbridgeError: It was not sent; see ``send_mail`` and ``post_webhook``. LB-1744, no server is named.
        """
        if rule is not None and rule.kind == "webhook":
            secret = self._vault.unseal(rule.sealed)["secret"] if rule.sealed else ""
            body = json.dumps(_as_json(row), ensure_ascii=False, separators=(",", ":")).encode()
            url = read_settings(rule.settings).url
            await post_webhook(url, body, id=row.id, secret=secret, timestamp=int(time.time()))
            return
        to = read_settings(rule.settings).to if rule is not None else tuple(row.details.get("to", ()))
        server = MailServer.from_environment(self._environ)
        if server is None:
            hint = f"Set {URL_VARIABLE}=smtp://user:password@host:587 where the service runs."
            raise FlowError("LB-1744", "an alert is to be sent by e-mail, and no mail server is named", hint=hint)
        mail = Mail(id=f"{row.id}.{rule.id if rule else 'scheduling'}", to=to, subject=_subject(row), text=_text(row))
        refused = await send_mail(server, mail)
        if refused:
            _LOG.warning("the mail server refused %d of %d addresses of alert %s", refused, len(to), row.id)

    # -- in threads ------------------------------------------------------------------------------------------------

    def _notice_late(self) -> None:
        with self._database.write() as tx:
            alerts.notice_late(tx)

    def _take(self) -> list[tuple[AlertRow, RuleRow | None]]:
        with self._database.read() as tx:
            if not db_alerts.is_anything_to_tell(tx):
                return []
        with self._database.write() as tx:
            rows = db_alerts.take(tx, delays=self._delays, lease=_LEASE)
            return [(row, db_alerts.rule(tx, row.rule_id) if row.rule_id else None) for row in rows]

    def _told(self, id: str, status: AlertStatus, error: str | None) -> None:
        with self._database.write() as tx:
            db_alerts.told(tx, id, status=status, error=error)


def test_message(rule: RuleRow) -> AlertRow:
    """What a rule's addresses or webhook get to see that it works."""
    moment = datetime.now(UTC)
    return AlertRow(
        id=uuid.uuid4().hex,
        rule_id=rule.id,
        dataflow_id=rule.dataflow_id,
        job_id=None,
        kind="test",
        status="pending",
        message="this is a test of an alert",
        occurrences=1,
        attempts=0,
        details={},
        created=moment,
        updated=moment,
        closed=moment,
    )


def _subject(row: AlertRow) -> str:
    return f"landbridge: {row.message}"


def _text(row: AlertRow) -> str:
    details = row.details
    lines = [row.message + ".", ""]
    shown = (
        ("job", "job"),
        ("scheduling", "scheduling"),
        ("planned", "planned"),
        ("started", "started"),
        ("status", "status"),
        ("step", "step"),
    )
    lines += [f"{title:11} {details[key]}" for key, title in shown if details.get(key)]
    if "records" in details:
        counts = f"{details['records']:,} read, {details['delivered']:,} delivered, {details['rejected']:,} rejected"
        lines.append(f"{'records':11} {counts}")
    if details.get("code"):
        lines += ["", f"{details['code']}: {details.get('meaning', '')}"]
    lines += [f"{guard['step']}: {guard['message']}" for guard in details.get("guards", ())]
    if details.get("guards"):
        lines += ["", f"If this is meant: landbridge jobs approve {details['job']}"]
    if details.get("job"):
        lines += ["", f"More: landbridge jobs show {details['job']}"]
    return "\n".join(lines) + "\n"


def _as_json(row: AlertRow) -> dict[str, Any]:
    facts = {key: value for key, value in row.details.items() if key != "to"}
    return {
        "id": row.id,
        "kind": row.kind,
        "message": row.message,
        "time": row.created.isoformat(timespec="milliseconds"),
        "dataflowId": row.dataflow_id,
        "jobId": row.job_id,
        "details": facts,
    }
