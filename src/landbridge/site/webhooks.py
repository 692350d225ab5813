"""Webhooks: their definitions, and the sender that delivers what the outbox holds."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import msgspec

from landbridge.errors import LandbridgeError
from landbridge.gigya_wire.keys import base64url, from_pem, signed_jwt
from landbridge.gigya_wire.replies import ApiError, Payload, invalid, missing
from landbridge.site.accounts import decode, encode
from landbridge.site.calls import Call, Method, method
from landbridge.site.repository import OUTBOX, WEBHOOK, Repository
from landbridge.site.store_session import Session

EVENTS: Final = frozenset((
    "accountCreated", "accountRegistered", "accountUpdated", "accountLoggedIn", "accountDeleted",
    "accountLockedOut", "accountMerged", "accountProgressed", "accountUidChanged", "sitePreferencesReset",
    "subscriptionUpdated", "consentUpdated", "communicationUpdated",
))  # fmt: skip
VERSIONS: Final = ("2.0", "3.0")
BATCH: Final = 100
TIMEOUT_S: Final = 10.0
MAX_PAUSE_S: Final = 3600.0
_NAME_CHARS: Final = 100
_TOKEN_LIFETIME_S: Final = 60
_OK: Final = range(200, 300)


async def set_webhook(repository: Repository, call: Call) -> Payload:
    """accounts.webhooks.set: create a webhook or change the one of this name."""
    parameters = call.parameters
    name, url = parameters.required("name"), parameters.required("url")
    if len(name) > _NAME_CHARS or not re.fullmatch(r"[^\x00-\x1f]+", name):
        raise invalid("name", f"is longer than {_NAME_CHARS} characters")
    if not _is_allowed(url):
        raise invalid("url", "is not an https URL")
    events = parameters.names("events")
    unknown = [event for event in events if event not in EVENTS]
    if not events or unknown:
        raise invalid("events", f"there is no event {unknown[0]}") if unknown else missing("events")
    version = parameters.text("version") or "2.0"
    if version not in VERSIONS:
        raise invalid("version", f"is none of {', '.join(VERSIONS)}")
    if any(hook["url"] == url and other != name for other, hook in repository.webhooks.items()):
        raise ApiError(400003, "Another webhook has this url")
    headers = parameters.json("headers") or []
    if not isinstance(headers, list) or not all(_is_header(header) for header in headers):
        raise invalid("headers", "is not an array of {name, value}")
    active = parameters.boolean("active")
    known = repository.webhooks.get(name, {})
    hook = {
        "id": known.get("id") or str(uuid4()),
        "name": name,
        "url": url,
        "events": events,
        "active": True if active is None else active,
        "version": version,
        "headers": headers,
        "product": "UserManagement",
        "useXfCredentials": False,
        **({"signingUserKey": key} if (key := parameters.text("signingUserKey")) else {}),
    }

    def keep(session: Session) -> Payload:
        session.put_document(WEBHOOK, name, encode(hook))
        return {}

    await repository.write(call, keep)
    repository.webhooks = {**repository.webhooks, name: hook}
    return {}


async def get_webhooks(repository: Repository, call: Call) -> Payload:
    """accounts.webhooks.getAll."""
    del call
    return {"webhooks": list(repository.webhooks.values())}


async def delete_webhook(repository: Repository, call: Call) -> Payload:
    """accounts.webhooks.delete; what it has not delivered is lost with it."""
    name = call.parameters.required("name")

    def delete(session: Session) -> Payload:
        if not session.delete_document(WEBHOOK, name):
            raise ApiError(404000, "There is no webhook of this name")
        for key, _ in session.documents(f"{OUTBOX}:{name}"):
            session.delete_document(f"{OUTBOX}:{name}", key)
        return {}

    await repository.write(call, delete)
    repository.webhooks = {other: hook for other, hook in repository.webhooks.items() if other != name}
    return {}


async def get_status(repository: Repository, call: Call) -> Payload:
    """accounts.webhooks.getStatus: how the last delivery went."""
    url = call.parameters.required("url")
    text = await repository.store.read(lambda session: session.document("webhook_status", url))
    if text is None:
        raise ApiError(404000, "Nothing has been delivered to this url")
    return {"webhookStatus": decode(text)}


class Sender:
    """Delivers the outbox: at least once, in order for each webhook, with growing pauses after a failure.

    Args:
        repository: Whose outbox.
        first_pause_s: The pause after the first failure; it doubles with every further one, up to an hour.
    """

    def __init__(self, repository: Repository, *, first_pause_s: float = 1.0) -> None:
        self._repository = repository
        self._first_pause_s = first_pause_s
        self._pauses: dict[str, float] = {}
        self._not_before: dict[str, float] = {}

    async def run(self) -> None:
        """Deliver until cancelled."""
        repository = self._repository
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http:
            while True:
                repository.mail.clear()
                waiting = False
                for name, hook in list(repository.webhooks.items()):
                    waiting |= hook["active"] and await self._deliver(http, name, hook)
                wait_s = self._first_pause_s / 2 if waiting else None
                try:
                    async with asyncio.timeout(wait_s):
                        await repository.mail.wait()
                except TimeoutError:
                    continue

    async def _deliver(self, http: aiohttp.ClientSession, name: str, hook: Mapping[str, Any]) -> bool:
        """Deliver what waits for one webhook; whether something still waits."""
        loop = asyncio.get_running_loop()
        store, kind = self._repository.store, f"{OUTBOX}:{name}"
        while True:
            found = (await store.read(lambda session: session.documents(kind)))[:BATCH]
            if not found:
                return False
            if loop.time() < self._not_before.get(name, 0.0):
                return True
            keys = [key for key, _ in found]
            status, message = await self._post(http, hook, keys, [decode(text) for _, text in found])
            delivered = status in _OK
            report = {"statusCode": status, "lastSent": self._repository.clock(), "message": message}
            settle = partial(_settle, url=hook["url"], report=report, kind=kind, delivered=keys if delivered else [])
            try:
                await store.write(settle)
            except LandbridgeError:
                delivered = False
            if not delivered:
                pause_s = min(MAX_PAUSE_S, self._pauses.get(name, self._first_pause_s))
                self._pauses[name], self._not_before[name] = pause_s * 2, loop.time() + pause_s
                return True
            self._pauses.pop(name, None)

    async def _post(
        self, http: aiohttp.ClientSession, hook: Mapping[str, Any], keys: list[str], events: list[dict[str, Any]]
    ) -> tuple[int, str]:
        now = self._repository.clock() // 1000
        nonce = str(uuid4())
        # An event's id follows from its place in the outbox, so that a second delivery can be recognised.
        numbered = [
            {"type": event["type"], "id": _event_id(key), **event, "version": hook["version"]}
            for key, event in zip(keys, events, strict=True)
        ]
        body = msgspec.json.encode({"events": numbered, "nonce": nonce, "timestamp": now})
        headers = {header["name"]: header["value"] for header in hook["headers"]} | self._signatures(body, nonce, now)
        times = 2 if self._repository.switches.duplicate_webhooks else 1
        try:
            for _ in range(times):
                async with http.post(hook["url"], data=body, headers=headers, allow_redirects=False) as reply:
                    status = reply.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, type(error).__name__
        return status, "OK" if status in _OK else "the receiver refused"

    def _signatures(self, body: bytes, nonce: str, now: int) -> dict[str, str]:
        credentials = self._repository.credentials
        key = base64.b64decode(credentials.partner_secret)
        digest = hmac.new(key, body, hashlib.sha1).digest()
        claims = {
            "iss": f"https://fidm.gigya.com/jwt/{credentials.api_key}/",
            "jti": nonce,
            "iat": now,
            "exp": now + _TOKEN_LIFETIME_S,
            "sub": base64url(hashlib.sha256(body).digest()),
        }
        token = signed_jwt(from_pem(credentials.token_key), {"kid": credentials.token_key_id, "dc": "local"}, claims)
        return {
            "Content-Type": "application/json",
            "X-Gigya-Sig-Hmac-Sha1": base64.b64encode(digest).decode(),
            "x-gigya-sig-jwt": token,
        }


def _settle(session: Session, *, url: str, report: Mapping[str, Any], kind: str, delivered: list[str]) -> None:
    for key in delivered:
        session.delete_document(kind, key)
    session.put_document("webhook_status", url, encode(report))


def _event_id(key: str) -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def _is_allowed(url: str) -> bool:
    parts = urlsplit(url)
    # Plain http is for receivers on this machine.
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))


def _is_header(header: Any) -> bool:
    return (
        isinstance(header, dict)
        and all(isinstance(header.get(key), str) for key in ("name", "value"))
        and re.fullmatch(r"[\w-]+", header["name"]) is not None
        and "\n" not in header["value"]
        and "\r" not in header["value"]
    )


METHODS: Final[tuple[Method, ...]] = (
    method(
        "accounts.webhooks.set",
        set_webhook,
        "url name events active version signingUserKey secret headers",
        is_audited=True,
    ),
    method("accounts.webhooks.getAll", get_webhooks),
    method("accounts.webhooks.delete", delete_webhook, "name", is_audited=True),
    method("accounts.webhooks.getStatus", get_status, "url"),
)
