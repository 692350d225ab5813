"""The client of Lytics' API: audiences, the users in one, and a user's memberships.

It only reads, so every call may be made twice. A reply is JSON with ``data``, ``status`` and ``message``. Facts are
from the vendor's pages, which publish no rate limit: a reply 429 makes all steps of this process wait.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from landbridge.errors import ConnectionFailed, FlowError, LandbridgeError, TransientError
from landbridge.remote import failures
from landbridge.remote.api_failures import LATER
from landbridge.remote.http import PACES, Repetition, Reply, Retries, Session, repeated, session

T = TypeVar("T")

DEFAULT_URL: Final = "https://api.lytics.io"
DEFAULT_TIMEOUT_S: Final = 120.0
PAGE_USERS: Final = 100
"""Users on a page of a scan, as in the vendor's examples."""

_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404
_MAX_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class LyticsLogin:
    """An account and a token for it.

    Attributes:
        url: Address of the API, without a slash at the end.
        token: The access token; it is sent as it is, without a word before it.
    """

    url: str
    token: str = field(repr=False)

    @property
    def place(self) -> str:
        """The API's host, for messages."""
        return urlsplit(self.url).hostname or self.url

    @property
    def account(self) -> tuple[str, str]:
        """Names what calls are counted for, without holding a secret."""
        return ("lytics", hashlib.sha256(f"{self.url}\n{self.token}".encode()).hexdigest())


class Audience(msgspec.Struct, frozen=True):
    """An audience, which the API calls a segment.

    Attributes:
        id: Lytics gives it once; it stays when the audience is renamed.
        slug_name: What membership lists hold; it may change with the name.
        name: What people call it.
        kind: ``segment``, or ``aspect``, ``goal`` and so on.
        is_public: Whether memberships tell of it without being asked for all.
    """

    id: str
    slug_name: str
    name: str = ""
    kind: str = "segment"
    is_public: bool = True


User = dict[str, Any]
"""Fields of a user; values are texts, numbers, or lists of them."""


class _Envelope(msgspec.Struct):
    data: Any = None
    message: str | None = None
    next: str | None = msgspec.field(default=None, name="_next")


class _NotFound(ConnectionFailed):
    """The API knows nothing of that name (LB-2107, where it should)."""


class Client:
    """Calls one account of Lytics.

    Args:
        login: The account.
        http: An open session.
        retries: How often and how patiently a call is repeated.
    """

    def __init__(self, login: LyticsLogin, http: Session, *, retries: Retries) -> None:
        self.login = login
        self._http = http
        self._retries = retries
        self._pace = PACES.of(login.account, None)

    async def audiences(self) -> list[Audience]:
        """All audiences of users.

        Raises:
            AuthError: LB-2104; the token is refused.
            ConnectionFailed: LB-2101, LB-2106, LB-2107 no way to the API; LB-2321 a permission is missing.
            TransientError: In spite of repetitions there was no answer.
        """
        envelope = await self._get("audiences", "api/segment", {"table": "user"})
        return self._converted(envelope.data or [], list[Audience], "audiences")

    async def audience(self, id_or_slug: str) -> Audience:
        """The audience of this id or slug.

        Raises:
            FlowError: LB-1521; there is none.
            LandbridgeError: See ``audiences``.
        """
        try:
            envelope = await self._get("audience", f"api/segment/{quote(id_or_slug, safe='')}")
        except _NotFound:
            raise FlowError(
                "LB-1521",
                f'{self.login.place} has no audience "{id_or_slug}"',
                hint="Give the id or the slug of an audience of users; `landbridge check` lists those there are.",
            ) from None
        return self._converted(envelope.data, Audience, "audience")

    async def size(self, audience: Audience) -> int | None:
        """How many users are in it, where Lytics tells.

        Raises:
            LandbridgeError: See ``audiences``.
        """
        try:
            envelope = await self._get("size", f"api/segment/{quote(audience.id, safe='')}/sizes")
        except _NotFound:
            return None
        found = envelope.data[0] if isinstance(envelope.data, list) and envelope.data else envelope.data
        size = found.get("size") if isinstance(found, dict) else None
        return size if isinstance(size, int) else None

    async def scan(self, audience: Audience, *, page_users: int = PAGE_USERS) -> AsyncGenerator[list[User]]:
        """Yield the users of an audience, a page at a time, until there is no next page.

        The vendor promises neither an order nor that the audience stands still meanwhile: a user may come twice or not
        at all.

        Raises:
            FlowError: LB-1521; the audience is gone.
            LandbridgeError: See ``audiences``.
        """
        path, query = f"api/segment/{quote(audience.id, safe='')}/scan", {"limit": str(page_users)}
        while True:
            try:
                envelope = await self._get("scan", path, query)
            except _NotFound:
                raise FlowError(
                    "LB-1521", f'the audience "{audience.slug_name}" is gone', hint="Choose another audience."
                ) from None
            yield self._converted(envelope.data or [], list[User], "scan")
            if not envelope.next:
                return
            if envelope.next == query.get("start"):
                raise self._not_understood("scan")  # a cursor that stands still would be read for ever
            query = {**query, "start": envelope.next}

    async def user(self, by: str, value: str, *, all_audiences: bool = False) -> User | None:
        """A user with the memberships in ``segments``; None where nobody is known by this value.

        Args:
            by: The field, such as a Gigya ID.
            value: Its value.
            all_audiences: Tell of audiences that are not public, too.

        Raises:
            LandbridgeError: See ``audiences``.
        """
        query = {"segments": "true", **({"allsegments": "true"} if all_audiences else {})}
        try:
            envelope = await self._get("user", f"api/entity/user/{quote(by, safe='')}/{quote(value, safe='')}", query)
        except _NotFound:
            return None
        return self._converted(envelope.data, User, "user")

    async def _get(self, what: str, path: str, query: Mapping[str, str] | None = None) -> _Envelope:
        url = f"{self.login.url}/{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": self.login.token, "Accept": "application/json"}

        async def attempt(repetition: Repetition) -> _Envelope:
            del repetition
            return self._judged(await self._http.request("GET", url, headers=headers), what)

        repetition = Repetition(self._retries, may_repeat=True, unknown=_unknown)
        return await repeated(attempt, http=self._http, repetition=repetition, pace=self._pace)

    def _judged(self, reply: Reply, what: str) -> _Envelope:
        if reply.status == _UNAUTHORIZED:
            raise failures.refused_login(self.login.place, "the access token")
        if reply.status == _NOT_FOUND:
            raise _NotFound("LB-2107", f"{self.login.place} knows nothing of {what}", hint="Check the address.")
        try:
            envelope = msgspec.json.decode(reply.body, type=_Envelope)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._not_understood(what) from None
        if reply.status == _OK:
            return envelope
        text = (envelope.message or "").replace(self.login.token, "********")[:_MAX_TEXT]
        right = "Give the token a role that may read audiences and users." if reply.status == _FORBIDDEN else ""
        raise ConnectionFailed(
            "LB-2321",
            f"{self.login.place} refuses to tell of {what} (HTTP {reply.status}{f', {text}' if text else ''})",
            hint=right or "Check the parameters of the step.",
        )

    def _converted(self, data: Any, kind: type[T], what: str) -> T:
        try:
            return msgspec.convert(data, kind)
        except msgspec.ValidationError:
            raise self._not_understood(what) from None

    def _not_understood(self, what: str) -> ConnectionFailed:
        return ConnectionFailed(
            "LB-2107",
            f"{self.login.place} gave no answer of this API when asked for {what}",
            hint="Check the address, and whether a proxy stands in between.",
        )


def _unknown(cause: LandbridgeError) -> TransientError:
    return TransientError("LB-3221", f"it is not known whether a call was done: {cause.message}", hint=LATER)


@asynccontextmanager
async def client(
    login: LyticsLogin, *, connections: int, timeout_s: float = DEFAULT_TIMEOUT_S, retries: Retries | None = None
) -> AsyncIterator[Client]:
    """Open a client.

    Args:
        login: The account.
        connections: Calls at a time.
        timeout_s: The longest wait for one answer, in seconds.
        retries: How often and how patiently a call is repeated.
    """
    async with session(connections=connections, timeout_s=timeout_s, encrypted=login.url.startswith("https:")) as http:
        yield Client(login, http, retries=retries or Retries())
