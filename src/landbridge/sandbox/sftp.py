"""An SFTP server for demos and rehearsals: one folder for each user, loopback only."""

from __future__ import annotations

import asyncio
import inspect
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import asyncssh

_PARTIAL_ENDINGS: Final = (".uploading", ".part", ".partial", ".filepart", ".tmp")
"""How clients name a file that is not complete yet; a leading dot says so, too."""


@dataclass(frozen=True, slots=True)
class SftpAccount:
    """A user of the server.

    Attributes:
        username: Login name.
        root: The folder that the user sees as ``/``; created when missing.
        password: Login password; None for keys only.
        authorized_keys: Public keys that may log in, in OpenSSH's format, one a line.
        on_file: Called with the path below ``root`` when a file appears complete: it was closed, or renamed from a
            name for incomplete files (a leading dot, or an ending such as ``.uploading``).
    """

    username: str
    root: Path
    password: str | None = field(default=None, repr=False)
    authorized_keys: str | None = None
    on_file: Callable[[str], None] | None = None


class SftpServer:
    """A small SFTP server in this process that shows a folder to each of its users.

    Use it as an async context manager. It listens on the loopback address only, makes its own host key and,
    where none is given, its own password.

    Args:
        root: The folder that ``username`` sees as ``/``; created when missing. None for no such user.
        username: Login name.
        password: Login password; generated when None.
        port: TCP port; 0 picks a free one.
        host_key: OpenSSH private key of an earlier start, so that a pin stays valid; generated when None.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        root: Path | None,
        *,
        username: str = "demo",
        password: str | None = None,
        port: int = 0,
        host_key: str | None = None,
    ) -> None:
        self.root = root
        self.username = username
        self.password = password or secrets.token_urlsafe(12)
        self.port = port
        self._key = asyncssh.import_private_key(host_key) if host_key else asyncssh.generate_private_key("ssh-ed25519")
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._accounts: dict[str, SftpAccount] = {}
        if root is not None:
            self.add(SftpAccount(username, root, password=self.password))

    @property
    def host_key(self) -> str:
        """The private host key as OpenSSH text, to be given to the next start."""
        return self._key.export_private_key("openssh").decode("ascii")

    @property
    def public_key(self) -> str:
        """The public host key as one line, as ``hostKey`` and ``known_hosts`` want it."""
        return self._key.export_public_key("openssh").decode("ascii").strip()

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the host key, ``SHA256:…``."""
        return str(self._key.get_fingerprint())

    def add(self, account: SftpAccount) -> None:
        """Let one more user in, also while the server runs."""
        account.root.mkdir(parents=True, exist_ok=True)
        self._accounts[account.username] = account

    async def start(self) -> None:
        """Listen; ``port`` is the chosen port afterwards.

        Raises:
            OSError: The port is in use.
        """
        for account in self._accounts.values():
            account.root.mkdir(parents=True, exist_ok=True)
        self._acceptor = await asyncssh.create_server(
            lambda: _Door(self._accounts, self._connections),
            self.host,
            self.port,
            server_host_keys=[self._key],
            sftp_factory=self._files,
            allow_scp=False,
            allow_pty=False,
            agent_forwarding=False,
            encryption_algs="^aes128-gcm@openssh.com",
            compression_algs=["none"],
            config=None,
            gss_host=None,
        )
        self.port = self._acceptor.get_port()

    async def stop(self) -> None:
        """Close the port and all sessions; safe to call twice."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is None:
            return
        acceptor.close()
        dropped = list(self._connections)
        for connection in dropped:
            connection.abort()
        async with asyncio.timeout(5):
            await asyncio.gather(*(connection.wait_closed() for connection in dropped), return_exceptions=True)
            await acceptor.wait_closed()

    async def drop_connections(self) -> int:
        """Cut all present connections, as a failing network does; the number of them."""
        dropped = list(self._connections)
        for connection in dropped:
            connection.abort()
        await asyncio.sleep(0)
        return len(dropped)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _files(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return _Files(channel, self._accounts[channel.get_extra_info("username")])


class _Files(asyncssh.SFTPServer):
    """The files of one user; tells when one is complete."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], account: SftpAccount) -> None:
        self._root = str(account.root.resolve())
        self._on_file = account.on_file
        super().__init__(channel, chroot=self._root.encode())

    def close(self, file_obj: object) -> Any:
        name, is_written = _opened(file_obj)
        result = super().close(file_obj)
        if is_written:
            self._tell(name)
        return result

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._renamed(super().rename, oldpath, newpath)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._renamed(super().posix_rename, oldpath, newpath)

    async def _renamed(self, rename: Callable[[bytes, bytes], Any], old: bytes, new: bytes) -> None:
        result = rename(old, new)
        if inspect.isawaitable(result):
            await result
        self._tell(os.fsdecode(self.map_path(new)))

    def _tell(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if self._on_file and not name.startswith(".") and not name.endswith(_PARTIAL_ENDINGS) and Path(path).is_file():
            self._on_file(path.removeprefix(self._root).lstrip("/"))


def _opened(file: object) -> tuple[str, bool]:
    """The path of an open file of the server, and whether it was open for writing."""
    return os.fsdecode(getattr(file, "name", b"")), bool(getattr(file, "writable", bool)())


class _Door(asyncssh.SSHServer):
    """Lets the users in, and keeps the list of connections."""

    def __init__(self, accounts: Mapping[str, SftpAccount], connections: set[asyncssh.SSHServerConnection]) -> None:
        self._accounts = accounts
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        account = self._accounts.get(username)
        if account is not None and account.authorized_keys:
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(account.authorized_keys))
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        account = self._accounts.get(username)
        expected = account.password if account is not None and account.password else secrets.token_urlsafe()
        return secrets.compare_digest(password.encode(), expected.encode())
