"""The identity repository behind the API: the store, the schemas, and what methods share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

import msgspec

from landbridge.gigya_wire.cursors import Cursors
from landbridge.gigya_wire.replies import Payload
from landbridge.site.accounts import encode
from landbridge.site.audit import audit_record
from landbridge.site.calls import Call
from landbridge.site.credentials import Credentials
from landbridge.site.faults import Faults, Limits, Switches
from landbridge.site.fresh_schemas import default_schemas
from landbridge.site.schema import SECTIONS, Schema
from landbridge.site.snapshot import Snapshot
from landbridge.site.store import Store
from landbridge.site.store_session import Session

T = TypeVar("T")

OUTBOX: Final = "outbox"
WEBHOOK: Final = "webhook"


def now_ms() -> int:
    """The present moment, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Repository:
    """One site's identities.

    Attributes:
        store: Where everything is kept.
        credentials: The site's and its application's keys.
        switches: How the site behaves.
        faults: What goes wrong on purpose.
        limits: The calls counted against rate limits.
        cursors: The searches that are being paged through.
        schemas: The account's schemas by section.
        object_schemas: The data store's schemas by type.
        webhooks: Definitions of webhooks by name.
        mail: Set when there is something to deliver.
        clock: Gives the present moment, in milliseconds since 1970.
    """

    store: Store
    credentials: Credentials
    switches: Switches = field(default_factory=Switches)
    faults: Faults = field(default_factory=Faults)
    limits: Limits = field(default_factory=Limits)
    cursors: Cursors[Snapshot] = field(default_factory=Cursors)
    schemas: dict[str, Schema] = field(default_factory=default_schemas)
    object_schemas: dict[str, Schema] = field(default_factory=dict)
    webhooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    mail: asyncio.Event = field(default_factory=asyncio.Event)
    clock: Callable[[], int] = now_ms

    async def load(self) -> Self:
        """Read the schemas and webhooks that were set earlier."""

        def stored(session: Session) -> dict[str, list[tuple[str, bytes]]]:
            return {kind: session.documents(kind) for kind in ("schema", "object_schema", WEBHOOK)}

        found = await self.store.read(stored)
        for name, text in found["schema"]:
            if name in SECTIONS:
                self.schemas[name] = Schema.of(msgspec.json.decode(text))
        self.object_schemas |= {name: Schema.of(msgspec.json.decode(text)) for name, text in found["object_schema"]}
        self.webhooks |= {name: msgspec.json.decode(text) for name, text in found[WEBHOOK]}
        return self

    async def write(self, call: Call, work: Callable[[Session], Payload]) -> Payload:
        """Run the writing part of a call, and write its line of the audit log in the same transaction."""

        def audited(session: Session) -> Payload:
            payload = work(session)
            if call.is_audited:
                record = audit_record(call, payload, self.credentials.api_key)
                session.append_audit(record["@timestamp"], encode(record))
            return payload

        payload = await self.store.write(audited)
        if self.webhooks:
            self.mail.set()
        return payload

    def announce(self, session: Session, call: Call, event: str, *, uid: str, lite: bool = False, **data: Any) -> None:
        """Put an event into the outbox of every webhook that wants it."""
        wanting = [name for name, hook in self.webhooks.items() if hook.get("active") and event in hook["events"]]
        if not wanting or call.parameters.boolean("muteWebhooks"):
            return
        body = {
            "type": event,
            "timestamp": call.now_ms // 1000,
            "callId": call.call_id,
            "apiKey": self.credentials.api_key,
            "data": {"accountType": "lite" if lite else "full", "uid": uid, **data},
        }
        for name in wanting:
            # The key sorts by the order in which the writes happened.
            session.put_document(f"{OUTBOX}:{name}", f"{time.time_ns():020d}-{event}", encode(body))

    def written_before_ms(self, now: int) -> int | None:
        """Up to when searches see what was written; None for all of it."""
        delay = self.switches.index_delay_s
        return None if delay == 0 else now - int(delay * 1000)
