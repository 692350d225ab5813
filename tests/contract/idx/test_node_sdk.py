"""The npm package ``gigya`` keeps dataflows and schedulings here as it does at the vendor."""

import json
import urllib.parse

import pytest

from tests.contract.idx.flows import MASK, export
from tests.servers.node_sdk import NodeSdk
from tests.servers.pytest_support import started

ENVELOPE = {"callId", "errorCode", "apiVersion", "statusCode", "statusReason", "time"}


@pytest.fixture
def sdk(service):
    site = service.client.site
    port = urllib.parse.urlsplit(service.process.url).port
    with started(NodeSdk(port, site.api_key, {"userKey": site.user_key, "secret": site.secret})) as sdk:
        yield sdk


def without_envelope(reply):
    return {key: value for key, value in reply.items() if key not in ENVELOPE}


def test_a_dataflow_is_created_changed_scheduled_found_and_deleted(sdk):
    name = "by the \"Node\" SDK: ö, 'x' & (y)*!"
    flow = sdk("idx.createDataflow", data=export(name))["id"]
    stored = without_envelope(sdk("idx.getDataflow", id=flow))
    assert (stored["name"], stored["status"], stored["version"]) == (name, "published", 1)
    assert stored["steps"][-1]["params"]["password"] == MASK
    changed = sdk("idx.setDataflow", data={**stored, "description": "changed"})
    assert changed["version"] == 2
    assert sdk.answer("idx.setDataflow", data={**stored, "description": "changed"}) == {"failure": 403200}
    found = sdk("idx.search", query=f"SELECT * FROM dataflow WHERE id = '{flow}'")
    assert [(each["description"], each["version"]) for each in found["result"]] == [("changed", 2)]

    plan = {"id": None, "name": "daily", "dataFlowId": flow, "frequencyType": "day", "frequencyInterval": 1}
    plan |= {"enabled": False, "fullExtract": None, "limit": None, "nextJobStartTime": "2040-01-01T00:00:00.000Z"}
    scheduling = sdk("idx.createScheduling", data=plan)["id"]
    read = without_envelope(sdk("idx.getScheduling", id=scheduling))
    assert (read["dataflowId"], read["nextJobStartTime"]) == (flow, "2040-01-01T00:00:00.000Z")
    sdk("idx.setScheduling", data={**read, "name": "nightly"})
    found = sdk("idx.search", query=f"SELECT * FROM scheduling WHERE dataflowId = '{flow}' ORDER BY updateTime DESC")
    assert [each["name"] for each in found["result"]] == ["nightly"]
    assert sdk("idx.search", query=f"SELECT * FROM idx_job_status WHERE dataflowId = '{flow}'")["resultCount"] == 0

    sdk("idx.deleteScheduling", id=scheduling)
    sdk("idx.deleteDataflow", id=flow)
    assert sdk.answer("idx.getDataflow", id=flow) == {"failure": 404000}


def test_all_dataflows_are_read_with_a_cursor(sdk):
    flows = {sdk("idx.createDataflow", data=export(f"page {number}"))["id"] for number in range(5)}
    page = sdk("idx.search", query="SELECT * FROM dataflow LIMIT 2", openCursor=True)
    seen = [each["id"] for each in page["result"]]
    while cursor := page.get("nextCursorId"):
        page = sdk("idx.search", cursorId=cursor)
        seen += [each["id"] for each in page.get("result", [])]
    assert flows <= set(seen)
    assert len(seen) == len(set(seen))
    for flow in flows:
        sdk("idx.deleteDataflow", id=flow)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"secret": "d3Jvbmc="}, 403003), ({"userKey": "nobody"}, 403005)],
    ids=["another secret", "another user key"],
)
def test_wrong_credentials_are_told_by_the_code_that_the_client_knows(sdk, wrong, code):
    sdk.credentials = {**sdk.credentials, **wrong}
    answer = sdk.answer("idx.search", query="SELECT * FROM dataflow")
    assert answer == {"failure": code}, json.dumps(answer)
