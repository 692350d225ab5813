"""The reader and writer components of every file store: what one writes the other reads, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from landbridge.components import registry
from landbridge.components.base import FileReader, FileWriter, StepServices
from landbridge.components.datasource.ftp import FtpWriterParams
from landbridge.errors import ConnectionFailed
from tests.contract.stores.test_object_stores import bucket_name, service_account_key
from tests.servers.azurite import AzuriteServer
from tests.servers.embedded_sftp import EmbeddedSftpServer
from tests.servers.ftp import FtpServer
from tests.servers.pytest_support import started
from tests.servers.s3 import S3Server
from tests.servers.sas_service import SasService, container_signature

SECRETS = {"password", "privateKey", "passphrase", "accessKey", "secretKey", "accountKey", "clientSecret"}


@dataclass
class Services:
    """What a running step knows of its job; file readers and writers use nothing else."""

    spool_dir: Path
    step_id: str = "step"
    job_id: str = "job"
    started: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Pair:
    """A reader and a writer id with the parameters that lead both to the same place."""

    name: str
    common: dict[str, Any]
    reader: dict[str, Any]
    writer: dict[str, Any]


@pytest.fixture
def local(tmp_path: Path) -> Pair:
    return Pair("local", {"path": str(tmp_path / "new")}, {}, {"createFolders": True})


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[Pair]:
    with EmbeddedSftpServer(tmp_path) as embedded:
        server = embedded.server
        common = {
            "host": server.host,
            "port": server.port,
            "username": server.username,
            "password": server.password,
            "hostKey": server.fingerprint,
            "remotePath": "in/new",
            "timeout": 10,
        }
        yield Pair("sftp", common, {}, {"createFolders": True, "temporaryUploadExtension": True})


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[Pair]:
    with started(FtpServer(tmp_path, tls="explicit")) as server:
        assert server.certificate is not None
        common = {
            "host": server.host,
            "port": server.port,
            "username": server.username,
            "password": server.password,
            "remotePath": "in/new",
            "caCertificate": server.certificate.authority,
        }
        yield Pair("ftp", common, {}, {"createFolders": True})


@pytest.fixture
def s3(s3_server: S3Server, tmp_path: Path) -> Pair:
    common = {
        "bucketName": s3_server.bucket(bucket_name(tmp_path)),
        "accessKey": s3_server.access_key,
        "secretKey": s3_server.secret_key,
        "endpoint": s3_server.url,
    }
    return Pair("amazon.s3", common, {"objectKeyPrefix": "in/new/"}, {"objectKeyPrefix": "in/new"})


@pytest.fixture
def azure_blob(azurite: AzuriteServer, tmp_path: Path) -> Pair:
    common = {
        "accountName": azurite.account,
        "accountKey": azurite.account_key,
        "container": azurite.container(bucket_name(tmp_path)),
        "endpoint": azurite.url,
        "blobPrefix": "in/new/",
    }
    return Pair("azure.blob", common, {}, {})


@pytest.fixture
def azure_sas(azurite: AzuriteServer, tmp_path: Path) -> Iterator[Pair]:
    container = azurite.container(bucket_name(tmp_path))
    signature = container_signature(azurite.account, azurite.account_key, container)
    url = f"{azurite.url}/{container}/in?{signature}"
    with SasService(lambda: url, shape="json-object", method="POST") as service:
        common = {
            "loginUrl": service.login_url,
            "authenticationUrl": service.url,
            "blobUri": service.blob_uri,
            "clientId": service.client_id,
            "clientSecret": service.client_secret,
            "blobPrefix": "new/",
        }
        yield Pair("azure.sas", common, {}, {})


@pytest.fixture
def google(open_s3_server: S3Server, tmp_path: Path) -> Pair:
    common = {
        "bucketName": open_s3_server.bucket(bucket_name(tmp_path)),
        "projectId": "project",
        "clientEmail": "landbridge@project.iam.gserviceaccount.com",
        "privateKey": service_account_key(),
        "endpoint": open_s3_server.url,
    }
    return Pair("googlecloud.storage", common, {"objectKeyPrefix": "in/ne"}, {"objectKeyPrefix": "in/new"})


PAIRS = ["local", "sftp", "ftp", "s3", "azure_blob", "azure_sas", "google"]
IDS = [name for name in registry.ids() if name.startswith(("datasource.read.", "datasource.write."))]
STORES = ("local", "sftp", "ftp", "amazon.s3", "azure.blob", "azure.sas", "googlecloud.storage")
FILE_IDS = [name for name in IDS if name.endswith(STORES)]


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found


def reader(pair: Pair, folder: Path, **params: Any) -> FileReader:
    cls = registry.get(f"datasource.read.{pair.name}")
    made = cls(
        cls.Params.model_validate({**pair.common, **pair.reader, **params}), cast("StepServices", Services(folder))
    )
    assert isinstance(made, FileReader)
    return made


def writer(pair: Pair, folder: Path) -> FileWriter:
    cls = registry.get(f"datasource.write.{pair.name}")
    made = cls(cls.Params.model_validate({**pair.common, **pair.writer}), cast("StepServices", Services(folder)))
    assert isinstance(made, FileWriter)
    return made


async def deliver(target: FileWriter, files: dict[str, bytes]) -> None:
    async with target.connect() as store:
        await store.clean()
        for name, content in files.items():
            upload = await store.create(name)
            await upload.write(content)
            await upload.finish()
            await upload.publish()


async def received(source: FileReader) -> list[tuple[str, bytes]]:
    found = []
    async for file in source.files():
        content = b"".join([chunk async for chunk in file.chunks])
        assert file.start.size == len(content)
        assert file.start.modified is not None
        found.append((file.start.name.rpartition("/")[2], content))
    return found


@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_what_the_writer_writes_the_reader_reads(pair: Pair, tmp_path: Path) -> None:
    files = {"b.csv": b"UID\n1\n", "a.csv": b"", "c.txt": b"x" * 3_000_000, "b.csv.gz": b"gz"}

    async def scenario() -> None:
        await deliver(writer(pair, tmp_path), files)
        assert dict(await received(reader(pair, tmp_path))) == files
        by_name = await received(reader(pair, tmp_path, fileNameRegex=r".*\.csv", sortBy="name", sortOrder="DESC"))
        assert [name for name, _ in by_name] == ["b.csv", "a.csv"]
        assert await received(reader(pair, tmp_path, fileNameRegex="nothing")) == []

    asyncio.run(scenario())


@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_files_are_read_in_the_order_of_their_time(pair: Pair, tmp_path: Path) -> None:
    async def scenario() -> None:
        await deliver(writer(pair, tmp_path), {"z": b"first"})
        await asyncio.sleep(1.05)  # FTP, SFTP and HTTP dates count whole seconds
        await deliver(writer(pair, tmp_path), {"a": b"second"})
        assert [name for name, _ in await received(reader(pair, tmp_path))] == ["z", "a"]
        newest_first = await received(reader(pair, tmp_path, sortOrder="desc"))
        assert [name for name, _ in newest_first] == ["a", "z"]

    asyncio.run(scenario())


@pytest.mark.parametrize("pair", ["local", "sftp", "ftp"], indirect=True)
def test_a_missing_folder_is_an_error_for_reader_and_writer_unless_it_may_be_created(
    pair: Pair, tmp_path: Path
) -> None:
    pair.writer.pop("createFolders")

    async def scenario() -> None:
        with pytest.raises(ConnectionFailed) as raised:
            await received(reader(pair, tmp_path))
        assert raised.value.code == "LB-2201"
        with pytest.raises(ConnectionFailed) as raised:
            await deliver(writer(pair, tmp_path), {"a.csv": b""})
        assert raised.value.code == "LB-2201"

    asyncio.run(scenario())


@pytest.mark.parametrize("component_id", FILE_IDS)
def test_every_parameter_is_described_and_every_secret_is_marked(component_id: str) -> None:
    properties = registry.get(component_id).Params.model_json_schema()["properties"]
    for name, schema in properties.items():
        assert schema["description"], name
        assert schema["secret"] is (name in SECRETS), name


def test_all_file_stores_of_the_vocabulary_are_tested() -> None:
    assert len(FILE_IDS) == 2 * len(PAIRS)


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"fileNameRegex": "*.csv"}, "regular expression"),
        ({"timeout": 5}, "greater than or equal to 10"),
        ({"sortOrder": "sideways"}, "'ASC' or 'DESC'"),
        ({"password": ""}, "password or a privateKey"),
        ({"port": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_parameters_are_told_before_any_connection(params: dict[str, Any], complaint: str) -> None:
    cls = registry.get("datasource.read.sftp")
    good = {"host": "h", "username": "u", "password": "s3cret-value"}
    cls.Params.model_validate(good)
    with pytest.raises(ValidationError) as raised:
        cls.Params.model_validate({**good, **params})
    assert complaint in str(raised.value)


def test_credentials_are_not_sent_without_encryption_to_another_machine() -> None:
    cls = registry.get("datasource.write.amazon.s3")
    with pytest.raises(ValidationError, match="without encryption"):
        cls.Params.model_validate(
            {"bucketName": "b", "accessKey": "a", "secretKey": "s", "endpoint": "http://s3.example.com"}
        )


def test_implicit_tls_has_its_own_port() -> None:
    common = {"host": "h", "username": "u", "password": "p"}
    assert FtpWriterParams.model_validate({**common, "security": "implicit"}).login.port == 990
    assert FtpWriterParams.model_validate({**common, "security": "implicit", "port": 21}).login.port == 21
    assert FtpWriterParams.model_validate(common).login.port == 21
