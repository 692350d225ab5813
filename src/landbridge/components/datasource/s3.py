"""Files in Amazon S3 and in stores that speak its protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from landbridge.components.base import FileWriter
from landbridge.components.datasource.files import FileSelection, StoreReader
from landbridge.components.params import Address, ComponentParams, Param
from landbridge.components.registry import component
from landbridge.remote.object_stores import s3_folder
from landbridge.remote.objects import ObjectFolder


class S3Params(ComponentParams):
    """Parameters of every step that talks to S3."""

    bucket_name: str = Param("Name of the bucket.", example="customer-exports")
    access_key: str = Param("Access key id.", secret=True, example="AKIAIOSFODNN7EXAMPLE")
    secret_key: str = Param("Secret access key.", secret=True, example="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    object_key_prefix: str = Param(
        "Beginning of the object keys. A writer takes it as a folder. For a reader, end it with / to mean "
        "one folder; otherwise it also matches one whole key and names that begin with its last part.",
        default="",
        example="exports/",
    )
    region: str | None = Param(
        "Region of the bucket; found out by itself when empty.", default=None, example="eu-central-1"
    )
    endpoint: Address | None = Param(
        "Address of an S3-compatible server; empty for Amazon. http:// only on this machine.",
        default=None,
        example="https://s3.example.com",
    )


class S3ReaderParams(S3Params, FileSelection):
    """Parameters of the S3 reader."""


@asynccontextmanager
async def _bucket(params: S3Params) -> AsyncIterator[ObjectFolder]:
    folder = await s3_folder(
        params.bucket_name,
        access_key=params.access_key,
        secret_key=params.secret_key,
        prefix=params.object_key_prefix,
        region=params.region,
        endpoint=params.endpoint,
    )
    async with folder:
        yield folder


@component("datasource.read.amazon.s3", title="Read files from Amazon S3")
class S3Reader(StoreReader):
    """Read files from a bucket of Amazon S3 or a compatible server, in the order of their time or name."""

    Params = S3ReaderParams

    def connect(self) -> AbstractAsyncContextManager[ObjectFolder]:
        """Open the bucket."""
        return _bucket(self.params)


@component("datasource.write.amazon.s3", title="Write files to Amazon S3")
class S3Writer(FileWriter):
    """Upload files to a bucket of Amazon S3 or a compatible server. An object appears when it is complete."""

    Params = S3Params

    def connect(self) -> AbstractAsyncContextManager[ObjectFolder]:
        """Open the bucket."""
        return _bucket(self.params)
