"""Bad networks and bad servers: a transfer goes on, or ends with a clear error in time; it never hangs."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest

from landbridge.errors import ConnectionFailed, LandbridgeError, TransientError
from landbridge.remote import sftp_session
from landbridge.remote.ftp import FtpStore
from landbridge.remote.ftp_client import FtpLogin
from landbridge.remote.object_stores import s3_folder
from landbridge.remote.publish import ReplacePolicy, Store
from landbridge.remote.sftp import SftpStore
from landbridge.remote.sftp_session import SftpLogin
from tests.servers.ftp import FtpServer
from tests.servers.openssh import OpenSshServer
from tests.servers.proxy import FlakyProxy
from tests.servers.pytest_support import started
from tests.servers.s3 import S3Server

MEGABYTE = 1 << 20
CONTENT = random.Random(7).randbytes(24 * MEGABYTE)
TIMEOUT_S = 2.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_session, "RECONNECT_DELAYS_S", (0.05, 0.1))


@dataclass
class Remote:
    """A store behind a proxy that can misbehave, and the folder on the other side."""

    proxy: FlakyProxy
    connect: Callable[[], AbstractAsyncContextManager[Store]]
    folder: Path | None = None


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[Remote]:
    with started(OpenSshServer(tmp_path)) as server, FlakyProxy(server.port) as proxy:
        login = SftpLogin(
            host=proxy.host,
            port=proxy.port,
            username=server.username,
            private_key=server.private_key,
            host_key=server.fingerprint,
            timeout_s=TIMEOUT_S,
        )
        yield Remote(proxy, lambda: SftpStore(login), tmp_path)


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[Remote]:
    with started(FtpServer(tmp_path)) as server, FlakyProxy(server.port) as proxy:
        login = FtpLogin(
            host=proxy.host,
            port=proxy.port,
            username=server.username,
            password=server.password,
            timeout_s=TIMEOUT_S,
        )
        yield Remote(proxy, lambda: FtpStore(login), tmp_path)


@pytest.fixture
def s3() -> Iterator[Remote]:
    with started(S3Server()) as server, FlakyProxy(server.port) as proxy:
        bucket = server.bucket("exports")

        @asynccontextmanager
        async def connect() -> AsyncIterator[Store]:
            folder = await s3_folder(
                bucket,
                access_key=server.access_key,
                secret_key=server.secret_key,
                endpoint=f"http://127.0.0.1:{proxy.port}",
                timeout_s=TIMEOUT_S,
            )
            async with folder:
                yield folder

        yield Remote(proxy, connect)


def run(work: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(40):
            await work

    asyncio.run(limited())


async def put(store: Store, name: str, content: bytes) -> None:
    upload = await store.create(name)
    try:
        for start in range(0, len(content), MEGABYTE):
            await upload.write(content[start : start + MEGABYTE])
        await upload.publish()
    except BaseException:
        await upload.discard()
        raise


async def content(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def content_of(store: Store, name: str) -> bytes:
    return await content(store.read(name))


def test_an_sftp_upload_goes_on_after_the_connection_was_cut(sftp: Remote) -> None:
    async def scenario() -> None:
        async with sftp.connect() as store:
            for _ in range(3):
                before = sftp.proxy.connections
                sftp.proxy.cut_once_after(9 * MEGABYTE)
                await put(store, "data.bin", CONTENT)
                assert sftp.proxy.connections > before

    run(scenario())
    assert sftp.folder is not None
    assert [path.name for path in sftp.folder.iterdir()] == ["data.bin"]
    assert (sftp.folder / "data.bin").read_bytes() == CONTENT


def test_an_sftp_download_goes_on_after_the_connection_was_cut(sftp: Remote) -> None:
    assert sftp.folder is not None
    (sftp.folder / "data.bin").write_bytes(CONTENT)

    async def scenario() -> None:
        async with sftp.connect() as store:
            for _ in range(3):
                before = sftp.proxy.connections
                sftp.proxy.cut_once_after(9 * MEGABYTE)
                assert await content_of(store, "data.bin") == CONTENT
                assert sftp.proxy.connections > before

    run(scenario())


def test_a_finished_sftp_upload_is_published_though_the_server_closed_the_idle_connection(sftp: Remote) -> None:
    async def scenario() -> None:
        async with sftp.connect() as store:
            upload = await store.create("data.bin")
            await upload.write(CONTENT)
            await upload.finish()
            sftp.proxy.cut_once_after(0)
            await upload.publish()
            assert [entry.name for entry in await store.list()] == ["data.bin"]

    run(scenario())


def test_a_file_that_changed_before_the_download_went_on_is_no_mixture(sftp: Remote) -> None:
    assert sftp.folder is not None
    path = sftp.folder / "data.bin"
    path.write_bytes(CONTENT)

    async def scenario() -> None:
        async with sftp.connect() as store:
            sftp.proxy.cut_once_after(9 * MEGABYTE)
            chunks = store.read("data.bin")
            await anext(chunks)
            path.write_bytes(CONTENT[:-1] + b"!" * 1000)
            with pytest.raises(TransientError) as raised:
                await content(chunks)
            assert raised.value.code == "LB-3104"

    run(scenario())


@pytest.mark.parametrize("kind", ["sftp", "ftp", "s3"])
@pytest.mark.parametrize("trouble", ["cut_for_good_after", "freeze_after"])
def test_an_upload_into_nowhere_ends_with_an_error_in_time(
    kind: str, trouble: str, request: pytest.FixtureRequest
) -> None:
    remote: Remote = request.getfixturevalue(kind)

    async def scenario() -> None:
        async with remote.connect() as store:
            # FTP's data connections do not pass the proxy, its commands do.
            getattr(remote.proxy, trouble)(0 if kind == "ftp" else 5 * MEGABYTE)
            with pytest.raises((TransientError, ConnectionFailed)):
                await put(store, "data.bin", CONTENT)

    started_at = time.monotonic()
    run(scenario())
    assert time.monotonic() - started_at < 90


@pytest.mark.parametrize("kind", ["sftp", "ftp", "s3"])
@pytest.mark.parametrize("trouble", ["cut_for_good_after", "freeze_after"])
def test_a_download_from_nowhere_ends_with_an_error_in_time(
    kind: str, trouble: str, request: pytest.FixtureRequest
) -> None:
    remote: Remote = request.getfixturevalue(kind)

    async def scenario() -> None:
        async with remote.connect() as store:
            await put(store, "data.bin", CONTENT)
            getattr(remote.proxy, trouble)(0 if kind == "ftp" else 5 * MEGABYTE)
            with pytest.raises((TransientError, ConnectionFailed)):
                await content_of(store, "data.bin")

    started_at = time.monotonic()
    run(scenario())
    assert time.monotonic() - started_at < 90


class Limited(asyncssh.SFTPServer):
    """A server with the limits that the test asks for."""

    full = False
    forbidden = False
    old_rename = False
    loses_an_answer = False
    sizeless = False

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if self.full:
            raise asyncssh.SFTPFailure("Failure")
        return super().write(file_obj, offset, data)  # type: ignore[return-value]

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if self.forbidden:
            raise asyncssh.SFTPPermissionDenied("Permission denied")
        return super().open(path, pflags, attrs)

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        free = 0 if self.full else 1000
        return asyncssh.SFTPVFSAttrs(bsize=4096, frsize=4096, blocks=1000, bfree=free, bavail=free)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        if self.old_rename:
            raise asyncssh.SFTPOpUnsupported("not known")
        super().posix_rename(oldpath, newpath)
        self._lose_the_answer()

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        super().rename(oldpath, newpath)
        self._lose_the_answer()

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        return asyncssh.SFTPAttrs(permissions=0o100644) if self.sizeless else super().fstat(file_obj)  # type: ignore[return-value]

    def _lose_the_answer(self) -> None:
        if self.loses_an_answer:
            type(self).loses_an_answer = False
            self.channel.get_connection().abort()


@asynccontextmanager
async def limited_server(root: Path, *, policy: ReplacePolicy = "fail", **limits: bool) -> AsyncIterator[SftpStore]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    factory = type("LimitedNow", (Limited,), limits)

    class Anybody(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

    acceptor = await asyncssh.create_server(
        Anybody,
        "127.0.0.1",
        0,
        server_host_keys=[key],
        sftp_factory=lambda channel: factory(channel, chroot=str(root).encode()),
    )
    login = SftpLogin(
        host="127.0.0.1",
        port=acceptor.get_port(),
        username="u",
        password="p",
        host_key=str(key.get_fingerprint()),
        timeout_s=5,
    )
    try:
        async with SftpStore(login, replace_policy=policy) as store:
            yield store
    finally:
        acceptor.close()
        await acceptor.wait_closed()


def error_of_put(root: Path, *, full: bool = False, forbidden: bool = False) -> LandbridgeError:
    errors: list[LandbridgeError] = []

    async def scenario() -> None:
        async with limited_server(root, full=full, forbidden=forbidden) as store:
            with pytest.raises(LandbridgeError) as raised:
                await put(store, "data.bin", b"x" * 3 * MEGABYTE)
            errors.append(raised.value)

    run(scenario())
    assert list(root.iterdir()) == []
    return errors[0]


def test_a_full_disk_on_the_server_is_told_as_such(tmp_path: Path) -> None:
    assert error_of_put(tmp_path, full=True).code == "LB-2206"


def test_a_missing_permission_on_the_server_is_told_as_such(tmp_path: Path) -> None:
    assert error_of_put(tmp_path, forbidden=True).code == "LB-2202"


def test_a_server_that_cannot_replace_in_one_step_keeps_the_old_file_unless_told_otherwise(tmp_path: Path) -> None:
    async def first() -> None:
        async with limited_server(tmp_path, old_rename=True) as store:
            await put(store, "data.bin", b"first")
            with pytest.raises(ConnectionFailed) as raised:
                await put(store, "data.bin", b"second")
            assert raised.value.code == "LB-2207"

    async def second() -> None:
        async with limited_server(tmp_path, policy="deleteFirst", old_rename=True) as store:
            await put(store, "data.bin", b"second")

    run(first())
    assert [path.name for path in tmp_path.iterdir()] == ["data.bin"]
    assert (tmp_path / "data.bin").read_bytes() == b"first"
    run(second())
    assert [path.name for path in tmp_path.iterdir()] == ["data.bin"]
    assert (tmp_path / "data.bin").read_bytes() == b"second"


@pytest.mark.parametrize("old_rename", [False, True])
@pytest.mark.parametrize("policy", ["fail", "deleteFirst"])
def test_a_file_that_got_its_name_stays_though_the_answer_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: ReplacePolicy, old_rename: bool
) -> None:
    monkeypatch.setattr(sftp_session, "RECONNECT_DELAYS_S", (0.1, 0.1))

    async def scenario() -> None:
        async with limited_server(tmp_path, policy=policy, old_rename=old_rename, loses_an_answer=True) as store:
            await put(store, "data.bin", b"content")

    run(scenario())
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("data.bin", b"content")]


def test_a_file_of_a_server_that_does_not_tell_sizes_is_an_error_and_not_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"content")

    async def scenario() -> None:
        async with limited_server(tmp_path, sizeless=True) as store:
            with pytest.raises(ConnectionFailed) as raised:
                await content_of(store, "data.bin")
            assert raised.value.code == "LB-2205"

    run(scenario())


def test_a_login_that_is_refused_is_tried_once(tmp_path: Path) -> None:
    with started(OpenSshServer(tmp_path)) as server, FlakyProxy(server.port) as proxy:
        login = SftpLogin(
            host=proxy.host,
            port=proxy.port,
            username=server.username,
            private_key=asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode(),
            host_key=server.public_key,
            timeout_s=5,
        )

        async def scenario() -> None:
            with pytest.raises(LandbridgeError) as raised:
                async with SftpStore(login):
                    pass
            assert raised.value.code == "LB-2104"
            unusable = replace(login, private_key="-----BEGIN OPENSSH PRIVATE KEY-----\nbm8=\n")
            with pytest.raises(LandbridgeError) as raised:
                async with SftpStore(unusable):
                    pass
            assert raised.value.code == "LB-2105"

        run(scenario())
        assert proxy.connections == 1
