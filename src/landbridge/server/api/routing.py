"""How a route of the API does its work: in a thread, as one of a few, and not for ever.

A route is a plain function that may wait for the database. It is called in a thread; who finds too many before him is
told to come again. Its body, where it has one, is one JSON object that can be stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from http import HTTPStatus
from typing import Any, Final, TypeVar, get_args, get_type_hints

import anyio
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from landbridge.dataflow.model import parse_object
from landbridge.dataflow.problems import DataflowError, Problem, errors_of
from landbridge.errors import FlowError, LandbridgeError, StorageError
from landbridge.jobs.db import repeated
from landbridge.jobs.documents import storable
from landbridge.server.api.etags import NotModified
from landbridge.server.api.problems import BUSY, INVALID_REQUEST, MEDIA_TYPE, WithStatus, unexpected_response

T = TypeVar("T")

AT_ONCE: Final = 8
"""Threads that work for the API; the pool of connections to the database has some for others."""

TIMEOUT_S: Final = 30.0

_MAX_WAITING: Final = 200
_ERRORS: Final = {
    "default": {
        "description": "A problem, as RFC 9457 writes it.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


class Threads:
    """Some threads of a service, never more than that: one whose work is waited for no more stays taken until it ends.

    Args:
        at_once: How many.
        timeout_s: For work, from the moment it is asked for.
        max_waiting: Work that may wait for its turn.
    """

    def __init__(
        self, at_once: int = AT_ONCE, *, timeout_s: float = TIMEOUT_S, max_waiting: int = _MAX_WAITING
    ) -> None:
        # The limiter gives a thread to each work that begins, so nothing ever waits within the pool itself.
        self._limiter = anyio.CapacityLimiter(at_once)
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="api")
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` in a thread.

        Raises:
            StorageError: LB-7508, too many wait, or it takes too long; then it ends by itself.
        """
        if self._limiter.statistics().tasks_waiting >= self._max_waiting:
            raise _busy("too many requests wait for their turn")
        try:
            with anyio.fail_after(self._timeout_s):
                return await self._done(work)
        except TimeoutError as error:
            raise _busy("it takes too long") from error

    async def _done(self, work: Callable[[], T]) -> T:
        loop, turn = asyncio.get_running_loop(), object()

        def free(_: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the service has ended meanwhile
                loop.call_soon_threadsafe(self._limiter.release_on_behalf_of, turn)

        await self._limiter.acquire_on_behalf_of(turn)
        try:
            future = self._pool.submit(copy_context().run, work)
        except BaseException:
            self._limiter.release_on_behalf_of(turn)
            raise
        future.add_done_callback(free)
        return await asyncio.wrap_future(future)


_THREADS: Final[ContextVar[Threads]] = ContextVar("_THREADS")
"""Those of the service that is asked."""


class Routes(APIRouter):
    """A router whose routes are plain functions; see above."""

    def __init__(self, *, tag: str) -> None:
        super().__init__(tags=[tag], route_class=_Route, responses=_ERRORS)  # type: ignore[arg-type]  # keys may be texts

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """See APIRouter."""
        options["operation_id"] = options.get("operation_id") or _camel(endpoint.__name__)
        options["summary"] = options.get("summary") or _first_line(endpoint)
        options["openapi_extra"] = {"x-role": _role(endpoint), **(options.get("openapi_extra") or {})}
        super().add_api_route(path, _threaded(endpoint), **options)


class _Route(APIRoute):
    """Reads bodies strictly, and answers faults of the program."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            if "\x00" in request.scope["path"] or b"%00" in request.scope["query_string"]:
                raise WithStatus(HTTPStatus.BAD_REQUEST, FlowError(INVALID_REQUEST, "the address holds a zero byte"))
            _THREADS.set(request.app.state.threads)
            try:
                return await handler(_StrictRequest(request.scope, request.receive))
            except (LandbridgeError, WithStatus, NotModified, HTTPException, RequestValidationError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
                return unexpected_response(error, request)

        return answered


class _StrictRequest(Request):
    """A request whose JSON body is one object without values that JSON or a database does not know."""

    async def json(self) -> Any:
        """The object.

        Raises:
            DataflowError: With all that is wrong with the text.
        """
        document, problems = parse_object(await self.body(), source="the body", noun="a JSON object")
        if document is None:
            raise DataflowError(_renamed(problems))
        if not storable(document):
            message = "the body holds a character that cannot be stored: zero, or half of a surrogate pair"
            raise FlowError(INVALID_REQUEST, message)
        return document


def _renamed(problems: list[Problem]) -> list[Problem]:
    return [Problem("error", INVALID_REQUEST, each.message, hint=each.hint) for each in errors_of(problems)]


def _threaded(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function as one that waits for its thread."""
    if inspect.iscoroutinefunction(endpoint):
        return endpoint

    @functools.wraps(endpoint)
    async def called(*args: Any, **kwargs: Any) -> Any:
        return await _THREADS.get().run(functools.partial(repeated, functools.partial(endpoint, *args, **kwargs)))

    return called


def _busy(message: str) -> StorageError:
    return StorageError(BUSY, message, hint="Try again in a moment.")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _role(endpoint: Callable[..., Any]) -> str:
    """The role that a route needs, for its description; empty for one that is open."""
    hints = get_type_hints(endpoint, include_extras=True).values()
    dependencies = (part.dependency for hint in hints for part in get_args(hint) if isinstance(part, Depends))
    roles = (getattr(found, "role", None) for found in dependencies)
    return next((str(role) for role in roles if role is not None), "")


def _first_line(endpoint: Callable[..., Any]) -> str:
    return (inspect.getdoc(endpoint) or endpoint.__name__).partition("\n")[0].rstrip(".")
