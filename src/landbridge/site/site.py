"""A site in this process: store, API over HTTP and HTTPS, delivery of webhooks."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from landbridge.emulation.listening import Certificate, bound, listening
from landbridge.errors import StorageError
from landbridge.site.app import Application
from landbridge.site.certificates import new_authority, new_certificate
from landbridge.site.credentials import Credentials
from landbridge.site.faults import Faults, Switches
from landbridge.site.filling import fill
from landbridge.site.repository import Repository, now_ms
from landbridge.site.store import open_store
from landbridge.site.webhooks import Sender

_NAMES: Final = ("localhost", "127.0.0.1", "*.us1.gigya.com", "*.eu1.gigya.com", "*.au1.gigya.com", "*.eu2.gigya.com")


class Site:
    """A local identity site that speaks Gigya's REST API. Use it as an async context manager.

    Args:
        folder: Where credentials, certificates and (without ``database``) the data are kept; a temporary folder when
            None.
        people: Number of invented people that an empty site is filled with.
        seed: Which people; the same seed gives the same people.
        host: The address to listen on.
        port: TCP port for http; 0 picks a free one.
        https_port: TCP port for https; 0 picks a free one, None leaves https off.
        database: URL of a PostgreSQL database to be used in place of SQLite.
        switches: Quirks, limits and tolerances.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        people: int = 0,
        seed: int = 1,
        host: str = "127.0.0.1",
        port: int = 0,
        https_port: int | None = None,
        database: str | None = None,
        switches: Switches | None = None,
    ) -> None:
        self.folder = folder
        self.host = host
        self.port = port
        self.https_port = https_port
        self.credentials_are_new = False
        self._people = people
        self._seed = seed
        self._database = database
        self._switches = switches or Switches()
        self._stack = AsyncExitStack()
        self._repository: Repository | None = None

    @property
    def url(self) -> str:
        """Where the API answers over http, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    @property
    def https_url(self) -> str:
        """Where the API answers over https, without a slash at the end."""
        return f"https://{self.host}:{self.https_port}"

    @property
    def authority_file(self) -> Path:
        """The certificate of the authority that signed the https certificate, PEM; clients must trust it."""
        return self._open_folder / "authority.pem"

    @property
    def repository(self) -> Repository:
        """What is behind the API."""
        if self._repository is None:
            raise RuntimeError("the site has not been started")
        return self._repository

    @property
    def credentials(self) -> Credentials:
        """All keys of the site and its application."""
        return self.repository.credentials

    @property
    def api_key(self) -> str:
        """Names the site."""
        return self.credentials.api_key

    @property
    def user_key(self) -> str:
        """Names the application."""
        return self.credentials.user_key

    @property
    def secret(self) -> str:
        """The application's secret, base64."""
        return self.credentials.secret

    @property
    def private_key(self) -> str:
        """The application's RSA key for bearer tokens, PEM."""
        return self.credentials.private_key

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose; add a ``Fault`` at any time."""
        return self.repository.faults

    @property
    def switches(self) -> Switches:
        """Quirks, limits and tolerances; assign changed ones at any time."""
        return self.repository.switches

    @switches.setter
    def switches(self, switches: Switches) -> None:
        self.repository.switches = switches

    @property
    def _open_folder(self) -> Path:
        if self.folder is None:
            raise RuntimeError("the site has not been started")
        return self.folder

    async def start(self) -> None:
        """Open the store, fill it when asked to, and listen.

        Raises:
            StorageError: LB-7301 or LB-7302; the folder or the database cannot be used.
            ConnectionFailed: LB-2901; the port cannot be listened on.
        """
        async with AsyncExitStack() as stack:
            if self.folder is None:
                temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="landbridge-site-"))
                self.folder = Path(temporary)
            self.folder.mkdir(parents=True, exist_ok=True)
            store = await open_store(self._database or self.folder)
            stack.push_async_callback(store.close)
            credentials, self.credentials_are_new = await asyncio.to_thread(Credentials.kept_in, self.folder)
            if self._people:
                await fill(store, self._people, seed=self._seed, now_ms=now_ms())
            repository = await Repository(store, credentials, switches=self._switches).load()
            application = Application(repository)
            self.port = await stack.enter_async_context(self._listening(application, self.port))
            if self.https_port is not None:
                certificate = await asyncio.to_thread(self._certificate)
                self.https_port = await stack.enter_async_context(
                    self._listening(application, self.https_port, certificate=certificate)
                )
            sender = asyncio.create_task(Sender(repository).run())
            stack.push_async_callback(_ended, sender)
            self._repository = repository
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stop listening, finish what is under way and close the store; safe to call twice."""
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _listening(
        self, application: Application, port: int, *, certificate: Certificate | None = None
    ) -> AbstractAsyncContextManager[int]:
        listener = bound(self.host, port, code="LB-2901", who="the site")
        return listening(application, listener, certificate=certificate, date_header=False)

    def _certificate(self) -> Certificate:
        folder = self._open_folder
        files = {name: folder / name for name in ("authority.pem", "authority.key", "server.pem", "server.key")}
        try:
            if not all(file.exists() for file in files.values()):
                authority_key, authority = new_authority()
                key, certificate = new_certificate(authority_key, authority, (*_NAMES, self.host))
                texts = (authority, authority_key, certificate, key)
                for file, text in zip(files.values(), texts, strict=True):
                    file.touch(mode=0o600)
                    file.write_text(text)
        except OSError as error:
            raise StorageError("LB-7302", f'the certificates in "{folder}" cannot be written') from error
        return Certificate(key=files["server.key"], chain=files["server.pem"])


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
