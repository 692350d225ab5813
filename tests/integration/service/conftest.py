"""A site, services, and commands that talk to them."""

import os
import signal
import time
from collections import Counter

import pytest

from landbridge.site.app import Application
from tests.contract.gigya.local_site import running_site
from tests.integration.service.parts import PEOPLE, Common, InProcess
from tests.servers.landbridge_service import Process, State
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started


@pytest.fixture(scope="module")
def site():
    with running_site(people=PEOPLE, seed=8) as site:
        site.fail(method="accounts.setAccountInfo", delay_s=0.2, probability=1.0)  # a job of three seconds
        yield site


@pytest.fixture
def writes(monkeypatch):
    """How often each account was written, as the site sees it."""
    time.sleep(0.5)  # what an earlier test has sent may still be under way
    counted = Counter()
    original = Application._done

    async def done(self, method, call):
        if call.method == "accounts.setAccountInfo":
            counted[call.parameters.text("UID")] += 1
        return await original(self, method, call)

    monkeypatch.setattr(Application, "_done", done)
    return counted


@pytest.fixture
def folder(tmp_path):
    for name in ("in", "out", "data"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def common(tmp_path_factory, site):
    data = tmp_path_factory.mktemp("common") / "data"
    state = State(data, data)
    environ = {**os.environ, **site.environ}
    service = Process(["serve", "--port", "0", "--data", str(data), "--slots", "3"], environ, data.parent / "log")
    yield Common(data, service, state)
    service.stop()
    state.close()


@pytest.fixture
def data(folder, request):
    return request.getfixturevalue("common").data if "common" in request.fixturenames else folder / "data"


@pytest.fixture
def command(folder, data, site, monkeypatch):
    monkeypatch.setenv("LANDBRIDGE_DATA", str(data))
    command = InProcess(folder)
    command.environ |= {**site.environ, "LANDBRIDGE_DATA": str(data)}
    return command


@pytest.fixture
def state(data, request):
    if "common" in request.fixturenames:
        yield request.getfixturevalue("common").state
    else:
        state = State(data, data)
        yield state
        state.close()


@pytest.fixture
def serve(folder, command):
    """Starts services; ends those that are left."""
    processes = []

    def start(*arguments, name="serve"):
        log = folder / f"log{len(processes)}"
        process = Process([name, *(("--port", "0") if name == "serve" else ()), *arguments], command.environ, log)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.process.send_signal(signal.SIGCONT)
        process.stop()


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server
