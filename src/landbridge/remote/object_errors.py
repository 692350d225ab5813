"""What the answers of object stores mean for a person.

The client library gives one text for everything: request, status, the provider's error document and its own
internals. Only the provider's error code and the status are taken from it, because the request's address may
hold a signature.
"""

from __future__ import annotations

import re

from landbridge.errors import ConnectionFailed, LandbridgeError, TransientError
from landbridge.remote import failures

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})|\bstatus: (\d{3})")
_ADDRESS = re.compile(r"https?://([^/?\s:]+|\[[^\]]+\])(?::(\d+))?")

# Codes as listed in "Error responses" (Amazon S3 API reference), "Blob service error codes" and "Common REST
# API error codes" (Azure Storage) and "HTTP status and error codes for XML" (Google Cloud Storage).
_NO_BUCKET = {
    "NoSuchBucket",
    "ContainerNotFound",
    "ContainerBeingDeleted",
    "InvalidBucketName",
    "ResourceNotFound",
}
_NO_LOGIN = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "NoAuthenticationInformation",
    "AuthenticationRequired",
    "InvalidSecurity",
    "InvalidToken",
    "ExpiredToken",
    "AccountIsDisabled",
}
_NO_OBJECT = {"NoSuchKey", "BlobNotFound"}
_WRONG_REGION = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
_WRONG_CLOCK = {"RequestTimeTooSkewed"}
_BUSY = {
    "SlowDown",
    "ServiceUnavailable",
    "ServerBusy",
    "InternalError",
    "OperationTimedOut",
    "RequestTimeout",
}


def explained(error: Exception, *, what: str, where: str) -> LandbridgeError:
    """The error for a failed request.

    Args:
        error: What the client library raised.
        what: The object or prefix in question.
        where: The bucket or container, for messages.
    """
    text = str(error)
    code = next(iter(_CODE.findall(text)), "")
    status = next((int(first or second) for first, second in _STATUS.findall(text)), 0)
    by_code = _by_code(code, text, what=what, where=where)
    if by_code is not None:
        return by_code
    if isinstance(error, FileNotFoundError):
        return failures.gone(what, where)
    kind = type(error).__name__
    if kind == "InvalidPathError":
        return ConnectionFailed(
            "LB-2205",
            f'{where} cannot be listed: a key below "{what}" has an empty part, such as a//b',
            hint="Rename that key or remove it, or set another prefix.",
        )
    if kind == "PreconditionError":
        return failures.changed(what, where)
    if kind == "UnauthenticatedError" or status == 401:  # noqa: PLR2004 - HTTP's own numbers
        return failures.refused_login(where, "the step's keys")
    if kind == "PermissionDeniedError" or status == 403:  # noqa: PLR2004
        return failures.denied(what, where)
    if status:
        reason = f"HTTP {status} {code}".strip()
        if status in (408, 429) or status >= 500:  # noqa: PLR2004
            return busy(where, reason)
        return failures.refused(what, where, reason)
    return _without_answer(text, what=what, where=where)


def busy(where: str, reason: str) -> TransientError:
    """The store cannot serve us at the moment, after the client has tried several times (LB-3106)."""
    return TransientError(
        "LB-3106",
        f"{where} cannot serve the request at the moment ({reason})",
        hint="Run the job again later.",
    )


def _by_code(code: str, text: str, *, what: str, where: str) -> LandbridgeError | None:
    if code in _NO_BUCKET:
        return ConnectionFailed("LB-2201", f"{where} does not exist", hint="Check its name; create it if need be.")
    if code in _NO_LOGIN or "failed to authenticate the request" in text:
        return failures.refused_login(where, f"the step's keys ({code})")
    if code in _NO_OBJECT:
        return failures.gone(what, where)
    if code in _WRONG_REGION:
        return ConnectionFailed(
            "LB-2108",
            f"{where} is in another region ({code})",
            hint="Set the step's region to that of the bucket.",
        )
    if code in _WRONG_CLOCK:
        return ConnectionFailed(
            "LB-2109",
            f"{where} refused the request because this machine's clock is wrong",
            hint="Set the clock, best by a time server.",
        )
    if code in _BUSY:
        return busy(where, code)
    return None


def _without_answer(text: str, *, what: str, where: str) -> LandbridgeError:
    address = _ADDRESS.search(text)
    server = address[1] if address else where
    if "kind: Timeout" in text:
        return TransientError(
            "LB-3102",
            f"{server} did not answer in time ({what})",
            hint="Run the job again; check the network.",
        )
    if "kind: Connect" in text or "dns error" in text:
        reason = "its name is not known" if "dns error" in text else "no connection"
        return ConnectionFailed(
            "LB-2101",
            f"cannot connect to {server} for {where}: {reason}",
            hint="Check the endpoint or account name, and the firewall between this machine and the store.",
        )
    if "error sending request" in text or "error decoding" in text or "connection" in text.lower():
        return failures.lost(where)
    return failures.refused(what, where, "the client gives no reason")
