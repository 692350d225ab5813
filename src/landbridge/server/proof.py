"""By what a request says who makes it: the token of a program, or the cookie of a browser's session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from starlette.requests import HTTPConnection

COOKIE: Final = "landbridge_session"
CSRF_HEADER: Final = "X-CSRF-Token"


@dataclass(frozen=True, slots=True)
class Proof:
    """A secret, and whether a browser sends it by itself."""

    secret: str = field(repr=False)
    by_cookie: bool


def proof_of(request: HTTPConnection) -> Proof | None:
    """The proof that came with a request, not yet looked at; a token counts more than a cookie."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return Proof(secret.strip(), by_cookie=False)
    cookie = request.cookies.get(COOKIE)
    return Proof(cookie, by_cookie=True) if cookie else None
