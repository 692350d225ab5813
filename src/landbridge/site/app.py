"""The site as an ASGI application: one request in, one call done, one reply out."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from landbridge.errors import LandbridgeError
from landbridge.site import (
    account_reads,
    account_writes,
    counters,
    datastore,
    lite,
    loyalty,
    policies,
    registration,
    schema_methods,
    searching,
    webhooks,
)
from landbridge.site.accounts import encode
from landbridge.site.admin import Admin
from landbridge.site.audit import audit_record
from landbridge.site.authentication import Authentication, check_access
from landbridge.site.calls import Access, Call, Method
from landbridge.site.faults import Fault
from landbridge.site.replies import ApiError, Payload, envelope, new_call_id, search_envelope, status_of
from landbridge.site.repository import Repository
from landbridge.site.requests import Parameters, decode, read_body

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

METHODS: Final[Mapping[str, Method]] = {
    each.name: each
    for module in (
        account_reads,
        account_writes,
        counters,
        datastore,
        lite,
        loyalty,
        policies,
        registration,
        schema_methods,
        searching,
        webhooks,
    )
    for each in module.METHODS
}

CONTROL: Final = frozenset(
    "apikey userkey secret sig nonce timestamp format callback httpstatuscodes context sdk sdkbuild cid"
    " ignoreinterruptions dontHandleScreenSet authmode pageurl lang gmid ucid targetenv oauth_token login_token"
    " mutewebhooks include".lower().split()
)
"""Parameters that every method takes."""

_IGNORED: Final = (
    "This parameter was not recognized as valid for this API method with your security credentials nor was it"
    " recognized as a standard Gigya control parameter."
)
_STATUSES: Final = frozenset(status.value for status in HTTPStatus)
_CALLBACK: Final = re.compile(r"[A-Za-z_$][\w$.]{0,99}")
_LOG: Final = logging.getLogger(__name__)


class Application:
    """Answers the calls to one site."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._authentication = Authentication(repository.credentials)
        self._admin = Admin(repository)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; see the ASGI specification, version 3."""
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/_site/"):
            await self._admin(scope, receive, send)
            return
        call_id, now = new_call_id(), self._repository.clock()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        parameters, fault, error, payload = Parameters([]), None, None, {}
        is_search = False
        try:
            body = await read_body(receive)
            parameters = await decode(scope["query_string"], headers, body)
            name = method_name(scope["path"])
            fault = self._repository.faults.strike(name)
            if fault is not None and fault.delay_s:
                await asyncio.sleep(fault.delay_s)
            payload = await self._answered(name, parameters, scope, headers, call_id, now, fault)
            is_search = METHODS[name].is_search
        except ConnectionError:
            return
        except ApiError as failure:
            error, payload = failure, failure.payload
        reply = _Reply(parameters, call_id, now, payload, error, is_search=is_search)
        await _send(send, reply, drop=fault is not None and fault.drop)

    async def _answered(
        self,
        name: str,
        parameters: Parameters,
        scope: Scope,
        headers: Mapping[str, str],
        call_id: str,
        now: int,
        fault: Fault | None,
    ) -> Payload:
        repository = self._repository
        caller = self._authentication.caller(
            parameters,
            verb=scope["method"],
            scheme=scope["scheme"],
            path=scope["path"],
            headers=headers,
            switches=repository.switches,
            now_ms=now,
        )
        method = METHODS.get(name)
        check_access(caller, allowed=method is not None and method.access is not Access.APPLICATION, method=name)
        if method is None:
            raise ApiError(405001, f"There is no method {name}" if name.isascii() else "There is no such method")
        repository.limits.count_call(repository.switches, is_search=method.is_search)
        if fault is not None and fault.error_code is not None and not fault.after_work:
            raise ApiError(fault.error_code)
        client = scope.get("client") or ("", 0)
        call = Call(
            name, parameters, caller, call_id, now, client[0], headers.get("user-agent", "")[:500], method.is_audited
        )
        try:
            payload = await self._done(method, call)
        except ApiError as error:
            await self._audit_failure(call, error)
            raise
        if fault is not None and fault.error_code is not None:
            raise ApiError(fault.error_code)
        return payload | _ignored(parameters, method)

    async def _done(self, method: Method, call: Call) -> Payload:
        try:
            return await method.handler(self._repository, call)
        except TimeoutError as error:
            raise ApiError(504001, "The search took too long; narrow it or raise timeout") from error
        except LandbridgeError as error:
            _LOG.error("%s failed: %s", call.method, error)
            raise ApiError(500028, "The database cannot be used") from error
        except (ApiError, asyncio.CancelledError):
            raise
        except Exception as error:
            _LOG.exception("%s failed", call.method)
            raise ApiError(500001, "General Server Error") from error

    async def _audit_failure(self, call: Call, error: ApiError) -> None:
        if call.is_audited:
            record = audit_record(call, {}, self._repository.credentials.api_key, error=error)
            await self._repository.store.write(
                lambda session: session.append_audit(record["@timestamp"], encode(record))
            )


def method_name(path: str) -> str:
    """The method that a path names: ``ids.*`` are the accounts methods, and no namespace means ``socialize``."""
    name = path.strip("/").rpartition("/")[2]
    if "." not in name:
        return f"socialize.{name}"
    return f"accounts.{name.removeprefix('ids.')}" if name.startswith("ids.") else name


class _Reply:
    """The bytes of a reply and how they are labelled."""

    def __init__(
        self,
        parameters: Parameters,
        call_id: str,
        now: int,
        payload: Payload,
        error: ApiError | None,
        *,
        is_search: bool,
    ) -> None:
        self.status = 200
        try:
            if parameters.boolean("httpStatusCodes"):
                self.status = status_of(error.code) if error and status_of(error.code) in _STATUSES else self.status
        except ApiError as wrong:
            payload, error = {}, error or wrong
        form = parameters.text("format")
        if form not in (None, "json", "jsonp") and error is None:
            payload, error = {}, ApiError(400096, "Only the formats json and jsonp are supported")
        context = parameters.raw("context")
        if is_search and error is None:
            self.body = search_envelope(call_id, now, payload=payload, context=context)
        else:
            self.body = envelope(call_id, now, payload=payload, error=error, context=context)
        self.kind = b"application/json; charset=utf-8"
        callback = parameters.text("callback")
        if form == "jsonp" and callback and _CALLBACK.fullmatch(callback):
            self.kind = b"text/javascript; charset=utf-8"
            self.body = callback.encode() + b"(" + self.body + b");"


async def _send(send: Send, reply: _Reply, *, drop: bool) -> None:
    headers = [
        (b"content-type", reply.kind),
        (b"content-length", str(len(reply.body)).encode()),
        (b"date", formatdate(usegmt=True).encode()),
        (b"cache-control", b"private, no-store"),
        (b"x-server", b"landbridge-site"),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if drop:
        # The rest never comes: the server closes the connection when the application returns.
        await send({"type": "http.response.body", "body": reply.body[: len(reply.body) // 2], "more_body": True})
        return
    await send({"type": "http.response.body", "body": reply.body})


def _ignored(parameters: Parameters, method: Method) -> Payload:
    unknown = [name for name in parameters if name.lower() not in method.parameters and name.lower() not in CONTROL]
    if not unknown:
        return {}
    return {"ignoredParams": [{"paramName": name, "warningCode": 403007, "message": _IGNORED} for name in unknown]}
