"""The service as users run it: jobs from beginning to end, stopped, interrupted, repeated."""

import contextlib
import fcntl
import io
import itertools
import json
import os
import shutil
import signal
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from landbridge.cli import main
from landbridge.jobs import db_approvals, db_progress, db_workers, jobs
from landbridge.jobs.db_jobs import ENDED, JobStatus
from landbridge.site.app import Application
from tests.contract.gigya.local_site import running_site
from tests.integration.command import Command, Outcome, step
from tests.servers.landbridge_service import Process, State, children_of, is_running
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started

PEOPLE = 30
CONNECTIONS = 2
UNIT = 10 * CONNECTIONS
RUNNING = JobStatus.RUNNING


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


class InProcess(Command):
    """Commands without the start of a process each."""

    def __call__(self, *arguments):
        out, err, code = io.StringIO(), io.StringIO(), 0
        before = sys.argv
        sys.argv = ["landbridge", *map(str, arguments)]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.argv = before
        return Outcome(code, out.getvalue(), err.getvalue(), {})


@dataclass
class Common:
    """A service that most tests share."""

    data: Path
    service: Process
    state: State


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


def local_flow(folder, name="", **params):
    (folder / "in" / "a.jsonl").write_text("".join(json.dumps({"UID": f"u{number}"}) + "\n" for number in range(100)))
    steps = [
        step("read", "datasource.read.local", path=str(folder / "in")),
        step("parse", "file.parse.json"),
        step("csv", "file.format.dsv", fileName="a_${now}.csv"),
        step("write", "datasource.write.local", **{"path": str(folder / "out"), **params}),
    ]
    return chained(name or folder.name, steps)


def slow_flow(folder, site, name="", copies=1):
    """Writes every account of the site, one after the other."""
    name = name or folder.name
    uids = [row["UID"] for row in site.search("SELECT UID FROM accounts LIMIT 1000")]
    source = folder / f"in_{name}"
    source.mkdir(exist_ok=True)
    rows = [{"UID": uid, "data": {"marker": name}} for uid in uids] * copies
    (source / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = [
        step("read", "datasource.read.local", path=str(source)),
        step("parse", "file.parse.json"),
        step("update", "datasource.write.gigya.account", maxConnections=CONNECTIONS),
        step("report", "file.format.json", fileName=f"{name}.jsonl", layout="lines"),
        step("write", "datasource.write.local", path=str(folder / "out")),
    ]
    return chained(name, steps)


def chained(name, steps):
    for one, follower in itertools.pairwise(steps):
        one.setdefault("next", [follower["id"]])
    return {"name": name, "steps": steps}


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def wait_until(condition, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def names(folder):
    return sorted(path.name for path in (folder / "out").iterdir())


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
    flow.write_text(exported.out.replace("127.0.0.1", "localhost"))
    outputs += [exported, command("dataflows", "add", flow)]
    with state.database.read() as tx:
        version = db_dataflows_version(tx, folder.name)
    assert state.documents.whole(version).steps[3].params == {"host": "localhost", "username": "u", "password": secret}
    started_job = command("jobs", "start", folder.name, "--log-level", "debug", "--wait")
    assert started_job.code == 1
    job_id = started_job.out.splitlines()[0]
    outputs += [started_job, command("jobs", "trace", job_id), command("jobs", "show", job_id, "--json")]
    assert not any(secret in outcome.out + outcome.err for outcome in outputs)
    files = [path for place in (folder, common.data.parent) for path in place.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path.name for path in files if secret.encode() in path.read_bytes()] == []


def db_dataflows_version(tx, name):
    from landbridge.jobs import db_dataflows

    return db_dataflows.version(tx, db_dataflows.find(tx, name).id)


def test_a_running_job_is_cancelled_and_leaves_nothing_behind(folder, site, command, common, state):
    service = common.service
    job_id = state.start(state.add_flow(slow_flow(folder, site)))
    state.wait_for(job_id, RUNNING)
    wait_until(service.children)
    [child] = service.children()
    time.sleep(1)
    assert "will be stopped" in command("jobs", "cancel", job_id).out
    job = state.wait_for(job_id)
    assert (job.status, job.reason, job.error["code"]) == (JobStatus.CANCELLED, "cancelled", "LB-6001")
    assert names(folder) == []
    wait_until(lambda: not [path for path in (common.data / "jobs").iterdir() if job_id in path.name])
    wait_until(lambda: not is_running(child))
    outcome = command("jobs", "cancel", job_id)
    assert (outcome.code, "[LB-1706]" in outcome.err) == (1, True)


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


def test_a_job_is_stopped_at_its_time_limit(folder, site, common, state):
    job = state.wait_for(state.start(state.add_flow(slow_flow(folder, site)), time_limit_s=2))
    assert (job.status, job.reason, job.error["code"]) == (JobStatus.FAILED, "time_limit", "LB-6004")
    assert names(folder) == []


def test_a_stopped_service_hands_jobs_back_and_the_next_one_goes_on_with_them(folder, site, writes, serve, state):
    service = serve("--grace", "0")
    job_id = state.start(state.add_flow(slow_flow(folder, site)))
    state.wait_for(job_id, RUNNING)
    wait_until(lambda: len(writes) > 3)
    before = time.monotonic()
    service.stop()
    assert time.monotonic() - before < 8
    assert (service.process.returncode, state.job(job_id).status) == (0, JobStatus.QUEUED)
    with state.database.read() as tx:
        assert db_workers.listing(tx) == []
    serve()
    job = state.wait_for(job_id)
    assert (job.status, job.starts) == (JobStatus.SUCCEEDED, 2)
    assert len(writes) == PEOPLE
    assert sum(writes.values()) - PEOPLE <= UNIT
    assert names(folder) == [f"{folder.name}.jsonl"]


def test_a_stopped_service_lets_a_job_end_within_its_grace(folder, site, serve, state):
    service = serve("--grace", "30")
    job_id = state.start(state.add_flow(slow_flow(folder, site)))
    state.wait_for(job_id, RUNNING)
    service.stop()
    job = state.job(job_id)
    assert (job.status, job.starts) == (JobStatus.SUCCEEDED, 1)


def test_a_signal_to_all_processes_of_the_service_still_lets_a_job_end(folder, site, serve, state):
    service = serve("--grace", "30")
    job_id = state.start(state.add_flow(slow_flow(folder, site)))
    wait_until(service.children)
    time.sleep(0.5)
    for pid in (service.process.pid, *children_of(service.process.pid), *service.children()):
        os.kill(pid, signal.SIGTERM)
    service.process.wait(30)
    job = state.job(job_id)
    assert (job.status, job.starts) == (JobStatus.SUCCEEDED, 1)


def test_a_job_whose_process_dies_again_and_again_is_given_up(folder, site, common, state):
    service = common.service
    job_id = state.start(state.add_flow(slow_flow(folder, site)))
    killed = set()
    for _ in range(3):
        wait_until(lambda: set(service.children()) - killed)
        time.sleep(0.3)
        [child] = set(service.children()) - killed
        killed.add(child)
        os.kill(child, signal.SIGKILL)
    job = state.wait_for(job_id)
    assert (job.status, job.reason, job.error["code"]) == (JobStatus.FAILED, "died", "LB-6005")
    assert "signal 9" in job.error["message"]


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


def test_a_job_does_not_begin_anew_when_its_journal_is_elsewhere(folder, site, writes, command, serve, state):
    service = serve()
    job_id = state.start(state.add_flow(slow_flow(folder, site)))
    wait_until(lambda: len(writes) > 3)
    wait_until(lambda: steps_of(state, job_id))
    service.kill()
    shutil.rmtree(folder / "data" / "jobs" / job_id)
    service.start()
    job = state.wait_for(job_id)
    assert (job.status, job.error["code"]) == (JobStatus.FAILED, "LB-6006")
    assert sum(writes.values()) < PEOPLE
    again = state.job(command("jobs", "retry", job_id, "--wait").out.splitlines()[0])
    assert (again.status, again.error["code"]) == (JobStatus.FAILED, "LB-6006")
    assert command("jobs", "retry", job_id, "--afresh", "--wait").code == 0


def test_a_job_waits_for_the_process_of_an_earlier_start_to_end(folder, serve, state):
    flow = state.add_flow(local_flow(folder))
    job_id = state.start(flow, full_extract=True)
    journal = folder / "data" / "jobs" / job_id
    journal.mkdir(parents=True)
    with (journal / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        serve()
        wait_until(lambda: state.job(job_id).starts > 1, timeout_s=30)
        assert names(folder) == []
    job = state.wait_for(job_id)
    assert (job.status, len(names(folder))) == (JobStatus.SUCCEEDED, 1)


def test_a_job_goes_on_when_the_durable_queue_was_lost(folder, site, writes, serve, state):
    service = serve()
    job_id = state.start(state.add_flow(slow_flow(folder, site)))
    wait_until(lambda: len(writes) > 3)
    service.kill()
    for path in (folder / "data").glob("queue.db*"):
        path.unlink()
    service.start()
    job = state.wait_for(job_id)
    assert (job.status, job.turn, job.starts) == (JobStatus.SUCCEEDED, 1, 2)
    assert sum(writes.values()) - PEOPLE <= UNIT


def test_a_job_that_was_cancelled_while_its_worker_was_dead_does_not_begin_again(folder, site, serve, state):
    service = serve()
    job_id = state.start(state.add_flow(slow_flow(folder, site)))
    state.wait_for(job_id, RUNNING)
    service.kill()
    with state.database.write() as tx:
        jobs.cancel(tx, job_id, by="test")
    service.start()
    job = state.wait_for(job_id)
    assert (job.status, job.reason, job.starts) == (JobStatus.CANCELLED, "cancelled", 1)


def steps_of(state, job_id):
    with state.database.read() as tx:
        return db_progress.steps_of(tx, job_id)


def test_a_dataflow_that_cannot_run_fails_with_its_problems(folder, common, state):
    flow = local_flow(folder)
    del flow["steps"][3]["params"]["path"]
    job = state.wait_for(state.start(state.add_flow(flow)))
    assert (job.status, job.reason) == (JobStatus.FAILED, "refused")
    assert (job.error["code"], job.error["step"]) == ("LB-1071", "write")


def test_a_data_folder_has_one_service(folder, command, common):
    outcome = command("serve", "--port", "0")
    assert (outcome.code, "[LB-7502]" in outcome.err) == (1, True)


def test_a_port_in_use_is_an_error(folder, command, common):
    service = common.service
    port = service.url.rpartition(":")[2]
    outcome = command("serve", "--data", folder / "other", "--port", port)
    assert (outcome.code, "[LB-2903]" in outcome.err) == (1, True)


def test_a_worker_needs_a_shared_database(command):
    outcome = command("worker")
    assert (outcome.code, "[LB-1704]" in outcome.err) == (1, True)


def test_another_key_does_not_open_what_was_sealed(folder, command, serve, state):
    document = local_flow(folder)
    document["steps"][3] = step("write", "datasource.write.sftp", host="127.0.0.1", username="u", password="secret")
    flow = state.add_flow(document)
    (folder / "data" / "key").unlink()
    serve()
    job = state.wait_for(state.start(flow))
    assert (job.status, job.error["code"]) == (JobStatus.FAILED, "LB-7505")


def test_a_locked_database_is_waited_for(folder, serve, state):
    serve()
    flow = state.add_flow(local_flow(folder))
    locking = sqlite3.connect(folder / "data" / "landbridge.db", isolation_level=None)
    locking.execute("BEGIN IMMEDIATE")
    released = threading.Timer(3, lambda: None)
    released.start()
    time.sleep(3)
    locking.execute("ROLLBACK")
    locking.close()
    released.join()
    assert state.wait_for(state.start(flow)).status is JobStatus.SUCCEEDED


def test_workers_on_postgresql_share_the_jobs(folder, site, postgres, serve):
    shared = ("--database", postgres.url, "--slots", "1")
    serve(*shared)
    serve(*shared, name="worker")
    state = State(postgres.url, folder / "data")
    try:
        ids = [state.start(state.add_flow(slow_flow(folder, site, f"shared{number}"))) for number in range(2)]
        done = [state.wait_for(job_id) for job_id in ids]
        assert [(job.status, job.starts) for job in done] == [(JobStatus.SUCCEEDED, 1)] * 2
        assert len({job.worker_id for job in done}) == 2
    finally:
        state.close()


def test_a_frozen_worker_loses_its_job_and_does_no_harm_when_it_wakes(folder, site, writes, postgres, serve):
    shared = ("--database", postgres.url, "--slots", "1", "--lease", "5")
    workers = [serve(*shared, name="worker") for _ in range(2)]
    state = State(postgres.url, folder / "data")
    try:
        job_id = state.start(state.add_flow(slow_flow(folder, site, "frozen")))
        state.wait_for(job_id, RUNNING)
        wait_until(lambda: len(writes) > 5)
        [frozen] = [worker for worker in workers if worker.children()]
        [child] = frozen.children()
        frozen.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: not is_running(child), timeout_s=10)
        job = state.wait_for(job_id, timeout_s=40)
        frozen.process.send_signal(signal.SIGCONT)
        time.sleep(2)
        assert job.status is JobStatus.SUCCEEDED
        assert job.starts > 1
        assert state.job(job_id) == job
        assert len(writes) == PEOPLE
        assert sum(writes.values()) - PEOPLE <= UNIT * (job.starts - 1)
        assert frozen.process.poll() is None
        again = state.start(state.add_flow(local_flow(folder, "After")))
        assert state.wait_for(again).status is JobStatus.SUCCEEDED
        with state.database.read() as tx:
            assert len(db_progress.files_of(tx, job_id)) == 1
    finally:
        state.close()
