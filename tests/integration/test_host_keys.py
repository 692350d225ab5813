"""SSH host keys are pinned: nothing is sent to a server whose key is unknown or has changed."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import asyncssh
import pytest

from landbridge.errors import ConnectionFailed, FlowError, HostKeyChanged, StorageError
from landbridge.remote import known_hosts
from landbridge.remote.sftp import SftpStore
from landbridge.remote.sftp_session import SftpLogin
from landbridge.sandbox.sftp import SftpServer
from tests.servers import free_port
from tests.servers.embedded_sftp import EmbeddedSftpServer

T = TypeVar("T")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LANDBRIDGE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedSftpServer]:
    with EmbeddedSftpServer(tmp_path / "root") as server:
        yield server


@pytest.fixture
def server(embedded: EmbeddedSftpServer) -> SftpServer:
    return embedded.server


def run(work: Awaitable[T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(30):
            return await work

    return asyncio.run(limited())


def login_to(server: SftpServer, *, host_key: str | None = None) -> SftpLogin:
    return SftpLogin(
        host=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        host_key=host_key,
        timeout_s=10,
    )


async def use(login: SftpLogin) -> None:
    async with SftpStore(login) as store:
        await store.check()


def refusal(login: SftpLogin) -> HostKeyChanged:
    with pytest.raises(HostKeyChanged) as raised:
        run(use(login))
    assert login.password is not None
    assert login.password not in str(raised.value)
    return raised.value


def other_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def test_an_unknown_key_is_refused_with_the_command_that_pins_it(server: SftpServer) -> None:
    error = refusal(login_to(server))
    assert error.code == "LB-2102"
    where = f"127.0.0.1:{server.port}"
    assert f"landbridge connections pin {where} --fingerprint {server.fingerprint}" in error.hint


def test_a_key_pinned_by_its_fingerprint_is_accepted(server: SftpServer, home: Path) -> None:
    assert run(known_hosts.pin(server.host, server.port, key=server.fingerprint)) == server.fingerprint
    run(use(login_to(server)))
    assert (home / "known_hosts").stat().st_mode & 0o777 == 0o600


def test_a_key_pinned_by_its_public_key_line_needs_no_connection(server: SftpServer) -> None:
    host_port = free_port()
    pinned = run(known_hosts.pin("unreachable.invalid", host_port, key=server.public_key))
    assert pinned == server.fingerprint
    run(known_hosts.pin(server.host, server.port, key=f"{server.public_key} a comment"))
    run(use(login_to(server)))


def test_a_changed_key_is_refused_and_names_both_fingerprints(server: SftpServer) -> None:
    expected = other_key()
    line = expected.export_public_key("openssh").decode()
    run(known_hosts.pin(server.host, server.port, key=line))
    error = refusal(login_to(server))
    assert error.code == "LB-2103"
    assert known_hosts.fingerprint(expected) in error.message
    assert server.fingerprint in error.message


def test_a_changed_key_of_another_kind_is_a_changed_key_too(server: SftpServer) -> None:
    expected = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    run(known_hosts.pin(server.host, server.port, key=expected.export_public_key("openssh").decode()))
    error = refusal(login_to(server))
    assert error.code == "LB-2103"
    assert server.fingerprint in error.message


def test_pinning_again_replaces_the_old_key_and_keeps_other_servers(server: SftpServer, home: Path) -> None:
    home.mkdir()
    other = other_key().export_public_key("openssh").decode().strip()
    (home / "known_hosts").write_text(f"# ours\nfiles.example.com {other}\n")
    run(known_hosts.pin(server.host, server.port, key=other_key().export_public_key("openssh").decode()))
    run(known_hosts.pin(server.host, server.port, key=server.fingerprint))
    run(use(login_to(server)))
    lines = (home / "known_hosts").read_text().splitlines()
    assert lines[:2] == ["# ours", f"files.example.com {other}"]
    assert len(lines) == 3


def test_a_fingerprint_that_the_server_does_not_offer_is_not_pinned(server: SftpServer, home: Path) -> None:
    with pytest.raises(HostKeyChanged) as raised:
        run(known_hosts.pin(server.host, server.port, key=known_hosts.fingerprint(other_key())))
    assert raised.value.code == "LB-2112"
    assert not (home / "known_hosts").exists()
    assert "Nothing was pinned" in raised.value.message
    assert "changed" not in raised.value.message
    assert "connections pin" not in raised.value.hint


@pytest.mark.parametrize("digest", ["AAAA", "", "?" * 43, "A" * 44])
def test_a_fingerprint_that_is_not_whole_is_refused_before_a_connection(digest: str) -> None:
    with pytest.raises(FlowError) as raised:
        run(known_hosts.pin("unreachable.invalid", key=f"SHA256:{digest}"))
    assert raised.value.code == "LB-1302"


@pytest.mark.parametrize("form", ["fingerprint", "public_key"])
def test_the_steps_own_host_key_counts_without_any_pin(server: SftpServer, form: str) -> None:
    run(use(login_to(server, host_key=getattr(server, form))))


def test_the_steps_own_host_key_counts_more_than_a_pin(server: SftpServer) -> None:
    run(known_hosts.pin(server.host, server.port, key=server.fingerprint))
    error = refusal(login_to(server, host_key=known_hosts.fingerprint(other_key())))
    assert error.code == "LB-2103"


def test_a_fingerprint_of_any_of_the_servers_keys_is_enough(tmp_path: Path) -> None:
    keys = [asyncssh.generate_private_key(kind) for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")]

    async def scenario() -> None:
        acceptor = await asyncssh.create_server(
            asyncssh.SSHServer,
            "127.0.0.1",
            0,
            server_host_keys=keys,
            process_factory=None,
        )
        try:
            port = acceptor.get_port()
            offered = await known_hosts.offered_keys("127.0.0.1", port)
            assert {known_hosts.fingerprint(key) for key in offered} == {known_hosts.fingerprint(k) for k in keys}
            for key in keys:
                chosen = known_hosts.fingerprint(key)
                assert await known_hosts.pin("127.0.0.1", port, key=chosen) == chosen
                pins = known_hosts.pins_for("127.0.0.1", port)
                assert pins.expected == chosen
        finally:
            acceptor.close()
            await acceptor.wait_closed()

    run(scenario())


def test_the_pin_of_one_port_does_not_serve_another(server: SftpServer) -> None:
    run(known_hosts.pin(server.host, known_hosts.DEFAULT_PORT, key=server.public_key))
    assert refusal(login_to(server)).code == "LB-2102"
    assert known_hosts.pins_for(server.host, known_hosts.DEFAULT_PORT).expected == server.fingerprint


def test_a_file_of_openssh_with_hashed_names_is_understood(server: SftpServer, home: Path) -> None:
    salt = bytes(range(20))
    name = f"[{server.host}]:{server.port}"
    digest = hmac.new(salt, name.encode(), "sha1").digest()
    hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    home.mkdir()
    (home / "known_hosts").write_text(f"{hashed} {server.public_key}\n")
    run(use(login_to(server)))


def test_a_revoked_key_is_refused_though_it_is_pinned(server: SftpServer, home: Path) -> None:
    home.mkdir()
    name = f"[{server.host}]:{server.port}"
    (home / "known_hosts").write_text(f"{name} {server.public_key}\n@revoked {name} {server.public_key}\n")
    with pytest.raises(ConnectionFailed):
        run(use(login_to(server)))


def test_a_damaged_pin_file_is_an_error_and_no_open_door(server: SftpServer, home: Path) -> None:
    home.mkdir()
    (home / "known_hosts").write_text("only-one-word\n")
    with pytest.raises(StorageError) as raised:
        run(use(login_to(server)))
    assert raised.value.code == "LB-7103"


def test_a_host_key_that_is_neither_fingerprint_nor_key_is_an_error_of_the_flow(server: SftpServer) -> None:
    with pytest.raises(FlowError) as raised:
        run(use(login_to(server, host_key="md5:aa:bb")))
    assert raised.value.code == "LB-1302"


def test_a_server_that_cannot_be_reached_cannot_be_pinned_by_fingerprint(server: SftpServer) -> None:
    with pytest.raises(ConnectionFailed) as raised:
        run(known_hosts.pin("127.0.0.1", free_port(), key=server.fingerprint))
    assert raised.value.code == "LB-2101"


def test_the_offered_fingerprint_is_shown_for_comparison(server: SftpServer) -> None:
    assert run(known_hosts.offered_key(server.host, server.port)) == server.fingerprint


def test_a_server_that_does_not_speak_ssh_is_told_from_a_changed_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 ftp.example.com ready\r\n" * 60)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            login = SftpLogin(host="127.0.0.1", port=port, username="u", password="p", timeout_s=5)
            for candidate in (login, replace(login, host_key=known_hosts.fingerprint(other_key()))):
                with pytest.raises(ConnectionFailed) as raised:
                    await use(candidate)
                assert raised.value.code in ("LB-2101", "LB-2107")

    run(scenario())
