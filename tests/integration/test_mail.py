"""What is wrong with a mail server is said in its own words, and tried again only where that may help."""

import asyncio
import ssl

import pytest

from landbridge.errors import ConnectionFailed, LandbridgeError, TransientError
from landbridge.remote import mail
from landbridge.remote.mail import Mail, MailServer, send_mail
from tests.servers.certificate import make_certificate
from tests.servers.mail import Mailbox
from tests.servers.process import free_port

MAIL = Mail("1", ["ops@example.com"], "s", "t")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("certificate"), make_certificate()
    files = {name: folder / f"{name}.pem" for name in ("chain", "key", "authority")}
    for name, path in files.items():
        path.write_text(getattr(made, name))
    return files


@pytest.fixture(scope="module")
def context(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate["chain"], certificate["key"])
    return context


def sent(url):
    async def send():
        try:
            return await send_mail(MailServer.from_url(url), MAIL)
        finally:
            await asyncio.sleep(0.05)  # a service goes on; a loop that ends at once leaves connections half closed

    return asyncio.run(send())


def told(url):
    with pytest.raises(LandbridgeError) as caught:
        sent(url)
    assert "secret" not in str(caught.value)
    return caught.value


def refused(url, code, text):
    error = told(url)
    assert (error.code, isinstance(error, ConnectionFailed), isinstance(error, TransientError)) == (code, True, False)
    assert text in error.message
    assert error.hint
    return error


def test_a_server_without_starttls_gets_nothing_and_is_not_asked_again():
    with Mailbox() as plain:
        error = refused(f"smtp://127.0.0.1:{plain.port}", "LB-2123", "offers no STARTTLS; nothing was sent")
        assert "smtps://" in error.hint
        assert plain.mails == []


def test_a_server_without_tls_is_not_asked_for_it_again():
    with Mailbox() as plain:
        error = refused(f"smtps://127.0.0.1:{plain.port}", "LB-2124", "does not speak TLS there")
        assert "smtp://" in error.hint


@pytest.mark.parametrize("tls_from_start", [False, True])
def test_a_certificate_that_cannot_be_trusted_is_told_with_the_reason(context, tls_from_start):
    with Mailbox(tls_context=context, tls_from_start=tls_from_start) as secure:
        refused(secure.url, "LB-2106", "cannot be trusted: unable to get local issuer certificate")


@pytest.mark.parametrize("tls_from_start", [False, True])
def test_a_certificate_of_an_own_authority_is_taken(context, certificate, tls_from_start, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate["authority"]))
    with Mailbox(tls_context=context, tls_from_start=tls_from_start) as secure:
        assert sent(secure.url) == 0
        assert len(secure.mails) == 1


def test_a_server_without_a_login_is_not_given_one():
    with Mailbox() as plain:
        refused(f"smtp://bob:secret@127.0.0.1:{plain.port}?tls=never", "LB-2125", "offers no login")


def test_a_closed_port_and_an_unknown_name_may_be_better_later():
    closed = told(f"smtp://127.0.0.1:{free_port()}")
    unknown = told("smtp://mail.invalid")
    assert [(error.code, isinstance(error, TransientError)) for error in (closed, unknown)] == [("LB-3303", True)] * 2
    assert "nobody listens there" in closed.message
    assert "nobody knows its name" in unknown.message


def test_a_server_that_waits_for_tls_is_told_apart_by_the_hint(context, monkeypatch):
    monkeypatch.setattr(mail, "_TIMEOUT_S", 1.0)
    with Mailbox(tls_context=context, tls_from_start=True) as secure:
        error = told(secure.url.replace("smtps://", "smtp://"))
    assert (error.code, "does not answer in time" in error.message, "smtps://" in error.hint) == ("LB-3303", True, True)
