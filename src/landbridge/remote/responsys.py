"""The client of Responsys' REST API, version 1.3: a token, and records 200 at a time.

Every record of a call has its own outcome: HTTP 200 says nothing of it. All writes here set a state, so a call whose
reply was lost is made again. Facts are from the vendor's pages and public clients.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from landbridge.errors import LandbridgeError
from landbridge.remote import responsys_errors as codes
from landbridge.remote.api_failures import not_understood, unknown_outcome
from landbridge.remote.endpoint import checked_endpoint
from landbridge.remote.http import FORM, PACES, Pace, Repetition, Reply, Retries, Session, repeated, session
from landbridge.remote.responsys_errors import CallRefused, TokenExpired

MAX_RECORDS: Final = 200
"""Records of one call; the vendor refuses more."""
DEFAULT_CALLS_PER_MINUTE: Final = 400
"""The vendor's table says 1,000 merges a minute; real accounts often have 400."""
_MOST_PER_MINUTE: Final[Mapping[str, int]] = {"get": 100, "fields": 200, "delete": 200}
"""What the vendor's table allows, where it is less than for a merge."""
DEFAULT_TIMEOUT_S: Final = 120.0
LIMIT_WAIT_S: Final = 60.0
"""Limits count by the minute."""

_ROOT: Final = "/rest/api/v1.3"
_RENEW_AFTER_S: Final = 100 * 60
"""The vendor's pages say that a token lives two hours, and three."""
_OK: Final = 200
_FAILED: Final = ("MERGEFAILED", "DELETEFAILED")
_NOT_THERE: Final = "not found"

QueryAttribute = Literal["r", "e", "c", "m"]
Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class ResponsysLogin:
    """An account and a user of its API.

    Attributes:
        url: Address of the login host, without a slash at the end.
        username: The API user.
        password: Of that user.
    """

    url: str
    username: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def place(self) -> str:
        """The host, for messages."""
        return urlsplit(self.url).hostname or self.url

    @property
    def account(self) -> str:
        """Names the account without holding a secret."""
        return hashlib.sha256(f"{self.url}\n{self.username}\n{self.password}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MergeRule:
    """What a merge does with a record.

    Attributes:
        match: Column by which members are found, such as CUSTOMER_ID_.
        inserts: Makes a member where there is none.
        updates: Changes a member that is there.
        opts_in: New members without a status of their own are opted in; the vendor's default is an opt-out.
    """

    match: str
    inserts: bool
    updates: bool
    opts_in: bool


class _TokenReply(msgspec.Struct):
    auth_token: str = msgspec.field(name="authToken")
    end_point: str = msgspec.field(name="endPoint")


class _RecordData(msgspec.Struct):
    names: list[str] = msgspec.field(name="fieldNames")
    records: list[list[Any]]


class _Records(msgspec.Struct):
    data: _RecordData = msgspec.field(name="recordData")


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    url: str
    renew_at: float


_TOKENS: Final[dict[str, _Token]] = {}
"""Tokens of all accounts that this process talks to; logins are limited to ten a minute."""


class Client:
    """Calls one account.

    Args:
        login: The account and the user.
        http: An open session.
        retries: How often and how patiently a call is repeated.
        calls_per_minute: Of one kind; None for no limit.
    """

    def __init__(self, login: ResponsysLogin, http: Session, *, retries: Retries, calls_per_minute: int | None) -> None:
        self.login = login
        self._http = http
        self._retries = retries
        self._per_minute = calls_per_minute
        self._renewal = asyncio.Lock()

    async def log_in(self) -> None:
        """Prove that the credentials are good.

        Raises:
            AuthError: LB-2104; they are not.
            LandbridgeError: See ``merge``.
        """
        await self._token()

    async def fields(self, of_list: str) -> list[str]:
        """Names of the list's fields.

        Raises:
            LandbridgeError: See ``merge``.
        """
        body = await self._call("fields", "GET", f"/lists/{_path(of_list)}/fields", None)
        found = _decoded(body, list[dict[str, Any]], self._not_understood("fields"))
        return [str(each.get("fieldName", "")) for each in found]

    async def merge(self, of_list: str, names: Sequence[str], rows: Sequence[Row], rule: MergeRule) -> list[str | None]:
        """Merge at most 200 records into a list; gives why each was refused, or None.

        Raises:
            CallRefused: LB-4631; the call as a whole is refused for what is in it.
            AuthError: LB-2104; the credentials are refused.
            ConnectionFailed: LB-2101, LB-2106, LB-2107 no way to the API; LB-2321 a permission is missing.
            FlowError: LB-1521; there is no such list or field.
            TransientError: In spite of repetitions it was not done.
        """
        merge_rule = {
            "htmlValue": "H",
            "textValue": "T",
            "optinValue": "I",
            "optoutValue": "O",
            "insertOnNoMatch": rule.inserts,
            "updateOnMatch": "REPLACE_ALL" if rule.updates else "NO_UPDATE",
            "matchColumnName1": rule.match,
            "matchColumnName2": None,
            "matchOperator": "NONE",
            "rejectRecordIfChannelEmpty": None,
            "defaultPermissionStatus": "OPTIN" if rule.opts_in else "OPTOUT",
        }
        body = {"recordData": _data(names, rows), "mergeRule": merge_rule}
        return await self._outcomes("merge", f"/lists/{_path(of_list)}/members", body, count=len(rows))

    async def merge_extension(
        self, of_list: str, table: str, names: Sequence[str], rows: Sequence[Row], rule: MergeRule
    ) -> list[str | None]:
        """Merge at most 200 records into a profile extension table; see ``merge``."""
        # Here the vendor writes the column without the underscore at its end.
        body = {"recordData": _data(names, rows), **_table_rule(rule), "matchColumnName1": rule.match.removesuffix("_")}
        path = f"/lists/{_path(of_list)}/listExtensions/{_path(table)}/members"
        return await self._outcomes("merge extension", path, body, count=len(rows))

    async def merge_table(
        self, folder: str, table: str, names: Sequence[str], rows: Sequence[Row], rule: MergeRule
    ) -> list[str | None]:
        """Merge at most 200 records into a supplemental table, by its primary key; see ``merge``."""
        body = {"recordData": _data(names, rows), **_table_rule(rule)}
        path = f"/folders/{_path(folder)}/suppData/{_path(table)}/members"
        return await self._outcomes("merge table", path, body, count=len(rows))

    async def delete(self, of_list: str, attribute: QueryAttribute, ids: Sequence[str]) -> list[str | None]:
        """Delete at most 200 members; who is not there counts as deleted. See ``merge``."""
        body = {"queryAttribute": attribute, "ids": list(ids)}
        path = f"/lists/{_path(of_list)}/members?action=delete"
        found = await self._outcomes("delete", path, body, count=len(ids))
        return [None if text and _NOT_THERE in text.lower() else text for text in found]

    async def get(
        self, of_list: str, attribute: QueryAttribute, ids: Sequence[str], fields: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The members of at most 200 that are there, in no order.

        Raises:
            LandbridgeError: See ``merge``.
        """
        body = {"fieldList": list(fields), "queryAttribute": attribute, "ids": list(ids)}
        try:
            content = await self._call("get", "POST", f"/lists/{_path(of_list)}/members?action=get", body)
        except codes.NotFound:
            return []
        data = _decoded(content, _Records, self._not_understood("get")).data
        # The reply may write names in another case than the request.
        places = {name.upper(): place for place, name in enumerate(data.names)}
        if any(name.upper() not in places for name in fields):
            raise self._not_understood("get")
        return [{name: row[places[name.upper()]] for name in fields} for row in data.records]

    async def _outcomes(self, what: str, path: str, body: Mapping[str, Any], *, count: int) -> list[str | None]:
        content = await self._call(what, "POST", path, body)
        rows = _decoded(content, _Records, self._not_understood(what)).data.records
        if len(rows) != count:
            raise self._not_understood(what)
        texts = [str(row[0]) if row and row[0] is not None else "" for row in rows]
        return [codes.told(text) if text.startswith(_FAILED) else None for text in texts]

    async def _call(self, what: str, method: str, path: str, body: Mapping[str, Any] | None) -> bytes:
        content = None if body is None else msgspec.json.encode(body)
        per_s = None if self._per_minute is None else min(self._per_minute, _MOST_PER_MINUTE.get(what, 1000)) / 60
        pace = PACES.of(("responsys", self.login.account, what), per_s)
        renewed = False

        async def attempt(repetition: Repetition) -> bytes:
            del repetition
            nonlocal renewed
            while True:
                token = await self._token()
                headers = {"Authorization": token.text, "Content-Type": "application/json"}
                url = f"{token.url}{_ROOT}{path}"
                reply = await self._http.request(method, url, body=content, headers=headers, tells_faults=True)
                try:
                    return self._judged(reply, what)
                except TokenExpired:
                    if renewed:
                        raise codes.refused(self.login.place) from None
                    renewed = True
                    self._forget(token)

        return await self._repeated(attempt, pace)

    async def _repeated(self, attempt: Callable[[Repetition], Awaitable[bytes]], pace: Pace) -> bytes:
        repetition = Repetition(self._retries, may_repeat=True, unknown=unknown_outcome)
        return await repeated(attempt, http=self._http, repetition=repetition, pace=pace)

    def _judged(self, reply: Reply, what: str) -> bytes:
        if reply.status == _OK:
            return reply.body
        raise codes.failure(
            reply, what, place=self.login.place, secrets=(self.login.password,), limit_wait_s=LIMIT_WAIT_S
        )

    async def _token(self) -> _Token:
        async with self._renewal:
            known = _TOKENS.get(self.login.account)
            if known is None or time.monotonic() >= known.renew_at:
                known = _TOKENS[self.login.account] = await self._new_token()
            return known

    def _forget(self, token: _Token) -> None:
        if _TOKENS.get(self.login.account) == token:
            del _TOKENS[self.login.account]

    async def _new_token(self) -> _Token:
        login = self.login
        form = urlencode({"user_name": login.username, "password": login.password, "auth_type": "password"}).encode()

        async def attempt(repetition: Repetition) -> bytes:
            del repetition
            url = f"{login.url}{_ROOT}/auth/token"
            reply = await self._http.request("POST", url, body=form, headers=FORM, tells_faults=True)
            try:
                return self._judged(reply, "login")
            except (TokenExpired, CallRefused):
                raise codes.refused(login.place) from None

        body = await self._repeated(attempt, PACES.of(("responsys", login.account, "login"), None))
        answer = _decoded(body, _TokenReply, self._not_understood("login"))
        # The token goes to the address that the reply names, so that it must be as safe as one that a person gave.
        return _Token(answer.auth_token, checked_endpoint(answer.end_point), time.monotonic() + _RENEW_AFTER_S)

    def _not_understood(self, what: str) -> LandbridgeError:
        return not_understood(self.login.place, what)


def _path(name: str) -> str:
    return quote(name, safe="")


def _data(names: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    return {"fieldNames": list(names), "records": [list(row) for row in rows], "mapTemplateName": None}


def _table_rule(rule: MergeRule) -> dict[str, Any]:
    return {"insertOnNoMatch": rule.inserts, "updateOnMatch": "REPLACE_ALL" if rule.updates else "NO_UPDATE"}


def _decoded(body: bytes, kind: Any, failure: LandbridgeError) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise failure from None


@asynccontextmanager
async def client(
    login: ResponsysLogin,
    *,
    connections: int,
    calls_per_minute: int | None = DEFAULT_CALLS_PER_MINUTE,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    retries: Retries | None = None,
) -> AsyncIterator[Client]:
    """Open a client.

    Args:
        login: The account and the user.
        connections: Calls at a time.
        calls_per_minute: Of one kind; None for no limit.
        timeout_s: The longest wait for one answer, in seconds.
        retries: How often and how patiently a call is repeated.
    """
    async with session(connections=connections, timeout_s=timeout_s, encrypted=login.url.startswith("https:")) as http:
        yield Client(login, http, retries=retries or Retries(), calls_per_minute=calls_per_minute)
