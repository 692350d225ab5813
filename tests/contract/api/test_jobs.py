"""Jobs, rejects, approvals and figures through the API."""

import json
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from landbridge.jobs import db_approvals, db_jobs, jobs
from landbridge.jobs.db_jobs import Ending, JobStatus, NewJob
from landbridge.jobs.job_options import JobOptions
from tests.contract.idx.flows import copying, export

ENDED = {"succeeded", "succeeded_with_errors", "failed", "cancelled"}


def wait(api, job, timeout_s=40):
    deadline = time.monotonic() + timeout_s
    while (found := api.get(f"/jobs/{job}").json)["status"] not in ENDED:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def copied(service, tmp_path_factory):
    """A dataflow that copies three records and rejects one line, and its job at level debug."""
    folder = tmp_path_factory.mktemp("copied")
    for name in ("in", "out"):
        (folder / name).mkdir()
    (folder / "in" / "a.json").write_text('{"UID": "a"}\n{"UID": "b", "x": "private"}\nnot json of Ann\n{"UID": "c"}\n')
    document = copying(folder, name="copied")

    api = service.api()
    flow = api.post("/dataflows", document).json["id"]
    job = api.post(f"/dataflows/{flow}/jobs", {"logLevel": "debug", "fullExtract": True})
    assert job.status == 201, job.body
    assert job.headers["Location"] == f"/api/v1/jobs/{job.json['id']}"
    return flow, wait(api, job.json["id"])


def figures(api, **labels):
    found = {}
    for family in text_string_to_metric_families(api.get("/metrics", root="").body.decode()):
        for sample in family.samples:
            if labels.items() <= sample.labels.items():
                found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def figure(api, name, **labels):
    return sum(value for (found, _), value in figures(api, **labels).items() if found == f"landbridge_{name}")


def test_a_job_tells_what_it_did(api, copied):
    flow, job = copied
    assert job["error"] is None
    assert (job["status"], job["recordsIn"], job["recordsOut"], job["rejected"]) == ("succeeded_with_errors", 3, 3, 1)
    assert [each["step"] for each in job["steps"]] == ["in", "parse", "dsv", "out"]
    assert {(each["source"], each["target"]) for each in job["edges"]} == {
        ("in", "parse"),
        ("parse", "dsv"),
        ("dsv", "out"),
    }
    assert [each["name"] for each in job["files"]] == [f"copy_{job['id']}.csv"]
    assert job["options"]["logLevel"] == "debug"
    assert job["startedBy"].endswith("(token test)")
    assert [each["id"] for each in api.get(f"/jobs?dataflowId={flow}").json["items"]] == [job["id"]]
    tag = api.get(f"/jobs/{job['id']}").headers["ETag"]
    assert api.get(f"/jobs/{job['id']}", headers={"If-None-Match": tag}).status == 304


def test_the_trace_is_for_viewers_and_records_are_for_operators(service, copied):
    _, job = copied
    lines = service.api("viewer").get(f"/jobs/{job['id']}/trace?limit=500")
    assert "private" not in lines.body.decode()
    assert any(each["hasSample"] for each in lines.json["items"])
    assert lines.json["items"][-1]["message"].startswith("ended")
    assert service.api("viewer").get(f"/jobs/{job['id']}/samples").status == 403
    samples = service.api("operator").get(f"/jobs/{job['id']}/samples").json["items"]
    assert {"UID": "b", "x": "private"} in [record for each in samples for record in each["records"]]


def test_rejects_are_listed_without_the_record_and_shown_whole_to_operators(service, copied):
    flow, job = copied
    viewer, operator = service.api("viewer"), service.api("operator")
    listed = viewer.get(f"/rejects?jobId={job['id']}")
    [reject] = listed.json["items"]
    assert (reject["step"], reject["code"]) == ("parse", "LB-4102")
    assert "Ann" not in listed.body.decode()
    assert viewer.get(f"/rejects?dataflowId={flow}&step=parse&code=LB-4102").json["items"] == [reject]
    assert viewer.get(f"/rejects?dataflowId={flow}&code=LB-1").json["items"] == []
    assert viewer.get(f"/rejects/{reject['id']}").status == 403
    assert operator.get(f"/rejects/{reject['id']}").json["text"] == "not json of Ann"
    assert operator.get("/rejects/999999999").code == "LB-1771"
    export_reply = operator.get(f"/jobs/{job['id']}/rejects/export")
    assert export_reply.headers["Content-Type"].startswith("application/jsonl")
    assert [json.loads(line)["text"] for line in export_reply.body.splitlines()] == ["not json of Ann"]
    assert viewer.get(f"/jobs/{job['id']}/rejects/export").status == 403
    assert operator.get("/jobs/nobody/rejects/export").status == 404


def test_a_line_that_was_no_record_cannot_be_replayed(api, copied):
    _, job = copied
    refused = api.post(f"/jobs/{job['id']}/replay")
    assert (refused.status, refused.code) == (409, "LB-1772")


def test_what_failed_is_replayed_once_through_the_mended_dataflow(service, tmp_path):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "a.json").write_text('{"UID": "a"}\n{"UID": "bad"}\n')
    document = copying(tmp_path, name="mended")
    script = "function process(record) { if (record.UID === 'bad') throw new Error('no'); return record; }"
    document["steps"][1]["next"] = ["check"]
    document["steps"].insert(
        2, {"id": "check", "type": "record.evaluate", "params": {"script": script}, "next": ["dsv"]}
    )
    editor, operator = service.api("editor"), service.api("operator")
    made = editor.post("/dataflows", document)
    place = made.headers["Location"].removeprefix("/api/v1")
    job = wait(editor, operator.post(f"{place}/jobs", {"fullExtract": True}).json["id"])
    assert (job["recordsOut"], job["rejected"]) == (1, 1)
    document["steps"][2]["params"]["script"] = "function process(record) { return record; }"
    editor("PUT", place, document, headers={"If-Match": made.headers["ETag"]})
    [begun] = operator.post(f"/jobs/{job['id']}/replay", {"step": "check"}).json["jobs"]
    replayed = wait(editor, begun["id"])
    assert (replayed["kind"], replayed["status"], replayed["recordsOut"]) == ("replay", "succeeded", 1)
    [reject] = operator.get(f"/rejects?jobId={job['id']}").json["items"]
    assert reject["replayedBy"] == replayed["id"]
    again = operator.post(f"/jobs/{job['id']}/replay")
    assert (again.status, again.code) == (409, "LB-1772")


def test_a_job_is_repeated_and_one_that_has_ended_is_not_stopped(api, copied):
    _, job = copied
    again = api.post(f"/jobs/{job['id']}/retry", {"afresh": True})
    assert (again.status, again.json["retryOf"], again.json["attempt"]) == (201, job["id"], 2)
    refused = api.post(f"/jobs/{job['id']}/cancel")
    assert (refused.status, refused.code) == (409, "LB-1706")
    wait(api, again.json["id"])


def test_a_failed_job_says_why_and_what_to_do(api):
    flow = api.post("/dataflows", export(name="fails")).json["id"]
    job = wait(api, api.post(f"/dataflows/{flow}/jobs", {"kind": "dry_run"}).json["id"])
    assert (job["status"], job["kind"], job["error"]["code"], job["error"]["step"]) == (
        "failed",
        "dry_run",
        "LB-2201",
        "read",
    )
    assert job["error"]["hint"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"kind": "replay"},
        {"limit": 0},
        {"logLevel": "all"},
        {"splits": 1001},
        {"timeLimitS": 1e300},
        {"placeholders": {"a": 1}},
        {"fullextract": True},
    ],
)
def test_a_job_that_cannot_be_is_refused_by_name(api, copied, wanted):
    refused = api.post(f"/dataflows/{copied[0]}/jobs", wanted)
    assert (refused.status, refused.code) == (422, "LB-1791")
    assert next(iter(wanted)) in refused.json["problems"][0]["field"]


VALUES = ["${env:HOME}", "x${secret:key}", "<$key$>", "{{other}}", "${now}"]


@pytest.mark.parametrize("role", ["operator", "editor", "admin"])
@pytest.mark.parametrize("value", VALUES)
def test_who_starts_a_job_gives_texts_and_no_references(service, copied, role, value):
    refused = service.api(role).post(f"/dataflows/{copied[0]}/jobs", {"placeholders": {"a": "b", "name": value}})
    assert (refused.status, refused.code) == (422, "LB-1710")
    assert '"name"' in refused.json["detail"]
    assert "editor" in refused.json["hint"]
    assert value not in refused.body.decode()


@pytest.mark.parametrize("value", VALUES)
def test_a_check_takes_texts_and_no_references(service, copied, value):
    refused = service.api("editor").post(f"/dataflows/{copied[0]}/check", {"placeholders": {"name": value}})
    assert refused.code == "LB-1710"


def test_a_job_takes_the_values_of_placeholders_as_they_are(service, tmp_path):
    api = service.api()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_text('{"UID": "a"}\n')
    (tmp_path / "out").mkdir()
    document = copying(tmp_path, name="values")
    document["steps"][-1]["params"]["path"] += "/{{name}}"
    flow = api.post("/dataflows", document).json["id"]
    value = "${env:LANDBRIDGE_HOME}"
    with service.state.database.write() as tx:
        options = JobOptions(full_extract=True, placeholders=("name",))
        sealed = service.state.documents.vault.seal({"name": value})
        row = jobs.start(tx, flow, by="an older version", options=options, sealed=sealed)
    failed = wait(api, row.id)
    assert failed["status"] == "failed"
    assert value in failed["error"]["message"], "the folder is looked for by the very name"


def waiting(service, job_id, guard, *, kind="run"):
    """A job that a guard has stopped; gives its dataflow."""
    api = service.api()
    flow = api.post("/dataflows", export(name=f"guarded by {guard}")).json["id"]
    trip = {"approval": f"{guard}-code", "step": "write", "guard": guard, "code": "LB-5202", "message": "stopped"}
    with service.state.database.write() as tx:
        db_jobs.add(tx, NewJob(job_id, flow, 1, "guarded", "test", kind=kind, status=JobStatus.QUEUED))
        assert db_jobs.begin(tx, job_id, worker_id="w", host="h", landbridge_version="0")
        db_jobs.end(tx, job_id, Ending(JobStatus.WAITING_FOR_APPROVAL, "guard"), start=1)
        db_approvals.ask(tx, job_id, [{**trip, "counts": {}}])
    return flow


def ran(service, flow, job_id, status=JobStatus.SUCCEEDED, **more):
    """Another job of a dataflow, which has ended."""
    with service.state.database.write() as tx:
        db_jobs.add(tx, NewJob(job_id, flow, 1, "guarded", "test", **more))
        assert db_jobs.begin(tx, job_id, worker_id="w", host="h", landbridge_version="0")
        db_jobs.end(tx, job_id, Ending(status, ""), start=1)


def test_what_a_guard_has_stopped_is_approved_once_or_refused(service):
    operator = service.api("operator")
    waiting(service, "guarded-1", "optOuts")
    [asked] = operator.get("/jobs/guarded-1").json["approvals"]
    assert (asked["code"], asked["decision"], asked["details"]["guard"]) == ("optOuts-code", "", "optOuts")
    assert service.api("viewer").post("/jobs/guarded-1/decision", {"decision": "approve"}).status == 403
    unknown = operator.post("/jobs/guarded-1/decision", {"decision": "approve", "codes": ["x"]})
    assert (unknown.status, unknown.code) == (422, "LB-1707")
    assert operator.post("/jobs/guarded-1/decision", {"decision": "approve"}).json["status"] == "queued"
    assert operator.post("/jobs/guarded-1/decision", {"decision": "approve"}).status == 409
    operator.post("/jobs/guarded-1/cancel")
    waiting(service, "guarded-2", "optOuts")
    assert operator.post("/jobs/guarded-2/decision", {"decision": "refuse"}).json["status"] == "failed"


def test_what_a_newer_job_has_overtaken_is_not_approved_any_more(service):
    operator = service.api("operator")
    flow = waiting(service, "overtaken", "deletions")
    approve = "/jobs/overtaken/decision", {"decision": "approve"}
    ran(service, flow, "overtaking-good", JobStatus.SUCCEEDED_WITH_ERRORS)
    refused = operator.post(*approve)
    assert (refused.status, refused.code) == (409, "LB-1711")
    assert "overtaking-good" in refused.json["detail"]
    assert operator.get("/jobs/overtaken").json["status"] == "waiting_for_approval"
    assert operator.post("/jobs/overtaken/decision", {"decision": "refuse"}).json["status"] == "failed"


@pytest.mark.parametrize(
    "more", [{"status": JobStatus.FAILED}, {"kind": "dry_run"}, {"options": JobOptions(limit=1)}, None], ids=str
)
def test_what_no_newer_whole_job_has_overtaken_is_approved(service, more):
    job = f"not-overtaken-{len(str(more))}"
    flow = waiting(service, job, "deletions", kind="run" if more else "replay")
    ran(service, flow, f"{job}-newer", **(more or {}))
    operator = service.api("operator")
    assert operator.post(f"/jobs/{job}/decision", {"decision": "approve"}).json["status"] == "queued"
    operator.post(f"/jobs/{job}/cancel")


def test_that_opt_outs_are_undone_is_for_admins_to_approve(service):
    waiting(service, "guarded-3", "consent")
    for codes in ([], ["consent-code"]):
        refused = service.api("editor").post("/jobs/guarded-3/decision", {"decision": "approve", "codes": codes})
        assert (refused.status, refused.code) == (403, "LB-8002")
    assert service.api("viewer").get("/jobs/guarded-3").json["status"] == "waiting_for_approval"
    assert service.api("admin").post("/jobs/guarded-3/decision", {"decision": "approve"}).json["status"] == "queued"
    service.api().post("/jobs/guarded-3/cancel")


# -- figures -----------------------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_jobs_that_have_ended(service, copied):
    flow, job = copied
    viewer = service.api("viewer")
    jobs = viewer.get(f"/jobs?dataflowId={flow}&limit=500").json["items"]
    assert figure(viewer, "jobs_ended_total", dataflow=flow, kind="run", status="succeeded_with_errors") == len(jobs)
    assert figure(viewer, "records_read_total", dataflow=flow) == sum(each["recordsIn"] for each in jobs)
    assert figure(viewer, "records_rejected_total", dataflow=flow) == sum(each["rejected"] for each in jobs)
    assert figure(viewer, "bytes_delivered_total", dataflow=flow) == sum(each["bytes"] for each in jobs) > 0
    assert figure(viewer, "job_duration_seconds_count", dataflow=flow) == len(jobs)
    assert figure(viewer, "job_duration_seconds_bucket", dataflow=flow, le="+Inf") == len(jobs)
    assert figure(viewer, "job_duration_seconds_bucket", dataflow=flow, le="300.0") == len(jobs)
    assert figure(viewer, "worker_slots") == 2
    assert figure(viewer, "build_info", version=api_version(viewer)) == 1
    assert job["status"] == "succeeded_with_errors"


def test_figures_count_jobs_that_were_stopped_before_they_ran(service):
    api = service.api()
    flow = api.post("/dataflows", export(name="stopped")).json["id"]
    with service.state.database.write() as tx:
        for number in range(2):
            db_jobs.add(tx, NewJob(f"stopped-{number}", flow, 1, "stopped", "test", status="scheduled"))
    before = figure(api, "queue_depth")
    assert figure(api, "oldest_waiting_job_seconds") > 0
    api.post("/jobs/stopped-0/cancel")
    assert figure(api, "queue_depth") == before - 1
    assert figure(api, "jobs_ended_total", dataflow=flow, status="cancelled") == 1
    assert figure(api, "job_duration_seconds_count", dataflow=flow) == 0, "it never ran"
    api.post("/jobs/stopped-1/cancel")


def test_figures_are_for_those_who_are_logged_in(service):
    from tests.contract.api.caller import Api

    assert Api(service.process.url).get("/metrics", root="").status == 401
    reply = service.api("viewer").get("/metrics", root="", headers={"Accept": "application/openmetrics-text"})
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text")
    assert reply.body.endswith(b"# EOF\n")


def api_version(api):
    return api.get("").json["version"]
