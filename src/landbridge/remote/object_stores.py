"""Open buckets and containers at Amazon, Azure and Google, and at servers that speak their protocols."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from landbridge.errors import FlowError
from landbridge.remote.endpoint import checked_endpoint
from landbridge.remote.objects import CALL_TIMEOUT_FACTOR, ObjectFolder
from landbridge.remote.pem import pem_text

if TYPE_CHECKING:
    from obstore.store import AzureSASToken, ClientConfig, RetryConfig, S3Credential

DEFAULT_REGION = "us-east-1"

RENEW_BEFORE = timedelta(minutes=10)
"""A signature is renewed when it has less than this left; the client asks for another five minutes before the end."""

AWS_ENDPOINT = "https://s3.amazonaws.com"


async def s3_folder(
    bucket: str,
    *,
    access_key: str,
    secret_key: str,
    prefix: str = "",
    region: str | None = None,
    endpoint: str | None = None,
    timeout_s: float = 60,
) -> ObjectFolder:
    """A folder in an S3 bucket.

    Args:
        bucket: Name of the bucket.
        access_key: Access key id.
        secret_key: Secret access key.
        prefix: See ``ObjectFolder``.
        region: The bucket's region; asked from Amazon when None.
        endpoint: Address of an S3-compatible server; None for Amazon. Its buckets are addressed by path.
        timeout_s: The longest time to wait for any single answer.

    Raises:
        FlowError: LB-1303, the endpoint may not be used.
    """
    chosen = region or (DEFAULT_REGION if endpoint else await bucket_region(bucket, timeout_s=timeout_s))

    def credentials() -> S3Credential:
        # Given by a function, so that a session token in the environment does not mix with the step's keys.
        return {
            "access_key_id": access_key,
            "secret_access_key": secret_key,
            "token": None,
            "expires_at": None,
        }

    store = S3Store(
        bucket,
        region=chosen,
        endpoint=checked_endpoint(endpoint) if endpoint else f"https://s3.{chosen}.amazonaws.com",
        virtual_hosted_style_request=False,
        credential_provider=credentials,
        client_options=_client(endpoint, timeout_s=timeout_s),
        retry_config=_retry(timeout_s),
    )
    label = f'bucket "{bucket}" at {_host(endpoint) or "Amazon S3"}'
    return ObjectFolder(store, prefix=prefix, label=label, timeout_s=timeout_s)


async def bucket_region(bucket: str, *, endpoint: str = AWS_ENDPOINT, timeout_s: float = 60) -> str:
    """The region of an Amazon bucket, which any request to it is told, even a refused one.

    Amazon answers HeadBucket with ``x-amz-bucket-region`` also when it redirects or refuses (S3 API
    reference, HeadBucket). Where it cannot be asked the default region is taken and the first request tells
    what is wrong.
    """
    limit = aiohttp.ClientTimeout(total=min(timeout_s, 10))
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.head(f"{endpoint}/{bucket}", allow_redirects=False) as answer,
        ):
            return answer.headers.get("x-amz-bucket-region", DEFAULT_REGION)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return DEFAULT_REGION


async def azure_folder(
    container: str,
    *,
    account: str,
    account_key: str,
    prefix: str = "",
    endpoint: str | None = None,
    timeout_s: float = 60,
) -> ObjectFolder:
    """A folder in a container of Azure Blob Storage, opened with the account's key.

    Args:
        container: Name of the container.
        account: Name of the storage account.
        account_key: Key of the account, base64 as Azure shows it.
        prefix: See ``ObjectFolder``.
        endpoint: Address of the account's blob service; None for Azure's public cloud.
        timeout_s: The longest time to wait for any single answer.

    Raises:
        FlowError: LB-1303 the endpoint may not be used, LB-1304 the account key is not base64.
    """
    address = checked_endpoint(endpoint) if endpoint else f"https://{account}.blob.core.windows.net"
    try:
        store = AzureStore(
            container,
            account_name=account,
            account_key=account_key,
            endpoint=address,
            client_options=_client(endpoint, timeout_s=timeout_s),
            retry_config=_retry(timeout_s),
        )
    except (BaseError, ValueError, OSError) as error:
        raise _unusable("account key", error) from None
    label = f'container "{container}" of account "{account}"'
    return ObjectFolder(store, prefix=prefix, label=label, timeout_s=timeout_s)


async def azure_sas_folder(
    container: str,
    *,
    account: str,
    endpoint: str,
    token: Callable[[], Awaitable[tuple[str, datetime | None]]],
    prefix: str = "",
    timeout_s: float = 60,
) -> ObjectFolder:
    """A folder in a container of Azure Blob Storage, opened with shared access signatures.

    Args:
        container: Name of the container.
        account: Name of the storage account.
        endpoint: Address of the account's blob service.
        token: Gives a signature (``sv=…&sig=…``) and the time when it expires; asked again then.
        prefix: See ``ObjectFolder``.
        timeout_s: The longest time to wait for any single answer.

    Raises:
        FlowError: LB-1303, the endpoint may not be used.
    """
    current = await token()

    async def renew() -> None:
        nonlocal current
        if current[1] is not None and current[1] - datetime.now(UTC) < RENEW_BEFORE:
            current = await token()

    def credentials() -> AzureSASToken:
        # Not a coroutine: the client drops one that it does not need any more, and Python reports that.
        return {"sas_token": current[0], "expires_at": current[1]}

    store = AzureStore(
        container,
        account_name=account,
        endpoint=checked_endpoint(endpoint),
        credential_provider=credentials,
        client_options=_client(endpoint, timeout_s=timeout_s),
        retry_config=_retry(timeout_s),
    )
    label = f'container "{container}" of account "{account}"'
    return ObjectFolder(store, prefix=prefix, label=label, timeout_s=timeout_s, prepare=renew)


async def gcs_folder(
    bucket: str,
    *,
    project_id: str,
    client_email: str,
    private_key: str,
    prefix: str = "",
    endpoint: str | None = None,
    timeout_s: float = 60,
) -> ObjectFolder:
    """A folder in a bucket of Google Cloud Storage, opened as a service account.

    Args:
        bucket: Name of the bucket.
        project_id: Project of the service account.
        client_email: Its address.
        private_key: Its key: PEM text or base64 of it.
        prefix: See ``ObjectFolder``.
        endpoint: Address of a server that speaks Google's XML API; None for Google.
        timeout_s: The longest time to wait for any single answer.

    Raises:
        FlowError: LB-1303 the endpoint may not be used, LB-1304 the private key cannot be read.
    """
    try:
        account = {
            "type": "service_account",
            "project_id": project_id,
            "client_email": client_email,
            "private_key": pem_text(private_key),
            "private_key_id": "",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
        if endpoint:
            account["gcs_base_url"] = checked_endpoint(endpoint)
        store = GCSStore(
            bucket,
            service_account_key=json.dumps(account),
            client_options=_client(endpoint, timeout_s=timeout_s),
            retry_config=_retry(timeout_s),
        )
    except (BaseError, ValueError, OSError) as error:
        raise _unusable("private key", error) from None
    label = f'bucket "{bucket}" at {_host(endpoint) or "Google Cloud Storage"}'
    return ObjectFolder(store, prefix=prefix, label=label, timeout_s=timeout_s)


def _unusable(secret: str, error: Exception) -> FlowError:
    del error  # its text may repeat the secret
    return FlowError(
        "LB-1304",
        f"the {secret} cannot be read",
        hint="Copy it whole, as the provider shows it; a private key is PEM text or base64 of it.",
    )


def _client(endpoint: str | None, *, timeout_s: float) -> ClientConfig:
    return {
        "allow_http": endpoint is not None and endpoint.startswith("http:"),
        "connect_timeout": timedelta(seconds=min(timeout_s, 15)),
        # Counted from the beginning of a request, so that it has to leave time for sending a part.
        "read_timeout": timedelta(seconds=timeout_s * CALL_TIMEOUT_FACTOR),
        "timeout": timedelta(seconds=timeout_s * CALL_TIMEOUT_FACTOR),
    }


def _retry(timeout_s: float) -> RetryConfig:
    return {
        "max_retries": 6,
        "retry_timeout": timedelta(seconds=min(timeout_s / 2, 180)),
        "backoff": {
            "init_backoff": timedelta(milliseconds=200),
            "max_backoff": timedelta(seconds=10),
            "base": 2,
        },
    }


def _host(endpoint: str | None) -> str | None:
    return urlsplit(endpoint).netloc if endpoint else None
