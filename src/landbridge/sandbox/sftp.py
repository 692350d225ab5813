"""An SFTP server for demos and rehearsals: one folder, one user, loopback only."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncssh


class SftpServer:
    """A small SFTP server in this process that shows one folder to one user.

    Use it as an async context manager. It listens on the loopback address only, makes its own host key and,
    where none is given, its own password.

    Args:
        root: The folder that the user sees as ``/``; created when missing.
        username: Login name.
        password: Login password; generated when None.
        port: TCP port; 0 picks a free one.
        host_key: OpenSSH private key of an earlier start, so that a pin stays valid; generated when None.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        root: Path,
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

    async def start(self) -> None:
        """Listen; ``port`` is the chosen port afterwards.

        Raises:
            OSError: The port is in use.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        root = str(self.root.resolve()).encode()
        self._acceptor = await asyncssh.create_server(
            lambda: _OneUser(self.username, self.password, self._connections),
            self.host,
            self.port,
            server_host_keys=[self._key],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=root),
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


class _OneUser(asyncssh.SSHServer):
    """Lets one user in by password, and keeps the list of connections."""

    def __init__(self, username: str, password: str, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._username = username
        self._password = password
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        del username
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        known = secrets.compare_digest(username.encode(), self._username.encode())
        return secrets.compare_digest(password.encode(), self._password.encode()) and known
