"""A sandbox of the platform, and parameters that lead to it."""

import pytest

from landbridge.remote import http
from tests.contract.sandbox.running import running_sandbox
from tests.integration.cheetahmail.parts import API, LIST, VENDOR, empty


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox(VENDOR) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox, monkeypatch):
    monkeypatch.setattr(http.Retries, "delay_s", lambda self, attempt: 0.01)
    one_sandbox.do(empty)
    one_sandbox.switch(VENDOR, export_delay_s=0.01)
    yield one_sandbox
    one_sandbox.idle()
    one_sandbox.calm(VENDOR)


@pytest.fixture
def connection(sandbox):
    known = sandbox.connection(VENDOR)
    return {name: known[name] for name in API}


@pytest.fixture
def listed(connection):
    """With a list whose subscription travels."""
    return {**connection, "listId": LIST, "newsletterField": "Subscribed"}


@pytest.fixture
def following(connection):
    """With the address that the platform knew last."""
    return {**connection, "previousEmailField": "BEFORE"}


@pytest.fixture
def both(listed):
    """With a list, and with the address that the platform knew last."""
    return {**listed, "previousEmailField": "BEFORE"}
