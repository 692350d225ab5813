"""FTP and FTPS keep the store contract."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from landbridge.remote.ftp import FtpStore
from landbridge.remote.ftp_client import FtpLogin, Security
from tests.contract.stores.backend import FolderBackend
from tests.contract.stores.store_contract import CHECK_TIMEOUT_S, StoreContract
from tests.servers import free_port
from tests.servers.ftp import FtpServer
from tests.servers.pytest_support import started


class FtpBackend(FolderBackend):
    def __init__(self, server: FtpServer, folder: Path, *, security: Security) -> None:
        super().__init__(folder)
        self.login = FtpLogin(
            host=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            security=security,
            ca_certificate=server.certificate.authority if server.certificate else None,
            timeout_s=CHECK_TIMEOUT_S,
        )

    def open(self, *, visible_temporary: bool = False) -> FtpStore:
        return FtpStore(self.login, folder=self.folder.name, visible_temporary=visible_temporary)

    def missing_folder(self) -> FtpStore:
        return FtpStore(self.login, folder="missing/deep")

    def wrong_secret(self) -> FtpStore:
        return FtpStore(replace(self.login, password="wrong"))

    def unreachable(self) -> FtpStore:
        return FtpStore(replace(self.login, port=free_port()))


def served(
    factory: pytest.TempPathFactory,
    *,
    tls: Literal["none", "explicit", "implicit"] = "none",
    mlsd: bool = True,
) -> Iterator[FtpServer]:
    with started(FtpServer(factory.mktemp("ftp"), tls=tls, mlsd=mlsd)) as server:
        yield server


@pytest.fixture(scope="module")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    yield from served(tmp_path_factory)


@pytest.fixture(scope="module")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    yield from served(tmp_path_factory, mlsd=False)


@pytest.fixture(scope="module")
def explicit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    yield from served(tmp_path_factory, tls="explicit")


@pytest.fixture(scope="module")
def implicit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    yield from served(tmp_path_factory, tls="implicit")


def folder_of(server: FtpServer, tmp_path: Path) -> Path:
    folder = server.root / f"{tmp_path.name} ü"
    folder.mkdir()
    return folder


class TestFtp(StoreContract):
    @pytest.fixture
    def backend(self, plain_server: FtpServer, tmp_path: Path) -> FtpBackend:
        return FtpBackend(plain_server, folder_of(plain_server, tmp_path), security="auto")


class TestFtpOfAnOldServer(StoreContract):
    """NLST, SIZE and MDTM are all it has."""

    @pytest.fixture
    def backend(self, old_server: FtpServer, tmp_path: Path) -> FtpBackend:
        return FtpBackend(old_server, folder_of(old_server, tmp_path), security="none")


class TestFtpsExplicit(StoreContract):
    @pytest.fixture
    def backend(self, explicit_server: FtpServer, tmp_path: Path) -> FtpBackend:
        return FtpBackend(explicit_server, folder_of(explicit_server, tmp_path), security="explicit")


class TestFtpsChosenByItself(StoreContract):
    """``auto`` against a server that offers TLS, and that would refuse a login without."""

    @pytest.fixture
    def backend(self, explicit_server: FtpServer, tmp_path: Path) -> FtpBackend:
        return FtpBackend(explicit_server, folder_of(explicit_server, tmp_path), security="auto")


class TestFtpsImplicit(StoreContract):
    @pytest.fixture
    def backend(self, implicit_server: FtpServer, tmp_path: Path) -> FtpBackend:
        return FtpBackend(implicit_server, folder_of(implicit_server, tmp_path), security="implicit")
