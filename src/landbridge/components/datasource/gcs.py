"""Files in Google Cloud Storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from landbridge.components.base import FileWriter
from landbridge.components.datasource.files import FileSelection, StoreReader
from landbridge.components.params import Address, ComponentParams, Param
from landbridge.components.registry import component
from landbridge.remote.object_stores import gcs_folder
from landbridge.remote.objects import ObjectFolder


class GcsParams(ComponentParams):
    """Parameters of every step that talks to Google Cloud Storage."""

    bucket_name: str = Param("Name of the bucket.", example="customer-exports")
    project_id: str = Param("Project of the service account.", example="my-project")
    client_email: str = Param(
        "Address of the service account.", example="landbridge@my-project.iam.gserviceaccount.com"
    )
    private_key: str = Param(
        "Private key of the service account: base64 of the whole PEM block, or the PEM text.",
        secret=True,
        example="LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t…",
    )
    object_key_prefix: str = Param(
        "Beginning of the object names. A writer takes it as a folder. For a reader, Test matches the "
        "folders Test1 and Test2, Test1/a the files in Test1 that begin with a; end it with / to mean one folder.",
        default="",
        example="exports/",
    )
    endpoint: Address | None = Param(
        "Address of a server that speaks Google's XML API; empty for Google. http:// only on this machine.",
        default=None,
        example="https://storage.example.com",
    )


class GcsReaderParams(GcsParams, FileSelection):
    """Parameters of the Google Cloud Storage reader."""


@asynccontextmanager
async def _bucket(params: GcsParams) -> AsyncIterator[ObjectFolder]:
    folder = await gcs_folder(
        params.bucket_name,
        project_id=params.project_id,
        client_email=params.client_email,
        private_key=params.private_key,
        prefix=params.object_key_prefix,
        endpoint=params.endpoint,
    )
    async with folder:
        yield folder


@component("datasource.read.googlecloud.storage", title="Read files from Google Cloud Storage")
class GcsReader(StoreReader):
    """Read files from a bucket of Google Cloud Storage, in the order of their time or name."""

    Params = GcsReaderParams

    def connect(self) -> AbstractAsyncContextManager[ObjectFolder]:
        """Open the bucket."""
        return _bucket(self.params)


@component("datasource.write.googlecloud.storage", title="Write files to Google Cloud Storage")
class GcsWriter(FileWriter):
    """Upload files to a bucket of Google Cloud Storage. An object appears only when it is complete."""

    Params = GcsParams

    def connect(self) -> AbstractAsyncContextManager[ObjectFolder]:
        """Open the bucket."""
        return _bucket(self.params)
