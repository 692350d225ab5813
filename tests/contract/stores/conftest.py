"""The servers that the stores' contract suites share."""

from collections.abc import Iterator

import pytest

from tests.servers.azurite import AzuriteServer
from tests.servers.pytest_support import started
from tests.servers.s3 import S3Server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with started(S3Server()) as server:
        yield server


@pytest.fixture(scope="session")
def open_s3_server() -> Iterator[S3Server]:
    with started(S3Server(anonymous=True)) as server:
        yield server


@pytest.fixture(scope="session")
def azurite() -> Iterator[AzuriteServer]:
    with started(AzuriteServer()) as server:
        yield server
