"""What the API's error codes mean for us: whose fault, and whether a repetition may help.

Codes are from the vendor's public list of error codes. Messages are cleaned: the vendor's details may repeat what was
sent, so addresses and long numbers are masked in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from landbridge.errors import (
    AuthError,
    ConnectionFailed,
    DataError,
    FlowError,
    LandbridgeError,
    QuotaError,
    TransientError,
)
from landbridge.remote import api_failures
from landbridge.remote.http import Attempt

RATE_LIMIT: Final = 403048
EXPIRED: Final = 403002
NOT_FOUND: Final = 404000
UNKNOWN_UID: Final = frozenset((403005, 403047, 404000, 404003))
"""What a call for an account that does not exist is answered with."""
EXISTS: Final = 400003

_OK_FIRST, _OK_LAST = 200_002, 200_999
"""Codes of calls that were done though something is worth telling; 200001 is a cancelled one."""

_CREDENTIALS: Final = frozenset(
    (400008, 400093, 403002, 403003, 403004, 403006, 403007, 403010, 403025, 403036, 403201)
)
_ADVICE: Final = {
    400093: "Check the apiKey, and that it belongs to this data center.",
    403002: "Set this machine's clock; requests are valid for about two minutes.",
    403006: "Use https://, or set signRequests.",
    403007: "Give the application the permission for this method in the console.",
    403010: "Correct the secret.",
}
_CERTAIN: Final = frozenset((RATE_LIMIT, 409030, 503001))
"""Refused before any work was done."""
_UNCERTAIN: Final = frozenset((500001, 500026, 500028, 504001, 504002))


class CallRefused(DataError):
    """The API refuses what one call asked for; another call may well succeed (LB-4621).

    Args:
        vendor_code: The API's error code.
        message: What happened, cleaned.
        after_uncertain: An earlier attempt of the same call may have done the work.
    """

    def __init__(self, vendor_code: int, message: str, *, after_uncertain: bool = False) -> None:
        super().__init__("LB-4621", message, hint="Correct the record or the parameters of the step.")
        self.vendor_code = vendor_code
        self.after_uncertain = after_uncertain


class CallUnfinished(TransientError):
    """The API could not do one call in spite of repetitions (LB-3201), or it is not known whether it did (LB-3202)."""

    def __init__(self, code: str, message: str, *, hint: str = "", vendor_code: int | None = None) -> None:
        super().__init__(code, message, hint=hint)
        self.vendor_code = vendor_code


class ValidationError(msgspec.Struct, rename="camel"):
    """One field that was refused."""

    field_name: str = ""
    error_code: int = 0


class Envelope(msgspec.Struct, rename="camel"):
    """What every reply holds besides its own content."""

    error_code: int = 0
    error_message: str = ""
    error_details: str = ""
    status_code: int = 200
    call_id: str = ""
    validation_errors: list[ValidationError] = []
    api_domain: str = ""


def is_done(code: int) -> bool:
    """Whether a reply with this code says that the work was done."""
    return code == 0 or _OK_FIRST <= code <= _OK_LAST


def failure(reply: Envelope, method: str, *, place: str, secrets: Iterable[str], uncertain: bool) -> Exception:
    """What a reply with an error code means: an ``Attempt`` where a repetition may help, else the final error.

    Args:
        reply: The reply.
        method: What was called.
        place: Host of the site, for messages.
        secrets: What must not show up in a message.
        uncertain: An earlier attempt of the same call may have done the work.
    """
    code = reply.error_code
    text = f"{method} answered {code} {told(reply, secrets)}"
    if code == RATE_LIMIT:
        quota = QuotaError("LB-3203", f"{place} allows no more calls: {text}", hint="Choose a lower rateTier.")
        return Attempt(quota, is_certain=True)
    if code in _CERTAIN or code in _UNCERTAIN:
        unfinished = CallUnfinished("LB-3201", text, hint=api_failures.LATER, vendor_code=code)
        return Attempt(unfinished, is_certain=code in _CERTAIN)
    if code in _CREDENTIALS or (code == UNKNOWN_USER_KEY and "userkey" in reply.error_details.lower()):
        return _refused_login(code, f"{place}: {text}")
    if code == INVALID_DATA_CENTER:
        right = f" The site is at {reply.api_domain}." if reply.api_domain else ""
        return ConnectionFailed(
            "LB-2302", f"{place} is not the data center of this site", hint=f"Set dataCenter.{right}"
        )
    if code == UNKNOWN_METHOD:
        return FlowError("LB-1505", f"{place} has no method {method}", hint="Check the method's name and its case.")
    return CallRefused(code, text, after_uncertain=uncertain)


UNKNOWN_USER_KEY: Final = 403005
INVALID_DATA_CENTER: Final = 301001
UNKNOWN_METHOD: Final = 405001


def unknown_outcome(cause: LandbridgeError) -> LandbridgeError:
    """The error of a call that must not be made twice and whose answer was lost."""
    return CallUnfinished(
        "LB-3202",
        f"it is not known whether the call was done: {cause.message}",
        hint="Look at the other side before you send the record again; the call was not repeated.",
    )


def told(reply: Envelope, secrets: Iterable[str]) -> str:
    """The vendor's words on one line, without secrets and personal data."""
    words = [reply.error_message]
    if reply.error_details and reply.error_details != reply.error_message:
        words.append(reply.error_details)
    fields = ", ".join(f"{each.field_name} ({each.error_code})" for each in reply.validation_errors if each.field_name)
    if fields:
        words.append(fields)
    return api_failures.told(": ".join(filter(None, words)), secrets)


def _refused_login(code: int, text: str) -> AuthError:
    hint = _ADVICE.get(code, "Correct apiKey, userKey and secret.")
    return AuthError("LB-2301", text, hint=f"{hint} The call is not repeated.")


def as_vendor_code(error: LandbridgeError) -> Any:
    """The code to put on a record: the vendor's where there is one, else ours."""
    return getattr(error, "vendor_code", None) or error.code
