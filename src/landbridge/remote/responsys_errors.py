"""What the API's errors mean for us: whose fault, and whether a repetition may help.

Codes are from the vendor's pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from landbridge.errors import AuthError, ConnectionFailed, DataError, FlowError, TransientError
from landbridge.remote import api_failures, failures
from landbridge.remote.api_failures import LATER, PERSONAL, not_understood
from landbridge.remote.http import Attempt, Reply, check_status

_TOKEN: Final = ("TOKEN_EXPIRED", "INVALID_TOKEN", "AUTHENTICATION")
_TOKEN_TEXT: Final = "not a valid authentication token"  # noqa: S105 - words of the vendor
_LOGIN: Final = frozenset(
    ("INVALID_USER_NAME_PASSWORD", "PASSWORD_LOCKOUT", "PASSWORD_EXPIRED", "ACCOUNT_SUSPENDED", "USER_BLOCKED")
)
_PERMISSION: Final = frozenset(("INSUFFICIENT_ACCESS", "API_BLOCKED", "API_DISABLED_FOR_USER"))
_OBJECT: Final = frozenset(("INVALID_OBJECT", "INVALID_FIELD_NAME"))
_PERSONAL: Final = rf"{PERSONAL}|'[^']*'"
_BROKEN: Final = 500


class TokenExpired(Exception):
    """The token is not good any more; a new one may help, once."""


class NotFound(Exception):
    """None of the records asked for is there."""


class CallRefused(DataError):
    """The call as a whole is refused for what is in it (LB-4631); with fewer records it may well succeed."""


class _Envelope(msgspec.Struct):
    errorCode: str = ""  # noqa: N815 - the vendor's name
    title: str | None = None
    detail: str | None = None


def failure(  # noqa: PLR0911 - one line for each family of codes reads best
    reply: Reply, what: str, *, place: str, secrets: Iterable[str], limit_wait_s: float
) -> Exception:
    """What a reply that is not 200 means: an ``Attempt`` where a repetition may help, else the final error.

    Args:
        reply: The reply.
        what: What was called.
        place: Host of the API, for messages.
        secrets: What must not show up in a message.
        limit_wait_s: How long to wait when the limit of calls is reached.
    """
    try:
        envelope = msgspec.json.decode(reply.body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return not_understood(place, what)
    code, text = envelope.errorCode, envelope.detail or envelope.title or ""
    shown = f"{what}: {code} {told(text, secrets)}".strip()
    if code.startswith(_TOKEN) or _TOKEN_TEXT in text.lower():
        return TokenExpired(shown)
    if code == "API_LIMIT_EXCEEDED":
        busy = TransientError("LB-3221", f"{place} allows no more calls for now ({shown})", hint=LATER)
        return Attempt(busy, is_certain=True, wait_s=limit_wait_s)
    if code in _LOGIN:
        return failures.refused_login(place, "the API user")
    if code in _PERMISSION:
        hint = "Give the API user the right to the list, and let it use the API."
        return ConnectionFailed("LB-2321", f"{place} refuses for good ({shown})", hint=hint)
    if code in _OBJECT:
        return FlowError("LB-1521", f"{place} refuses a name ({shown})", hint="Correct the list, table or fields.")
    if code == "RECORD_NOT_FOUND":
        return NotFound(shown)
    if code == "UNABLE_TO_SUBMIT_ASYNC_REQUEST" or reply.status >= _BROKEN:
        broken = TransientError("LB-3221", f"{place} could not do a call ({shown})", hint=LATER)
        return Attempt(broken, is_certain=False)
    if not code:
        try:
            check_status(reply, place)
        except (Attempt, ConnectionFailed) as error:
            return error
        return not_understood(place, what)
    return CallRefused("LB-4631", shown, hint="Correct the record or the parameters of the step.")


def refused(place: str) -> AuthError:
    """The credentials are refused."""
    return failures.refused_login(place, "the API user")


def told(text: str, secrets: Iterable[str] = ()) -> str:
    """The vendor's words on one line, without secrets and personal data."""
    return api_failures.told(text, secrets, personal=_PERSONAL)
