"""The local folder keeps the store contract."""

from pathlib import Path

import pytest

from landbridge.remote.local import LocalStore
from tests.contract.stores.backend import FolderBackend
from tests.contract.stores.store_contract import StoreContract


class LocalBackend(FolderBackend):
    def open(self, *, visible_temporary: bool = False) -> LocalStore:
        return LocalStore(self.folder, visible_temporary=visible_temporary)

    def missing_folder(self) -> LocalStore:
        return LocalStore(self.folder / "missing" / "deep")


class TestLocal(StoreContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> LocalBackend:
        return LocalBackend(tmp_path)
