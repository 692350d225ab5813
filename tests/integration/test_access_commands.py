"""Users, tokens and the audit trail on the command line, and a service that speaks HTTPS."""

import contextlib
import io
import json
import os
import pwd
import re
import sys

import pytest

from landbridge.cli import main
from tests.contract.api.caller import Api
from tests.contract.api.house import PASSWORD, House
from tests.integration.command import Command, Outcome
from tests.servers.certificate import make_certificate
from tests.servers.landbridge_service import Process

OPERATOR = f"cli {pwd.getpwuid(os.getuid()).pw_name}"
"""Who uses the command line; what the environment says does not count."""


class InProcess(Command):
    """Commands without the start of a process each; standard input is what is given."""

    def __call__(self, *arguments, typed=""):
        out, err, code = io.StringIO(), io.StringIO(), 0
        before = sys.argv, sys.stdin
        sys.argv, sys.stdin = ["landbridge", *map(str, arguments)], io.StringIO(typed)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.argv, sys.stdin = before
        return Outcome(code, out.getvalue(), err.getvalue(), {})

    def ok(self, *arguments, typed=""):
        outcome = self(*arguments, typed=typed)
        assert outcome.code == 0, outcome
        return outcome.out

    def json(self, *arguments):
        return json.loads(self.ok(*arguments, "--json"))


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setenv("LANDBRIDGE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("USER", "mallory")
    return InProcess(tmp_path)


@pytest.fixture
def certificate(tmp_path):
    made = make_certificate()
    (tmp_path / "chain.pem").write_text(made.chain)
    (tmp_path / "key.pem").write_text(made.key)
    return made


@contextlib.contextmanager
def serving(folder, *arguments):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LANDBRIDGE_")}
    environ["LANDBRIDGE_HOME"] = str(folder / "home")
    options = ["--data", str(folder / "data"), "--port", "0", "--grace", "0", "--slots", "1"]
    process = Process(["serve", *options, *arguments], environ, folder / "log")
    try:
        yield process
    finally:
        process.stop()


# -- users and tokens --------------------------------------------------------------------------------------------------


def test_users_are_kept_by_commands(command):
    added = command.ok("users", "add", "Ada@Example.com", "--role", "admin", "--password-stdin", typed=f"{PASSWORD}\n")
    assert added == "ada@example.com  (admin, last login never)\n"
    command.ok("users", "add", "bob@example.com", "--role", "viewer", "--name", "Bob", "--no-password")
    command.ok("users", "set", "BOB@example.com", "--role", "operator", "--off")
    command.ok("users", "password", "bob@example.com", "--password-stdin", typed=PASSWORD)
    assert "bob@example.com  Bob  (operator, off, last login never)" in command.ok("users", "list")
    shown = command.json("users", "list")
    assert [(each["email"], each["role"], each["enabled"], each["hasPassword"]) for each in shown] == [
        ("ada@example.com", "admin", True, True),
        ("bob@example.com", "operator", False, True),
    ]
    assert "argon2" not in str(shown)
    command.ok("users", "remove", "bob@example.com")
    assert "LB-8025" in command("users", "remove", "ada@example.com").err
    assert "LB-8024" in command("users", "set", "bob@example.com", "--on").err
    assert "LB-8023" in command("users", "add", "ada@example.com", "--role", "viewer", "--no-password").err
    lines = command.json("audit", "list", "--action", "user.")
    assert [line["action"] for line in reversed(lines)] == [
        "user.add",
        "user.add",
        "user.change",
        "user.password",
        "user.remove",
    ]
    assert {line["actor"] for line in lines} == {OPERATOR}


def test_a_password_is_never_an_argument(command):
    assert command("users", "add", "a@b.example", "--role", "viewer", "--password", PASSWORD).code == 2
    outcome = command("users", "add", "a@b.example", "--role", "viewer")
    assert outcome.code == 2
    assert "--password-stdin" in outcome.err
    outcome = command("users", "add", "a@b.example", "--role", "viewer", "--password-stdin", typed="short")
    assert outcome.code == 1
    assert "LB-8021" in outcome.err
    assert command.json("users", "list") == []


def test_a_password_of_a_command_is_one_to_log_in_with(command):
    """What is typed in ends without its line break, and keeps everything else."""
    from landbridge.jobs.db import Database
    from landbridge.jobs.logins import log_in
    from landbridge.jobs.tokens import SessionLife

    command.ok("users", "add", "a@b.example", "--role", "viewer", "--password-stdin", typed=" blanks around it \r\n")
    database = Database.open(command.folder / "data")
    try:
        assert log_in(database, "a@b.example", " blanks around it ", life=SessionLife()).row.email == "a@b.example"
    finally:
        database.close()


def test_tokens_are_kept_by_commands(command):
    command.ok("users", "add", "robot@example.com", "--role", "editor", "--no-password")
    made = command("tokens", "add", "--user", "robot@example.com", "--name", "ci", "--role", "operator", "--days", "7")
    assert re.fullmatch(r"lb_[\w-]{43}\n", made.out)
    command.ok("tokens", "add", "--user", "robot@example.com", "--name", "for ever", "--never-expires")
    too_much = command("tokens", "add", "--user", "robot@example.com", "--name", "x", "--role", "admin")
    assert "LB-8027" in too_much.err
    [ci, forever] = sorted(command.json("tokens", "list", "--user", "robot@example.com"), key=lambda each: each["name"])
    assert (ci["name"], ci["role"], forever["expires"]) == ("ci", "operator", None)
    assert "revoked" in command.ok("tokens", "revoke", ci["id"])
    assert "LB-8026" in command("tokens", "revoke", "nothing").err
    assert "robot@example.com, operator, revoked" in command.ok("tokens", "list")
    lines = command.ok("audit", "list", "--object", ci["id"])
    assert f"{OPERATOR}  token.revoke" in lines
    assert made.out.strip() not in lines


def test_the_trail_can_be_narrowed_down(command):
    for name in ("a", "b", "c"):
        command.ok("users", "add", f"{name}@example.com", "--role", "admin", "--no-password")
    assert len(command.json("audit", "list", "--limit", "2")) == 2
    assert command.json("audit", "list", "--since", "2999-01-01") == []
    assert command.json("audit", "list", "--actor", "nobody") == []
    assert command("audit", "list", "--since", "yesterday").code == 2


def test_a_set_up_link_is_printed_as_long_as_there_is_no_user(command):
    first = command.ok("users", "setup-link", "--url", "https://landbridge.example/")
    assert re.fullmatch(r"https://landbridge\.example/setup#[\w-]{43}\n", first)
    assert command.ok("users", "setup-link") != first
    command.ok("users", "add", "a@example.com", "--role", "admin", "--no-password")
    assert "LB-8028" in command("users", "setup-link").err


# -- the service -------------------------------------------------------------------------------------------------------


def test_the_service_prints_a_link_that_makes_the_first_admin(command, tmp_path):
    with serving(tmp_path) as process:
        for _ in range(2):
            process.process.stdout.readline()
        line = process.process.stdout.readline()
        address, _, token = line.split()[2].partition("#")
        assert address == f"{process.url}/setup"
        body = {"token": token, "email": "ada@example.com", "password": PASSWORD}
        assert Api(process.url).post("/setup", body).status == 201
        browser = Api(process.url)
        browser.log_in("ada@example.com", PASSWORD)
        # What a command does counts for the running service at once.
        secret = command.ok("tokens", "add", "--user", "ada@example.com", "--name", "x").strip()
        assert Api(process.url, token=secret).get("/users").status == 200
        command.ok("users", "add", "bob@example.com", "--role", "admin", "--no-password")
        command.ok("users", "set", "ada@example.com", "--off")
        assert Api(process.url, token=secret).get("/users").status == 401
        assert browser.get("/users").status == 401


def test_over_https_the_cookie_is_secure_and_browsers_are_told_to_stay_there(command, tmp_path, certificate):
    command.ok("users", "add", "ada@example.com", "--role", "admin", "--password-stdin", typed=PASSWORD)
    files = ("--tls-certificate", tmp_path / "chain.pem", "--tls-key", tmp_path / "key.pem")
    with serving(tmp_path, *map(str, files), "--host-name", "landbridge.example") as process:
        assert process.url.startswith("https://")
        browser = Api(process.url, authority=certificate.authority)
        reply = browser.log_in("ada@example.com", PASSWORD)
        assert reply.cookie["secure"]
        assert "Strict-Transport-Security" not in reply.headers  # for an address it means nothing
        reply = browser.get("/users", headers={"Host": "landbridge.example"})
        assert (reply.status, reply.headers["Strict-Transport-Security"]) == (200, "max-age=31536000")
        process.process.terminate()
        assert "setup#" not in process.process.stdout.read()  # there is a user


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "key.pem").write_text(make_certificate().key), "is not the key of"),
        (lambda folder: (folder / "key.pem").unlink(), "key.pem cannot be read: No such file"),
        (lambda folder: (folder / "chain.pem").write_text("nonsense"), "is not PEM"),
        (lambda folder: (folder / "key.pem").write_text(locked_key()), "has a passphrase"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_refused(command, tmp_path, certificate, damage, message):
    damage(tmp_path)
    outcome = command(
        "serve", "--tls-certificate", tmp_path / "chain.pem", "--tls-key", tmp_path / "key.pem", "--port", "0"
    )
    assert outcome.code == 1
    assert message in outcome.err
    assert "LB-1784" in outcome.err


def locked_key():
    """The same kind of key, behind a passphrase."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(b"a passphrase")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked).decode()


def test_a_certificate_needs_its_key(command, tmp_path):
    assert command("serve", "--tls-certificate", tmp_path / "chain.pem").code == 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "landbridge.example"])
def test_other_machines_are_not_let_in_without_encryption(command, host):
    outcome = command("serve", "--host", host, "--port", "0")
    assert outcome.code == 1
    assert "LB-1783" in outcome.err
    assert "--insecure-http" in outcome.err
    assert not (command.folder / "data").exists()


def test_a_proxy_that_speaks_https_may_stand_before_the_service(tmp_path):
    with House(tmp_path, host="0.0.0.0", insecure=True) as house:
        forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.9", "Host": "landbridge.example"}
        login = {"email": house.user().email, "password": PASSWORD}
        reply = Api(house.url).post("/session", login, headers=forwarded)
        assert reply.cookie["secure"]
        assert reply.headers["Strict-Transport-Security"]
        [line] = house.audited("session.begin")
        assert line.address == "192.0.2.9"
