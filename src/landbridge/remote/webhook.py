"""One message to a webhook, signed so that the receiver knows who sent it and when."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from landbridge.errors import ConnectionFailed, TransientError
from landbridge.remote.endpoint import checked_endpoint
from landbridge.remote.http import Attempt, session

TIMESTAMP_HEADER: Final = "Landbridge-Timestamp"
SIGNATURE_HEADER: Final = "Landbridge-Signature"
ID_HEADER: Final = "Landbridge-Id"
"""The same for every attempt to deliver one message."""

_TIMEOUT_S: Final = 15.0
_OK: Final = range(200, 300)


def signature(secret: str, *, timestamp: int, body: bytes) -> str:
    """``v1=`` and the HMAC-SHA256 of the timestamp (seconds since 1970), a dot and the body, in hex.

    The timestamp is signed along, so that a receiver can refuse a message that somebody recorded and sends again.
    """
    signed = f"{timestamp}.".encode() + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


async def post_webhook(url: str, body: bytes, *, id: str, secret: str, timestamp: int) -> None:
    """Send one message; one attempt.

    Raises:
        TransientError: LB-3302, another attempt may succeed.
        ConnectionFailed: LB-2122, the receiver refused it for good; LB-2101, LB-2106, see ``http.Session``.
        FlowError: LB-1303, the address is malformed or unencrypted.
    """
    url = checked_endpoint(url)
    headers = {
        "Content-Type": "application/json",
        ID_HEADER: id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: signature(secret, timestamp=timestamp, body=body),
    }
    async with session(connections=1, timeout_s=_TIMEOUT_S, encrypted=url.startswith("https")) as http:
        try:
            reply = await http.post_form(url, body, headers=headers)
        except Attempt as failed:
            message = f"the webhook did not take a message: {failed.error.message}"
            hint = "Alerts are sent again for some hours."
            raise TransientError("LB-3302", message, hint=hint, retry_after_s=failed.wait_s) from None
    if reply.status not in _OK:
        message = f"the webhook refused a message (HTTP {reply.status})"
        raise ConnectionFailed("LB-2122", message, hint="Check its address and its secret.")
