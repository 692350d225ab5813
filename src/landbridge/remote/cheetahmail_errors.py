"""What the text answers of CheetahMail's legacy API mean for us: whose fault, and whether a repetition may help.

Every answer is plain text with HTTP 200: ``OK``, data, or ``err:`` with a field and a reason. The texts are those that
public clients know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from landbridge.errors import AuthError, ConnectionFailed, DataError, FlowError, LandbridgeError, TransientError
from landbridge.remote import failures
from landbridge.remote.api_failures import LATER, PERSONAL, told
from landbridge.remote.http import Attempt

ERROR: Final = "err:"
_SESSION: Final = "auth"
_BROKEN: Final = "internal error"
_FLOW: Final = ("sub:", "unsub:", "e:", "p:", "field:name:", "field:modifier:")
_ACCOUNT: Final = "aid:"
_GONE: Final = "email:noexist"
_BLOCKED: Final = ("email:blocked", "newemail:blocked")
_PERSONAL: Final = rf"{PERSONAL}|'[^']*'"
_MAX_TEXT: Final = 120
_LATE: Final = "LB-3102"


class SessionExpired(Exception):
    """The login is not good any more; a new one may help, once."""


class RecordRefused(DataError):
    """The platform refuses what a call says of one subscriber.

    Attributes:
        reason: What stands behind ``err:``.
    """

    def __init__(self, code: str, message: str, *, reason: str, hint: str) -> None:
        super().__init__(code, message, hint=hint)
        self.reason = reason

    @property
    def is_gone(self) -> bool:
        """There is no such subscriber."""
        return self.reason == _GONE

    @property
    def is_blocked(self) -> bool:
        """The address is suppressed: after a complaint, after bounces, or for good by its owner."""
        return self.reason in _BLOCKED


class OutcomeUnknown(TransientError):
    """A call that must not simply be made again may have been done: ask before anything follows.

    Attributes:
        cause: Why the outcome is not known.
    """

    def __init__(self, cause: LandbridgeError) -> None:
        super().__init__("LB-3221", f"it is not known whether a call was done: {cause}", hint=LATER)
        self.cause = cause

    @property
    def may_still_come(self) -> bool:
        """The platform has not answered in time, so that it may yet do the call."""
        return self.cause.code == _LATE


def failure(text: str, what: str, *, place: str, secrets: Iterable[str]) -> Exception:
    """What an answer that begins with ``err:`` means: an ``Attempt`` where a repetition may help, else the final error.

    Args:
        text: The answer.
        what: What was called.
        place: Host of the API, for messages.
        secrets: What must not show up in a message.
    """
    reason = text.strip().removeprefix(ERROR)
    shown = f"{what}: {ERROR}{told(reason, secrets, personal=_PERSONAL, max_chars=_MAX_TEXT)}"
    if reason == _SESSION:
        return SessionExpired(shown)
    if reason == _BROKEN:
        broken = TransientError("LB-3221", f"{place} could not do a call ({shown})", hint=LATER)
        return Attempt(broken, is_certain=False)
    if reason.startswith(_ACCOUNT):
        hint = "Correct affiliateId, or let the API user reach this affiliate."
        return ConnectionFailed("LB-2321", f"{place} refuses for good ({shown})", hint=hint)
    if reason.startswith(_FLOW):
        hint = "Correct the list and the names of the fields, as the platform's account has them."
        return FlowError("LB-1521", f"{place} refuses what the step names ({shown})", hint=hint)
    if reason in _BLOCKED:
        hint = "The platform will never mail there: treat the person as opted out."
        return RecordRefused("LB-4635", f"the address is suppressed ({shown})", reason=reason, hint=hint)
    return RecordRefused("LB-4631", shown, reason=reason, hint="Correct the record.")


def refused(place: str) -> AuthError:
    """The credentials are refused."""
    return failures.refused_login(place, "the API user")
