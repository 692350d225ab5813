"""The loopback-only door to a running site: switches, faults, and the mails it would have sent."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from landbridge.gigya_wire.replies import ApiError
from landbridge.gigya_wire.requests import read_body
from landbridge.site import consents
from landbridge.site.accounts import decode, put_email
from landbridge.site.faults import Fault
from landbridge.site.repository import Repository
from landbridge.site.store_session import Session

_OK: Final = 200
_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


class Admin:
    """Answers ``/_site/…``: what only the owner of the machine may do.

    ``GET /_site/state`` shows switches and faults; ``POST /_site/switches`` sets some switches; ``POST /_site/faults``
    adds a fault and ``DELETE /_site/faults`` clears them; ``GET /_site/mails`` lists the confirmations that people
    have been asked for, and ``GET /_site/confirm?token=…`` is the link in such a mail.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    async def __call__(
        self, scope: Mapping[str, Any], receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        status, body = await self._answer(scope, receive)
        content = msgspec.json.encode(body)
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", str(len(content)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Mapping[str, Any], receive: Any) -> tuple[int, Any]:
        client = scope.get("client")
        if client is None or not ipaddress.ip_address(client[0]).is_loopback:
            return _FORBIDDEN, {"error": "only this machine may do this"}
        headers = dict(scope["headers"])
        if scope["method"] in ("POST", "DELETE") and headers.get(b"content-type", b"") != b"application/json":
            # A web page cannot send this type to another site without being asked first.
            return _BAD_REQUEST, {"error": "the content type must be application/json"}
        try:
            given = msgspec.json.decode(await read_body(receive) or b"{}")
            return await self._do(scope["method"], scope["path"].removeprefix("/_site/"), scope["query_string"], given)
        except (ApiError, msgspec.DecodeError, AttributeError) as error:
            return _BAD_REQUEST, {"error": str(error)}

    async def _do(self, verb: str, what: str, query: bytes, given: Any) -> tuple[int, Any]:
        repository = self._repository
        match verb, what:
            case "GET", "state":
                return _OK, self._state()
            case "POST", "switches":
                repository.switches = repository.switches.changed(given)
                return _OK, self._state()
            case "POST", "faults":
                repository.faults.add(Fault.of(given))
                return _OK, self._state()
            case "DELETE", "faults":
                repository.faults.clear()
                return _OK, self._state()
            case "GET", "mails":
                found = await repository.store.read(lambda session: session.documents(consents.CONFIRMATION))
                return _OK, {"mails": [decode(text) for _, text in found]}
            case "GET", "confirm":
                token = parse_qs(query.decode("latin-1")).get("token", [""])[0]
                confirmed = await repository.store.write(lambda session: self._confirm(session, token))
                return (_OK, {"confirmed": True}) if confirmed else (_NOT_FOUND, {"error": "the link is not valid"})
            case _:
                return _NOT_FOUND, {"error": "there is nothing here"}

    def _state(self) -> dict[str, Any]:
        return {
            "switches": asdict(self._repository.switches),
            "faults": [fault.as_json() for fault in self._repository.faults.all()],
        }

    def _confirm(self, session: Session, token: str) -> bool:
        now = self._repository.clock()
        found = consents.confirm(session, token, now)
        if found is None:
            return False
        email, doc = found
        row = session.email_account(email)
        if row is None:
            return False
        put_email(session, email=email, doc=doc, row=row, uid=row.uid, full=row.full, now_ms=now)
        return True
