"""Lines of the audit log, as audit.search returns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from landbridge.gigya_wire.replies import ApiError, iso
from landbridge.site.calls import Call

_SECRET: Final = frozenset((
    "secret", "password", "newpassword", "secretanswer", "sig", "userkeysecret", "regtoken", "login_token",
    "oauth_token", "uidsignature",
))  # fmt: skip
_MASK: Final = "********"
_MAX_CHARS: Final = 8192


def audit_record(
    call: Call, payload: Mapping[str, Any], api_key: str, *, error: ApiError | None = None
) -> dict[str, Any]:
    """The line that a call leaves; secrets are masked."""
    sent = call.parameters.as_sent()
    uid = call.parameters.text("UID") or payload.get("UID")
    record: dict[str, Any] = {
        "callID": call.call_id,
        "authType": "app" if call.caller.is_application else "anonymous",
        "@timestamp": iso(call.now_ms),
        "errCode": str(error.code if error else 0),
        "errMessage": error.text if error else "OK",
    }
    if error:
        record["errDetails"] = error.details
    record |= {
        "endpoint": call.method,
        "userKey": call.caller.user_key or "",
        "httpReq": {"SDK": call.parameters.text("sdk") or "", "country": ""},
        "ip": call.address,
        "serverIP": "127.0.0.1",
        "params": {name: _MASK if name.lower() in _SECRET else value[:_MAX_CHARS] for name, value in sent.items()},
        "apikey": api_key,
        "userAgent": {"raw": call.user_agent},
        "userKeyDetails": {"name": "application", "emailDomain": "", "description": ""},
        "XffFirstIp": call.address,
        "restrictions": {
            "ipWhitelistRestricted": False,
            "ipWhitelistRestrictionEnforced": False,
            "ipBlacklistRestricted": False,
            "ipBlacklistRestrictionEnforced": False,
        },
    }
    if isinstance(uid, str):
        record["uid"] = uid
    return record
