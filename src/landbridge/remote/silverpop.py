"""The client of Silverpop's API (today Acoustic Campaign): a token, and operations in XML.

Every call is a POST of one document; the reply is HTTP 200 whatever happened, and its SUCCESS element tells. All
operations used here may be made twice: they set a state. Facts are from the vendor's pages and public clients.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit
from weakref import WeakKeyDictionary

import msgspec

from landbridge.remote import silverpop_errors as codes
from landbridge.remote.api_failures import unknown_outcome
from landbridge.remote.http import FORM, Attempt, Repetition, Retries, Session, session
from landbridge.remote.silverpop_errors import OperationRefused, SessionExpired
from landbridge.remote.silverpop_xml import Element, Fault, NotXml, Outcome, envelope, outcomes

CONCURRENT_CALLS: Final = 10
"""Calls at a time that an organisation may make; the vendor refuses the eleventh."""
DEFAULT_TIMEOUT_S: Final = 120.0
_RENEW_BEFORE_S: Final = 30 * 60
"""A token is renewed so long before its end. The vendor gives a new one in the last hour of its four."""
_SHORTEST_USE_S: Final = 60
_XML: Final[Mapping[str, str]] = {"Content-Type": "text/xml;charset=utf-8"}
_ATTEMPTS_BEFORE_FIRST_ANSWER: Final = 3
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class SilverpopLogin:
    """An organisation and the application that calls.

    Attributes:
        url: Address of the API, without a slash at the end.
        client_id: Of the application.
        client_secret: Of the application.
        refresh_token: Of the user on whose behalf it calls.
    """

    url: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)

    @property
    def place(self) -> str:
        """The API's host, for messages."""
        return urlsplit(self.url).hostname or self.url

    @property
    def account(self) -> str:
        """Names the organisation's quota and token without holding a secret."""
        parts = (self.url, self.client_id, self.client_secret, self.refresh_token)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not show up in a message."""
        return (self.client_secret, self.refresh_token)


class _TokenReply(msgspec.Struct):
    access_token: str
    expires_in: float = 0


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: float


_TOKENS: Final[dict[str, _Token]] = {}
"""Tokens of all organisations that this process talks to; the vendor wants them to be kept and used again."""

_SLOTS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]]] = WeakKeyDictionary()


def _slots(account: str) -> asyncio.Semaphore:
    """The calls that all steps of this process may make at a time to one organisation."""
    own = _SLOTS.setdefault(asyncio.get_running_loop(), {})
    return own.setdefault(account, asyncio.Semaphore(CONCURRENT_CALLS))


class Client:
    """Calls one organisation.

    Args:
        login: The organisation and the credentials.
        http: An open session.
        retries: How often and how patiently a call is repeated.
    """

    def __init__(self, login: SilverpopLogin, http: Session, *, retries: Retries) -> None:
        self.login = login
        self._http = http
        self._retries = retries
        self._slots = _slots(login.account)
        self._renewal = asyncio.Lock()
        self._has_answered = False

    async def call(self, operation: str, content: str) -> Element:
        """Do one operation; gives its RESULT.

        Args:
            operation: Name, such as ``AddRecipient``.
            content: The XML within it.

        Raises:
            OperationRefused: LB-4631; the platform refuses it.
            AuthError: LB-2104; the credentials are refused.
            ConnectionFailed: LB-2101, LB-2106, LB-2107 no way to the API; LB-2321 a permission is missing.
            FlowError: LB-1521; there is no such database.
            TransientError: In spite of repetitions it was not done.
        """
        result, _ = await self.call_and_tell(operation, content)
        return result

    async def call_and_tell(self, operation: str, content: str) -> tuple[Element, bool]:
        """Do one operation; gives its RESULT, and whether an earlier attempt may have done it, too.

        Raises:
            LandbridgeError: See ``call``.
        """
        [outcome], uncertain = await self._call_all(operation, [content])
        if isinstance(outcome, OperationRefused):
            raise outcome
        return outcome, uncertain

    async def call_all(self, operation: str, contents: Sequence[str]) -> list[Element | OperationRefused]:
        """Do an operation several times in one call; gives what became of each, in order.

        Raises:
            LandbridgeError: See ``call``; none of them was refused by itself.
        """
        found, _ = await self._call_all(operation, contents)
        return found

    async def _call_all(self, operation: str, contents: Sequence[str]) -> tuple[list[Element | OperationRefused], bool]:
        request = envelope(f"<{operation}>{content}</{operation}>" for content in contents)
        repetition = Repetition(self._retries, may_repeat=True, unknown=unknown_outcome)
        renewed = False
        while True:
            token = await self._token()
            try:
                found = await self._attempt(operation, request, token, count=len(contents))
                uncertain = repetition.is_uncertain
                return [self._judged(each, operation, uncertain=uncertain) for each in found], uncertain
            except SessionExpired:
                if renewed:
                    raise codes.refused_token(self.login.place) from None
                renewed = True
                self._forget(token)
            except Attempt as failed:
                if failed.error.code == "LB-2101" and self._is_not_there(repetition):
                    raise failed.error from None
                await asyncio.sleep(repetition.delay_s(failed))

    async def log_in(self) -> None:
        """Prove that the credentials are good.

        Raises:
            AuthError: LB-2104; they are not.
            LandbridgeError: See ``call``.
        """
        await self._token()

    async def _attempt(self, operation: str, request: bytes, token: str, *, count: int) -> list[Outcome]:
        async with self._slots:
            headers = {**_XML, "Authorization": f"Bearer {token}"}
            reply = await self._http.post_form(f"{self.login.url}/XMLAPI", request, headers=headers)
        self._has_answered = True
        try:
            found = outcomes(reply.body)
        except NotXml:
            raise codes.not_understood(self.login.place, operation) from None
        if len(found) == count:
            return found
        if len(found) == 1 and isinstance(found[0], Fault):
            raise self._failure(found[0], operation, uncertain=False)  # a refusal of the call as a whole
        raise codes.not_understood(self.login.place, operation)

    def _judged(self, outcome: Outcome, operation: str, *, uncertain: bool) -> Element | OperationRefused:
        if not isinstance(outcome, Fault):
            return outcome
        error = self._failure(outcome, operation, uncertain=uncertain)
        if isinstance(error, OperationRefused):
            return error
        raise error

    def _failure(self, fault: Fault, operation: str, *, uncertain: bool) -> Exception:
        return codes.failure(fault, operation, place=self.login.place, secrets=self.login.secrets, uncertain=uncertain)

    async def _token(self) -> str:
        async with self._renewal:
            known = _TOKENS.get(self.login.account)
            if known is None or time.monotonic() >= known.renew_at:
                known = _TOKENS[self.login.account] = await self._new_token()
            return known.text

    def _forget(self, token: str) -> None:
        known = _TOKENS.get(self.login.account)
        if known is not None and known.text == token:
            del _TOKENS[self.login.account]

    async def _new_token(self) -> _Token:
        login = self.login
        form = {
            "grant_type": "refresh_token",
            "client_id": login.client_id,
            "client_secret": login.client_secret,
            "refresh_token": login.refresh_token,
        }
        repetition = Repetition(self._retries, may_repeat=True, unknown=unknown_outcome)
        while True:
            try:
                reply = await self._http.post_form(f"{login.url}/oauth/token", urlencode(form).encode(), headers=FORM)
                break
            except Attempt as failed:
                if failed.error.code == "LB-2101" and self._is_not_there(repetition):
                    raise failed.error from None
                await asyncio.sleep(repetition.delay_s(failed))
        if reply.status != _OK:
            raise codes.refused_token(login.place)
        try:
            answer = msgspec.json.decode(reply.body, type=_TokenReply)
        except msgspec.DecodeError:
            raise codes.not_understood(login.place, "oauth/token") from None
        self._has_answered = True
        use_s = max(answer.expires_in - _RENEW_BEFORE_S, min(answer.expires_in / 2, _SHORTEST_USE_S))
        return _Token(answer.access_token, time.monotonic() + use_s)

    def _is_not_there(self, repetition: Repetition) -> bool:
        """A host that never answered is more likely misspelt than restarting."""
        return not self._has_answered and repetition.number >= _ATTEMPTS_BEFORE_FIRST_ANSWER


@asynccontextmanager
async def client(
    login: SilverpopLogin, *, timeout_s: float = DEFAULT_TIMEOUT_S, retries: Retries | None = None
) -> AsyncIterator[Client]:
    """Open a client.

    Args:
        login: The organisation and the credentials.
        timeout_s: The longest wait for one answer, in seconds.
        retries: How often and how patiently a call is repeated.
    """
    encrypted = login.url.startswith("https:")
    async with session(connections=CONCURRENT_CALLS, timeout_s=timeout_s, encrypted=encrypted) as http:
        yield Client(login, http, retries=retries or Retries())
