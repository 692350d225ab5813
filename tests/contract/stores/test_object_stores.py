"""S3, Azure Blob (key and signature) and Google Cloud Storage keep the store contract.

For Google the XML API of the S3 server is used, which speaks the same requests; it does not check the
signature of the service account's token.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path

import obstore
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from obstore.store import AzureStore, ObjectStore, S3Store

from landbridge.remote.azure_sas import SasLogin, sas_folder
from landbridge.remote.object_stores import azure_folder, gcs_folder, s3_folder
from landbridge.remote.objects import ObjectFolder
from landbridge.remote.publish import Store
from tests.contract.stores.backend import Backend
from tests.contract.stores.store_contract import CHECK_TIMEOUT_S, StoreContract
from tests.servers import free_port
from tests.servers.azurite import AzuriteServer
from tests.servers.s3 import S3Server
from tests.servers.sas_service import SasService, container_signature

TIMEOUT_S = CHECK_TIMEOUT_S / 4
FOLDER = "exports ü/"


@asynccontextmanager
async def opened(folder: Awaitable[ObjectFolder]) -> AsyncIterator[Store]:
    async with await folder as store:
        yield store


class ObjectBackend(Backend):
    """The other side is seen through a client of its own on the whole bucket."""

    def __init__(self, client: ObjectStore, connect: Callable[..., Awaitable[ObjectFolder]]) -> None:
        self.client = client
        self.connect = connect

    def open(self, *, visible_temporary: bool = False) -> AbstractAsyncContextManager[Store]:
        return opened(self.connect())

    def missing_folder(self) -> AbstractAsyncContextManager[Store]:
        return opened(self.connect(missing=True))

    def wrong_secret(self) -> AbstractAsyncContextManager[Store] | None:
        return opened(self.connect(wrong=True))

    def unreachable(self) -> AbstractAsyncContextManager[Store] | None:
        return opened(self.connect(unreachable=True))

    def raw(self) -> dict[str, bytes]:
        found = {}
        for meta in obstore.list(self.client).collect():
            content = self.client.get(meta["path"]).bytes()
            found[meta["path"].removeprefix(FOLDER)] = bytes(content)
        return found

    def peek(self, name: str) -> bytes | None:
        try:
            return bytes(self.client.get(FOLDER + name).bytes())
        except FileNotFoundError:
            return None

    def plant(self, name: str, content: bytes) -> None:
        self.client.put(FOLDER + name, content)


def bucket_name(tmp_path: Path) -> str:
    return re.sub("[^a-z0-9]+", "-", tmp_path.name.lower()).strip("-")[:50] + "-bucket"


class RcloneBackend(ObjectBackend):
    """Served by rclone, which writes an object into its file while others read it; S3 and Google do not."""

    server_replaces_at_once = False


class TestS3(StoreContract):
    @pytest.fixture
    def backend(self, s3_server: S3Server, tmp_path: Path) -> RcloneBackend:
        bucket = s3_server.bucket(bucket_name(tmp_path))

        def connect(
            *, missing: bool = False, wrong: bool = False, unreachable: bool = False
        ) -> Awaitable[ObjectFolder]:
            return s3_folder(
                "no-such-bucket" if missing else bucket,
                access_key=s3_server.access_key,
                secret_key="wrong" if wrong else s3_server.secret_key,
                prefix=FOLDER,
                endpoint=f"http://127.0.0.1:{free_port()}" if unreachable else s3_server.url,
                timeout_s=TIMEOUT_S,
            )

        client = S3Store(
            bucket,
            endpoint=s3_server.url,
            region="us-east-1",
            access_key_id=s3_server.access_key,
            secret_access_key=s3_server.secret_key,
            client_options={"allow_http": True},
        )
        return RcloneBackend(client, connect)


class TestAzure(StoreContract):
    @pytest.fixture
    def backend(self, azurite: AzuriteServer, tmp_path: Path) -> ObjectBackend:
        container = azurite.container(bucket_name(tmp_path))

        def connect(
            *, missing: bool = False, wrong: bool = False, unreachable: bool = False
        ) -> Awaitable[ObjectFolder]:
            return azure_folder(
                "no-such-container" if missing else container,
                account=azurite.account,
                account_key="bm90IHRoZSBrZXk=" if wrong else azurite.account_key,
                prefix=FOLDER,
                endpoint=f"http://127.0.0.1:{free_port()}/x" if unreachable else azurite.url,
                timeout_s=TIMEOUT_S,
            )

        return ObjectBackend(azure_client(azurite, container), connect)


class TestAzureWithSignature(StoreContract):
    @pytest.fixture
    def backend(self, azurite: AzuriteServer, tmp_path: Path) -> Iterator[ObjectBackend]:
        container = azurite.container(bucket_name(tmp_path))
        asked_for = [container]

        def signed_url() -> str:
            name = asked_for[0]
            return f"{azurite.url}/{name}?{container_signature(azurite.account, azurite.account_key, name)}"

        with SasService(signed_url) as service:

            def connect(
                *, missing: bool = False, wrong: bool = False, unreachable: bool = False
            ) -> Awaitable[ObjectFolder]:
                asked_for[0] = "no-such-container" if missing else container
                return sas_folder(
                    SasLogin(
                        login_url=f"http://127.0.0.1:{free_port()}" if unreachable else service.login_url,
                        authentication_url=service.url,
                        blob_uri=service.blob_uri,
                        client_id=service.client_id,
                        client_secret="wrong" if wrong else service.client_secret,
                        timeout_s=TIMEOUT_S,
                    ),
                    prefix=FOLDER,
                )

            yield ObjectBackend(azure_client(azurite, container), connect)


class TestGoogle(StoreContract):
    @pytest.fixture
    def backend(self, open_s3_server: S3Server, tmp_path: Path) -> RcloneBackend:
        bucket = open_s3_server.bucket(bucket_name(tmp_path))

        def connect(*, missing: bool = False, unreachable: bool = False) -> Awaitable[ObjectFolder]:
            return gcs_folder(
                "no-such-bucket" if missing else bucket,
                project_id="project",
                client_email="landbridge@project.iam.gserviceaccount.com",
                private_key=service_account_key(),
                prefix=FOLDER,
                endpoint=f"http://127.0.0.1:{free_port()}" if unreachable else open_s3_server.url,
                timeout_s=TIMEOUT_S,
            )

        client = S3Store(
            bucket,
            endpoint=open_s3_server.url,
            region="us-east-1",
            skip_signature=True,
            client_options={"allow_http": True},
        )
        return GoogleBackend(client, connect)


class GoogleBackend(RcloneBackend):
    def wrong_secret(self) -> None:
        return None


def azure_client(azurite: AzuriteServer, container: str) -> AzureStore:
    return AzureStore(
        container,
        account_name=azurite.account,
        account_key=azurite.account_key,
        endpoint=azurite.url,
        client_options={"allow_http": True},
    )


@cache
def service_account_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
