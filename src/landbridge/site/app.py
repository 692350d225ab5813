"""The site as an ASGI application: one request in, one call done, one reply out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from landbridge.errors import LandbridgeError
from landbridge.gigya_wire.authentication import Authentication, check_access
from landbridge.gigya_wire.replies import ApiError, Payload, new_call_id
from landbridge.gigya_wire.requests import Parameters, decode, read_body
from landbridge.gigya_wire.transport import Receive, Reply, Scope, Send, ignored, send_reply
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
from landbridge.site.calls import Access, Call, Method
from landbridge.site.faults import Fault
from landbridge.site.repository import Repository

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
        reply = Reply(parameters, call_id, now, payload, error, is_search=is_search)
        await send_reply(send, reply, server="landbridge-site", drop=fault is not None and fault.drop)

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
            rules=repository.switches,
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
        return payload | ignored(parameters, method.parameters)

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
