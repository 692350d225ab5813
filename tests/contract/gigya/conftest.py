"""One site for each module of tests, calm again before each test."""

import pytest

from tests.contract.gigya.local_site import running_site


@pytest.fixture(scope="module")
def one_site():
    with running_site(people=200, seed=3) as site:
        yield site


@pytest.fixture
def site(one_site):
    one_site.calm()
    yield one_site
    one_site.calm()
