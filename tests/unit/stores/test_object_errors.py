"""What the answers of object stores become. The texts are those that the client gave for real answers."""

from __future__ import annotations

import pytest
from obstore.exceptions import (
    GenericError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from landbridge.errors import AuthError, ConnectionFailed, TransientError
from landbridge.remote.object_errors import explained

REQUEST = "Error performing GET https://acme.blob.core.windows.net/c/x?sv=2022&sig=s3cr3t%3D in 1ms - "
SERVER = REQUEST + "Server returned non-2xx status code: {status}: <Error><Code>{code}</Code></Error>"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (GenericError(SERVER.format(status="404 Not Found", code="NoSuchBucket")), ConnectionFailed, "LB-2201"),
        (FileNotFoundError(SERVER.format(status="404 Not Found", code="NoSuchBucket")), ConnectionFailed, "LB-2201"),
        (FileNotFoundError(SERVER.format(status="404 Not Found", code="NoSuchKey")), TransientError, "LB-3105"),
        (FileNotFoundError("Object at location x not found"), TransientError, "LB-3105"),
        (PermissionDeniedError(SERVER.format(status="403", code="SignatureDoesNotMatch")), AuthError, "LB-2104"),
        (GenericError(SERVER.format(status="403", code="AuthenticationFailed")), AuthError, "LB-2104"),
        (GenericError("Server failed to authenticate the request. Make sure"), AuthError, "LB-2104"),
        (UnauthenticatedError("no credentials"), AuthError, "LB-2104"),
        (PermissionDeniedError(SERVER.format(status="403", code="AccessDenied")), ConnectionFailed, "LB-2202"),
        (GenericError(SERVER.format(status="301", code="PermanentRedirect")), ConnectionFailed, "LB-2108"),
        (GenericError(SERVER.format(status="403", code="RequestTimeTooSkewed")), ConnectionFailed, "LB-2109"),
        (GenericError(SERVER.format(status="503", code="SlowDown")), TransientError, "LB-3106"),
        (GenericError(SERVER.format(status="502 Bad Gateway", code="Odd")), TransientError, "LB-3106"),
        (GenericError(SERVER.format(status="429", code="Odd")), TransientError, "LB-3106"),
        (GenericError(SERVER.format(status="400", code="InvalidArgument")), ConnectionFailed, "LB-2205"),
        (PreconditionError("the object was replaced"), TransientError, "LB-3104"),
        (InvalidPathError('Path "in//" contained empty path segment'), ConnectionFailed, "LB-2205"),
        (GenericError(REQUEST + "HTTP error\nkind: Connect,"), ConnectionFailed, "LB-2101"),
        (GenericError(REQUEST + "HTTP error\nkind: Timeout,"), TransientError, "LB-3102"),
        (GenericError(REQUEST + "HTTP error: error sending request"), TransientError, "LB-3101"),
        (OSError("something new"), ConnectionFailed, "LB-2205"),
    ],
)
def test_each_answer_has_its_error_and_none_repeats_a_signature(error: Exception, kind: type, code: str) -> None:
    found = explained(error, what="in/x.csv", where='container "c"')
    assert type(found) is kind
    assert found.code == code
    assert found.hint
    assert "s3cr3t" not in str(found)
    assert "sig=" not in str(found)


def test_a_key_that_cannot_be_read_is_told_as_the_reason() -> None:
    found = explained(InvalidPathError('Path "in//" contained empty path segment'), what="in/", where="the bucket")
    assert "empty part" in found.message
