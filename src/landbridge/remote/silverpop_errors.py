"""What the API's faults mean for us: whose fault, and whether a repetition may help.

Numbers and texts are from public clients and questions; the vendor publishes no complete table. A fault's text repeats
what was sent, so addresses and long numbers are masked in messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from landbridge.errors import AuthError, ConnectionFailed, DataError, FlowError, TransientError
from landbridge.remote import api_failures, failures
from landbridge.remote.api_failures import LATER, PERSONAL
from landbridge.remote.http import Attempt
from landbridge.remote.silverpop_xml import Fault

INVALID_REQUEST: Final = 51
NOT_A_MEMBER: Final = 128
EXISTS: Final = 256
_NO_LIST: Final = frozenset((106, 108))
_REFUSED_LOGIN: Final = 140
_SESSION_EXPIRED: Final = 145
_CONCURRENT: Final = "max number of concurrent authenticated requests"
_NOT_SHARED: Final = "you are not a member"
_PERSONAL: Final = rf"\|[^|]*\||{PERSONAL}"


class SessionExpired(Exception):
    """The access token is not valid any more; a new one may help, once."""


class OperationRefused(DataError):
    """The platform refuses what one operation asked for; another may well succeed (LB-4631).

    Args:
        error_id: The vendor's number, where there is one.
        message: What happened, cleaned.
        after_uncertain: An earlier attempt of the same operation may have done the work.
    """

    def __init__(self, error_id: int | None, message: str, *, after_uncertain: bool = False) -> None:
        super().__init__("LB-4631", message, hint="Correct the record or the parameters of the step.")
        self.error_id = error_id
        self.after_uncertain = after_uncertain

    @property
    def code_on_record(self) -> int | str:
        """The code to put on a record: the vendor's where there is one, else ours."""
        return self.error_id if self.error_id is not None else self.code


def failure(fault: Fault, operation: str, *, place: str, secrets: Iterable[str], uncertain: bool) -> Exception:
    """What a fault means: an ``Attempt`` where a repetition may help, else the final error.

    Args:
        fault: The fault.
        operation: What was called.
        place: Host of the API, for messages.
        secrets: What must not show up in a message.
        uncertain: An earlier attempt of the same call may have done the work.
    """
    text = f"{operation}: {told(fault.text, secrets)}"
    if fault.error_id == _SESSION_EXPIRED:
        return SessionExpired(text)
    if _CONCURRENT in fault.text:
        busy = TransientError("LB-3221", f"{place} is busy with other calls of this organisation", hint=LATER)
        return Attempt(busy, is_certain=True)
    if fault.error_id == _REFUSED_LOGIN:
        return failures.refused_login(place, "the API user")
    if fault.error_id == INVALID_REQUEST:
        return ConnectionFailed(
            "LB-2321", f"{place} does not understand {operation}", hint="Check that url is the address of this API."
        )
    if fault.error_id in _NO_LIST:
        return FlowError(
            "LB-1521", f"{place} has no such database or list ({text})", hint="Correct listId, or share the database."
        )
    if _NOT_SHARED in fault.text:
        return ConnectionFailed(
            "LB-2321",
            f"{place} gives no permission for the database ({text})",
            hint="Share the database with the API user in the platform.",
        )
    return OperationRefused(fault.error_id, text, after_uncertain=uncertain)


def refused_token(place: str) -> AuthError:
    """The token endpoint refuses the credentials."""
    return failures.refused_login(place, "the application (clientId, clientSecret, refreshToken)")


def not_understood(place: str, operation: str) -> ConnectionFailed:
    """The error of an answer that is not one of this API."""
    return api_failures.not_understood(place, operation, check="url and podNumber")


def told(text: str, secrets: Iterable[str] = ()) -> str:
    """The vendor's words on one line, without secrets and personal data."""
    return api_failures.told(text, secrets, personal=_PERSONAL)
