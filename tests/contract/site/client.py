"""A client written from the API's description, with nothing of the site's own code in it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import anyio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from landbridge.site import Site


def encode(value: Any) -> str:
    """A parameter's value: JSON for objects and arrays, true and false, text for the rest."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def signature(secret: str, verb: str, url: str, parameters: dict[str, str]) -> str:
    """base64(HMAC-SHA1(verb & url & sorted parameters)), every part percent-encoded."""

    def enc(text: str) -> str:
        return quote(text, safe="-_.~")

    joined = "&".join(f"{key}={enc(value)}" for key, value in sorted(parameters.items()) if key != "sig")
    base = f"{verb.upper()}&{enc(url)}&{enc(joined)}"
    return base64.b64encode(hmac.new(base64.b64decode(secret), base.encode(), hashlib.sha1).digest()).decode()


def query_signature(secret: str, query: str, expires_ms: int) -> str:
    """base64(HMAC-SHA1(query _ time)), by which a client without credentials may search."""
    signed = hmac.new(base64.b64decode(secret), f"{query}_{expires_ms}".encode(), hashlib.sha1)
    return base64.b64encode(signed.digest()).decode()


def bearer(
    private_key: str, user_key: str, *, issued: int | None = None, nonce: str | None = None, standard: bool = False
) -> str:
    """A JSON web token; ``standard`` uses base64 with padding, as one client library does."""

    def b64(data: bytes) -> str:
        if standard:
            return base64.b64encode(data).decode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    key = serialization.load_pem_private_key(private_key.encode(), None)
    header = b64(json.dumps({"alg": "RS256", "typ": "JWT", "kid": user_key}).encode())
    claims = b64(json.dumps({"iat": issued or int(time.time()), "jti": nonce or str(uuid4())}).encode())
    signed = key.sign(f"{header}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr,call-arg,arg-type]
    return f"{header}.{claims}.{b64(signed)}"


class Client:
    """Calls a site over plain HTTP."""

    def __init__(self, site: Site, http: aiohttp.ClientSession) -> None:
        self.site = site
        self.http = http

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call as the application, with its secret."""
        credentials = {"apiKey": self.site.api_key, "userKey": self.site.user_key, "secret": self.site.secret}
        return await self.send(method, credentials | parameters)

    async def anonymous(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call as a client that knows the API key only."""
        return await self.send(method, {"apiKey": self.site.api_key} | parameters)

    async def send(self, method: str, parameters: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Send a form exactly as given."""
        form = {key: encode(value) for key, value in parameters.items()}
        async with self.http.post(f"{self.site.url}/{method}", data=form, **options) as reply:
            body: dict[str, Any] = json.loads(await reply.read())
            return body

    async def ok(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call as the application and expect success."""
        reply = await self.call(method, **parameters)
        assert reply["errorCode"] == 0, reply
        return reply

    async def find(self, query: str, method: str = "accounts.search", **parameters: Any) -> list[dict[str, Any]]:
        """The results of one search."""
        results: list[dict[str, Any]] = (await self.ok(method, query=query, **parameters))["results"]
        return results

    async def pages(self, query: str, method: str = "accounts.search", **parameters: Any) -> list[dict[str, Any]]:
        """Every page of a search with a cursor."""
        pages = [await self.ok(method, query=query, openCursor=True, **parameters)]
        while cursor := pages[-1].get("nextCursorId"):
            pages.append(await self.ok(method, cursorId=cursor))
        return pages


@asynccontextmanager
async def connected(site: Site) -> AsyncIterator[Client]:
    """A client of a running site."""
    async with aiohttp.ClientSession() as http:
        yield Client(site, http)


def run(scenario: Callable[[Client], Awaitable[None]], folder: Path, **options: Any) -> None:
    """Start a site in ``folder``, run a scenario against it, stop it."""

    async def started() -> None:
        async with Site(folder, **options) as site, connected(site) as client:
            await scenario(client)

    anyio.run(started)
