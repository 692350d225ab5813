"""The emulated Responsys: its REST API, version 1.3, and the folders of its Connect jobs."""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

import asyncssh
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from landbridge.sandbox.faults import Strikes
from landbridge.sandbox.responsys.connect import FOLDERS, Connect
from landbridge.sandbox.responsys.events import ACCOUNT
from landbridge.sandbox.responsys.faults import Refused
from landbridge.sandbox.responsys.lists import FIELDS, KEYS, MAX_RECORDS, OWN_FIELDS, Members, checked_rows
from landbridge.sandbox.responsys.switches import Switches
from landbridge.sandbox.vendor import Action, Frame, Table, Vendor

LIST: Final = "Customers"
EXTENSION: Final = "Preferences"
FOLDER: Final = "Landbridge"
SUPPLEMENTAL: Final = "Likes"
SUPPLEMENTAL_KEYS: Final = ("CUSTOMER_ID_", "NAME")
_ROOT: Final = "/rest/api/v1.3"
_BROKEN: Final = 500
Body = dict[str, Any]


class Responsys(Vendor):
    """Oracle Responsys."""

    name = "responsys"
    title = "Responsys"
    folders = FOLDERS
    has_password = False  # the vendor's SFTP server takes public keys only
    notes: ClassVar[Mapping[str, str]] = {"account": ACCOUNT}
    faults: ClassVar[Strikes] = {
        "token_expiry": ("*",),
        "concurrency": ("*",),
        "rate_limit": ("*",),
        "partial_failure": ("members", "import"),
        "lost_reply": ("*",),
        "slow_job": ("import", "export", "feed"),
        "broken_file": ("import", "export", "feed"),
        "late_file": ("export", "feed"),
    }
    Switches = Switches

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self.members = Members(frame)
        self.extension = frame.collection(f"extension {EXTENSION}")
        """Rows of the profile extension table by RIID."""
        self.supplemental = frame.collection(f"supplemental {SUPPLEMENTAL}")
        """Rows of the supplemental table by the JSON text of its key."""
        self.connect = Connect(frame, self.members, lambda: self.switches)
        self._key = _kept_key(frame)
        self._tokens: dict[str, float] = {}
        self._calls: Counter[str] = Counter()

    def routes(self) -> Sequence[BaseRoute]:
        """The REST API."""
        members = f"{_ROOT}/lists/{{list}}/members"
        extension = f"{_ROOT}/lists/{{list}}/listExtensions/{{table}}/members"
        rows = f"{_ROOT}/folders/{{folder}}/suppData/{{table}}/members"
        return [
            Route(f"{_ROOT}/auth/token", self._token, methods=["POST"]),
            self._route(f"{_ROOT}/lists", "lists", self._lists),
            self._route(f"{_ROOT}/lists/{{list}}/fields", "fields", self._fields),
            self._route(members, "members", self._post_members, "POST"),
            self._route(members, "get", self._one),
            self._route(f"{members}/count", "count", self._count),
            self._route(f"{members}/{{riid}}", "get", self._one),
            self._route(f"{members}/{{riid}}", "delete", self._delete_one, "DELETE"),
            self._route(f"{_ROOT}/lists/{{list}}/listExtensions", "extensions", self._extensions),
            self._route(extension, "extension", self._post_extension, "POST"),
            self._route(rows, "supplemental", self._post_rows, "POST"),
            self._route(rows, "deleteRow", self._delete_row, "DELETE"),
        ]

    def connection(self) -> dict[str, str]:
        """Parameters of the components."""
        return {
            "url": self.frame.url,
            "username": "landbridge_api",
            "password": self.frame.secret("apiPassword"),
            "listName": LIST,
        }

    def file_connection(self) -> dict[str, str]:
        """Fields of the templates that exchange files: the SFTP server and the key of its user."""
        sftp = self.frame.sftp
        return {
            "host": sftp.host,
            "port": str(sftp.port),
            "username": sftp.username,
            "privateKey": base64.b64encode(self._key.export_private_key("pkcs1-pem")).decode(),
            "hostKey": sftp.host_key,
        }

    def authorized_keys(self) -> str:
        """The public key of the SFTP user."""
        return self._key.export_public_key("openssh").decode()

    def file_arrived(self, path: str) -> None:
        """Begin the imports that have waited for it."""
        del path
        self.connect.look()

    def actions(self) -> Mapping[str, Action]:
        """What people do in the pages of Connect, and what members do."""
        return {
            "define-job": self.connect.define,
            "remove-job": lambda given: self.connect.remove(_text_of(given, "name")),
            "run-job": lambda given: {
                "runs": self.connect.run(_text_of(given, "name"), again=given.get("again") is True)
            },
            "happen": self._happen,
        }

    def _happen(self, given: Mapping[str, Any]) -> None:
        """An event for a member: ``{"event": "OPT_OUT", "customerId": "u1", "reason": "unsubscribe link"}``."""
        reason = str(given.get("reason", ""))
        found = self.members.find("CUSTOMER_ID_", _text_of(given, "customerId"))
        happenings: dict[str, Callable[[str], None]] = {
            "OPT_OUT": lambda riid: self.members.opt_out(riid, reason),
            "OPT_IN": lambda riid: self.members.opt_in(riid, reason),
            "BOUNCE": lambda riid: self.members.bounce(riid, reason, is_hard=given.get("isHard") is True),
        }
        happening = happenings.get(_text_of(given, "event"))
        if happening is None or not found:
            raise ValueError(f"event is one of {', '.join(happenings)}" if found else "there is no such member")
        for riid in found:
            happening(riid)

    def tables(self) -> Iterable[Table]:
        """Members, rows of both tables, jobs of Connect, how often what was called since the start."""
        yield Table("members", list(self.members.records.values()))
        yield Table(f"extension {EXTENSION}", [{"RIID_": riid, **row} for riid, row in self.extension.items()])
        yield Table(f"supplemental {SUPPLEMENTAL}", list(self.supplemental.values()))
        yield from self.connect.tables()
        yield Table("calls", [{"operation": name, "number": number} for name, number in self._calls.items()])

    async def _token(self, request: Request) -> Response:
        self._calls["token"] += 1
        form = await request.form()
        now = time.monotonic()
        if form.get("auth_type") == "token":
            if not self._is_good(request.headers.get("authorization", "")):
                return self._expired().reply()
        elif not (
            _equal(str(form.get("user_name", "")), self.connection()["username"])
            and _equal(str(form.get("password", "")), self.connection()["password"])
        ):
            return Refused("INVALID_USER_NAME_PASSWORD", "Authentication failed", status=401).reply()
        token = secrets.token_urlsafe(24)
        self._tokens[token] = now
        answer = {"authToken": token, "issuedAt": int(time.time() * 1000), "endPoint": self.frame.url}
        return self.frame.reply("token", _json(answer))

    def _route(
        self, path: str, operation: str, answer: Callable[[Request, Body], Any], method: str = "GET"
    ) -> BaseRoute:
        async def guarded(request: Request) -> Response:
            name = f"{operation}.{action}" if (action := request.query_params.get("action")) else operation
            self._calls[name] += 1
            content = await request.body()
            try:
                if self.frame.strike("rate_limit", name) or self.frame.strike("concurrency", name):
                    raise Refused("API_LIMIT_EXCEEDED", "too many calls", status=self.switches.limit_status)
                token = request.headers.get("authorization", "")
                if self.frame.strike("token_expiry", name):
                    self._tokens.pop(token, None)
                if not self._is_good(token):
                    raise self._expired()
                if request.path_params.get("list", LIST) != LIST:
                    raise Refused("INVALID_OBJECT", "List not found")
                await asyncio.sleep(self.switches.call_delay_s)
                found = answer(request, _body(content))
            except Refused as refused:
                return refused.reply()
            return self.frame.reply(name, _json(found))

        return Route(path, guarded, methods=[method])

    def _is_good(self, token: str) -> bool:
        begun = self._tokens.get(token)
        return begun is not None and time.monotonic() - begun < self.switches.token_life_s

    def _expired(self) -> Refused:
        if self.switches.expired_status == _BROKEN:
            return Refused("UNEXPECTED_EXCEPTION", "Not a valid authentication token", status=_BROKEN)
        return Refused("TOKEN_EXPIRED", "The token has expired", status=self.switches.expired_status)

    def _lists(self, request: Request, body: Body) -> Any:
        del request, body
        return [{"name": LIST, "folderName": FOLDER}]

    def _count(self, request: Request, body: Body) -> Any:
        del request, body
        return {"count": len(self.members.records)}

    def _fields(self, request: Request, body: Body) -> Any:
        del request, body
        return [{"fieldName": name, "fieldType": "STR500"} for name in (*FIELDS, *OWN_FIELDS)]

    def _extensions(self, request: Request, body: Body) -> Any:
        del request, body
        return [{"profileExtension": {"objectName": EXTENSION, "folderName": FOLDER}}]

    def _post_members(self, request: Request, body: Body) -> Any:
        action = request.query_params.get("action")
        if action == "delete":
            return self._delete(body)
        if action == "get":
            return self._get(body)
        names, rows = checked_rows(body.get("recordData"), (*FIELDS, *OWN_FIELDS))
        rule = body.get("mergeRule")
        if not isinstance(rule, dict) or rule.get("matchColumnName1") not in KEYS.values():
            raise Refused("INVALID_PARAMETER", "mergeRule needs a matchColumnName1 such as CUSTOMER_ID_")
        results = [[self._merged(names, row, rule)] for row in rows]
        return {"recordData": _data(["RIID_"], results), "mergeRule": rule}

    def _merged(self, names: Sequence[str], row: Sequence[Any], rule: Body) -> str:
        if self.frame.strike("partial_failure", "members"):
            return "MERGEFAILED: Record 1 = The record is locked\r\n"
        return self.members.merge(names, row, rule)

    def _get(self, body: Body) -> Any:
        wanted = body.get("fieldList") or []
        column, ids = _asked(body)
        unknown = [name for name in wanted if name not in (*FIELDS, *OWN_FIELDS)]
        if unknown or not wanted:
            raise Refused("INVALID_FIELD_NAME", f"{unknown[0]} is not a field" if unknown else "fieldList is empty")
        found = [self.members.records[riid] for each in ids for riid in self.members.find(column, each)]
        if not found:
            raise Refused("RECORD_NOT_FOUND", "Record not found in the list", status=404)
        return {"recordData": _data(wanted, [[record.get(name) for name in wanted] for record in found])}

    def _delete(self, body: Body) -> Any:
        column, ids = _asked(body)
        results = []
        for each in ids:
            found = self.members.find(column, each)
            for riid in found:
                self._forget(riid)
            results.append([found[0] if found else "DELETEFAILED: Record not Found in the List."])
        return {"recordData": _data(["RIID_"], results)}

    def _one(self, request: Request, body: Body) -> Any:
        del body
        asked = request.query_params
        names = [name for name in asked.get("fs", "all").split(",") if name]
        if "riid" in request.path_params:
            found = self.members.find("RIID_", request.path_params["riid"])
        else:
            found = self.members.find(KEYS.get(asked.get("qa", ""), ""), asked.get("id", ""))
        if not found:
            raise Refused("RECORD_NOT_FOUND", "Record not found in the list", status=404)
        names = [*FIELDS, *OWN_FIELDS] if names == ["all"] else names
        return {"recordData": _data(names, [[self.members.records[found[0]].get(name) for name in names]])}

    def _delete_one(self, request: Request, body: Body) -> Any:
        del body
        riid = request.path_params["riid"]
        if riid not in self.members.records:
            raise Refused("RECORD_NOT_FOUND", "Record not found in the list", status=404)
        self._forget(riid)
        return {"recordData": _data(["RIID_"], [[riid]])}

    def _forget(self, riid: str) -> None:
        self.members.remove(riid)
        self.extension.pop(riid, None)

    def _post_extension(self, request: Request, body: Body) -> Any:
        if request.path_params["table"] != EXTENSION:
            raise Refused("INVALID_OBJECT", "Profile extension not found")
        names, rows = checked_rows(body.get("recordData"), None)
        column = f"{body.get('matchColumnName1')}_"
        if column not in KEYS.values() or column not in names:
            raise Refused("INVALID_PARAMETER", "matchColumnName1 is CUSTOMER_ID, EMAIL_ADDRESS or RIID, and a field")
        results = []
        for row in rows:
            whole = dict(zip(names, row, strict=True))
            found = self.members.find(column, whole.pop(column))
            if len(found) != 1:
                results.append(["MERGEFAILED: Record 1 = No recipient found\r\n"])
                continue
            self.extension[found[0]] = {**self.extension.get(found[0], {}), **whole}
            results.append([found[0]])
        return {"recordData": _data(["RIID_"], results)}

    def _post_rows(self, request: Request, body: Body) -> Any:
        self._check_table(request)
        names, rows = checked_rows(body.get("recordData"), None)
        if any(key not in names for key in SUPPLEMENTAL_KEYS):
            raise Refused("INVALID_PARAMETER", "a field of the primary key is missing")
        results: list[list[str]] = []
        seen: set[str] = set()
        for row in rows:
            whole = dict(zip(names, row, strict=True))
            key = _row_key([whole[name] for name in SUPPLEMENTAL_KEYS])
            results.append([""])
            if key in seen and self.switches.first_row_counts:
                continue
            seen.add(key)
            self.supplemental[key] = {**self.supplemental.get(key, {}), **whole}
        return {"recordData": _data([""], results)}

    def _delete_row(self, request: Request, body: Body) -> Any:
        del body
        self._check_table(request)
        given = dict(zip(request.query_params.getlist("qa"), request.query_params.getlist("id"), strict=False))
        key = _row_key([given.get(name, "") for name in SUPPLEMENTAL_KEYS])
        if key not in self.supplemental:
            raise Refused("RECORD_NOT_FOUND", "Record not found in the table", status=404)
        del self.supplemental[key]
        return {"recordData": _data(list(SUPPLEMENTAL_KEYS), [list(given.values())])}

    def _check_table(self, request: Request) -> None:
        if (request.path_params["folder"], request.path_params["table"]) != (FOLDER, SUPPLEMENTAL):
            raise Refused("INVALID_OBJECT", "Supplemental table not found")


def _asked(body: Body) -> tuple[str, list[str]]:
    column, ids = KEYS.get(str(body.get("queryAttribute"))), body.get("ids")
    if column is None or not isinstance(ids, list):
        raise Refused("INVALID_PARAMETER", "queryAttribute and ids are needed")
    if len(ids) > MAX_RECORDS:
        raise Refused("RECIPIENT_LIMIT_EXCEEDED", f"more than {MAX_RECORDS} records")
    return column, [str(each) for each in ids]


def _data(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Body:
    return {"fieldNames": list(names), "records": rows, "mapTemplateName": None}


def _row_key(values: Sequence[Any]) -> str:
    return msgspec.json.encode([str(value) for value in values]).decode()


def _body(content: bytes) -> Body:
    try:
        return msgspec.json.decode(content, type=Body) if content else {}
    except msgspec.DecodeError:
        raise Refused("INVALID_REQUEST_CONTENT", "the body is not a JSON object") from None


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _text_of(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"give {name}, a text")
    return value


def _kept_key(frame: Frame) -> asyncssh.SSHKey:
    """The key pair of the SFTP user, the same after a restart; RSA in PEM, which all consumers can load."""
    keys = frame.collection("keys")
    if "sftp" not in keys:
        made = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
        keys["sftp"] = {"key": made.export_private_key("pkcs1-pem").decode()}
    return asyncssh.import_private_key(keys["sftp"]["key"])


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
