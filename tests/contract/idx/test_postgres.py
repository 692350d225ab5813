"""The same API where the database is PostgreSQL."""

import os

import pytest

from landbridge.jobs.vault import Vault
from landbridge.server.idx_sites import all_sites
from tests.contract.idx.client import Client
from tests.contract.idx.flows import copying, export
from tests.contract.idx.test_schedulings import ended
from tests.servers.landbridge_service import Process, State
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("idx")
    data = folder / "data"
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LANDBRIDGE_")}
    with started(Postgres()) as server:
        arguments = [
            "serve",
            "--data",
            str(data),
            "--database",
            server.url,
            "--port",
            "0",
            "--grace",
            "0",
            "--slots",
            "1",
        ]
        process = Process(arguments, {**environ, "LANDBRIDGE_HOME": str(folder / "home")}, folder / "log")
        state = State(server.url, data)
        try:
            with state.database.read() as tx:
                site = all_sites(tx, Vault.open(data))[0]
            yield Client(process.url, site)
        finally:
            state.close()
            process.stop()
        assert "Traceback" not in (folder / "log").read_text()


def test_dataflows_versions_and_cursors(client):
    ids = [client.ok("idx.createDataflow", data=export(name=f"flow {number}"))["id"] for number in range(5)]
    client.ok("idx.setDataflow", data=export(id=ids[0], name="flow 0", more=True))
    assert client("idx.setDataflow", data=export(id=ids[0], name="flow 0", more=True))["errorCode"] == 403200
    draft = client.ok("idx.createDataflowDraft", data=export(name="flow 0"))["id"]
    reply = client.ok("idx.search", query="SELECT * FROM dataflow ORDER BY name DESC LIMIT 3", openCursor="true")
    rest = client.ok("idx.search", cursorId=reply["nextCursorId"])
    assert [each["id"] for each in reply["result"] + rest["result"]] == ids[::-1]
    versions = client.search(f"SELECT version FROM dataflow_version WHERE id = '{ids[0]}'")
    assert [each["version"] for each in versions] == [1, 2]
    assert client("idx.getDataflow", id="a\x00b")["errorCode"] == 404000
    assert client.search("SELECT * FROM dataflow WHERE id = 'a b'") == []
    for each in ids:
        client.ok("idx.deleteDataflow", id=each)
    assert client("idx.getDataflow", id=draft)["errorCode"] == 404000


def test_a_scheduling_and_its_job(client, tmp_path):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "people.json").write_text('[{"UID": "1"}]')
    flow = client.ok("idx.createDataflow", data=copying(tmp_path))["id"]
    data = {"name": "now", "dataflowId": flow, "frequencyType": "once", "fullExtract": True}
    scheduling_id = client.ok("idx.createScheduling", data=data)["id"]
    assert ended(client, scheduling_id)["status"] == "succeeded"
    assert client.ok("idx.getScheduling", id=scheduling_id)["schedulingStatus"] == "succeeded"
