"""A sandbox of the platform, and what tests need to reach it."""

import pytest

from landbridge.remote import silverpop as remote
from tests.contract.sandbox.running import running_sandbox
from tests.integration.in_process import InProcess
from tests.integration.silverpop.parts import empty


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox("silverpop") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox, monkeypatch):
    # Repetitions need not be patient here; how patient they are is the matter of the http tests.
    monkeypatch.setattr(remote.Retries, "delay_s", lambda self, attempt: 0.01)
    one_sandbox.do(empty)
    yield one_sandbox
    one_sandbox.calm("silverpop")


@pytest.fixture
def command(tmp_path):
    return InProcess(tmp_path)


@pytest.fixture
def connection(sandbox):
    return sandbox.connection("silverpop")


@pytest.fixture
def api(connection):
    names = ("url", "clientId", "clientSecret", "refreshToken", "listId")
    return {name: connection[name] for name in names}
