"""One SFTP session: login, pinned host key, keep-alive, reconnection, and what its errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import asyncssh

from landbridge.errors import AuthError, ConnectionFailed, LandbridgeError, TransientError
from landbridge.remote import failures, known_hosts
from landbridge.remote.pem import pem_text

T = TypeVar("T")

KEEPALIVE_S = 15
RECONNECT_DELAYS_S = (0.5, 2.0, 5.0)
"""Waits before each attempt to reach a server again that dropped the connection."""

CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""AES-GCM first: 192 MB/s against 120 MB/s with the library's first choice, measured with OpenSSH on two
cores."""

LOST = (asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, ConnectionError)
"""What the library raises when the connection is gone."""

NO_SUCH_KEY = (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost)
"""How it ends when a server has no host key of the kind asked for; some just close the connection."""


@dataclass(frozen=True, slots=True)
class SftpLogin:
    """Where and as whom to log in.

    Args:
        host: Name or address.
        username: Login name.
        port: TCP port.
        password: Also used to answer a keyboard-interactive password prompt.
        private_key: OpenSSH, PKCS#1 or PKCS#8 key as PEM text or base64 of it.
        passphrase: Of the private key.
        host_key: Fingerprint or public key that the server must have; without it the pinned one counts.
        timeout_s: The longest time to wait for any single answer.
    """

    host: str
    username: str
    port: int = known_hosts.DEFAULT_PORT
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    host_key: str | None = None
    timeout_s: float = 60

    @property
    def label(self) -> str:
        """The server's name in messages."""
        return known_hosts.host_label(self.host, self.port)


class SftpSession:
    """A logged-in SFTP client that logs in again when the server has dropped the connection.

    Servers close idle connections (Azure's after some two minutes) and a job may write for hours between two
    calls, so every call goes through ``call``, which tries once more on a new connection.
    """

    def __init__(self, login: SftpLogin) -> None:
        self.login = login
        self._client: asyncssh.SFTPClient | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Log in.

        Raises:
            ConnectionFailed: LB-2101 unreachable, LB-2107 no SSH or no SFTP there.
            HostKeyChanged: LB-2102 unknown host key, LB-2103 another one than pinned.
            AuthError: LB-2104 login refused, LB-2105 unusable private key.
        """
        pins = known_hosts.pins_for(self.login.host, self.login.port, host_key=self.login.host_key)
        keys = _client_keys(self.login)
        # A server shows only one of its keys, chosen by what the client asks for. The library asks for the
        # kinds of the pinned keys; of a fingerprint the kind is unknown, so each kind is asked for.
        refusal: asyncssh.Error | None = None
        for algorithms in known_hosts.KEY_TYPES if pins.fingerprints else ((),) if pins else ():
            try:
                await self._connect(pins=pins, keys=keys, algorithms=algorithms)
            except NO_SUCH_KEY as error:
                refusal = error
            else:
                return
        raise await self._untrusted(refusal, pins)

    async def close(self) -> None:
        """Log out; safe to call twice and after the connection is lost."""
        connection, self._connection, self._client = self._connection, None, None
        if connection is None:
            return
        connection.close()
        try:
            async with asyncio.timeout(min(self.login.timeout_s, 5)):
                await connection.wait_closed()
        except TimeoutError:
            connection.abort()
        except (OSError, asyncssh.Error):
            pass  # it was lost before

    @property
    def client(self) -> asyncssh.SFTPClient:
        """The client of the present connection.

        Raises:
            TransientError: LB-3101, there is none.
        """
        if self._client is None:
            raise failures.lost(self.login.label)
        return self._client

    async def call(self, action: Callable[[asyncssh.SFTPClient], Awaitable[T]], *, what: str) -> T:
        """Run ``action``, which must be safe to repeat; once more when the connection was lost.

        Args:
            action: Talks to the server.
            what: File or folder in question, for messages.

        Raises:
            LandbridgeError: What ``explained`` makes of the failure.
        """
        return await self._twice(lambda client: self.timed(action(client), what=what))

    async def listing(self, folder: str) -> list[asyncssh.SFTPName]:
        """The names in a folder with their attributes; the time-out counts for each answer.

        Raises:
            LandbridgeError: What ``explained`` makes of the failure.
        """

        async def names(client: asyncssh.SFTPClient) -> list[asyncssh.SFTPName]:
            found = []
            rows = client.scandir(folder)
            while (row := await self.timed(anext(rows, None), what=folder)) is not None:
                found.append(row)
            return found

        return await self._twice(names)

    async def timed(self, answer: Awaitable[T], *, what: str) -> T:
        """Wait for an answer no longer than the time-out; errors are explained, a lost connection is not."""
        try:
            async with asyncio.timeout(self.login.timeout_s):
                return await answer
        except TimeoutError:
            raise self.late(what) from None
        except LOST:
            raise
        except (asyncssh.SFTPError, asyncssh.ChannelOpenError) as error:
            raise explained(error, what=what, label=self.login.label) from None

    async def reopen(self, failed: asyncssh.SFTPClient) -> None:
        """Replace a lost connection, unless another task has done so already.

        Raises:
            TransientError: LB-3101, the server could not be reached again.
        """
        async with self._lock:
            if self._client is not None and self._client is not failed:
                return
            await self.close()
            for delay_s in RECONNECT_DELAYS_S:
                await asyncio.sleep(delay_s)
                try:
                    await self.open()
                except ConnectionFailed as error:
                    if error.code != "LB-2101":
                        raise
                else:
                    return
        raise failures.lost(self.login.label)

    def late(self, what: str) -> TransientError:
        """The error for an answer that did not come in time (LB-3102)."""
        return failures.late(what, self.login.label, timeout_s=self.login.timeout_s)

    async def _twice(self, action: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
        client = self.client
        try:
            return await action(client)
        except LOST:
            await self.reopen(client)
        try:
            return await action(self.client)
        except LOST:
            raise failures.lost(self.login.label) from None

    async def _connect(self, *, pins: known_hosts.Pins, keys: list[asyncssh.SSHKey], algorithms: Sequence[str]) -> None:
        login = self.login
        try:
            async with asyncio.timeout(login.timeout_s):
                connection, _ = await asyncssh.create_connection(
                    lambda: _HostKeyWatch(pins),
                    login.host,
                    login.port,
                    username=login.username,
                    password=login.password,
                    client_keys=keys or None,
                    known_hosts=(pins.keys, pins.authorities, pins.revoked, [], [], [], []),
                    server_host_key_algs=tuple(algorithms),
                    encryption_algs=CIPHERS,
                    compression_algs=["none", "zlib@openssh.com", "zlib"],
                    config=None,
                    agent_path=None,
                    gss_host=None,
                    login_timeout=login.timeout_s,
                    keepalive_interval=KEEPALIVE_S,
                    keepalive_count_max=3,
                )
        except (OSError, TimeoutError) as error:
            raise failures.unreachable(login.host, login.port, error, timeout_s=login.timeout_s) from None
        except asyncssh.PermissionDenied:
            raise self._refused() from None
        except NO_SUCH_KEY:
            raise
        except asyncssh.Error as error:
            raise known_hosts.no_ssh(login.host, login.port, error) from None
        self._connection = connection
        try:
            async with asyncio.timeout(login.timeout_s):
                # Names that are not UTF-8 must survive a listing and can be read by the name that was listed.
                self._client = await connection.start_sftp_client(path_errors="surrogateescape")
        except (OSError, TimeoutError, asyncssh.Error) as error:
            await self.close()
            raise ConnectionFailed(
                "LB-2107",
                f"{login.label} accepts the login but offers no SFTP service: {error or 'no answer'}",
                hint="Ask the server's owner to enable SFTP for this user.",
            ) from None

    def _refused(self) -> AuthError:
        tried = " and ".join(
            name for name, given in (("password", self.login.password), ("key", self.login.private_key)) if given
        )
        return failures.refused_login(self.login.label, f'"{self.login.username}" ({tried or "no credentials"})')

    async def _untrusted(self, refusal: asyncssh.Error | None, pins: known_hosts.Pins) -> LandbridgeError:
        login = self.login
        offered = await known_hosts.offered_keys(login.host, login.port, timeout_s=login.timeout_s)
        if not pins:
            return known_hosts.unknown_key(login.host, login.port, offered=known_hosts.fingerprint(offered[0]))
        shown = [known_hosts.fingerprint(key) for key in offered]
        if refusal and pins.expected in shown:
            return known_hosts.no_ssh(login.host, login.port, refusal)
        return known_hosts.changed_key(login.host, login.port, expected=pins.expected, offered=", ".join(shown))


class _HostKeyWatch(asyncssh.SSHClient):
    """Accepts a host key by its fingerprint; keys and authorities are checked by the library."""

    def __init__(self, pins: known_hosts.Pins) -> None:
        self._pins = pins

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del host, addr, port
        return known_hosts.fingerprint(key) in self._pins.fingerprints


def explained(error: asyncssh.SFTPError | asyncssh.ChannelOpenError, *, what: str, label: str) -> LandbridgeError:
    """What an SFTP status means for a person.

    Version 3 of the protocol, which nearly all servers speak, has one code for "failure" of any kind; a full
    disk is the usual one when writing.
    """
    match error:
        case asyncssh.SFTPNoSuchFile() | asyncssh.SFTPNoSuchPath():
            return failures.missing(what, label)
        case asyncssh.SFTPPermissionDenied() | asyncssh.SFTPWriteProtect():
            return failures.denied(what, label)
        case asyncssh.SFTPNoSpaceOnFilesystem() | asyncssh.SFTPQuotaExceeded():
            return failures.full(what, label)
        case _:
            return failures.refused(what, label, error.reason or "failure without a reason")


def _client_keys(login: SftpLogin) -> list[asyncssh.SSHKey]:
    if not login.private_key:
        return []
    try:
        return [asyncssh.import_private_key(pem_text(login.private_key), login.passphrase)]
    except (ValueError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        wrong_phrase = isinstance(error, asyncssh.KeyEncryptionError) or "passphrase" in str(error).lower()
        reason = "its passphrase is missing or wrong" if wrong_phrase else "its format is not known"
        raise AuthError(
            "LB-2105",
            f"the private key for {login.label} cannot be used: {reason}",
            hint="Give an OpenSSH, PKCS#1 or PKCS#8 key as PEM text or base64 of it, and its passphrase.",
        ) from None
