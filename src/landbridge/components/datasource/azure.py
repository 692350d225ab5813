"""Files in Azure Blob Storage, opened with the account's key or with shared access signatures (SAS)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from landbridge.components.base import FileWriter
from landbridge.components.datasource.files import FileSelection, StoreReader
from landbridge.components.params import Address, ComponentParams, Param
from landbridge.components.registry import component
from landbridge.remote.azure_sas import SasLogin, sas_folder
from landbridge.remote.object_stores import azure_folder
from landbridge.remote.objects import ObjectFolder

PREFIX = (
    "Beginning of the blob names; destination/ is a folder. A writer takes it as a folder in any case. For a "
    "reader, without a / at the end it also matches file and folder names that begin with its last part."
)


class BlobParams(ComponentParams):
    """Parameters of every step that opens a container with the account's key."""

    account_name: str = Param("Name of the storage account.", example="customerdata")
    account_key: str = Param("Key of the storage account.", secret=True, example="bXkgYWNjb3VudCBrZXk=")
    container: str = Param("Name of the container.", example="exports")
    blob_prefix: str = Param(PREFIX, default="", example="destination/")
    endpoint: Address | None = Param(
        "Address of the account's blob service; empty for the public cloud. http:// only on this machine.",
        default=None,
        example="https://customerdata.blob.core.chinacloudapi.cn",
    )


class BlobReaderParams(BlobParams, FileSelection):
    """Parameters of the Azure Blob reader."""


class SasParams(ComponentParams):
    """Parameters of every step that asks a service for a shared access signature."""

    login_url: str = Param(
        "Address of the tenant that logs the client in.",
        example="https://login.microsoftonline.com/contoso.onmicrosoft.com",
    )
    authentication_url: str = Param(
        "Address of the service that gives signatures.", example="https://storage-access.example.com"
    )
    blob_uri: str = Param("Path at that service.", default="", example="/api/sasstorage/create/")
    client_id: str = Param("Application id of the client.", example="00001111-aaaa-2222-bbbb-3333cccc4444")
    client_secret: str = Param("Secret of the client.", secret=True, example="correct horse battery staple")
    scope: str | None = Param(
        "OAuth scope of the login; empty for the client's own (<clientId>/.default).",
        default=None,
        example="api://storage-access/.default",
    )
    blob_prefix: str = Param(PREFIX, default="", example="destination/")
    allow_unencrypted: bool = Param(
        "Ask a service that has no https:// all the same. Whoever listens can then write to the container.",
        default=False,
    )


class SasReaderParams(SasParams, FileSelection):
    """Parameters of the Azure reader with signatures."""


@asynccontextmanager
async def _container(params: BlobParams) -> AsyncIterator[ObjectFolder]:
    folder = await azure_folder(
        params.container,
        account=params.account_name,
        account_key=params.account_key,
        prefix=params.blob_prefix,
        endpoint=params.endpoint,
    )
    async with folder:
        yield folder


@asynccontextmanager
async def _signed_container(params: SasParams) -> AsyncIterator[ObjectFolder]:
    login = SasLogin(
        login_url=params.login_url,
        authentication_url=params.authentication_url,
        blob_uri=params.blob_uri,
        client_id=params.client_id,
        client_secret=params.client_secret,
        scope=params.scope,
        allow_unencrypted=params.allow_unencrypted,
    )
    async with await sas_folder(login, prefix=params.blob_prefix) as folder:
        yield folder


@component("datasource.read.azure.blob", title="Read files from Azure Blob Storage")
class BlobReader(StoreReader):
    """Read files from a container of Azure Blob Storage, in the order of their time or name."""

    Params = BlobReaderParams

    def connect(self) -> AbstractAsyncContextManager[ObjectFolder]:
        """Open the container."""
        return _container(self.params)


@component("datasource.write.azure.blob", title="Write files to Azure Blob Storage")
class BlobWriter(FileWriter):
    """Upload files to a container of Azure Blob Storage. A blob appears only when it is complete."""

    Params = BlobParams

    def connect(self) -> AbstractAsyncContextManager[ObjectFolder]:
        """Open the container."""
        return _container(self.params)


@component("datasource.read.azure.sas", title="Read files from Azure with a signature")
class SasReader(StoreReader):
    """Read files from a container of Azure Blob Storage for which a service of the owner gives signatures.

    The step logs in with ``POST {loginUrl}/oauth2/v2.0/token`` (client credentials) and asks
    ``GET {authenticationUrl}{blobUri}`` with the token for the signed address of the container; the answer
    may be plain text, a JSON string, or a JSON object that holds the address anywhere.
    """

    Params = SasReaderParams

    def connect(self) -> AbstractAsyncContextManager[ObjectFolder]:
        """Ask for a signature and open the container."""
        return _signed_container(self.params)


@component("datasource.write.azure.sas", title="Write files to Azure with a signature")
class SasWriter(FileWriter):
    """Upload files to a container of Azure Blob Storage for which a service of the owner gives signatures.

    The two requests are those of the reader ``datasource.read.azure.sas``. A blob appears only when it is
    complete.
    """

    Params = SasParams

    def connect(self) -> AbstractAsyncContextManager[ObjectFolder]:
        """Ask for a signature and open the container."""
        return _signed_container(self.params)
