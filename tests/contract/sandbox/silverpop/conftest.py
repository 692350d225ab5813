"""A sandbox of the platform, and what leads to it."""

import pytest

from tests.contract.sandbox.running import running_sandbox


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox("silverpop") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox):
    one_sandbox.do(empty)
    yield one_sandbox
    one_sandbox.calm("silverpop")


def empty(sandbox):
    database = sandbox["silverpop"].database
    for number in list(database.contacts):
        database.remove(number)


@pytest.fixture
def connection(sandbox):
    return sandbox.connection("silverpop")
