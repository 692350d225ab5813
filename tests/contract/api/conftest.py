"""A running service for the tests of the API, with a caller for each role."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.contract.api.caller import Api
from tests.servers.landbridge_service import Process, State


@dataclass
class Running:
    """A service, its database, and callers."""

    process: Process
    state: State
    folder: Path
    _callers: dict = field(default_factory=dict)

    def api(self, role="admin"):
        """A caller with the token of a role."""
        if role not in self._callers:
            self._callers[role] = Api(self.process.url, token=self.state.token(role))
        return self._callers[role]

    def log(self):
        return self.process.log.read_text()


@pytest.fixture(scope="package")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    data = folder / "data"
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LANDBRIDGE_")}
    arguments = ["serve", "--data", str(data), "--port", "0", "--grace", "0", "--slots", "2"]
    process = Process(arguments, {**environ, "LANDBRIDGE_HOME": str(folder / "home")}, folder / "log")
    state = State(data, data)
    try:
        yield Running(process, state, folder)
        log = (folder / "log").read_text()
        assert "Traceback" not in log, log[-3000:]
    finally:
        state.close()
        process.stop()


@pytest.fixture
def api(service):
    """An admin's requests."""
    return service.api()
