"""Schedulings through idx.*, and the jobs that they start."""

import json
import time

import pytest

from tests.contract.idx.flows import copying, export

FUTURE = "2126-01-02T03:04:05.678Z"
JOB_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def flow(service):
    return service.client.ok("idx.createDataflow", data=export(name="scheduled"))["id"]


@pytest.fixture
def copy_flow(service, tmp_path):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "people.json").write_text(json.dumps([{"UID": str(number)} for number in range(25)]))
    return service.client.ok("idx.createDataflow", data=copying(tmp_path))["id"]


def create(client, **data):
    return client.ok("idx.createScheduling", data=data)["id"]


def ended(client, scheduling_id):
    """The job of a scheduling, polled as clients do."""
    deadline = time.monotonic() + JOB_TIMEOUT_S
    while True:
        jobs = client.search(f"select * from idx_job_status where schedulingId = '{scheduling_id}'")
        status = jobs[0]["status"] if jobs else "pending"
        if status not in ("pending", "running"):
            return jobs[0]
        assert time.monotonic() < deadline, jobs
        time.sleep(0.1)


def test_what_clients_create_with_nulls_and_form_fields_is_accepted(client, flow):
    full = {
        "id": "Will be generated upon creation", "name": "every hour", "dataflowId": flow, "frequencyType": "hour",
        "frequencyInterval": 1, "daysOfWeek": None, "nextJobStartTime": FUTURE, "currentJobStartTime": None,
        "successEmails": None, "failureEmails": None, "limit": None, "fullExtract": False, "enabled": True,
        "logLevel": "info",
    }  # fmt: skip
    scheduling_id = create(client, **full)
    got = client.ok("idx.getScheduling", id=scheduling_id)
    assert got["id"] == scheduling_id != full["id"]
    assert got["nextJobStartTime"] == "2126-01-02T03:04:05.000Z"
    assert got["schedulingStatus"] == "ready"
    assert (got["dataflowId"], got["frequencyType"], got["frequencyInterval"]) == (flow, "hour", 1)
    assert "daysOfWeek" not in got
    other = create(
        client, id=None, name="123.json", dataFlowId=flow, frequencyType="once", nextJobStartTime=FUTURE,
        fullExtract=None, enabled=True, schedulingStatus="ready",
    )  # fmt: skip
    assert client.ok("idx.getScheduling", id=other)["dataflowId"] == flow
    found = client.search(f"SELECT * FROM scheduling WHERE dataflowId = '{flow}'")
    assert {scheduling_id, other} <= {each["id"] for each in found}


def test_intervals_and_limits_may_be_texts_and_times_as_the_vendor_documents_them(client, flow):
    scheduling_id = create(
        client, name="texts", dataflowId=flow, frequencyType="day", frequencyInterval="2", limit="10",
        nextJobStartTime="2126-03-04 05:06:07",
    )  # fmt: skip
    got = client.ok("idx.getScheduling", id=scheduling_id)
    assert got["nextJobStartTime"] == "2126-03-04T05:06:07.000Z"


@pytest.mark.parametrize(
    ("data", "code", "part"),
    [
        ({"name": "n"}, 400002, "dataflowId"),
        ({"name": "n", "dataflowId": "0" * 32}, 400006, "dataflowId"),
        ({"name": "n", "dataflowId": 5}, 400006, "dataflowId"),
        ({"dataflowId": True, "frequencyType": "sometimes"}, 400006, "dataflowId"),
        ({"frequencyType": "sometimes"}, 400006, "frequencyType"),
        ({"frequencyInterval": -1}, 400006, "frequencyInterval"),
        ({"nextJobStartTime": "tomorrow"}, 400006, "nextJobStartTime"),
        ({"enabled": "maybe"}, 400006, "enabled"),
        ({"limit": 0}, 400006, "limit"),
        ({"landbridge": {"timeZone": "Mars"}}, 400006, "timeZone"),
    ],
)
def test_a_scheduling_that_cannot_be_understood_is_refused_and_says_why(client, flow, data, code, part):
    sent = data if "name" in data or "dataflowId" in data else {"name": "n", "dataflowId": flow, **data}
    reply = client("idx.createScheduling", data=sent)
    assert reply["errorCode"] == code
    assert part in reply["errorDetails"]


def test_a_set_changes_what_it_names_and_keeps_the_rest(client, flow):
    scheduling_id = create(
        client, name="kept", dataFlowId=flow, frequencyType="week", frequencyInterval=2, nextJobStartTime=FUTURE
    )
    client.ok("idx.setScheduling", data={"id": scheduling_id, "enabled": False})
    got = client.ok("idx.getScheduling", id=scheduling_id)
    assert (got["enabled"], got["frequencyType"], got["frequencyInterval"]) == (False, "week", 2)
    shown = {key: value for key, value in got.items() if key not in ("callId", "time")}
    client.ok("idx.setScheduling", data=shown | {"name": "renamed", "limit": None, "enabled": True})
    again = client.ok("idx.getScheduling", id=scheduling_id)
    assert (again["name"], again["nextJobStartTime"], again["enabled"]) == ("renamed", got["nextJobStartTime"], True)


def test_a_removed_scheduling_is_gone_and_so_are_those_of_a_removed_dataflow(client):
    flow = client.ok("idx.createDataflow", data=export(name="to be removed"))["id"]
    first, second = (create(client, name="s", dataflowId=flow, nextJobStartTime=FUTURE) for _ in range(2))
    client.ok("idx.deleteScheduling", id=first)
    assert client("idx.getScheduling", id=first)["errorCode"] == 404000
    assert client("idx.deleteScheduling", id=first)["errorCode"] == 404000
    assert client("idx.setScheduling", data={"id": first, "name": "x"})["errorCode"] == 404000
    client.ok("idx.deleteDataflow", id=flow)
    assert client("idx.getScheduling", id=second)["errorCode"] == 404000
    assert client.ok("idx.search", query=f"SELECT * FROM scheduling WHERE dataflowId='{flow}'")["resultCount"] == 0


def test_once_without_a_time_runs_at_once_and_its_job_can_be_polled(client, copy_flow, tmp_path):
    scheduling_id = create(client, name="now", dataflowId=copy_flow, frequencyType="once", fullExtract=True)
    job = ended(client, scheduling_id)
    assert job["status"] == "succeeded", job
    assert (job["processedRecords"], job["deliveredRecords"], job["attemptNumber"]) == (25, 25, 1)
    assert (job["dataflowId"], job["dataflowName"], job["frequencyType"]) == (copy_flow, "copying", "once")
    assert job["startTime"] <= job["endTime"]
    name = job["trace"][3].split("file ")[1]
    assert (tmp_path / "out" / name).read_text().count("\n") == 26
    assert name == f"copy_{job['id']}.csv"
    got = client.ok("idx.getScheduling", id=scheduling_id)
    assert (got["schedulingStatus"], got["jobId"]) == ("succeeded", job["id"])
    assert client.ok("idx.getDataflow", id=copy_flow)["lastRuntime"]
    by_flow = f"SELECT * FROM idx_job_status WHERE dataflowId='{copy_flow}' ORDER BY updateTime DESC LIMIT 5"
    assert [each["id"] for each in client.search(by_flow)] == [job["id"]]


def test_a_test_run_is_once_in_the_past_with_ten_records(client, copy_flow):
    scheduling_id = create(
        client, name="test", dataflowId=copy_flow, frequencyType="once", limit=10, fullExtract=True,
        nextJobStartTime="2021-12-01T10:03:14.607Z",
    )  # fmt: skip
    job = ended(client, scheduling_id)
    assert (job["status"], job["processedRecords"]) == ("succeeded", 10)
    assert "lastRuntime" not in client.ok("idx.getDataflow", id=copy_flow)


def test_a_job_that_fails_says_why_in_its_trace(client, flow):
    job = ended(client, create(client, name="fails", dataflowId=flow, frequencyType="once", fullExtract=True))
    assert job["status"] == "failed"
    assert any("LB-" in line and "ERROR" in line for line in job["trace"])
    assert "s3cret-of-the-store" not in json.dumps(job)


def test_a_scheduling_that_is_switched_off_does_not_run(client, copy_flow):
    scheduling_id = create(client, name="off", dataflowId=copy_flow, frequencyType="once", enabled=False)
    time.sleep(1.5)
    assert client.search(f"select * from idx_job_status where schedulingId = '{scheduling_id}'") == []
