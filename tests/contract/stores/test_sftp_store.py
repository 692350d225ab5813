"""SFTP keeps the store contract, with OpenSSH and with the embedded server."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from landbridge.remote.sftp import SftpStore
from landbridge.remote.sftp_session import SftpLogin
from tests.contract.stores.backend import FolderBackend
from tests.contract.stores.store_contract import CHECK_TIMEOUT_S, StoreContract
from tests.servers import free_port
from tests.servers.embedded_sftp import EmbeddedSftpServer
from tests.servers.openssh import OpenSshServer
from tests.servers.pytest_support import started


class SftpBackend(FolderBackend):
    def __init__(self, root: Path, login: SftpLogin, *, wrong: SftpLogin) -> None:
        super().__init__(root / "uploads ü")
        self.login = login
        self.wrong = wrong
        self.folder.mkdir()

    def open(self, *, visible_temporary: bool = False) -> SftpStore:
        return SftpStore(self.login, folder=self.folder.name, visible_temporary=visible_temporary)

    def missing_folder(self) -> SftpStore:
        return SftpStore(self.login, folder="missing/deep")

    def wrong_secret(self) -> SftpStore:
        return SftpStore(self.wrong)

    def unreachable(self) -> SftpStore:
        return SftpStore(replace(self.login, port=free_port()))


class TestOpenSsh(StoreContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[SftpBackend]:
        with started(OpenSshServer(tmp_path)) as server:
            login = SftpLogin(
                host=server.host,
                port=server.port,
                username=server.username,
                private_key=server.private_key,
                host_key=server.fingerprint,
                timeout_s=CHECK_TIMEOUT_S,
            )
            wrong = replace(login, private_key=None, password="wrong")
            yield SftpBackend(tmp_path, login, wrong=wrong)


class TestEmbeddedServer(StoreContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[SftpBackend]:
        with EmbeddedSftpServer(tmp_path) as embedded:
            server = embedded.server
            login = SftpLogin(
                host=server.host,
                port=server.port,
                username=server.username,
                password=server.password,
                host_key=server.public_key,
                timeout_s=CHECK_TIMEOUT_S,
            )
            yield SftpBackend(tmp_path, login, wrong=replace(login, password="wrong"))
