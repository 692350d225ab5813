"""The emulated platform: the legacy HTTP API with its text answers, and the folders of its SFTP user."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import ClassVar, Final
from urllib.parse import urlencode

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from landbridge.sandbox.cheetahmail.exports import EXPORT, EXPORTS, finish, write_exports
from landbridge.sandbox.cheetahmail.loads import Load
from landbridge.sandbox.cheetahmail.subscribers import MASTER, Illegal, Subscribers, checked, is_address
from landbridge.sandbox.cheetahmail.switches import Switches
from landbridge.sandbox.faults import Strikes
from landbridge.sandbox.vendor import Frame, Table, Vendor

UPLOAD: Final = "upload"
LIST: Final = "2094099241"
"""The list that the account begins with."""

_AFFILIATE: Final = "2093962299"
_COOKIE: Final = "ebmsession"
_CONTROLS: Final = frozenset(("aid", "email", "newemail", "sub", "unsub", "a", "e", "test"))
_UNFINISHED_S: Final = 2.0
"""An export that is cut off is whole after this time."""

OPERATIONS: Final = ("setuser1", "getuser1", "getlist1", "setlist1", "load1", "unsub1")

Call = Callable[[FormData], Awaitable[str]]


class CheetahMail(Vendor):
    """CheetahMail: the legacy product of Experian and Cheetah Digital, not its successors."""

    name = "cheetahmail"
    title = "CheetahMail"
    folders = (UPLOAD, EXPORT)
    faults: ClassVar[Strikes] = {
        "token_expiry": OPERATIONS,
        "concurrency": OPERATIONS,
        "rate_limit": OPERATIONS,
        "partial_failure": ("setuser1", "load"),
        "lost_reply": ("login1", *OPERATIONS),
        "slow_job": ("load", *OPERATIONS),
        "broken_file": EXPORTS,
    }
    Switches = Switches

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self.subscribers = Subscribers(frame, lambda: self.switches, self._something_new)
        self.lists = frame.collection("lists")
        """Name of each list by id."""
        self.lists.setdefault(LIST, {"name": "Newsletter"})
        self.loads = frame.collection("loads")
        """What became of each load."""
        self._sessions: dict[str, float] = {}
        self._calls: Counter[str] = Counter()
        self._exporting = False

    def routes(self) -> Sequence[BaseRoute]:
        """What the vendor answers on its two hosts, and the link in a mail."""
        return [
            Route("/api/login1", self._login, methods=["GET", "POST"]),
            self._route("/api/setuser1", self._set_user),
            self._route("/api/getuser1", self._get_user),
            self._route("/cgi-bin/api/getlist1", self._get_lists),
            self._route("/cgi-bin/api/setlist1", self._set_list),
            self._route("/cgi-bin/api/load1", self._load),
            self._route("/cgi-bin/api/unsub1", self._unsubscribe),
            Route("/r/unsub", self._link, methods=["GET"]),
        ]

    def connection(self) -> dict[str, str]:
        """Parameters of the components and of the steps for files."""
        sftp = self.frame.sftp
        return {
            "url": self.frame.url,
            "apiUser": "landbridge_api",
            "apiPassword": self.frame.secret("apiPassword"),
            "affiliateId": _AFFILIATE,
            "listId": LIST,
            "host": sftp.host,
            "port": str(sftp.port),
            "username": sftp.username,
            "password": sftp.password,
            "hostKey": sftp.host_key,
        }

    def tables(self) -> Iterable[Table]:
        """Subscribers, suppressed addresses, lists, loads, events, how often what was called since the start."""
        yield Table("subscribers", [_shown(record) for record in self.subscribers.records.values()])
        yield Table("suppressed", [{"EMAIL": each, **facts} for each, facts in self.subscribers.suppressed.items()])
        yield Table("lists", [{"id": number, **facts} for number, facts in self.lists.items()])
        yield Table("loads", list(self.loads.values()))
        yield Table("events", list(self.subscribers.events.values()))
        yield Table("calls", [{"operation": name, "number": number} for name, number in self._calls.items()])

    def file_arrived(self, path: str) -> None:
        """Load a file whose name has the agreed form."""
        place = PurePosixPath(path)
        found = re.fullmatch(self.switches.load_pattern, place.name)
        if str(place.parent) != UPLOAD or found is None:
            return
        list_id = found.groupdict().get("list") or self.switches.load_list
        file = self.frame.folder / path
        content = file.read_bytes()
        file.unlink()  # the vendor takes it over
        self._begin_load(place.name, list_id, content)

    def export(self) -> None:
        """Write now what has happened since the last exports."""
        for file in write_exports(self.frame, self.subscribers, self.switches):
            self.frame.start(self._finish(file))

    async def _finish(self, file: str) -> None:
        await asyncio.sleep(_UNFINISHED_S)
        finish(self.frame, file, self.switches)

    def _something_new(self) -> None:
        if not self._exporting:
            self._exporting = True
            self.frame.start(self._export_later())

    async def _export_later(self) -> None:
        await asyncio.sleep(self.switches.export_delay_s)
        self._exporting = False
        self.export()

    def _begin_load(self, file: str, list_id: str, content: bytes) -> None:
        number = str(self.frame.number("load"))
        self.loads[number] = {"id": number, "FILE": file, "LIST": list_id, "STATUS": "waiting"}
        self.frame.start(self._run_load(number, content))

    async def _run_load(self, number: str, content: bytes) -> None:
        slow = self.frame.strike("slow_job", "load")
        await asyncio.sleep(self.switches.load_delay_s + (slow.delay_s if slow else 0))
        known = self.loads[number]
        load = Load(self.frame, self.subscribers, self.switches, known["LIST"])
        is_known = known["LIST"] == MASTER or known["LIST"] in self.lists
        status = await load.run(content) if is_known else "failed: there is no such list"
        counts = {name: str(load.counts[name]) for name in ("ROWS", "LOADED", "REFUSED")}
        self.loads[number] = {**known, "STATUS": status, **counts, "refused": load.refused}
        self.subscribers.note("load", FILE=known["FILE"], LIST=known["LIST"], STATUS=status, **counts)

    async def _login(self, request: Request) -> Response:
        self._calls["login1"] += 1
        given = await _given(request)
        wanted = self.connection()
        if not (
            _equal(str(given.get("name", "")), wanted["apiUser"])
            and _equal(str(given.get("cleartext", "")), wanted["apiPassword"])
        ):
            return _text("err:auth")
        session = secrets.token_urlsafe(24)
        self._sessions[session] = time.monotonic()
        reply = self.frame.reply("login1", _text("OK"))
        reply.set_cookie(_COOKIE, session, max_age=self.switches.session_life_s, path="/")
        return reply

    def _route(self, path: str, answer: Call) -> BaseRoute:
        operation = path.rpartition("/")[2]

        async def guarded(request: Request) -> Response:
            self._calls[operation] += 1
            if self.frame.strike("rate_limit", operation):
                return PlainTextResponse("Service Unavailable", status_code=self.switches.limit_status)
            if self.frame.strike("concurrency", operation):
                return _text("err:internal error")
            session = request.cookies.get(_COOKIE, "")
            if self.frame.strike("token_expiry", operation):
                self._sessions.pop(session, None)
            begun = self._sessions.get(session)
            if begun is None or time.monotonic() - begun >= self.switches.session_life_s:
                return _text("err:auth")
            given = await _given(request)
            slow = self.frame.strike("slow_job", operation)
            await asyncio.sleep(self.switches.call_delay_s + (slow.delay_s if slow else 0))
            try:
                if given.get("aid", _AFFILIATE) != _AFFILIATE:
                    raise Illegal("aid:illegal")
                found = await answer(given)
            except Illegal as error:
                return _text(f"err:{error}")
            return self.frame.reply(operation, _text(found))

        return Route(path, guarded, methods=["GET", "POST"])

    async def _set_user(self, given: FormData) -> str:
        email, new = _address(given, "email"), str(given.get("newemail", ""))
        joining, leaving = self._lists(given, "sub"), self._lists(given, "unsub")
        fields = {name: checked(name, str(text)) for name, text in given.items() if name not in _CONTROLS}
        number = self.subscribers.find(email)
        holder = self._holder(number, email, new)
        is_back = number is not None and any(self.subscribers.has_left(number, each) for each in joining)
        if is_back and self.switches.refuses_resubscription:
            raise Illegal("resub:illegal")
        if self.frame.strike("partial_failure", "setuser1"):
            raise Illegal("data:other")
        if given.get("test") == "1":
            return "OK"
        if holder is not None and holder != number:
            self.subscribers.delete(holder)
        number = self.subscribers.write(number, new or email, fields, by="api")
        if given.get("a") == "1":
            leaving += [each for each in self.subscribers.records[number]["lists"] if each not in joining]
        for each in joining:
            self.subscribers.subscribe(number, each, by="api")
        for each in leaving:
            self.subscribers.unsubscribe(number, each, "i")
        return "OK"

    def _holder(self, number: str | None, email: str, new: str) -> str | None:
        """Who has the new address, if it may be given away."""
        if self.subscribers.is_suppressed(email):
            raise Illegal("email:blocked")
        if not new:
            return None
        if not is_address(new):
            raise Illegal("newemail:illegal")
        if self.subscribers.is_suppressed(new):
            raise Illegal("newemail:blocked")
        if number is None and not self.switches.newemail_creates:
            raise Illegal("email:noexist")
        holder = self.subscribers.find(new)
        if holder is not None and holder != number and not self.switches.taken_address_is_merged:
            raise Illegal("newemail:illegal")
        return holder

    async def _get_user(self, given: FormData) -> str:
        number = self.subscribers.find(_address(given, "email"))
        if number is None:
            raise Illegal("email:noexist")
        record = self.subscribers.records[number]
        lines = [f"EMAIL={record['email']}", *(f"{name}={text}" for name, text in record["fields"].items())]
        for list_id, fact in record["lists"].items():
            if fact["left"] is None:
                lines.append(urlencode({"sub": list_id, "date": fact["since"]}))
            else:
                lines.append(urlencode({"unsub": list_id, "date": fact["left"], "reason": fact["reason"]}))
        return "\r\n".join(lines)

    async def _get_lists(self, given: FormData) -> str:
        del given
        return "\r\n".join(urlencode({"list": number, "name": facts["name"]}) for number, facts in self.lists.items())

    async def _set_list(self, given: FormData) -> str:
        name = str(given.get("name", ""))
        if not name:
            raise Illegal("name:missing")
        number = str(self.frame.number("list", first=2_094_100_001))
        self.lists[number] = {"name": name}
        return number

    async def _load(self, given: FormData) -> str:
        name, content = await _file(given)
        [list_id, *_] = self._lists(given, self.switches.load_list_parameter) or [MASTER]
        self._begin_load(name, list_id, content)
        return "OK"

    async def _unsubscribe(self, given: FormData) -> str:
        """Unsubscribe the addresses of a file, one a line: from a list, or from all that the platform ever sends."""
        _, content = await _file(given)
        lists = self._lists(given, "unsub")
        for line in content.decode("utf-8", "replace").split():
            number = self.subscribers.find(line)
            if number is None:
                continue
            for each in lists:
                self.subscribers.unsubscribe(number, each, "k")
            if not lists:
                self.subscribers.unsubscribe_everywhere(number, "k")
        return "OK"

    async def _link(self, request: Request) -> Response:
        """What a click on the link in a mail does: ``/r/unsub?email=…&list=…``."""
        number = self.subscribers.find(request.query_params.get("email", ""))
        if number is not None:
            self.subscribers.unsubscribe(number, request.query_params.get("list", LIST), "w")
        return _text("You have been unsubscribed.")

    def _lists(self, given: FormData, name: str) -> list[str]:
        found = [str(each) for each in given.getlist(name)]
        for each in found:
            if not each.isascii() or not each.isdigit():
                raise Illegal(f"{name}:non-numeric")
            if each != MASTER and each not in self.lists:
                raise Illegal(f"{name}:illegal")
        return found


def _shown(record: dict[str, object]) -> dict[str, object]:
    fields = record["fields"]
    assert isinstance(fields, dict)  # noqa: S101 - as they are written
    return {"id": record["id"], "EMAIL": record["email"], **fields, "lists": record["lists"]}


async def _given(request: Request) -> FormData:
    """The parameters of a call, from the address and from a form alike."""
    form = await request.form()
    return FormData([*request.query_params.multi_items(), *form.multi_items()])


async def _file(given: FormData) -> tuple[str, bytes]:
    file = given.get("file")
    if not isinstance(file, UploadFile):
        raise Illegal("file:missing")
    content = await file.read()
    await file.close()
    return file.filename or "file", content


def _address(given: FormData, name: str) -> str:
    text = str(given.get(name, "")).strip()
    if not text:
        raise Illegal(f"{name}:missing")
    if not is_address(text):
        raise Illegal(f"{name}:illegal")
    return text


def _text(text: str) -> Response:
    return PlainTextResponse(text)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
