"""The gate before the API: who makes a request is found out here, and nobody unknown comes further.

Programs send a token as ``Authorization: Bearer``. Browsers send the cookie of a session; what they change must also
carry the header ``X-CSRF-Token``, and must not come from another site. The routes behind find the caller in
``request.state`` (see ``api.access``).
"""

from __future__ import annotations

import hmac
from functools import partial
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from landbridge.errors import AccessRefused, LandbridgeError
from landbridge.jobs import tokens
from landbridge.jobs.db import Database
from landbridge.jobs.db_audit import ADDRESS
from landbridge.jobs.roles import Caller
from landbridge.jobs.tokens import SessionLife
from landbridge.server.api.problems import problem_response
from landbridge.server.api.routing import Threads
from landbridge.server.proof import CSRF_HEADER, proof_of

OPEN: Final = frozenset((("POST", "/api/v1/session"), ("POST", "/api/v1/setup")))
"""What may be asked without a login: to log in."""

_GUARDED: Final = ("/api", "/metrics")
_READING: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_OWN_SITE: Final = frozenset(("same-origin", "none"))


class Gate:
    """Lets through who is known, and to ``OPEN`` everybody.

    Args:
        app: What answers.
        database: Where users, tokens and sessions are.
        life: How long sessions last.
    """

    def __init__(self, app: ASGIApp, *, database: Database, life: SessionLife) -> None:
        self._app = app
        self._database = database
        self._life = life
        self._threads = Threads()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; see the ASGI specification, version 3."""
        if scope["type"] != "http" or not is_guarded(scope["path"]):
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        address = request.client.host if request.client else ""
        ADDRESS.set(address)
        try:
            caller = await self._caller(request, scope["method"], address)
        except LandbridgeError as error:
            await problem_response(error)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    async def _caller(self, request: HTTPConnection, method: str, address: str) -> Caller | None:
        proof, is_open = proof_of(request), (method, request.url.path) in OPEN
        changes = method not in _READING
        if changes and (proof is None or proof.by_cookie):
            _check_site(request)
        if is_open:
            return None
        if proof is None:
            raise AccessRefused(
                "LB-8001", "this needs a login or a token", hint="Send Authorization: Bearer and a token.", status=401
            )
        look_up = partial(tokens.caller_of, self._database, proof.secret, life=self._life, address=address)
        caller = await self._threads.run(look_up)
        if caller is None or caller.is_session != proof.by_cookie:
            raise AccessRefused(
                "LB-8003",
                "the session is over" if proof.by_cookie else "the token is not known, has expired, or was revoked",
                hint="Log in again." if proof.by_cookie else "`landbridge tokens list` shows the tokens there are.",
                status=401,
            )
        if changes and proof.by_cookie:
            _check_csrf(request, proof.secret)
        return caller


def is_guarded(path: str) -> bool:
    """Whether the gate stands before a path."""
    return any(path == root or path.startswith(f"{root}/") for root in _GUARDED)


def _check_site(request: HTTPConnection) -> None:
    """Refuse what a page of another site has sent; programs do not send these headers."""
    fetched, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = request.headers.get("host", "").lower()
    from_elsewhere = origin is not None and origin.lower().partition("://")[2] != own
    if fetched not in (None, *_OWN_SITE) or from_elsewhere:
        raise AccessRefused("LB-8004", "the request comes from another site")


def _check_csrf(request: HTTPConnection, secret: str) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), tokens.csrf_token(secret).encode()):
        raise AccessRefused(
            "LB-8004",
            f"the header {CSRF_HEADER} is missing or wrong",
            hint="GET /api/v1/session tells the right one.",
        )
