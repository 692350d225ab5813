"""One e-mail by SMTP: encrypted, with a time limit, and an error that tells whether another attempt may help."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from landbridge.errors import ConnectionFailed, FlowError, TransientError
from landbridge.records.mail_address import ADDRESS
from landbridge.remote import failures
from landbridge.remote.endpoint import LOOPBACK

URL_VARIABLE: Final = "LANDBRIDGE_SMTP"
"""The environment variable that names the mail server: ``smtp://user:password@host:587``."""

SENDER_VARIABLE: Final = "LANDBRIDGE_MAIL_FROM"
"""The environment variable with the address that mails come from."""

_TIMEOUT_S: Final = 30.0
_PORTS: Final = {"smtp": 587, "smtps": 465}
_FOR_GOOD: Final = 500
_HINT: Final = f"Set {URL_VARIABLE}=smtp://user:password@host:587 (smtps:// for port 465)."


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails are handed in.

    Attributes:
        sender: The address that mails come from.
        encrypted: ``start`` after the greeting (STARTTLS), ``always``, or ``never``: on this machine only.
    """

    host: str
    port: int
    sender: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    encrypted: str = "start"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> MailServer | None:
        """The server that the environment names; None when it names none.

        Raises:
            FlowError: LB-1741, it cannot be understood, or mails would go unencrypted over a network.
        """
        url = environ.get(URL_VARIABLE)
        return cls.from_url(url, sender=environ.get(SENDER_VARIABLE, "")) if url else None

    @classmethod
    def from_url(cls, url: str, *, sender: str = "") -> MailServer:
        """A server by its URL. ``?tls=never`` is for a server on this machine.

        Raises:
            FlowError: LB-1741, see ``from_environment``.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise FlowError("LB-1741", "the URL of the mail server cannot be read", hint=_HINT) from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise FlowError("LB-1741", "the URL of the mail server cannot be read", hint=_HINT)
        encrypted = "always" if parts.scheme == "smtps" else "start"
        if parse_qs(parts.query).get("tls") == ["never"]:
            encrypted = "never"
            if parts.hostname not in LOOPBACK:
                message = f"mails to {parts.hostname} would go over the network without encryption"
                raise FlowError("LB-1741", message, hint="tls=never is allowed only for a server on this machine.")
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            sender=sender or f"landbridge@{parts.hostname}",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            encrypted=encrypted,
        )


@dataclass(frozen=True, slots=True)
class Mail:
    """What is sent. ``id`` stays the same from attempt to attempt, so that a reader can tell doubles."""

    id: str
    to: Sequence[str]
    subject: str
    text: str


async def send_mail(server: MailServer, mail: Mail) -> int:
    """Hand in one mail; one attempt.

    Returns:
        How many of the addresses are none, or were refused by the server; the others get it.

    Raises:
        TransientError: LB-3301 the server did not take the mail, LB-3303 it cannot be reached; another attempt may
            succeed.
        AuthError: LB-2104, the login was refused.
        ConnectionFailed: LB-2106 untrusted certificate, LB-2121 the server refused the mail for good, LB-2123 no
            STARTTLS, LB-2124 no TLS, LB-2125 no login. Another attempt cannot succeed.
    """
    recipients = [address for address in mail.to if ADDRESS.fullmatch(address)]
    if not recipients:
        raise ConnectionFailed("LB-2121", "a mail has no address to go to", hint="Correct the addresses of the alert.")
    try:
        refused, _ = await aiosmtplib.send(
            _message(server, mail, recipients),
            sender=server.sender,
            recipients=recipients,
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            timeout=_TIMEOUT_S,
            use_tls=server.encrypted == "always",
            start_tls=server.encrypted == "start",
            tls_context=None if server.encrypted == "never" else ssl.create_default_context(),
        )
    except aiosmtplib.SMTPAuthenticationError as error:
        if error.code >= _FOR_GOOD:
            raise failures.refused_login(server.host, server.username or "") from None
        raise _later(server) from None
    except aiosmtplib.SMTPRecipientsRefused as error:
        if all(recipient.code >= _FOR_GOOD for recipient in error.recipients):
            raise _refused(server, error.recipients[0].code) from None
        raise _later(server) from None
    except aiosmtplib.SMTPResponseException as error:
        if error.code >= _FOR_GOOD:
            raise _refused(server, error.code) from None
        raise _later(server) from None
    except aiosmtplib.SMTPNotSupported:
        message = f"the mail server {server.host} takes no addresses with letters beyond ASCII"
        raise ConnectionFailed("LB-2121", message, hint="Correct the addresses of the alert.") from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _explained(server, error) from None
    return len(mail.to) - len(recipients) + len(refused)


def one_line(text: str) -> str:
    """Text for a header: no line breaks or other control characters, which could begin another header."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _message(server: MailServer, mail: Mail, recipients: Sequence[str]) -> EmailMessage:
    message = EmailMessage()
    message["From"] = server.sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = one_line(mail.subject)
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{mail.id}@{server.sender.rpartition('@')[2]}>" if mail.id else make_msgid()
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: keeps out-of-office replies away
    message.set_content(mail.text)
    return message


def _refused(server: MailServer, code: int) -> ConnectionFailed:
    return ConnectionFailed(
        "LB-2121",
        f"the mail server {server.host} refused a mail for good (SMTP {code})",
        hint="Check the addresses of the alert, and whether the server lets this sender send.",
    )


def _explained(server: MailServer, error: Exception) -> ConnectionFailed | TransientError:
    """What a connection without an answer from the server means."""
    cause: BaseException = error
    while (before := cause.__cause__ or cause.__context__) is not None:
        cause = before
    place = f"the mail server {server.host}, port {server.port},"
    if isinstance(cause, ssl.SSLCertVerificationError):
        message = f"the certificate of {server.host} cannot be trusted: {cause.verify_message}"
        hint = "Check the name. For an authority of your own, set the environment variable SSL_CERT_FILE."
        return ConnectionFailed("LB-2106", message, hint=hint)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        hint = f"Where it begins without encryption, name it by smtp:// and its port, often 587, in {URL_VARIABLE}."
        return ConnectionFailed("LB-2124", f"{place} does not speak TLS there", hint=hint)
    if type(error) is aiosmtplib.SMTPException:  # what the library finds missing in the server's offers
        if "STARTTLS extension" in error.message:
            hint = f"Use the port that does, often 587, or smtps:// and port 465, in {URL_VARIABLE}."
            return ConnectionFailed("LB-2123", f"{place} offers no STARTTLS; nothing was sent", hint=hint)
        hint = f"Take user and password out of {URL_VARIABLE}, or use the port for logins, often 587 or 465."
        return ConnectionFailed("LB-2125", f"{place} offers no login that is known here", hint=hint)
    if isinstance(error, aiosmtplib.SMTPConnectError):
        return TransientError(
            "LB-3303",
            f"{place} cannot be reached: {_reason(error, cause)}",
            hint="Check its name and port, and for port 465 that its URL begins with smtps://. Alerts are sent again "
            "for some hours.",
        )
    return _later(server)


def _reason(error: Exception, cause: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(cause, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(cause, socket.gaierror):
        return "nobody knows its name"
    return "the connection was closed" if isinstance(cause, ConnectionError) else "no connection"


def _later(server: MailServer) -> TransientError:
    return TransientError(
        "LB-3301",
        f"the mail server {server.host}, port {server.port}, did not take a mail",
        hint="Check its name and port. Alerts are sent again for some hours.",
    )
