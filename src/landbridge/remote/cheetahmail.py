"""The client of CheetahMail's legacy HTTP API: a login that gives a cookie, then one call for each subscriber.

What is known of it is what public clients do. Calls set a state, so one whose reply was lost is made again; but not a
change of address, whose old one may be somebody else's by then, and not one that puts somebody on a list, who may have
left it by then (``OutcomeUnknown``).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import FormData

from landbridge.errors import LandbridgeError
from landbridge.remote import cheetahmail_errors as answers
from landbridge.remote.api_failures import not_understood
from landbridge.remote.cheetahmail_errors import RecordRefused, SessionExpired
from landbridge.remote.http import FORM, PACES, Repetition, Reply, Retries, Session, repeated, session

URL: Final = "https://ebm.cheetahmail.com"
APP_URL: Final = "https://app.cheetahmail.com"
"""The second host, for files."""
DEFAULT_TIMEOUT_S: Final = 60.0

_RENEW_AFTER_S: Final = 7 * 3600
"""Public clients keep a login for eight hours."""
_OK: Final = "OK"
_EMAIL: Final = "EMAIL"


@dataclass(frozen=True, slots=True)
class CheetahMailLogin:
    """An account and a user of its API.

    Attributes:
        url: Address of the host for single calls, without a slash at the end.
        app_url: Address of the host for files.
        user: The API user.
        password: Of that user.
        affiliate_id: The affiliate, ``aid``; None for the user's own.
    """

    url: str
    app_url: str
    user: str = field(repr=False)
    password: str = field(repr=False)
    affiliate_id: str | None = None

    @property
    def place(self) -> str:
        """The host, for messages."""
        return urlsplit(self.url).hostname or self.url

    @property
    def account(self) -> str:
        """Names the account without holding a secret."""
        return hashlib.sha256(f"{self.url}\n{self.user}\n{self.password}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Subscriber:
    """What the platform knows of a subscriber.

    Attributes:
        fields: Values by name, the address among them.
        facts: What it says of lists: the members of each line, whose names are not published for certain.
    """

    fields: Mapping[str, str]
    facts: Sequence[Mapping[str, str]]

    def knows(self, list_id: str) -> bool:
        """Whether the subscriber is on the list, or was: whether any line speaks of it."""
        said = (text for fact in self.facts for member in fact.items() for text in member)
        return any(list_id in _WORD.findall(text) for text in said)


_WORD: Final = re.compile(r"\w+")

_MOST_RENEWALS: Final = 3
"""Logins for one call; a session may end at any time, and again."""

_COOKIES: Final[dict[str, tuple[str, float]]] = {}
"""Cookies of all accounts that this process talks to, and until when they are used."""


class Client:
    """Calls one account.

    Args:
        login: The account and the user.
        http: An open session.
        retries: How often and how patiently a call is repeated; whoever asks what became of one keeps to it as well.
        calls_per_s: None for no limit.
    """

    def __init__(self, login: CheetahMailLogin, http: Session, *, retries: Retries, calls_per_s: float | None) -> None:
        self.login = login
        self._http = http
        self.retries = retries
        self._per_s = calls_per_s
        self._renewal = asyncio.Lock()

    async def log_in(self) -> None:
        """Prove that the credentials are good.

        Raises:
            AuthError: LB-2104; they are not.
            LandbridgeError: See ``set_user``.
        """
        await self._cookie()

    async def get_user(self, email: str) -> Subscriber | None:
        """What is known of an address; None where nothing is.

        Raises:
            LandbridgeError: See ``set_user``.
        """
        try:
            text = await self._call("getuser1", [("email", email)])
        except RecordRefused as refused:
            if refused.is_gone:
                return None
            raise
        fields: dict[str, str] = {}
        facts: list[Mapping[str, str]] = []
        for line in text.splitlines():
            name, _, value = line.partition("=")
            # Names of fields are in upper case; lines on lists are query strings in lower case.
            if name.isupper():
                fields[name] = value
            elif name:
                facts.append(dict(parse_qsl(line, keep_blank_values=True)))
        if _EMAIL not in fields and not facts and text.strip() != _OK:
            raise self._not_understood("getuser1")
        return Subscriber(fields, facts)

    async def set_user(
        self,
        email: str,
        fields: Mapping[str, str],
        *,
        new_email: str | None = None,
        subscribe: Sequence[str] = (),
        unsubscribe: Sequence[str] = (),
    ) -> None:
        """Make or change a subscriber; fields that are not named stay as they are.

        Args:
            email: The address by which the platform knows the subscriber.
            fields: Values by name.
            new_email: The address from now on.
            subscribe: Ids of lists to put the subscriber on.
            unsubscribe: Ids of lists to take the subscriber off.

        Raises:
            RecordRefused: LB-4631, LB-4635; the platform refuses what the call says.
            OutcomeUnknown: LB-3221; it may have given the new address, or put the subscriber on a list.
            AuthError: LB-2104; the credentials are refused.
            ConnectionFailed: LB-2101, LB-2106, LB-2107 no way to the API; LB-2321 a permission is missing.
            FlowError: LB-1521; there is no such list or field.
            TransientError: In spite of repetitions it was not done.
        """
        given = [("email", email), *fields.items()]
        given += [("newemail", new_email)] if new_email else []
        given += [("sub", each) for each in subscribe] + [("unsub", each) for each in unsubscribe]
        may_repeat = not (new_email or subscribe)
        self._expect(_OK, await self._call("setuser1", given, may_repeat=may_repeat), "setuser1")

    async def lists(self) -> list[Mapping[str, str]]:
        """The lists of the account, as far as the reply can be read.

        Raises:
            LandbridgeError: See ``set_user``.
        """
        text = await self._call("getlist1", [], path="/cgi-bin/api/getlist1")
        return [dict(parse_qsl(line)) for line in text.splitlines() if "=" in line]

    async def load(self, list_id: str, name: str, content: bytes, *, parameter: str) -> None:
        """Hand over a file with subscribers; the platform loads it after the reply.

        Args:
            list_id: The list to load into; 0 is the master list.
            name: Name of the file.
            content: Rows of values, with a header.
            parameter: Name of the parameter with the list's id.

        Raises:
            LandbridgeError: See ``set_user``.
        """
        await self._upload("load1", [(parameter, list_id)], name, content)

    async def unsubscribe_all(self, addresses: Sequence[str]) -> None:
        """Unsubscribe addresses from everything.

        Raises:
            LandbridgeError: See ``set_user``.
        """
        await self._upload("unsub1", [], "unsubscribe.csv", "".join(f"{each}\n" for each in addresses).encode())

    async def _upload(self, what: str, given: Sequence[tuple[str, str]], name: str, content: bytes) -> None:
        form = FormData(quote_fields=False)
        for key, value in [*self._own(), *given]:
            form.add_field(key, value)
        form.add_field("file", content, filename=name, content_type="text/csv")
        body = form()
        buffer = _Buffer()
        await body.write(buffer)  # type: ignore[arg-type]  # it asks for no more than write()
        kind = {"Content-Type": body.content_type}
        url = f"{self.login.app_url}/cgi-bin/api/{what}"
        self._expect(_OK, await self._sent(what, url, bytes(buffer.content), kind), what)

    async def _call(
        self,
        what: str,
        given: Sequence[tuple[str, str]],
        *,
        path: str = "",
        may_repeat: bool = True,
    ) -> str:
        body = urlencode([*self._own(), *given]).encode()
        return await self._sent(what, f"{self.login.url}{path or f'/api/{what}'}", body, FORM, may_repeat=may_repeat)

    def _own(self) -> list[tuple[str, str]]:
        return [("aid", self.login.affiliate_id)] if self.login.affiliate_id else []

    async def _sent(self, what: str, url: str, body: bytes, kind: Mapping[str, str], *, may_repeat: bool = True) -> str:
        renewals = 0

        async def attempt(repetition: Repetition) -> str:
            del repetition
            nonlocal renewals
            while True:
                cookie = await self._cookie()
                reply = await self._http.request("POST", url, body=body, headers={**kind, "Cookie": cookie})
                try:
                    return self._judged(reply, what)
                except SessionExpired:
                    if renewals == _MOST_RENEWALS:
                        raise answers.refused(self.login.place) from None
                    renewals += 1
                    self._forget(cookie)

        return await self._repeated(attempt, may_repeat=may_repeat)

    async def _repeated(self, attempt: Callable[[Repetition], Awaitable[str]], *, may_repeat: bool = True) -> str:
        repetition = Repetition(self.retries, may_repeat=may_repeat, unknown=answers.OutcomeUnknown)
        pace = PACES.of(("cheetahmail", self.login.account), self._per_s)
        return await repeated(attempt, http=self._http, repetition=repetition, pace=pace)

    def _judged(self, reply: Reply, what: str) -> str:
        text = reply.body.decode("utf-8", "replace")
        if text.lstrip().startswith(answers.ERROR):
            raise answers.failure(text, what, place=self.login.place, secrets=(self.login.password,))
        return text

    async def _cookie(self) -> str:
        async with self._renewal:
            known = _COOKIES.get(self.login.account)
            if known is None or time.monotonic() >= known[1]:
                known = _COOKIES[self.login.account] = (await self._new_cookie(), time.monotonic() + _RENEW_AFTER_S)
            return known[0]

    def _forget(self, cookie: str) -> None:
        known = _COOKIES.get(self.login.account)
        if known is not None and known[0] == cookie:
            del _COOKIES[self.login.account]

    async def _new_cookie(self) -> str:
        login = self.login
        # As a form: what stands in an address ends up in logs.
        form = urlencode({"name": login.user, "cleartext": login.password}).encode()

        async def attempt(repetition: Repetition) -> str:
            del repetition
            reply = await self._http.request("POST", f"{login.url}/api/login1", body=form, headers=FORM)
            try:
                self._expect(_OK, self._judged(reply, "login1"), "login1")
            except (SessionExpired, RecordRefused):
                raise answers.refused(login.place) from None
            if not reply.cookie:
                raise self._not_understood("login1")
            return reply.cookie

        return await self._repeated(attempt)

    def _expect(self, wanted: str, text: str, what: str) -> None:
        if text.strip() != wanted:
            raise self._not_understood(what)

    def _not_understood(self, what: str) -> LandbridgeError:
        return not_understood(self.login.place, what)


class _Buffer:
    """Takes what a form writes."""

    def __init__(self) -> None:
        self.content = bytearray()

    async def write(self, chunk: bytes) -> None:
        self.content += chunk


@asynccontextmanager
async def client(
    login: CheetahMailLogin,
    *,
    connections: int,
    calls_per_s: float | None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    retries: Retries | None = None,
) -> AsyncIterator[Client]:
    """Open a client.

    Args:
        login: The account and the user.
        connections: Calls at a time.
        calls_per_s: None for no limit.
        timeout_s: The longest wait for one answer, in seconds.
        retries: How often and how patiently a call is repeated.
    """
    is_encrypted = login.url.startswith("https:") or login.app_url.startswith("https:")
    async with session(connections=connections, timeout_s=timeout_s, encrypted=is_encrypted) as http:
        yield Client(login, http, retries=retries or Retries(), calls_per_s=calls_per_s)
