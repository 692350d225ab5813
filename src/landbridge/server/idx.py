"""``idx.*`` over HTTP: one request in, one call done, one reply out, in the vendor's envelope.

Requests are told by the last part of their path, ``/idx.search``, because clients differ in what stands before it. What
a call does with the database is blocking code; it is done in a thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from landbridge.errors import LandbridgeError, StorageError
from landbridge.gigya_wire.authentication import check_access
from landbridge.gigya_wire.replies import ApiError, Payload, new_call_id
from landbridge.gigya_wire.requests import Parameters, decode, read_body
from landbridge.gigya_wire.transport import Reply, ignored, send_reply
from landbridge.jobs.db import Database, repeated
from landbridge.jobs.db_audit import ADDRESS
from landbridge.jobs.db_dataflows import CHANGED_MEANWHILE, UNKNOWN_DATAFLOW
from landbridge.jobs.db_schedules import SCHEDULING_CHANGED, UNKNOWN_SCHEDULING
from landbridge.jobs.documents import Documents
from landbridge.jobs.vault import Vault
from landbridge.server import idx_dataflows, idx_schedulings, idx_search
from landbridge.server.api.routing import Threads
from landbridge.server.hardening import BODY_TIMEOUT_S, Room
from landbridge.server.idx_calls import Call, Method
from landbridge.server.idx_cursors import OpenSearches
from landbridge.server.idx_sites import HttpRequest, Sites, add_first

METHODS: Final[Mapping[str, Method]] = {
    each.name: each for module in (idx_dataflows, idx_schedulings, idx_search) for each in module.METHODS
}

_AT_ONCE: Final = 8
_TIMEOUT_S: Final = 60.0
_NOT_FOUND: Final = frozenset((UNKNOWN_DATAFLOW, UNKNOWN_SCHEDULING))
_CONFLICT: Final = frozenset((CHANGED_MEANWHILE, SCHEDULING_CHANGED))
_OTHER_API: Final = "/api/v1/"
_VERBS: Final = frozenset(("GET", "POST"))
_LOG: Final = logging.getLogger("landbridge.idx")


class IdxCalls:
    """Answers calls to ``idx.*`` and hands on all other requests.

    Args:
        app: What answers the others.
        database: Where dataflows, schedulings and jobs are.
        vault: Opens secrets and the credentials of sites.
        body_timeout_s: For a body to arrive.
        room: For bodies.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        database: Database,
        vault: Vault,
        body_timeout_s: float = BODY_TIMEOUT_S,
        room: Room | None = None,
    ) -> None:
        self._app = app
        self._body_timeout_s = body_timeout_s
        self._room = room or Room()
        self._database = database
        self._documents = Documents(vault)
        self._sites = Sites(vault)
        self._searches = OpenSearches()
        self._threads = Threads(_AT_ONCE, timeout_s=_TIMEOUT_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; see the ASGI specification, version 3."""
        path = scope["path"] if scope["type"] == "http" else ""
        name = path.rstrip("/").rpartition("/")[2]
        # The other API may name something idx.… at the end of its paths: a connection, for example.
        if not name.startswith("idx.") or scope["method"] not in _VERBS or path.startswith(_OTHER_API):
            await self._app(scope, receive, send)
            return
        call_id, now = new_call_id(), time.time_ns() // 1_000_000
        parameters, payload, error = Parameters([]), Payload(), None
        taken: list[int] = []
        try:
            headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
            body = await self._body(receive, taken)
            parameters = await decode(scope["query_string"], headers, body)
            client = (scope.get("client") or ("", 0))[0]
            ADDRESS.set(client)
            request = HttpRequest(scope["method"], scope["scheme"], scope["path"], headers, client)
            payload = await self._answered(name, parameters, request, call_id)
        except ConnectionError:
            return
        except ApiError as failure:
            error, payload = failure, failure.payload
        finally:
            self._room.give_back(sum(taken))
        await send_reply(send, Reply(parameters, call_id, now, payload, error), server="landbridge")

    async def _body(self, receive: Receive, taken: list[int]) -> bytes:
        """The body of a call; ``taken`` becomes how much room it has taken.

        Raises:
            ApiError: 408001, it does not arrive in time; 413001, it is too large; 500001, so much is sent at once that
                there is no room for it.
            ConnectionError: The client went away.
        """

        async def counted() -> Message:
            message = await receive()
            size = len(message.get("body", b""))
            if not self._room.take(size):
                raise ApiError(500001, "Too much is sent at once")  # clients try again after this code
            taken.append(size)
            return message

        try:
            with anyio.fail_after(self._body_timeout_s):
                return await read_body(counted)
        except TimeoutError as error:
            raise ApiError(408001, "The body did not arrive in time") from error

    async def _answered(self, name: str, parameters: Parameters, request: HttpRequest, call_id: str) -> Payload:
        try:
            return await self._threads.run(partial(self._done, name, parameters, request, call_id))
        except StorageError as error:
            raise ApiError(504001, "The database takes too long") from error

    def _done(self, name: str, parameters: Parameters, request: HttpRequest, call_id: str) -> Payload:
        try:
            with self._database.read() as tx:
                site, caller = self._sites.caller(tx, parameters, request)
            check_access(caller, allowed=False, method=name)
            method = METHODS.get(name)
            if method is None:
                raise ApiError(405001, "There is no such method")
            call = Call(parameters, caller, site, self._database, self._documents, self._searches)
            return repeated(partial(method.handler, call)) | ignored(parameters, method.parameters)
        except ApiError:
            raise
        except LandbridgeError as error:
            raise _as_reply(error, call_id) from error
        except Exception as error:
            _LOG.exception("%s, call %s", name if name in METHODS else "a call", call_id)
            raise ApiError(500001, "General Server Error") from error


def prepare(database: Database, vault: Vault) -> None:
    """Make the first site where there is none."""
    with database.write() as tx:
        add_first(tx, vault)


def _as_reply(error: LandbridgeError, call_id: str) -> ApiError:
    if error.code in _NOT_FOUND:
        return ApiError(404000, f"{error.message}  [{error.code}]")
    if error.code in _CONFLICT:
        return ApiError(409000, f"{error.message}  [{error.code}]")
    if isinstance(error, StorageError):
        _LOG.error("call %s: %s", call_id, error)
        # Clients try again after this code.
        return ApiError(500001, "The database or its key cannot be used")
    return ApiError(400006, f"{error.message}  [{error.code}]")
