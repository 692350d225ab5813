"""A blocking FTP and FTPS client for worker threads: the standard library's, and what servers need of it.

The standard library is used because it lets a data connection continue the TLS session of its control
connection, which vsftpd and FileZilla Server demand by default; asyncio's TLS cannot do that.
"""

from __future__ import annotations

import ftplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from landbridge.errors import ConnectionFailed, LandbridgeError, TransientError
from landbridge.remote import failures
from landbridge.remote.publish import Entry

Security = Literal["auto", "explicit", "implicit", "none"]
"""``auto``: TLS where the server offers it. ``explicit``: TLS by AUTH TLS or nothing. ``implicit``: TLS from
the first byte (port 990). ``none``: never TLS."""

DEFAULT_PORT = 21
IMPLICIT_PORT = 990

_NOT_THERE = "550"
"""The reply for a file that does not exist, a folder where a file is expected, and a lack of permission."""

LOST = (EOFError, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError, BrokenPipeError)
"""What the library raises when the control or data connection is gone."""


@dataclass(frozen=True, slots=True)
class FtpLogin:
    """Where and as whom to log in.

    Args:
        host: Name or address; a TLS certificate must be valid for it.
        username: Login name.
        password: Login password.
        port: TCP port.
        security: Whether the connection is encrypted.
        ca_certificate: PEM text of a certificate to trust besides the system's, for servers with a private
            one.
        timeout_s: The longest time to wait for any single answer.
    """

    host: str
    username: str
    password: str = field(repr=False)
    port: int = DEFAULT_PORT
    security: Security = "auto"
    ca_certificate: str | None = None
    timeout_s: float = 60

    @property
    def label(self) -> str:
        """The server's name in messages."""
        return self.host if self.port in (DEFAULT_PORT, IMPLICIT_PORT) else f"{self.host}:{self.port}"


class FtpClient(ftplib.FTP_TLS):
    """A logged-in control connection, in binary mode and in a given folder. All methods block."""

    def __init__(self, login: FtpLogin) -> None:
        self._login = login
        super().__init__(context=_tls_context(login), timeout=login.timeout_s)
        self.features: frozenset[str] = frozenset()
        self._entered = False
        self.idle = True
        """Whether no transfer is under way, so that a command would be answered at once."""

    def open(self) -> None:
        """Connect, encrypt, log in.

        Raises:
            ConnectionFailed: LB-2101 unreachable, LB-2106 certificate not trusted, LB-2107 no FTP or no TLS
                there.
            AuthError: LB-2104, login refused.
        """
        login = self._login
        try:
            self._reach()
            self._encrypt()
            self._log_in()
        except ssl.SSLCertVerificationError as error:
            raise ConnectionFailed(
                "LB-2106",
                f"the certificate of {login.label} cannot be trusted: {error.verify_message}",
                hint="Ask its owner for a valid certificate, or for the one to give as caCertificate.",
            ) from None
        except (ssl.SSLError, EOFError, ftplib.Error) as error:
            raise self._no_ftp(str(error) or "the server closed the connection") from None
        except OSError as error:
            raise failures.unreachable(login.host, login.port, error, timeout_s=login.timeout_s) from None

    def enter(self, folder: str) -> None:
        """Make ``folder`` the present one, once."""
        if folder and not self._entered:
            self.cwd(folder)
        self._entered = True

    def entries(self, folder: str = "", *, hidden: bool = False) -> list[Entry]:
        """The files in a folder; their times are UTC as FTP tells them (RFC 3659).

        Args:
            folder: Below the present one; empty for the present one.
            hidden: Ask for names with a leading dot where a server leaves them out otherwise.
        """
        if "MLSD" in self.features:
            return [
                Entry(name=name, size=int(facts.get("size", 0)), modified=_instant(facts.get("modify")))
                for name, facts in self.mlsd(folder)
                if facts.get("type", "file").lower() == "file"
            ]
        home = self.pwd()
        if folder:
            self.cwd(folder)
        try:
            return list(self._listed(hidden=hidden))
        finally:
            self.cwd(home)

    def stored_size(self, path: str) -> int | None:
        """The size of a file; None where it does not exist."""
        try:
            return self.size(path)
        except ftplib.error_perm as error:
            if str(error).startswith(_NOT_THERE):
                return None
        folder, _, name = path.rpartition("/")  # a server that does not know SIZE
        return next((entry.size for entry in self.entries(folder, hidden=True) if entry.name == name), None)

    def make_folders(self, path: str) -> None:
        """Create ``path`` and the folders above it; existing ones are left alone."""
        made = "/" if path.startswith("/") else ""
        for part in path.strip("/").split("/"):
            made = f"{made}{part}"
            with suppress(ftplib.error_perm):  # servers have no common code for "exists already"
                self.mkd(made)
            made += "/"

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Open a data connection, in the TLS session of the control connection."""
        self.idle = False
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 - plain FTP is a choice
        if self._prot_p:  # type: ignore[attr-defined]  # set by FTP_TLS.prot_p
            session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
            try:
                connection = self.context.wrap_socket(connection, server_hostname=self.host, session=session)
            except BaseException:
                connection.close()
                raise
        return connection, size

    def retrlines(self, cmd: str, callback: Callable[[str], object] | None = None) -> str:
        """Receive a listing, and go back to binary mode: in text mode servers give no sizes."""
        reply = super().retrlines(cmd, callback)
        self.voidcmd("TYPE I")
        return reply

    def voidresp(self) -> str:
        """Wait for the reply that ends a transfer or a command."""
        reply = super().voidresp()
        self.idle = True
        return reply

    def end(self) -> None:
        """Log out; never raises."""
        try:
            if self.sock is not None:
                self.sock.settimeout(min(self._login.timeout_s, 5))
                self.quit()
        except (OSError, EOFError, ftplib.Error):
            pass
        finally:
            self.close()

    def _reach(self) -> None:
        login = self._login
        if login.security != "implicit":
            self.connect(login.host, login.port)
            return
        self.host, self.port = login.host, login.port
        plain = socket.create_connection((login.host, login.port), login.timeout_s)
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=login.host)
        except BaseException:
            plain.close()
            raise
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def _encrypt(self) -> None:
        match self._login.security:
            case "explicit":
                self.auth()
            case "auto" if "AUTH TLS" in self._feat():
                self.auth()

    def _log_in(self) -> None:
        login = self._login
        try:
            self.login(login.username, login.password, secure=False)
        except ftplib.error_perm:
            raise failures.refused_login(login.label, f'"{login.username}" (password)') from None
        if isinstance(self.sock, ssl.SSLSocket):
            self.prot_p()
        self.features = self._feat()
        if "UTF8" in self.features:
            with suppress(ftplib.error_perm):
                self.sendcmd("OPTS UTF8 ON")
        self.voidcmd("TYPE I")

    def _feat(self) -> frozenset[str]:
        try:
            lines = self.sendcmd("FEAT").splitlines()[1:-1]
        except ftplib.error_perm:
            return frozenset()
        found = {line.strip().upper() for line in lines}
        # MLST stands for both of its commands (RFC 3659, section 7.8).
        return frozenset(found | {"MLSD" for feature in found if feature.startswith("MLST")})

    def _listed(self, *, hidden: bool) -> Iterator[Entry]:
        for name in self._names(hidden=hidden):
            try:
                size = self.size(name)
            except ftplib.error_perm as error:
                if not str(error).startswith(_NOT_THERE):
                    raise  # without sizes all files would look like folders, and be left out
                continue
            if size is not None:
                yield Entry(name=name, size=size, modified=self._modified(name))

    def _names(self, *, hidden: bool) -> list[str]:
        if hidden:
            with suppress(ftplib.error_perm):  # -a is not known everywhere
                return self._listed_names("-a")
        try:
            return self._listed_names()
        except ftplib.error_perm as error:
            if not str(error).startswith(_NOT_THERE) or _is_denial(str(error)):
                raise
            return []  # so some servers say that a folder is empty

    def _listed_names(self, *arguments: str) -> list[str]:
        return [name.rpartition("/")[2] for name in self.nlst(*arguments)]

    def _modified(self, name: str) -> datetime:
        try:
            return _instant(self.sendcmd(f"MDTM {name}").partition(" ")[2])
        except ftplib.error_perm:
            return _instant(None)

    def _no_ftp(self, reason: str) -> ConnectionFailed:
        return ConnectionFailed(
            "LB-2107",
            f"{self._login.label} answers, but no FTP session could be agreed on: {reason}",
            hint="Check the port and the step's security: implicit TLS usually has port 990, the rest 21.",
        )


class explained:  # noqa: N801 - reads as a statement
    """Turn the library's errors into ours; a lost connection passes, so that the caller can try again."""

    def __init__(self, what: str, login: FtpLogin) -> None:
        self._what = what
        self._login = login

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, (LandbridgeError, *LOST)):
            return
        if isinstance(error, TimeoutError):
            raise failures.late(self._what, self._login.label, timeout_s=self._login.timeout_s) from None
        if isinstance(error, (ftplib.error_perm, ftplib.error_temp)):
            raise self._reply(str(error)) from None
        if isinstance(error, (ftplib.Error, OSError, UnicodeError)):
            raise failures.refused(self._what, self._login.label, str(error)) from None

    def _reply(self, reply: str) -> LandbridgeError:
        """What a reply means; the codes are those of RFC 959, section 4.2, and 550 stands for many things."""
        where, text = self._login.label, reply.lower()
        if reply.startswith(("452", "552")) or "space" in text or "quota" in text:
            return failures.full(self._what, where)
        if reply.startswith(("421", "425", "426")):
            return failures.lost(where)
        if reply.startswith("4"):
            return TransientError(
                "LB-3106",
                f'{where} cannot serve "{self._what}" at the moment: {reply}',
                hint="Run the job again.",
            )
        if _is_denial(reply) or reply.startswith(("532", "553")):
            return failures.denied(self._what, where)
        if reply.startswith(_NOT_THERE):
            return failures.missing(self._what, where)
        return failures.refused(self._what, where, reply)


def _is_denial(reply: str) -> bool:
    return any(word in reply.lower() for word in ("denied", "permi", "privilege"))


def _tls_context(login: FtpLogin) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if login.ca_certificate:
        try:
            context.load_verify_locations(cadata=login.ca_certificate)
        except ssl.SSLError:
            raise ConnectionFailed(
                "LB-2105",
                "caCertificate is not a certificate in PEM text",
                hint="It begins with -----BEGIN CERTIFICATE.",
            ) from None
    return context


def _instant(stamp: str | None) -> datetime:
    """An RFC 3659 time, ``YYYYMMDDHHMMSS`` with optional fraction; now where the server does not tell."""
    try:
        return datetime.strptime((stamp or "").strip()[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)
