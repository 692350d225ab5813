"""Log in with client credentials, then ask a service for a shared access signature of an Azure container.

IdentitySync's ``azure.sas`` components name four addresses and no message format. This is the format that we
speak; it follows Microsoft's identity platform for the first request and takes what such services answer to
the second:

1. ``POST {loginUrl}/oauth2/v2.0/token`` with the form fields ``grant_type=client_credentials``, ``client_id``,
   ``client_secret`` and ``scope`` (``{clientId}/.default`` unless the step says otherwise); the answer is
   JSON with ``access_token``.
2. ``GET {authenticationUrl}{blobUri}`` with ``Authorization: Bearer {access_token}``; a service that answers 405 is
   asked by ``POST`` with an empty body. The answer holds the address of a container, or of a folder in it,
   together with its signature: as plain text, as a JSON string, or anywhere in a JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp

from landbridge.errors import ConnectionFailed, LandbridgeError
from landbridge.remote import failures
from landbridge.remote.endpoint import LOOPBACK, checked_endpoint
from landbridge.remote.http import content_of
from landbridge.remote.object_errors import busy
from landbridge.remote.object_stores import azure_sas_folder
from landbridge.remote.objects import ObjectFolder

LARGEST_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SasLogin:
    """Who asks whom for a signature.

    Args:
        login_url: Address of the tenant, ``https://login.microsoftonline.com/<tenant>``.
        authentication_url: Address of the service that gives signatures.
        blob_uri: Path at that service.
        client_id: Application that logs in.
        client_secret: Its secret.
        scope: OAuth scope; ``{client_id}/.default`` when None.
        timeout_s: The longest time to wait for any single answer.
        allow_unencrypted: Ask the service of signatures without https:// all the same; the login never.
    """

    login_url: str
    authentication_url: str
    blob_uri: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    timeout_s: float = 60
    allow_unencrypted: bool = False


@dataclass(frozen=True, slots=True)
class SignedContainer:
    """A container, or a folder in it, with a signature to use it.

    ``account`` is the name in the address; ``expires`` is None where the signature does not say (a stored
    access policy at the account decides then).
    """

    endpoint: str
    account: str
    container: str
    folder: str
    signature: str = field(repr=False)
    expires: datetime | None


async def signed_container(login: SasLogin) -> SignedContainer:
    """Log in and ask for a signature.

    Raises:
        FlowError: LB-1303, an address may not be used.
        ConnectionFailed: LB-2101 unreachable, LB-2110 an answer cannot be understood, LB-2111 it is too long.
        AuthError: LB-2104, one of the two refuses the credentials.
        TransientError: LB-3102 no answer in time, LB-3106 busy.
    """
    token_url = f"{checked_endpoint(login.login_url)}/oauth2/v2.0/token"
    service = login.authentication_url.rstrip("/")
    if not login.allow_unencrypted:
        service = checked_endpoint(service, otherwise="Or set allowUnencrypted where the service has nothing else.")
    sas_url = f"{service}/{login.blob_uri.lstrip('/')}"
    form = {
        "grant_type": "client_credentials",
        "client_id": login.client_id,
        "client_secret": login.client_secret,
        "scope": login.scope or f"{login.client_id}/.default",
    }
    timeout = aiohttp.ClientTimeout(total=login.timeout_s, sock_connect=min(login.timeout_s, 15))
    async with aiohttp.ClientSession(timeout=timeout) as session:
        answer = await _ask(session, "POST", token_url, login=login, data=form)
        token = _json(answer.text).get("access_token") if answer.status == 200 else None  # noqa: PLR2004 - HTTP
        if not isinstance(token, str) or not token:
            raise _not_understood("the login service", "access_token")
        headers = {"Authorization": f"Bearer {token}"}
        answer = await _ask(session, "GET", sas_url, login=login, headers=headers)
        if answer.status == 405:  # noqa: PLR2004 - HTTP's "method not allowed"
            answer = await _ask(session, "POST", sas_url, login=login, headers=headers)
    for text in _texts(answer.text):
        found = _signed(text)
        if found is not None:
            return found
    raise _not_understood("the signature service", "signed address of a container (https://…?…&sig=…)")


async def sas_folder(login: SasLogin, *, prefix: str = "") -> ObjectFolder:
    """A folder in the container for which the service gives a signature; a new one is asked for when it expires.

    Args:
        login: Who asks whom.
        prefix: See ``ObjectFolder``; below the folder of the signed address, if that has one.

    Raises:
        LandbridgeError: See ``signed_container``.
    """
    first = await signed_container(login)
    unused = [first]

    async def token() -> tuple[str, datetime | None]:
        found = unused.pop() if unused else await signed_container(login)
        return found.signature, found.expires

    whole = f"{first.folder}/{prefix.lstrip('/')}" if first.folder else prefix
    return await azure_sas_folder(
        first.container,
        account=first.account,
        endpoint=first.endpoint,
        token=token,
        prefix=whole,
        timeout_s=login.timeout_s,
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str


async def _ask(session: aiohttp.ClientSession, method: str, url: str, *, login: SasLogin, **request: Any) -> _Answer:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        # Redirects are not followed: they would carry the secret to an address that nobody checked.
        async with session.request(method, url, allow_redirects=False, **request) as response:
            body = await content_of(response, host, max_bytes=LARGEST_ANSWER_BYTES)
            answer = _Answer(response.status, body.decode("utf-8", errors="replace"))
    except aiohttp.ClientConnectorError as error:
        raise failures.unreachable(host, port, error.os_error, timeout_s=login.timeout_s) from None
    except TimeoutError:
        raise failures.late(parts.path, host, timeout_s=login.timeout_s) from None
    except aiohttp.ClientError:
        raise failures.lost(host) from None
    _refuse(answer, host, login)
    return answer


def _refuse(answer: _Answer, host: str, login: SasLogin) -> None:
    error: LandbridgeError
    # Microsoft answers a wrong secret with 401, an unknown client with 400 (RFC 6749, section 5.2).
    if answer.status in (400, 401):
        error = failures.refused_login(host, f'client "{login.client_id}"')
    elif answer.status == 403:  # noqa: PLR2004
        error = failures.denied(login.blob_uri, host)
    elif answer.status == 429 or answer.status >= 500:  # noqa: PLR2004
        error = busy(host, f"HTTP {answer.status}")
    elif answer.status >= 300 and answer.status != 405:  # noqa: PLR2004
        error = failures.refused(login.blob_uri, host, f"HTTP {answer.status}")
    else:
        return
    raise error


def _not_understood(who: str, expected: str) -> ConnectionFailed:
    return ConnectionFailed(
        "LB-2110",
        f"the answer of {who} holds no {expected}",
        hint="Check loginUrl, authenticationUrl and blobUri; the reference page shows the two requests.",
    )


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _texts(body: str) -> Iterator[str]:
    """All strings in an answer: itself, or those anywhere in its JSON."""
    try:
        waiting = [json.loads(body)]
    except ValueError:
        yield body.strip()
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value.strip()
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _signed(text: str) -> SignedContainer | None:
    """The container of a signed address; its host names the account, except at an emulator."""
    parts = urlsplit(text)
    query = parse_qs(parts.query)
    if parts.scheme not in ("http", "https") or "sig" not in query or not parts.hostname:
        return None
    path = [unquote(part) for part in parts.path.split("/") if part]
    endpoint = f"{parts.scheme}://{parts.netloc}"
    account = parts.hostname.split(".")[0]
    if parts.hostname in LOOPBACK and path:
        account = path.pop(0)
        endpoint = f"{endpoint}/{account}"
    if not path:
        return None
    return SignedContainer(
        endpoint=endpoint,
        account=account,
        container=path[0],
        folder="/".join(path[1:]),
        signature=parts.query,
        expires=_instant(query.get("se", [""])[0]),
    )


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
