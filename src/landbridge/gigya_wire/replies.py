"""What a call is answered with: the envelope, and the vendor's error codes with their texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from itertools import count
from secrets import randbits, token_hex
from typing import Any, Final, TypeAlias

import msgspec

Payload: TypeAlias = dict[str, Any]

MESSAGES: Final[Mapping[int, str]] = {
    200008: "OK with errors",
    200009: "Accounts linked",
    200010: "OK, login identifier exists",
    206001: "Account Pending Registration",
    206002: "Account Pending Verification",
    301001: "Invalid data center",
    400001: "Invalid request format",
    400002: "Missing required parameter",
    400003: "Unique identifier exists",
    400004: "Invalid parameter format",
    400006: "Invalid parameter value",
    400007: "Duplicate value",
    400008: "Invalid authentication header",
    400009: "Validation error",
    400020: "Schema validation failed",
    400022: "Unique index validation error",
    400023: "Invalid type",
    400024: "Dynamic fields are not allowed",
    400025: "Write access validation error",
    400026: "Invalid format",
    400027: "Required value",
    400029: "Schema conflict",
    400030: "Operation not allowed",
    400093: "Invalid ApiKey parameter",
    400096: "Not supported",
    400124: "Limit reached",
    400125: "Frequency limit reached",
    400126: "Invalid action",
    400127: "Insufficient points to redeem",
    401030: "Old password used",
    403000: "Forbidden",
    403002: "Request has expired",
    403003: "Invalid request signature",
    403004: "Duplicate nonce",
    403005: "Unauthorized user",
    403006: "Secret Sent Over Http",
    403007: "Permission denied",
    403010: "Invalid Secret",
    403025: "Invalid Token",
    403036: "Unauthorized partner",
    403041: "Account disabled",
    403042: "Invalid LoginID",
    403043: "Login identifier exists",
    403047: "LoginID does not exist",
    403048: "API Rate limit exceeded",
    403120: "Account temporarily locked out",
    403200: "Redundant Operation",
    404000: "Not found",
    405001: "Invalid API method",
    409000: "Conflict",
    409011: "Counter not registered",
    409030: "Too many requests for same user",
    413001: "Request Entity Too Large",
    413003: "Object too large",
    500001: "General Server Error",
    500028: "Database error",
    503001: "Service Unavailable",
    504001: "Timeout",
}

_REASONS: Final[Mapping[int, str]] = {
    200: "OK",
    206: "Partial Content",
    301: "Moved Permanently",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    413: "Request Entity Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_CALL_PREFIX: Final = token_hex(8)
_CALLS: Final = count(randbits(48))
_EPOCH: Final = date(1970, 1, 1)
_ENCODER: Final = msgspec.json.Encoder()
_DIVISOR: Final = 1000


class ApiError(Exception):
    """A call that is answered with an error code.

    Args:
        code: The vendor's code, such as 400006.
        details: ``errorDetails``; what exactly was wrong, without a person's data.
        payload: Further keys of the reply, such as ``validationErrors`` or ``regToken``.
        message: ``errorMessage`` where it differs from the code's usual text.
    """

    def __init__(
        self, code: int, details: str | None = None, *, payload: Payload | None = None, message: str | None = None
    ) -> None:
        self.code = code
        self.text = message or MESSAGES.get(code, "Error")
        self.details = details or self.text
        self.payload = payload or {}
        super().__init__(f"{code} {self.text}: {self.details}")


def missing(name: str) -> ApiError:
    """The error of a required parameter that is not there."""
    return ApiError(400002, f"Missing required parameter : {name}")


def invalid(name: str, why: str) -> ApiError:
    """The error of a parameter whose value cannot be used."""
    return ApiError(400006, f"Invalid argument: {name}: {why}")


def new_call_id() -> str:
    """A call's id: 32 hexadecimal digits."""
    # A random start and a count: asking the system for random bytes each time costs more than the whole call.
    return f"{_CALL_PREFIX}{next(_CALLS):016x}"


def iso(timestamp_ms: int) -> str:
    """A moment as the API writes it: UTC with milliseconds and ``Z``."""
    days, rest = divmod(timestamp_ms, 86_400_000)
    minutes, rest = divmod(rest, 60_000)
    left = f"{rest:05}"
    return f"{_day(days)}{_minute(minutes)}{left[:2]}.{left[2:]}Z"


@lru_cache(maxsize=8192)
def _day(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()


@lru_cache(maxsize=1440)
def _minute(of_day: int) -> str:
    return f"T{of_day // 60:02}:{of_day % 60:02}:"


def status_of(error_code: int) -> int:
    """The HTTP-like ``statusCode`` that belongs to an error code."""
    return 200 if error_code == 0 else error_code // _DIVISOR


def envelope(
    call_id: str, now_ms: int, *, payload: Payload, error: ApiError | None = None, context: Any = None
) -> bytes:
    """The body of a reply, keys in the vendor's order."""
    code = error.code if error else 0
    body: Payload = {"callId": call_id}
    if context is not None:
        body["context"] = context
    body["errorCode"] = code
    if error:
        body["errorDetails"] = error.details
        body["errorMessage"] = error.text
    status = status_of(code)
    body |= {
        "apiVersion": 2,
        "statusCode": status,
        "statusReason": _REASONS.get(status, "Error"),
        "time": iso(now_ms),
    }
    return _encoded(body | payload)


def search_envelope(call_id: str, now_ms: int, *, payload: Payload, context: Any = None) -> bytes:
    """The body of a search's reply, which leads with the results and has no ``apiVersion``."""
    body: Payload = {**payload, "statusCode": 200, "errorCode": 0, "statusReason": "OK", "callId": call_id}
    if context is not None:
        body["context"] = context
    return _encoded(body | {"time": iso(now_ms)})


def _encoded(body: Payload) -> bytes:
    try:
        return _ENCODER.encode(body)
    except (OverflowError, UnicodeEncodeError):
        # A dataflow may hold numbers beyond 64 bits, and halves of surrogate pairs, which only escapes can carry.
        return json.dumps(body).encode()
