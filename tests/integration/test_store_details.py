"""What single kinds of store promise beyond the contract that all of them keep."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import resource
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from pathlib import Path

import obstore
import pytest
from aiohttp import web
from obstore.store import S3Store

from landbridge.errors import ConnectionFailed, FlowError, LandbridgeError, StorageError, TransientError
from landbridge.remote.azure_sas import SasLogin, sas_folder, signed_container
from landbridge.remote.ftp import FtpStore
from landbridge.remote.ftp_client import FtpLogin
from landbridge.remote.local import LocalStore
from landbridge.remote.object_stores import bucket_region, gcs_folder, s3_folder
from landbridge.remote.publish import Store
from tests.servers.azurite import AzuriteServer
from tests.servers.certificate import make_certificate
from tests.servers.ftp import FtpServer
from tests.servers.pytest_support import started
from tests.servers.s3 import S3Server
from tests.servers.sas_service import SasService, container_signature


def run(work: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(limited())


async def put(store: Store, name: str, content: bytes) -> None:
    upload = await store.create(name)
    await upload.write(content)
    await upload.finish()
    await upload.publish()


async def content_of(store: Store, name: str) -> bytes:
    return b"".join([chunk async for chunk in store.read(name)])


def code_of(work: Awaitable[None]) -> str:
    codes: list[str] = []

    async def scenario() -> None:
        with pytest.raises(LandbridgeError) as raised:
            await work
        codes.append(raised.value.code)

    run(scenario())
    return codes[0]


# --- the local folder


def test_a_full_disk_is_told_as_such_and_leaves_no_file(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def scenario() -> None:
        async with LocalStore(tmp_path) as store:
            upload = await store.create("data.csv")
            with pytest.raises(StorageError) as raised:
                await upload.write(b"x" * (4 << 20))
            assert raised.value.code == "LB-7101"
            await upload.discard()

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        run(scenario())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_the_disk_cannot_take_is_told_as_such(tmp_path: Path) -> None:
    assert code_of(put(LocalStore(tmp_path), "x" * 300, b"")) == "LB-2204"


@pytest.mark.parametrize("create_folders", [False, True])
@pytest.mark.parametrize("below", ["", "deep"])
def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path, below: str, create_folders: bool) -> None:
    in_the_way = tmp_path / "afile"
    in_the_way.touch()
    store = LocalStore(in_the_way / below, create_folders=create_folders)

    async def each() -> None:
        for work in (put(store, "x.json", b""), store.check(), store.list()):
            with pytest.raises(ConnectionFailed, match=f'"{in_the_way}" is a file, not a folder') as raised:
                await work
            assert raised.value.code == "LB-2204"

    run(each())


def test_a_file_that_grows_while_it_is_read_is_an_error_and_not_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"x" * (3 << 20))

    async def scenario() -> None:
        async with LocalStore(tmp_path) as store:
            chunks = store.read("data.csv")
            await anext(chunks)
            with path.open("ab") as file:
                file.write(b"more")
            with pytest.raises(TransientError) as raised:
                [chunk async for chunk in chunks]
            assert raised.value.code == "LB-3104"

    run(scenario())


def test_a_folder_is_created_on_request_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deep"
    assert code_of(put(LocalStore(folder), "sub/data.csv", b"")) == "LB-2201"
    assert not (tmp_path / "new").exists()
    run(put(LocalStore(folder, create_folders=True), "sub/data.csv", b""))
    assert (folder / "sub" / "data.csv").exists()


def test_links_are_followed_and_broken_ones_left_out(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_bytes(b"1")
    (tmp_path / "link.csv").symlink_to("real.csv")
    (tmp_path / "broken.csv").symlink_to("gone.csv")
    os.mkfifo(tmp_path / "pipe")

    async def scenario() -> None:
        async with LocalStore(tmp_path) as store:
            assert sorted(entry.name for entry in await store.list()) == ["link.csv", "real.csv"]

    run(scenario())


# --- FTP over TLS


@pytest.fixture
def ftps(tmp_path: Path) -> Iterator[FtpServer]:
    with started(FtpServer(tmp_path, tls="explicit")) as server:
        yield server


def ftp_login(server: FtpServer) -> FtpLogin:
    return FtpLogin(
        host=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        ca_certificate=server.certificate.authority if server.certificate else None,
        timeout_s=5,
    )


async def enter(login: FtpLogin) -> None:
    async with FtpStore(login) as store:
        await store.check()


def test_a_certificate_that_nobody_vouches_for_is_refused(ftps: FtpServer) -> None:
    for security in ("auto", "explicit"):
        login = replace(ftp_login(ftps), ca_certificate=None, security=security)
        assert code_of(enter(login)) == "LB-2106"
    another = replace(ftp_login(ftps), ca_certificate=make_certificate().authority)
    assert code_of(enter(another)) == "LB-2106"


def test_a_certificate_for_another_name_is_refused(ftps: FtpServer) -> None:
    assert code_of(enter(replace(ftp_login(ftps), host="localhost"))) == "LB-2106"


def test_tls_that_is_demanded_is_not_given_up(tmp_path: Path) -> None:
    with started(FtpServer(tmp_path)) as server:
        run(enter(ftp_login(server)))
        for security in ("explicit", "implicit"):
            login = replace(ftp_login(server), security=security)
            assert code_of(enter(login)) in ("LB-2107", "LB-2101")


def test_a_certificate_parameter_that_is_none_is_told_as_such(ftps: FtpServer) -> None:
    assert code_of(enter(replace(ftp_login(ftps), ca_certificate="hello"))) == "LB-2105"


def test_an_ftp_session_that_was_closed_for_idleness_is_opened_again(tmp_path: Path) -> None:
    with started(FtpServer(tmp_path, idle_timeout_s=1)) as server:

        async def scenario() -> None:
            async with FtpStore(ftp_login(server)) as store:
                upload = await store.create("data.csv")
                await upload.write(b"content")
                await upload.finish()
                await asyncio.sleep(1.5)
                await upload.publish()
                await asyncio.sleep(1.5)
                assert [entry.name for entry in await store.list()] == ["data.csv"]

        run(scenario())


def test_a_folder_whose_files_have_no_sizes_is_an_error_and_not_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"content")
    (tmp_path / "folder").mkdir()
    with started(FtpServer(tmp_path, mlsd=False, sizes=False)) as server:

        async def names() -> None:
            async with FtpStore(ftp_login(server)) as store:
                await store.list()

        assert code_of(names()) == "LB-2205"


def test_a_folder_that_may_not_be_listed_is_an_error_and_not_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"content")
    with started(FtpServer(tmp_path, mlsd=False, permissions="er")) as server:

        async def names() -> None:
            async with FtpStore(ftp_login(server)) as store:
                await store.list()

        assert code_of(names()) == "LB-2202"


# --- object stores


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with started(S3Server()) as server:
        yield server


def test_a_prefix_means_a_folder_a_key_or_the_beginning_of_names(s3: S3Server) -> None:
    bucket = s3.bucket("exports")
    client = S3Store(
        bucket,
        endpoint=s3.url,
        region="us-east-1",
        access_key_id=s3.access_key,
        secret_access_key=s3.secret_key,
        client_options={"allow_http": True},
    )
    for key in ("top.csv", "in/a.csv", "in/b.csv", "in/deep/c.csv", "index.csv", "inbox/d.csv"):
        obstore.put(client, key, key.encode())

    async def names(prefix: str) -> list[str]:
        folder = await s3_folder(
            bucket, access_key=s3.access_key, secret_key=s3.secret_key, prefix=prefix, endpoint=s3.url
        )
        async with folder:
            found = sorted(entry.name for entry in await folder.list())
            for name in found:
                assert (await content_of(folder, name)).decode().endswith(name)
            return found

    async def scenario() -> None:
        assert await names("") == ["index.csv", "top.csv"]
        assert await names("in/") == ["a.csv", "b.csv"]
        assert await names("/in/") == ["a.csv", "b.csv"]
        assert await names("in/a") == ["a.csv"]
        assert await names("in/a.csv") == ["a.csv"]
        assert await names("in") == ["in/a.csv", "in/b.csv", "inbox/d.csv", "index.csv"]
        assert await names("none/") == []

    run(scenario())


def test_the_region_of_a_bucket_is_asked_from_the_store() -> None:
    async def scenario() -> None:
        async def head(request: web.Request) -> web.Response:
            if request.match_info["bucket"] == "known":
                return web.Response(status=301, headers={"x-amz-bucket-region": "eu-central-1", "Location": "/no"})
            return web.Response(status=404)

        app = web.Application()
        app.router.add_head("/{bucket}", head)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            assert await bucket_region("known", endpoint=url) == "eu-central-1"
            assert await bucket_region("unknown", endpoint=url) == "us-east-1"
        finally:
            await runner.cleanup()
        assert await bucket_region("known", endpoint=url) == "us-east-1"

    run(scenario())


@pytest.mark.parametrize("key", ["not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_a_google_key_that_cannot_be_read_is_told_without_repeating_it(key: str) -> None:
    async def scenario() -> None:
        with pytest.raises(FlowError) as raised:
            await gcs_folder("b", project_id="p", client_email="a@example.com", private_key=key)
        assert raised.value.code == "LB-1304"
        assert "AAAA" not in str(raised.value)

    run(scenario())


# --- shared access signatures


@pytest.fixture(scope="module")
def azurite() -> Iterator[AzuriteServer]:
    with started(AzuriteServer()) as server:
        yield server


def sas_login(service: SasService, **changed: str) -> SasLogin:
    login = SasLogin(
        login_url=service.login_url,
        authentication_url=service.url,
        blob_uri=service.blob_uri,
        client_id=service.client_id,
        client_secret=service.client_secret,
        timeout_s=5,
    )
    return replace(login, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", ["text", "json-string", "json-object", "pieces"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_signature_is_found_in_every_shape_of_answer(shape: str, method: str) -> None:
    url = "https://acme.blob.core.windows.net/exports/daily/in?sv=2022-11-02&se=2030-01-02T03%3A04%3A05Z&sig=a%2Bb%3D"

    async def scenario() -> None:
        with SasService(lambda: url, shape=shape, method=method) as service:
            found = await signed_container(sas_login(service))
        assert found.endpoint == "https://acme.blob.core.windows.net"
        assert (found.account, found.container, found.folder) == ("acme", "exports", "daily/in")
        assert found.signature.endswith("sig=a%2Bb%3D")
        assert found.expires == dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
        assert "sig" not in repr(found)

    run(scenario())


def test_each_way_in_which_the_login_for_a_signature_fails_has_its_error() -> None:
    with SasService(lambda: "no address") as service:

        async def ask(login: SasLogin) -> None:
            await signed_container(login)

        assert code_of(ask(sas_login(service))) == "LB-2110"
        assert code_of(ask(sas_login(service, client_secret="wrong"))) == "LB-2104"
        assert code_of(ask(sas_login(service, login_url=f"{service.url}/other"))) == "LB-2205"
        assert code_of(ask(sas_login(service, blob_uri="/other"))) == "LB-2205"
        assert code_of(ask(sas_login(service, login_url="http://login.example.com/t"))) == "LB-1303"
        assert code_of(ask(sas_login(service, authentication_url="http://127.0.0.1:1"))) == "LB-2101"


def test_a_signature_that_expires_during_a_job_is_asked_for_again(azurite: AzuriteServer) -> None:
    container = azurite.container("renewed")
    lifetimes = [dt.timedelta(seconds=2)]

    def url() -> str:
        valid = lifetimes.pop() if lifetimes else dt.timedelta(hours=1)
        signature = container_signature(azurite.account, azurite.account_key, container, valid=valid)
        return f"{azurite.url}/{container}?{signature}"

    async def scenario() -> None:
        with SasService(url) as service:
            async with await sas_folder(sas_login(service)) as folder:
                await asyncio.sleep(2.5)
                await put(folder, "data.csv", b"content")
                assert await content_of(folder, "data.csv") == b"content"
                assert service.signatures == 2

    run(scenario())


def test_nothing_but_the_message_is_shown_of_a_refused_login() -> None:
    with SasService(lambda: "") as service:

        async def scenario() -> None:
            with pytest.raises(ConnectionFailed) as raised:
                await signed_container(sas_login(service, client_secret="wrong-secret"))
            assert "wrong-secret" not in str(raised.value)

        run(scenario())
