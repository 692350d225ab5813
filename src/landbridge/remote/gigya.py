"""The client of Gigya's REST API: one call, or the pages of a search.

Every method is a POST of a form; objects travel as JSON text; the reply is a JSON object whose ``errorCode`` tells
what happened, whatever the HTTP status. Facts are from the vendor's developer guide, its SDKs and recorded replies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec
from yarl import URL

from landbridge.errors import AuthError, ConnectionFailed, FlowError, LandbridgeError, TransientError
from landbridge.remote import gigya_errors as codes
from landbridge.remote.api_failures import not_understood
from landbridge.remote.gigya_errors import CallRefused, CallUnfinished, Envelope
from landbridge.remote.gigya_limits import ImportLimit, SitePaces, Tier, imports_of
from landbridge.remote.gigya_login import Authentication, SiteLogin, bearer_token, signed
from landbridge.remote.http import FORM, Attempt, Repetition, Reply, Retries, Session, session

SEARCH_TIMEOUT_MS: Final = 60_000
"""How long a search may work at the other side; the most that the API allows."""
DEFAULT_TIMEOUT_S: Final = 75.0

_ATTEMPTS_BEFORE_FIRST_ANSWER: Final = 3
_FAILURES_IN_A_ROW: Final = 20
"""After so many calls in a row that failed in spite of repetitions, the site counts as out of order."""
_ONE_MINUTE_LIMITED: Final = "accounts.importFullAccount"
_ENVELOPE: Final = msgspec.json.Decoder(Envelope)


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to a call that was done.

    Attributes:
        body: The whole reply, a JSON object.
        after_uncertain: An earlier attempt of the same call may have done the work already.
    """

    body: bytes
    after_uncertain: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search.

    Attributes:
        elements: The results as they came: JSON objects joined by commas.
        objects_count: Number of results on this page.
        total_count: Number of results of the whole search.
        next_cursor_id: Leads to the next page; None on the last one, as a rule.
    """

    elements: bytes
    objects_count: int
    total_count: int
    next_cursor_id: str | None

    @property
    def is_empty(self) -> bool:
        """Whether there is no result on it."""
        return not self.elements.strip()


class _Head(Envelope):
    """A page without its results."""

    objects_count: int = 0
    total_count: int = 0
    next_cursor_id: str | None = None


class _Whole(_Head):
    results: msgspec.Raw = msgspec.Raw(b"[]")


_HEAD: Final = msgspec.json.Decoder(_Head)
_WHOLE: Final = msgspec.json.Decoder(_Whole)
_BEGIN: Final = b'{"results":['
_END: Final = b'],"objectsCount":'


class Client:
    """Calls one site as an application.

    Args:
        login: The site and the credentials.
        http: An open session.
        tier: How many calls the site allows.
        retries: How often and how patiently a call is repeated.
    """

    def __init__(self, login: SiteLogin, http: Session, *, tier: Tier, retries: Retries) -> None:
        self.login = login
        self._http = http
        self._paces = SitePaces.of(login.account, tier)
        self._imports: ImportLimit | None = None if tier == "none" else imports_of(login.account)
        self._retries = retries
        self._clock_offset_s = 0.0
        self._has_answered = False
        self._failures = 0
        own = {"apiKey": login.api_key, "format": "json", "httpStatusCodes": "false"}
        if login.authentication is Authentication.SECRET:
            own |= {"userKey": login.user_key, "secret": login.secret or ""}
        self._own = own
        self._own_body = encoded(own)

    async def call(self, method: str, parameters: Mapping[str, str], *, may_repeat: bool) -> Answer:
        """Call a method, repeatedly where that may help and can do no harm.

        Args:
            method: Name with namespace, such as ``accounts.setAccountInfo``.
            parameters: Names and values; objects as JSON text.
            may_repeat: Doing the same twice does no harm.

        Raises:
            CallRefused: LB-4621; the API refuses this call.
            CallUnfinished: LB-3201 in spite of repetitions, LB-3202 the outcome is unknown.
            QuotaError: LB-3203; the site allows no more calls.
            AuthError: LB-2301; the credentials or permissions do not suffice.
            ConnectionFailed: LB-2101, LB-2106, LB-2107, LB-2111 no way to the API; LB-2302 another data center.
            FlowError: LB-1505; there is no such method.
            TransientError: LB-3204; the site is out of order.
        """
        repetition = Repetition(self._retries, may_repeat=may_repeat, unknown=codes.unknown_outcome)
        while True:
            if self._imports is not None and method == _ONE_MINUTE_LIMITED and "UID" in parameters:
                # Each attempt counts at the other side, also one whose answer was lost.
                await self._imports.wait(parameters["UID"])
            try:
                answer = await self._attempt(method, parameters, repetition)
            except Attempt as failed:
                if failed.error.code == "LB-2101" and self._is_not_there(repetition):
                    raise failed.error from None
                await self._before_next(method, repetition, failed)
            else:
                self._failures = 0
                return answer

    async def pages(self, method: str, query: str, *, extra: Mapping[str, str] | None = None) -> AsyncGenerator[Page]:
        """Yield the pages of a search, fetching each while the one before is worked on.

        A cursor is sent again when its page was lost. The last page may be empty and still name a cursor.

        Args:
            method: ``accounts.search``, ``ds.search`` or ``audit.search``.
            query: The query, with the size of a page as its LIMIT.
            extra: Further parameters of the first call.

        Raises:
            FlowError: LB-1506; the query was refused.
            TransientError: LB-3205; the cursor is not valid any more.
            LandbridgeError: See ``call``.
        """
        timeout = {"timeout": str(SEARCH_TIMEOUT_MS)}
        first = {"query": query, "openCursor": "true", **timeout, **(extra or {})}
        task: asyncio.Task[Page] | None = asyncio.create_task(self._page(method, first))
        try:
            while task is not None:
                page = await task
                task = None
                if page.next_cursor_id and not page.is_empty:
                    following = {"cursorId": page.next_cursor_id, **timeout}
                    task = asyncio.create_task(self._page(method, following))
                if not page.is_empty:
                    yield page
        finally:
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _page(self, method: str, parameters: Mapping[str, str]) -> Page:
        try:
            answer = await self.call(method, parameters, may_repeat=True)
            return page_of(answer.body)
        except CallRefused as error:
            if "cursorId" in parameters:
                raise TransientError(
                    "LB-3205",
                    f"the search cannot be continued: {error.message}",
                    hint="A search must be continued within five minutes. Run the job again, with a quicker target.",
                ) from None
            raise FlowError(
                "LB-1506", f"the search was refused: {error.message}", hint="Check select, from and where."
            ) from None
        except msgspec.DecodeError:
            raise self._not_understood(method) from None

    async def _attempt(self, method: str, parameters: Mapping[str, str], repetition: Repetition) -> Answer:
        await self._paces.for_method(method).wait()
        url, offset_s = self.login.address(method), self._clock_offset_s
        reply = await self._http.post_form(url, self._body(url, parameters), headers=self._headers())
        self._has_answered = True
        if not reply.body.strip():
            # Seen of the vendor under load; nothing is known of what was done.
            error = CallUnfinished("LB-3201", f"{method} gave an empty answer", hint="Run the job again later.")
            raise Attempt(error, is_certain=False)
        try:
            envelope = envelope_of(reply.body)
        except msgspec.DecodeError:
            raise self._not_understood(method) from None
        if codes.is_done(envelope.error_code):
            return Answer(reply.body, repetition.is_uncertain)
        if envelope.error_code == codes.EXPIRED and self._follows_clock(reply, tried_s=offset_s):
            return await self._attempt(method, parameters, repetition)
        raise codes.failure(
            envelope,
            method,
            place=self.login.place,
            secrets=self.login.secrets,
            uncertain=repetition.is_uncertain,
        )

    async def _before_next(self, method: str, repetition: Repetition, failed: Attempt) -> None:
        try:
            delay = repetition.delay_s(failed)
        except (ConnectionFailed, AuthError):
            raise
        except TransientError as error:
            self._failures += 1
            if self._failures >= _FAILURES_IN_A_ROW:
                raise TransientError(
                    "LB-3204",
                    f"{self.login.place} is out of order: {self._failures} calls in a row failed, at last: "
                    f"{error.message}",
                    hint="Run the job again later.",
                ) from None
            if isinstance(error, CallUnfinished):
                raise
            raise CallUnfinished("LB-3201", error.message, hint=error.hint) from None
        if failed.error.code == "LB-3203":
            self._paces.for_method(method).pause(delay)
        await asyncio.sleep(delay)

    def _is_not_there(self, repetition: Repetition) -> bool:
        """A site that never answered is more likely misspelt than restarting."""
        return not self._has_answered and repetition.number >= _ATTEMPTS_BEFORE_FIRST_ANSWER

    def _body(self, url: str, parameters: Mapping[str, str]) -> bytes:
        if self.login.authentication is Authentication.SIGNATURE:
            now_s = time.time() + self._clock_offset_s
            return encoded(signed(self.login, url=url, parameters={**self._own, **parameters}, now_s=now_s))
        return b"&".join((self._own_body, encoded(parameters))) if parameters else self._own_body

    def _headers(self) -> Mapping[str, str]:
        if self.login.authentication is not Authentication.BEARER:
            return FORM
        return {**FORM, "Authorization": f"Bearer {bearer_token(self.login, now_s=time.time() + self._clock_offset_s)}"}

    def _follows_clock(self, reply: Reply, *, tried_s: float) -> bool:
        """Take over the other side's clock, once; whether that changed anything. The vendor's Java SDK does it, too.

        Args:
            reply: The reply to the call that came too late.
            tried_s: The offset that this call was made with; another one may have corrected it meanwhile.
        """
        if self._clock_offset_s != tried_s:
            return True
        if self._clock_offset_s or reply.date is None or self.login.authentication is Authentication.SECRET:
            return False
        try:
            theirs = parsedate_to_datetime(reply.date).timestamp()
        except ValueError:
            return False
        self._clock_offset_s = theirs - time.time()
        return True

    def _not_understood(self, method: str) -> LandbridgeError:
        return not_understood(self.login.place, method)


@asynccontextmanager
async def client(
    login: SiteLogin,
    *,
    tier: Tier,
    connections: int,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    retries: Retries | None = None,
) -> AsyncIterator[Client]:
    """Open a client.

    Args:
        login: The site and the credentials.
        tier: How many calls the site allows.
        connections: At most so many calls at a time.
        timeout_s: The longest wait for one answer, in seconds.
        retries: How often and how patiently a call is repeated.
    """
    async with session(connections=connections, timeout_s=timeout_s, encrypted=login.is_encrypted) as http:
        yield Client(login, http, tier=tier, retries=retries or Retries())


def envelope_of(body: bytes) -> Envelope:
    """The envelope of any reply.

    Raises:
        msgspec.DecodeError: It is not a reply of this API.
    """
    head = _head(body)
    return _ENVELOPE.decode(body) if head is None else head[0]


def page_of(body: bytes) -> Page:
    """The page in the reply to a search.

    Raises:
        msgspec.DecodeError: It is not a reply of this API.
    """
    quick = _head(body)
    if quick is not None:
        head, elements = quick
    else:
        head = _WHOLE.decode(body)
        elements = bytes(head.results).strip()[1:-1]
    return Page(elements, head.objects_count, head.total_count, head.next_cursor_id)


def _head(body: bytes) -> tuple[_Head, bytes] | None:
    """A page taken apart without reading its results, where it is written as the API does: results first.

    The end of the results is sought from the end of the text. Within a text of a record the quotes would be escaped;
    the same letters as a key of a record leave a rest that does not decode.
    """
    if not body.startswith(_BEGIN):
        return None
    end = body.rfind(_END)
    if end < 0:
        return None
    try:
        return _HEAD.decode(b"{" + body[end + 2 :]), body[len(_BEGIN) : end]
    except msgspec.DecodeError:
        return None


def encoded(parameters: Mapping[str, str]) -> bytes:
    """A form body; a blank becomes ``+``."""
    return URL.build(path="/", query=parameters).raw_query_string.encode()
