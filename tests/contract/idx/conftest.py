"""A running service with two sites, and a client of the first one."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from landbridge.jobs.vault import Vault
from landbridge.server.idx_sites import add, all_sites
from tests.contract.idx.client import Client
from tests.servers.landbridge_service import Process, State


@dataclass
class Running:
    """A service, its database, and a client for each of its sites."""

    process: Process
    state: State
    folder: Path
    client: Client
    second: Client

    def log(self):
        return self.process.log.read_text()


@pytest.fixture(scope="package")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("idx")
    data = folder / "data"
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LANDBRIDGE_")}
    arguments = ["serve", "--data", str(data), "--port", "0", "--grace", "0", "--slots", "2"]
    process = Process(arguments, {**environ, "LANDBRIDGE_HOME": str(folder / "home")}, folder / "log")
    state = State(data, data)
    try:
        vault = Vault.open(data)
        with state.database.write() as tx:
            add(tx, vault, by="test", name="Second")
        with state.database.read() as tx:
            first, second = (Client(process.url, site) for site in all_sites(tx, vault))
        yield Running(process, state, folder, first, second)
    finally:
        state.close()
        process.stop()


@pytest.fixture
def client(service):
    return service.client
