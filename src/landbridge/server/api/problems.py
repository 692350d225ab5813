"""Errors of the API as ``application/problem+json`` (RFC 9457), each with a stable code and what to do next.

Nothing internal goes out: what was not expected is answered by the id of the call, under which the log has the rest.
What a client has sent is never repeated, since it may be a secret.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from landbridge.dataflow import problems as dataflow_codes
from landbridge.dataflow.problems import DataflowError, Problem as Finding
from landbridge.errors import (
    CODES,
    AccessRefused,
    ConnectionFailed,
    DataError,
    GuardTripped,
    LandbridgeError,
    QuotaError,
    StorageError,
    TransientError,
)
from landbridge.jobs import key_rotation

MEDIA_TYPE: Final = "application/problem+json"

INVALID_REQUEST: Final = "LB-1791"
MATCH_MISSING: Final = "LB-1792"
MATCH_FAILED: Final = "LB-1793"
BAD_CURSOR: Final = "LB-1794"
NO_SUCH_ROUTE: Final = "LB-1795"
METHOD_NOT_ALLOWED: Final = "LB-1796"
BUSY: Final = "LB-7508"
UNEXPECTED: Final = "LB-9003"

_TOLD: Final = frozenset((BUSY, key_rotation.NOT_NOW))
"""Faults of this machine whose message is for the client, too."""

_RETRY_AFTER_S: Final = 5
_MAX_LISTED: Final = 100
_LOG: Final = logging.getLogger("landbridge.api")

_BY_CODE: Final[Mapping[str, int]] = {
    # there is no such thing
    **dict.fromkeys(("LB-1101", "LB-1701", "LB-1705", "LB-1721", "LB-1742", "LB-1761", "LB-1771", NO_SUCH_ROUTE), 404),
    # it is in another state than the request needs
    **dict.fromkeys(
        ("LB-1702", "LB-1703", "LB-1706", "LB-1722", "LB-1723", "LB-1731", "LB-1763", "LB-1766", "LB-1768"), 409
    ),
    **dict.fromkeys(("LB-1711", "LB-1772", "LB-1773", "LB-1774", "LB-1782", key_rotation.NOT_NOW), 409),
    BAD_CURSOR: 400,
    METHOD_NOT_ALLOWED: 405,
    MATCH_FAILED: 412,
    MATCH_MISSING: 428,
}
_BY_KIND: Final[tuple[tuple[type[LandbridgeError], int], ...]] = (
    (ConnectionFailed, 502),
    (TransientError, 503),
    (QuotaError, 503),
    (DataError, 422),
    (GuardTripped, 409),
    (StorageError, 503),
)


class FindingShown(BaseModel):
    """One thing that is wrong with what was sent."""

    model_config = ConfigDict(from_attributes=True)

    severity: str
    code: str
    step: str | None = None
    field: Annotated[str, Field(description="Where it is, with dots and indexes; empty for the whole.")] = ""
    message: str
    hint: str = ""


class Problem(BaseModel):
    """What went wrong, as RFC 9457 writes it; ``code`` stays the same from version to version."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    title: Annotated[str, Field(description="What the code means.")]
    status: int
    detail: Annotated[str, Field(description="What happened here.")]
    code: str
    hint: Annotated[str, Field(description="What to do next.")] = ""
    step: Annotated[str | None, Field(description="The step of the dataflow.")] = None
    problems: Annotated[list[FindingShown], Field(description="Everything that is wrong, one by one.")] = []
    call_id: Annotated[str | None, Field(description="Under this id the log of the service says more.")] = None


class WithStatus(Exception):
    """An error that is answered by another status than its code usually is."""

    def __init__(self, status: int, error: LandbridgeError) -> None:
        super().__init__(status)
        self.status = status
        self.error = error


@contextmanager
def unprocessable(*codes: str) -> Iterator[None]:
    """Errors with these codes are about what was sent, not about the address: 422 instead of 404 or 409."""
    try:
        yield
    except LandbridgeError as error:
        if error.code in codes:
            raise WithStatus(HTTPStatus.UNPROCESSABLE_ENTITY, error) from error
        raise


def status_of(error: LandbridgeError) -> int:
    """The status by which an error is answered."""
    if isinstance(error, DataflowError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, AccessRefused):
        return error.status
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    return next((status for kind, status in _BY_KIND if isinstance(error, kind)), HTTPStatus.UNPROCESSABLE_ENTITY)


def problem_response(
    error: LandbridgeError, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request that failed by an error of ours.

    Args:
        error: Its message goes out as it is; that of a fault of this machine does not.
        status: Instead of the usual one.
        headers: To be sent with it.
    """
    status = status or status_of(error)
    own = dict(headers or {})
    shown = Problem(
        title=CODES.get(error.code) or dataflow_codes.CODES.get(error.code, "Error."),
        status=status,
        detail=error.message,
        code=error.code,
        hint=error.hint,
        step=error.step,
    )
    if isinstance(error, DataflowError):
        shown.problems = [FindingShown.model_validate(problem) for problem in error.problems[:_MAX_LISTED]]
    if isinstance(error, StorageError) and error.code not in _TOLD:
        shown.call_id = secrets.token_hex(8)
        shown.detail, shown.hint = "the service cannot use its database or its key", "See the log of the service."
        _LOG.error("call %s: %s", shown.call_id, error)
    if isinstance(error, AccessRefused) and error.retry_after_s is not None:
        own.setdefault("Retry-After", str(error.retry_after_s))
    if status == HTTPStatus.UNAUTHORIZED:
        own.setdefault("WWW-Authenticate", "Bearer")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        own.setdefault("Retry-After", str(_RETRY_AFTER_S))
    return _answer(shown, own)


def unexpected_response(error: Exception, request: Request) -> Response:
    """The answer to a request that failed by a fault of the program."""
    call_id = secrets.token_hex(8)
    route = getattr(request.scope.get("route"), "path", "a request")
    _LOG.error("call %s, %s %s", call_id, request.method, route, exc_info=error, extra={"code": UNEXPECTED})
    return _answer(
        Problem(
            title=CODES[UNEXPECTED],
            status=HTTPStatus.INTERNAL_SERVER_ERROR,
            detail=f"the service failed; its log says more under {call_id}",
            code=UNEXPECTED,
            hint="Please report it.",
            call_id=call_id,
        ),
        {},
    )


def install(app: FastAPI) -> None:
    """Let an application answer every error as a problem."""

    async def refused(_: Request, error: Exception) -> Response:
        if isinstance(error, WithStatus):
            return problem_response(error.error, status=error.status)
        if not isinstance(error, LandbridgeError):
            raise error
        return problem_response(error)

    async def invalid(_: Request, error: Exception) -> Response:
        return _invalid(error.errors() if isinstance(error, RequestValidationError) else [])

    async def by_http(request: Request, error: Exception) -> Response:
        if isinstance(error.__cause__, LandbridgeError):
            return problem_response(error.__cause__)
        return _by_status(error) if isinstance(error, HTTPException) else unexpected_response(error, request)

    async def unexpected(request: Request, error: Exception) -> Response:
        return unexpected_response(error, request)

    app.add_exception_handler(LandbridgeError, refused)
    app.add_exception_handler(WithStatus, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, by_http)
    app.add_exception_handler(Exception, unexpected)


def _invalid(errors: Any) -> Response:
    """What FastAPI finds wrong: where and what, never the value."""
    found = [
        Finding(
            severity="error",
            code=INVALID_REQUEST,
            message=str(each["msg"]).removeprefix("Value error, "),
            field=".".join(str(part) for part in each["loc"]),
        )
        for each in errors[:_MAX_LISTED]
    ]
    where = f"{found[0].field}: {found[0].message}" if found else ""
    return _answer(
        Problem(
            title=CODES[INVALID_REQUEST],
            status=HTTPStatus.UNPROCESSABLE_ENTITY,
            detail=where or "the request cannot be understood",
            code=INVALID_REQUEST,
            problems=[FindingShown.model_validate(each) for each in found],
        ),
        {},
    )


def _by_status(error: HTTPException) -> Response:
    status = error.status_code
    code = {404: NO_SUCH_ROUTE, 405: METHOD_NOT_ALLOWED}.get(status, INVALID_REQUEST)
    detail = {404: "there is nothing at this address", 405: "this address does not know the method"}
    hint = "GET /api/v1/openapi.json lists all addresses." if status in detail else ""
    headers = dict(error.headers or {})
    shown = Problem(
        title=CODES[code],
        status=status,
        detail=detail.get(status, "the body cannot be read"),
        code=code,
        hint=hint,
    )
    return _answer(shown, headers)


def _answer(problem: Problem, headers: Mapping[str, str]) -> Response:
    content = problem.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return JSONResponse(content, status_code=problem.status, headers=dict(headers), media_type=MEDIA_TYPE)
