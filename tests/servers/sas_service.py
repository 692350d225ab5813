"""A login service and a service that gives signatures for a container, as ``azure.sas`` steps need them."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from aiohttp import web

from tests.servers.embedded_sftp import LoopThread
from tests.servers.process import free_port

VERSION = "2022-11-02"


def container_signature(
    account: str,
    account_key: str,
    container: str,
    *,
    valid: dt.timedelta = dt.timedelta(hours=1),
) -> str:
    """A service SAS for a container with all rights on its blobs.

    The text to sign is that of "Create a service SAS", version 2020-12-06 and later (Azure Storage
    reference).
    """
    expires = (dt.datetime.now(dt.UTC) + valid).strftime("%Y-%m-%dT%H:%M:%SZ")
    rights = "rcwdl"
    fields = [
        rights,
        "",
        expires,
        f"/blob/{account}/{container}",
        "",
        "",
        "https,http",
        VERSION,
        "c",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
    ]
    digest = hmac.new(base64.b64decode(account_key), "\n".join(fields).encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    return urlencode({"sv": VERSION, "spr": "https,http", "se": expires, "sr": "c", "sp": rights, "sig": signature})


class SasService:
    """Both services on one port.

    Args:
        signed_url: Makes the address with its signature.
        shape: What the answer looks like: ``text``, ``json-string``, ``json-object``, or ``pieces``: a text that
            comes in two pieces.
        method: The one request method that the signature service accepts.
    """

    tenant = "11112222-bbbb-3333-cccc-4444dddd5555"
    client_id = "00001111-aaaa-2222-bbbb-3333cccc4444"
    client_secret = "correct~horse~battery~staple"
    blob_uri = "/api/sasstorage/create/"

    def __init__(self, signed_url: Callable[[], str], *, shape: str = "text", method: str = "GET") -> None:
        self._signed_url = signed_url
        self._shape = shape
        self._method = method
        self.signatures = 0
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.login_url = f"{self.url}/{self.tenant}"
        self._loop = LoopThread()

    def __enter__(self) -> Self:
        self._loop.__enter__()
        self._loop.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._runner.cleanup())
        self._loop.__exit__(kind, error, trace)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post(f"/{self.tenant}/oauth2/v2.0/token", self._token)
        app.router.add_route(self._method, self.blob_uri, self._signature)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != "client_credentials" or form.get("scope") != f"{self.client_id}/.default":
            return web.json_response({"error": "invalid_request"}, status=400)
        if form.get("client_id") != self.client_id or form.get("client_secret") != self.client_secret:
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response({"token_type": "Bearer", "expires_in": 3599, "access_token": "tok-1"})

    async def _signature(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != "Bearer tok-1":
            return web.Response(status=401)
        self.signatures += 1
        url = self._signed_url()
        if self._shape == "pieces":
            answer = web.StreamResponse()
            await answer.prepare(request)
            for part in (url[: len(url) // 2], url[len(url) // 2 :]):
                await answer.write(part.encode())
                await asyncio.sleep(0.1)
            return answer
        if self._shape == "text":
            return web.Response(text=url)
        return web.json_response(url if self._shape == "json-string" else {"result": {"n": 1, "sasUri": url}})
