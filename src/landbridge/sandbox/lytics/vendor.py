"""The emulated Lytics: audiences, their users page by page, users with their memberships, and a door for data."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from landbridge.sandbox.faults import Strikes
from landbridge.sandbox.lytics.audiences import Audiences, BadFilter, rule_of
from landbridge.sandbox.vendor import Frame, Table, Vendor

DEFAULT_AUDIENCE: Final = "all"
_LONGEST_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Switches:
    """How Lytics behaves where nobody outside knows for certain, and its limits.

    Attributes:
        scan_has_memberships: The users of a scan come with their memberships.
        scan_repeats: Each page of a scan begins with the last user of the page before it.
        status_is_number: ``status`` in a reply is a number in place of "success".
        retry_after: A reply 429 says how long to wait.
        concurrent_calls: Calls at a time; more are answered 429.
        call_delay_s: How long a call takes at least.
    """

    scan_has_memberships: bool = False
    scan_repeats: bool = False
    status_is_number: bool = True
    retry_after: bool = True
    concurrent_calls: int = 64
    call_delay_s: float = 0.0


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True, slots=True)
class _Answer:
    data: Any
    more: dict[str, Any]


class Lytics(Vendor):
    """Lytics, a customer data platform."""

    name = "lytics"
    title = "Lytics"
    faults: ClassVar[Strikes] = {
        "token_expiry": ("*",),
        "concurrency": ("*",),
        "rate_limit": ("*",),
        "lost_reply": ("*",),
    }
    Switches = Switches

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self.audiences = Audiences(frame)
        self._running = 0
        self._calls: Counter[str] = Counter()
        if not self.audiences.segments:
            self.audiences.create("All users", "FILTER *", slug=DEFAULT_AUDIENCE, kind="aspect")

    def routes(self) -> Sequence[BaseRoute]:
        """The API's first version, audiences of its second, and the door for data."""

        def route(path: str, operation: str, answer: Callable[[Request], Awaitable[_Answer]], *methods: str) -> Route:
            async def guarded(request: Request) -> Response:
                return await self._guarded(operation, answer, request)

            return Route(path, guarded, methods=list(methods or ("GET",)))

        return [
            route("/api/segment", "audiences", self._list),
            route("/v2/segment", "audiences", self._list),
            route("/api/segment", "create", self._create, "POST"),
            route("/api/segment/validate", "validate", self._validate, "POST"),
            route("/api/segment/scan", "scan", self._scan_filter, "POST"),
            route("/api/segment/sizes", "size", self._sizes),
            route("/api/segment/{segment}/sizes", "size", self._size),
            route("/api/segment/{segment}/scan", "scan", self._scan),
            route("/api/segment/{segment}", "audience", self._one),
            route("/api/entity/user/{field}/{value:path}", "user", self._user),
            route("/api/entity/user/{field}/{value:path}", "delete", self._delete, "DELETE"),
            route("/collect/json/{stream}", "collect", self._collect, "POST"),
        ]

    def connection(self) -> dict[str, str]:
        """Parameters of the component."""
        return {
            "lyticsUrl": self.frame.url,
            "accessToken": self.frame.secret("accessToken"),
            "audience": next(iter(self.audiences.segments)),
            "gigyaIdField": "gigya_uid",
        }

    def tables(self) -> Iterable[Table]:
        """Audiences with their sizes, users with their memberships, how often what was called since the start."""
        own = self.audiences
        sizes = [
            {**each, "size": sum(1 for _ in own.members(each))}
            for each in own.segments.values()
        ]  # fmt: skip
        yield Table("audiences", sizes)
        users = [
            {"_id": key, **user, "segments": own.memberships(user, with_private=True)}
            for key, user in own.users.items()
        ]
        yield Table("users", users)
        yield Table("calls", [{"operation": name, "number": number} for name, number in self._calls.items()])

    async def _guarded(
        self, operation: str, answer: Callable[[Request], Awaitable[_Answer]], request: Request
    ) -> Response:
        self._calls[operation] += 1
        struck = self.frame.strike("rate_limit", operation) or self.frame.strike("concurrency", operation)
        if struck or self._running >= self.switches.concurrent_calls:
            headers = {"Retry-After": "1"} if self.switches.retry_after else {}
            return _reply(429, {"data": None, "message": "Too Many Requests", "status": 429}, headers)
        token = request.headers.get("authorization") or request.query_params.get("key", "")
        is_known = hmac.compare_digest(token.encode(), self.frame.secret("accessToken").encode())
        if not is_known or self.frame.strike("token_expiry", operation):
            return _reply(401, {"data": None, "message": "Not authorized", "status": 401})
        self._running += 1
        try:
            await asyncio.sleep(self.switches.call_delay_s)
            found = await answer(request)
        except _Refused as refused:
            return _reply(
                refused.status,
                {"data": None, "message": refused.message, "status": refused.status, "request_id": _id()},
            )
        finally:
            self._running -= 1
        status: int | str = 200 if self.switches.status_is_number else "success"
        whole = {"data": found.data, "status": status, "message": "success", "request_id": _id(), **found.more}
        return self.frame.reply(operation, _reply(200, whole))

    async def _list(self, request: Request) -> _Answer:
        table, kind = request.query_params.get("table", "user"), request.query_params.get("kind")
        found = [
            each
            for each in self.audiences.segments.values()
            if each["table"] == table and (kind is None or each["kind"] in kind.split(","))
        ]
        if request.query_params.get("sizes") == "true":
            found = [{**each, "size": self._count(each)} for each in found]
        return _Answer(found, {"total": len(found)})

    async def _one(self, request: Request) -> _Answer:
        return _Answer(self._segment(request), {})

    async def _create(self, request: Request) -> _Answer:
        given = _object(await request.body())
        try:
            key = self.audiences.create(
                str(given.get("name") or given.get("slug_name") or "audience"),
                str(given.get("segment_ql", "")),
                slug=given.get("slug_name"),
                is_public=bool(given.get("is_public", True)),
            )
        except BadFilter as error:
            raise _Refused(400, str(error)) from None
        return _Answer(self.audiences.segments[key], {})

    async def _validate(self, request: Request) -> _Answer:
        _rule((await request.body()).decode(errors="replace"))
        return _Answer({"valid": True}, {})

    async def _sizes(self, request: Request) -> _Answer:
        wanted = [each for each in request.query_params.get("ids", "").split(",") if each]
        known = [found for each in wanted if (found := self.audiences.find(each))]
        chosen = known if wanted else list(self.audiences.segments.values())
        return _Answer([self._sized(each) for each in chosen], {})

    async def _size(self, request: Request) -> _Answer:
        return _Answer(self._sized(self._segment(request)), {})

    async def _scan(self, request: Request) -> _Answer:
        return self._page(self._segment(request), request)

    async def _scan_filter(self, request: Request) -> _Answer:
        filter_ql = (await request.body()).decode(errors="replace")
        _rule(filter_ql)
        return self._page({"segment_ql": filter_ql}, request)

    async def _user(self, request: Request) -> _Answer:
        _, user = self._found(request)
        wanted = [each for each in request.query_params.get("fields", "").split(",") if each]
        shown = {name: value for name, value in user.items() if not wanted or name in wanted}
        everything = request.query_params.get("allsegments") == "true"
        if everything or request.query_params.get("segments") == "true":
            shown["segments"] = self.audiences.memberships(user, with_private=everything)
        return _Answer(shown, {})

    async def _delete(self, request: Request) -> _Answer:
        key, _ = self._found(request)
        self.audiences.forget(key)
        return _Answer({"deleted": True}, {})

    async def _collect(self, request: Request) -> _Answer:
        content = await request.body()
        try:
            given = msgspec.json.decode(content)
        except msgspec.DecodeError:
            raise _Refused(400, "the body is not JSON") from None
        records = given if isinstance(given, list) else [given]
        if not all(isinstance(each, dict) for each in records):
            raise _Refused(400, "send an object, or a list of them")
        for each in records:
            self.audiences.collect(each)
        return _Answer({"message_count": len(records), "rejected_count": 0}, {})

    def _page(self, segment: dict[str, Any], request: Request) -> _Answer:
        """A page of a scan; the cursor is the id of the last user, who may leave the audience meanwhile."""
        try:
            size = min(int(request.query_params.get("limit", "100")), _LONGEST_PAGE)
        except ValueError:
            raise _Refused(400, "limit is not a number") from None
        after = request.query_params.get("start", "")
        repeats = after and self.switches.scan_repeats
        start = after if repeats or not after else f"{after}!"  # right behind it
        page, is_last = self.audiences.page(segment["segment_ql"], start=start, size=max(size, 1) + bool(repeats))
        return _Answer([self._scanned(user) for _, user in page], {"_next": "" if is_last else page[-1][0]})

    def _scanned(self, user: dict[str, Any]) -> dict[str, Any]:
        if not self.switches.scan_has_memberships:
            return user
        return {**user, "segments": self.audiences.memberships(user, with_private=False)}

    def _segment(self, request: Request) -> dict[str, Any]:
        found = self.audiences.find(request.path_params["segment"])
        if found is None:
            raise _Refused(404, "segment not found")
        return found

    def _found(self, request: Request) -> tuple[str, dict[str, Any]]:
        found = self.audiences.by(request.path_params["field"], request.path_params["value"])
        if found is None:
            raise _Refused(404, "entity not found")
        return found

    def _sized(self, segment: dict[str, Any]) -> dict[str, Any]:
        return {"id": segment["id"], "slug_name": segment["slug_name"], "size": self._count(segment)}

    def _count(self, segment: dict[str, Any]) -> int:
        return sum(1 for _ in self.audiences.members(segment))


def _rule(filter_ql: str) -> None:
    try:
        rule_of(filter_ql)
    except BadFilter as error:
        raise _Refused(400, str(error)) from None


def _object(content: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        raise _Refused(400, "the body is not a JSON object") from None


def _reply(status: int, whole: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(whole), status_code=status, media_type="application/json", headers=headers)


def _id() -> str:
    return secrets.token_hex(8)
