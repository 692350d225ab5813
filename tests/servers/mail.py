"""A mail server that keeps what it gets, and refuses what it is told to refuse."""

import email
import email.policy
from types import TracebackType
from typing import Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from tests.servers.process import free_port


class Mailbox:
    """An SMTP server on a free loopback port; ``mails`` holds (recipients, message)."""

    def __init__(self, *, tls_context=None, login=None, tls_from_start=False):
        self.port = free_port()
        self.mails = []
        self.answers = []
        """Answers to the next mails instead of taking them, such as ``451 try again``."""
        self.refused = set()
        """Recipients that are refused for good."""
        self._login = login
        self._tls = tls_context
        self._from_start = tls_from_start
        self._controller = None

    @property
    def url(self):
        user = "{}:{}@".format(*self._login) if self._login else ""
        scheme = "smtps" if self._from_start else "smtp"
        return f"{scheme}://{user}127.0.0.1:{self.port}" + ("" if self._tls else "?tls=never")

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - the library's name
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the library's name
        if self.answers:
            return self.answers.pop(0)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((list(envelope.rcpt_tos), message))
        return "250 taken"

    def _authenticate(self, server, session, envelope, mechanism, data):
        right = (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=right, handled=False)

    def __enter__(self) -> Self:
        options = {"hostname": "localhost"}
        if self._tls and not self._from_start:
            options |= {"tls_context": self._tls, "require_starttls": True}
        if self._login:
            options |= {"authenticator": self._authenticate, "auth_required": True}

        class Named(Controller):
            def factory(controller):  # noqa: N805 - self is the mailbox's
                return SMTP(self, **options)

        at_once = self._tls if self._from_start else None
        self._controller = Named(self, hostname="127.0.0.1", port=self.port, ssl_context=at_once)
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()
