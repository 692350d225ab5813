"""A reply as HTTP: its form, its status, and the parameters that were not understood."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from landbridge.gigya_wire.replies import ApiError, Payload, envelope, search_envelope, status_of
from landbridge.gigya_wire.requests import Parameters

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

CONTROL: Final = frozenset(
    "apikey userkey secret sig nonce timestamp format callback httpstatuscodes context sdk sdkbuild cid"
    " ignoreinterruptions dontHandleScreenSet authmode pageurl lang gmid ucid targetenv oauth_token login_token"
    " mutewebhooks include".lower().split()
)
"""Parameters that every method takes."""

_IGNORED: Final = (
    "This parameter was not recognized as valid for this API method with your security credentials nor was it"
    " recognized as a standard Gigya control parameter."
)
_STATUSES: Final = frozenset(status.value for status in HTTPStatus)
_CALLBACK: Final = re.compile(r"[A-Za-z_$][\w$.]{0,99}")


class Reply:
    """The bytes of a reply and how they are labelled.

    Args:
        parameters: Of the call; ``format``, ``callback``, ``context`` and ``httpStatusCodes`` count here.
        call_id: Its id.
        now: When it came, in milliseconds.
        payload: What the reply says besides the envelope.
        error: Why it failed; None where it did not.
        is_search: Whether it takes the form of a search's reply.
    """

    def __init__(
        self,
        parameters: Parameters,
        call_id: str,
        now: int,
        payload: Payload,
        error: ApiError | None,
        *,
        is_search: bool = False,
    ) -> None:
        self.status = 200
        try:
            if parameters.boolean("httpStatusCodes"):
                self.status = status_of(error.code) if error and status_of(error.code) in _STATUSES else self.status
        except ApiError as wrong:
            payload, error = {}, error or wrong
        form = parameters.text("format")
        if form not in (None, "json", "jsonp") and error is None:
            payload, error = {}, ApiError(400096, "Only the formats json and jsonp are supported")
        context = parameters.raw("context")
        if is_search and error is None:
            self.body = search_envelope(call_id, now, payload=payload, context=context)
        else:
            self.body = envelope(call_id, now, payload=payload, error=error, context=context)
        self.kind = b"application/json; charset=utf-8"
        callback = parameters.text("callback")
        if form == "jsonp" and callback and _CALLBACK.fullmatch(callback):
            self.kind = b"text/javascript; charset=utf-8"
            self.body = callback.encode() + b"(" + self.body + b");"


async def send_reply(send: Send, reply: Reply, *, server: str, drop: bool = False) -> None:
    """Send a reply; ``server`` is the header ``x-server``, ``drop`` breaks the connection off in the middle."""
    headers = [
        (b"content-type", reply.kind),
        (b"content-length", str(len(reply.body)).encode()),
        (b"date", formatdate(usegmt=True).encode()),
        (b"cache-control", b"private, no-store"),
        (b"x-server", server.encode()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if drop:
        # The rest never comes: the server closes the connection when the application returns.
        await send({"type": "http.response.body", "body": reply.body[: len(reply.body) // 2], "more_body": True})
        return
    await send({"type": "http.response.body", "body": reply.body})


def ignored(parameters: Parameters, known: Collection[str]) -> Payload:
    """The part of a reply that names unknown parameters; ``known`` are names in small letters."""
    unknown = [name for name in parameters if name.lower() not in known and name.lower() not in CONTROL]
    if not unknown:
        return {}
    return {"ignoredParams": [{"paramName": name, "warningCode": 403007, "message": _IGNORED} for name in unknown]}
