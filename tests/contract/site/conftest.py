"""A folder for a site whose keys have been made before, because making RSA keys takes longer than most tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from landbridge.site.credentials import FILE_NAME, Credentials


@pytest.fixture(scope="session")
def known_credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("credentials")
    Credentials.kept_in(folder)
    return folder / FILE_NAME


@pytest.fixture
def folder(tmp_path: Path, known_credentials: Path) -> Path:
    place = tmp_path / "site"
    place.mkdir()
    shutil.copy(known_credentials, place)
    return place
