"""Tokens that stand for a person: registration tokens and login sessions."""

from __future__ import annotations

import secrets
from typing import Any, Final

from landbridge.gigya_wire.replies import ApiError
from landbridge.site.accounts import decode, encode
from landbridge.site.calls import Call
from landbridge.site.store_session import Session

REGISTRATION_LIFETIME_MS: Final = 3_600_000
_REGISTRATION: Final = "reg_token"
_LOGIN: Final = "login_token"


def new_registration(session: Session, content: dict[str, Any], now_ms: int) -> str:
    """A registration token, valid for an hour, that keeps ``content``."""
    token = f"rt1_{secrets.token_urlsafe(24)}"
    session.put_document(_REGISTRATION, token, encode({**content, "until": now_ms + REGISTRATION_LIFETIME_MS}))
    return token


def registration(session: Session, token: str, now_ms: int) -> dict[str, Any]:
    """What a registration token keeps.

    Raises:
        ApiError: 400006; it is unknown or older than an hour.
    """
    text = session.document(_REGISTRATION, token)
    content: dict[str, Any] = decode(text) if text else {}
    if content.get("until", 0) < now_ms:
        raise ApiError(400006, "Invalid argument: regToken: is unknown or has expired")
    return content


def end_registration(session: Session, token: str) -> None:
    """Forget a registration token that has been used."""
    session.delete_document(_REGISTRATION, token)


def new_login(session: Session, uid: str, until_ms: int | None) -> str:
    """A login session's token."""
    token = f"st2.s.{secrets.token_urlsafe(32)}"
    session.put_document(_LOGIN, token, encode({"uid": uid, "until": until_ms}))
    return token


def carries_token(call: Call) -> bool:
    """Whether a call carries a token that stands for a person."""
    return any(call.parameters.text(name) is not None for name in ("login_token", "oauth_token", "regToken"))


def session_uid(session: Session, call: Call) -> str | None:
    """The UID of the person whose login session or registration the call carries; None where it carries none.

    Raises:
        ApiError: 403012 for a session that is over, 400006 for a registration token that is.
    """
    token = call.parameters.text("login_token") or call.parameters.text("oauth_token")
    if token is not None:
        text = session.document(_LOGIN, token)
        content = decode(text) if text else {}
        until = content.get("until")
        if not content or (until is not None and until < call.now_ms):
            raise ApiError(403012, "There is no valid session", message="No valid session")
        return str(content["uid"])
    reg_token = call.parameters.text("regToken")
    if reg_token is None:
        return None
    uid = registration(session, reg_token, call.now_ms).get("uid")
    return uid if isinstance(uid, str) else None
