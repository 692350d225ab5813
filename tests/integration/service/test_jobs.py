"""Jobs of the service from beginning to end."""

import json
import time

from landbridge.jobs import db_approvals
from landbridge.jobs.db_jobs import ENDED, JobStatus
from tests.integration.command import step
from tests.integration.service.parts import (
    PEOPLE,
    RUNNING,
    chained,
    db_dataflows_version,
    get,
    local_flow,
    names,
    slow_flow,
)


def test_a_dataflow_is_added_started_and_everything_about_its_job_is_kept(folder, command, common):
    flow = folder / "flow.json"
    flow.write_text(json.dumps(local_flow(folder)))
    assert "added, version 1" in command("dataflows", "add", flow).out
    assert "unchanged, version 1" in command("dataflows", "add", flow).out
    service = common.service
    assert get(f"{service.url}/healthz")[0] == 200
    assert get(f"{service.url}/readyz") == (200, {"status": "ready"})
    outcome = command("jobs", "start", folder.name, "--full", "--wait")
    assert outcome.code == 0, outcome
    job_id = outcome.out.splitlines()[0]
    job = json.loads(command("jobs", "show", job_id, "--json").out)
    assert (job["status"], job["dataflow_version"], job["attempt"], job["starts"]) == ("succeeded", 1, 1, 1)
    assert job["started_by"].startswith("cli ")
    assert [(row["step"], row["records_out"], row["activity"]) for row in job["steps"]] == [
        ("read", 0, "done"),
        ("parse", 100, "done"),
        ("csv", 100, "done"),
        ("write", 100, "done"),
    ]
    [name] = names(folder)
    size = (folder / "out" / name).stat().st_size
    assert [(file["name"], file["bytes"], file["records"]) for file in job["files"]] == [(name, size, 100)]
    assert [(e["source"], e["target"], e["kind"], e["records"]) for e in job["edges"]][:2] == [
        ("csv", "write", "next", 100),
        ("parse", "csv", "next", 100),
    ]
    assert (job["records_in"], job["records_out"], job["rejected"], job["bytes"]) == (100, 100, 0, size)
    assert job["created"] <= job["started"] <= job["ended"]
    assert job["landbridge_version"]
    trace = command("jobs", "trace", job_id).out
    assert "begun on" in trace
    assert "ended: succeeded" in trace
    assert job_id in command("jobs", "list").out


def test_versions_are_listed_compared_and_a_job_may_run_an_old_one(folder, command, common):
    flow = folder / "flow.json"
    document = local_flow(folder)
    flow.write_text(json.dumps(document))
    command("dataflows", "add", flow)
    document["steps"][2]["params"]["fileName"] = "b.csv"
    flow.write_text(json.dumps(document))
    assert "changed, version 2" in command("dataflows", "add", flow).out
    assert [row["version"] for row in json.loads(command("dataflows", "versions", folder.name, "--json").out)] == [2, 1]
    changes = [line for line in command("dataflows", "diff", folder.name).out.splitlines() if line[0] in "+-"][2:]
    assert [line.split(":")[1].strip() for line in changes] == ['"a_${now}.csv"', '"b.csv"']
    assert json.loads(command("dataflows", "export", folder.name).out) == document
    assert command("jobs", "start", folder.name, "--version", "1", "--full", "--wait").code == 0
    assert names(folder)[0].startswith("a_")
    assert "removed" in command("dataflows", "remove", folder.name).out
    for arguments in (("dataflows", "show", folder.name), ("jobs", "start", folder.name)):
        outcome = command(*arguments)
        assert (outcome.code, "[LB-1701]" in outcome.err) == (1, True)
    assert "succeeded" in command("jobs", "list").out


def test_a_stored_secret_is_nowhere_to_be_read_and_survives_an_export(folder, command, common, state):
    secret = "planted-Secret-4711"
    flow = folder / "flow.json"
    document = local_flow(folder)
    document["steps"][3] = step("write", "datasource.write.sftp", host="127.0.0.1", username="u", password=secret)
    flow.write_text(json.dumps(document))
    outputs = [command("dataflows", "add", flow)]
    flow.unlink()
    exported = command("dataflows", "export", folder.name)
    assert json.loads(exported.out)["steps"][3]["params"]["password"] == "********"
    flow.write_text(exported.out.replace("127.0.0.1", "elsewhere.example.com"))
    elsewhere = command("dataflows", "add", flow)
    assert "LB-1770" in elsewhere.err
    again = json.loads(exported.out)
    again["steps"][3]["params"]["remotePath"] = "/upload"
    flow.write_text(json.dumps(again))
    outputs += [exported, elsewhere, command("dataflows", "add", flow)]
    with state.database.read() as tx:
        version = db_dataflows_version(tx, folder.name)
    params = {"host": "127.0.0.1", "username": "u", "password": secret, "remotePath": "/upload"}
    assert state.documents.whole(version).steps[3].params == params
    started_job = command("jobs", "start", folder.name, "--log-level", "debug", "--wait")
    assert started_job.code == 1
    job_id = started_job.out.splitlines()[0]
    outputs += [started_job, command("jobs", "trace", job_id), command("jobs", "show", job_id, "--json")]
    assert not any(secret in outcome.out + outcome.err for outcome in outputs)
    files = [path for place in (folder, common.data.parent) for path in place.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path.name for path in files if secret.encode() in path.read_bytes()] == []


def test_jobs_of_one_dataflow_run_one_after_the_other_and_a_waiting_one_is_cancelled_at_once(
    folder, site, command, common, state
):
    flow = state.add_flow(local_flow(folder))
    ids = [state.start(flow, full_extract=True) for _ in range(2)]
    slow = state.add_flow(slow_flow(folder, site))
    running, waiting = state.start(slow), state.start(slow)
    state.wait_for(running, RUNNING)
    assert command("jobs", "cancel", waiting).code == 0
    assert state.job(waiting).status is JobStatus.CANCELLED
    first, second = (state.wait_for(job_id) for job_id in ids)
    assert first.ended <= second.started
    command("jobs", "cancel", running)
    state.wait_for(running)


def test_a_guard_makes_a_job_wait_until_a_person_approves(folder, site, writes, command, common, state):
    flow = state.add_flow(slow_flow(folder, site, copies=2))
    refused, approved = (state.start(flow, full_extract=True) for _ in range(2))
    for job_id in (refused, approved):
        job = state.wait_for(job_id, JobStatus.WAITING_FOR_APPROVAL)
        assert (job.reason, job.error["code"]) == ("guard", "LB-5205")
    assert not writes
    with state.database.read() as tx:
        [asked] = db_approvals.of_job(tx, approved)
    assert (asked.step, asked.decision, asked.details["counts"]) == (
        "update",
        "",
        {"duplicates": PEOPLE, "records": 2 * PEOPLE},
    )
    assert "[LB-1707]" in command("jobs", "approve", approved, "--code", "nonsense").err
    assert command("jobs", "approve", refused, "--refuse").code == 0
    assert state.job(refused).status is JobStatus.FAILED
    assert command("jobs", "approve", approved).code == 0
    assert "[LB-1706]" in command("jobs", "approve", approved).err
    job = state.wait_for(approved, timeout_s=40)
    assert (job.status, job.starts, job.error) == (JobStatus.SUCCEEDED, 2, None)
    assert set(writes.values()) == {2}


def test_an_opt_out_of_one_dataflow_is_not_undone_by_another(folder, site, common, state):
    [uid] = [row["UID"] for row in site.search("SELECT UID FROM accounts LIMIT 1")]

    def run(name, *, granted):
        source = folder / f"in_{name}"
        source.mkdir()
        subscription = {"isSubscribed": granted, "lastUpdatedSubscriptionState": "2026-01-02T03:04:05Z"}
        row = {"UID": uid, "subscriptions": {"news": {"email": subscription}}}
        (source / "a.json").write_text(json.dumps([row]))
        steps = [
            step("read", "datasource.read.local", path=str(source)),
            step("parse", "file.parse.json"),
            step("write", "datasource.write.gigya.account"),
        ]
        flow = state.add_flow(chained(f"{folder.name} {name}", steps))
        return state.wait_for(state.start(flow, full_extract=True), JobStatus.WAITING_FOR_APPROVAL, *ENDED)

    assert run("out", granted=False).status is JobStatus.SUCCEEDED
    again = run("in", granted=True)
    assert (again.status, again.error["code"]) == (JobStatus.WAITING_FOR_APPROVAL, "LB-5206")


def test_a_failed_job_is_repeated_from_where_it_failed(folder, command, common, state):
    missing = folder / "missing"
    flow = state.add_flow(local_flow(folder, path=str(missing)))
    failed = state.wait_for(state.start(flow, full_extract=True))
    assert failed.status is JobStatus.FAILED
    missing.mkdir()
    time.sleep(1.1)  # another second, another name by ${now}
    outcome = command("jobs", "retry", failed.id, "--wait")
    assert outcome.code == 0
    again = state.job(outcome.out.splitlines()[0])
    assert (again.attempt, again.retry_of, again.journal) == (2, failed.id, failed.id)
    assert [path.name for path in missing.iterdir()] == [f"a_{failed.started:%Y%m%d%H%M%S}.csv"]
    afresh = state.job(command("jobs", "retry", failed.id, "--afresh", "--wait").out.splitlines()[0])
    assert (afresh.status, afresh.journal) == (JobStatus.SUCCEEDED, afresh.id)
    assert len(list(missing.iterdir())) == 2


def test_a_trace_at_level_debug_has_a_sample_of_three_records_of_each_step_sealed(folder, command, common, state):
    flow = local_flow(folder)
    rows = [{"UID": f"u{number}", "name": f"Zoë {number}"} for number in range(5)]
    (folder / "in" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flow["steps"].insert(
        2, {**step("copy", "field.copy", fields=[{"sourceField": "name", "targetField": "who"}]), "next": ["csv"]}
    )
    flow["steps"][1]["next"] = ["copy"]
    job = state.wait_for(state.start(state.add_flow(flow), full_extract=True, log_level="debug"))
    assert job.status is JobStatus.SUCCEEDED
    lines = [json.loads(line) for line in command("jobs", "trace", job.id, "--samples", "--json").out.splitlines()]
    assert {line["step"]: line["records"] for line in lines if "records" in line} == {
        "parse": rows[:3],
        "copy": [{**row, "who": row["name"]} for row in rows[:3]],
    }
    assert "Zoë" not in command("jobs", "trace", job.id).out
    kept = b"".join(path.read_bytes() for path in common.data.glob("*.db*"))
    assert "Zoë".encode() not in kept
    assert b"Zo\\u00eb" not in kept


def test_retention_is_shown_and_changed(command, common):
    assert "samples  7 days" in command("jobs", "retention").out
    assert "samples  for ever" in command("jobs", "retention", "--samples", "0").out
    assert "traces   30 days" in command("jobs", "retention", "--samples", "7").out
    assert "[LB-1708]" in command("jobs", "retention", "--jobs", "-1").err


def test_a_dataflow_that_cannot_run_fails_with_its_problems(folder, common, state):
    flow = local_flow(folder)
    del flow["steps"][3]["params"]["path"]
    job = state.wait_for(state.start(state.add_flow(flow)))
    assert (job.status, job.reason) == (JobStatus.FAILED, "refused")
    assert (job.error["code"], job.error["step"]) == ("LB-1071", "write")


def test_the_values_of_placeholders_reach_the_job_and_are_nowhere_to_be_read(folder, command, common):
    flow, secret = folder / "flow.json", "planted-Value-4712"
    document = local_flow(folder)
    document["steps"][3]["params"]["path"] = "{{target}}"
    flow.write_text(json.dumps(document))
    (folder / secret).mkdir()
    command("dataflows", "add", flow)
    started = command("jobs", "start", folder.name, "--full", "--set", f"target={folder / secret}", "--wait")
    assert started.code == 0, started
    assert len(list((folder / secret).iterdir())) == 1
    job_id = started.out.splitlines()[0]
    retried = command("jobs", "retry", job_id, "--wait")
    assert retried.code == 0, retried
    shown = command("jobs", "show", job_id, "--json")
    assert json.loads(shown.out)["options"]["placeholders"] == ["target"]
    assert secret not in started.out + retried.out + shown.out
    files = [path for path in common.data.rglob("*") if path.is_file()]
    assert [path.name for path in files if secret.encode() in path.read_bytes()] == []
