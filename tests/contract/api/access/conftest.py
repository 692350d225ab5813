"""A service within the process of the test, and how costly its passwords are."""

from contextlib import contextmanager

import pytest
from argon2 import PasswordHasher

from landbridge.jobs import passwords
from tests.contract.api.house import House


@pytest.fixture(scope="module", autouse=True)
def quick_passwords():
    """Hashes with small parameters: a login takes a moment."""
    with hasher(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)):
        yield


@pytest.fixture
def costly_passwords():
    """Hashes as they are kept."""
    with hasher(PasswordHasher()):
        yield


@contextmanager
def hasher(which):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", which)
        passwords._nobody.cache_clear()
        yield
    passwords._nobody.cache_clear()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("access")) as house:
        yield house


@pytest.fixture
def fresh(tmp_path):
    """A service without users, which has counted no logins."""
    with House(tmp_path) as house:
        yield house
