"""Splits in the service: the parts of a job's input are worked on by all workers, and the result is that of one."""

import itertools
import os
import time

import pytest

from landbridge.jobs import db_progress, db_splits, jobs
from landbridge.jobs.db_jobs import JobStatus
from tests.integration.command import step
from tests.integration.test_splits import write_lines
from tests.servers.landbridge_service import Process, State
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started

SIZE = (1 << 20) + 1000
PARTS = 6
FILES = 6


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server


@pytest.fixture(params=["a file", "postgresql"])
def place(request, tmp_path):
    """Where the database is; with PostgreSQL there are two workers."""
    return tmp_path / "data" if request.param == "a file" else request.getfixturevalue("postgres").new_database()


@pytest.fixture
def environ(tmp_path):
    for name in ("in", "out", "data"):
        (tmp_path / name).mkdir()
    return {**os.environ, "LANDBRIDGE_HOME": str(tmp_path / "home"), "LANDBRIDGE_DATA": str(tmp_path / "data")}


@pytest.fixture
def state(tmp_path, environ, place):
    state = State(place, tmp_path / "data")
    yield state
    state.close()


@pytest.fixture
def workers(tmp_path, environ, place, state):
    """A service, and with PostgreSQL another worker."""
    shared = [] if place == tmp_path / "data" else ["--database", place]
    short = ["--slots", "2", "--lease", "5", "--grace", "1"]
    processes = [Process(["serve", "--port", "0", *shared, *short], environ, tmp_path / "log0")]
    if shared:
        processes.append(Process(["worker", *shared, *short], environ, tmp_path / "log1"))
    yield processes
    for process in processes:
        process.stop()


def flow(folder, *between, name="out"):
    for number in range(FILES):
        write_lines(folder / "in" / f"{number}.jsonl", size=SIZE, seed=number)
    with (folder / "in" / "2.jsonl").open("a") as file:
        file.write('{"UID": cut off\n')
    steps = [
        step("read", "datasource.read.local", path=str(folder / "in")),
        step("parse", "file.parse.json"),
        *between,
        step("csv", "file.format.dsv", fileName=f"{name}.csv"),
        step("write", "datasource.write.local", path=str(folder / "out")),
    ]
    for one, follower in itertools.pairwise(steps):
        one["next"] = [follower["id"]]
    return {"name": name, "steps": steps}


def slowly():
    """A step that takes a while with each record, and keeps nothing."""
    return step("wait", "record.evaluate", script=SLOW, ECMAScriptVersion="12", parallel=True)


SLOW = """function process(record, ctx, logger, next) {
  let x = 0;
  for (let i = 0; i < 400000; i++) x += i;
  return record;
}"""


def trace_of(state, job_id):
    with state.database.read() as tx:
        return [line.message for line in db_progress.trace_of(tx, job_id)]


def progress_of(state, job_id):
    with state.database.read() as tx:
        return db_splits.progress(tx, job_id)


def running(state, job_id):
    with state.database.read() as tx:
        return db_splits.running(tx, job_id)


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("workers")
def test_a_divided_job_gives_the_bytes_and_counts_of_a_whole_one(tmp_path, state):
    whole = state.wait_for(state.start(state.add_flow(flow(tmp_path, name="whole")), full_extract=True))
    divided_id = state.start(state.add_flow(flow(tmp_path, name="divided")), full_extract=True, splits=PARTS)
    divided = state.wait_for(divided_id)
    assert whole.status is divided.status is JobStatus.SUCCEEDED_WITH_ERRORS
    assert (tmp_path / "out" / "whole.csv").read_bytes() == (tmp_path / "out" / "divided.csv").read_bytes()
    assert (whole.records_in, whole.records_out, whole.rejected) == (
        divided.records_in, divided.records_out, divided.rejected
    )  # fmt: skip
    with state.database.read() as tx:
        counts = [[(row.step, row.records_out, row.rejected, row.filtered) for row in db_progress.steps_of(tx, job.id)]
                  for job in (whole, divided)]  # fmt: skip
    assert counts[0] == counts[1]
    progress = progress_of(state, divided_id)
    assert progress.done == progress.total >= PARTS
    assert not list((tmp_path / "data" / "jobs").glob("*/splits"))


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_several_workers_share_the_parts_and_the_parts_of_a_killed_one_are_done_by_others(tmp_path, state, workers):
    job_id = state.start(state.add_flow(flow(tmp_path, slowly())), full_extract=True, splits=PARTS)
    wait_until(lambda: len(set(running(state, job_id).values())) == len(workers))
    workers[1].kill()
    job = state.wait_for(job_id, timeout_s=60)
    assert job.status is JobStatus.SUCCEEDED_WITH_ERRORS, job.error
    workers[1].start()
    again = state.start(state.add_flow(flow(tmp_path, slowly(), name="whole")), full_extract=True)
    state.wait_for(again, timeout_s=60)
    assert (tmp_path / "out" / "whole.csv").read_bytes() == (tmp_path / "out" / "out.csv").read_bytes()
    assert sum("worker" in line and "parts" in line for line in trace_of(state, job_id)) >= 1


@pytest.mark.parametrize("place", ["a file"], indirect=True)
def test_a_job_whose_service_was_killed_keeps_the_parts_that_are_done(tmp_path, state, workers):
    job_id = state.start(state.add_flow(flow(tmp_path, slowly())), full_extract=True, splits=PARTS)
    wait_until(lambda: progress_of(state, job_id).done >= 2)
    workers[0].kill()
    workers[0].start()
    job = state.wait_for(job_id, timeout_s=60)
    assert (job.status, job.starts) == (JobStatus.SUCCEEDED_WITH_ERRORS, 2)
    told = next(line for line in reversed(trace_of(state, job_id)) if "divided into" in line)
    assert int(told.split("of which ")[1].split()[0]) >= 2
    assert (tmp_path / "out" / "out.csv").exists()


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("place", ["a file"], indirect=True)
def test_a_part_that_fails_ends_the_job_with_its_reason_and_publishes_nothing(tmp_path, state):
    dataflow = state.add_flow(flow(tmp_path))
    (tmp_path / "in" / "3.jsonl").write_text('[{"UID": "u1"}, ')
    job_id = state.start(dataflow, full_extract=True, splits=PARTS)
    wait_until(lambda: state.job(job_id).ended)
    job = state.job(job_id)
    assert (job.status, job.error["step"]) == (JobStatus.FAILED, "parse")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("place", ["a file"], indirect=True)
def test_a_cancelled_job_stops_its_parts(tmp_path, state, workers):
    job_id = state.start(state.add_flow(flow(tmp_path, slowly())), full_extract=True, splits=PARTS)
    wait_until(lambda: progress_of(state, job_id).done >= 1)
    with state.database.write() as tx:
        jobs.cancel(tx, job_id, by="test")
    assert state.wait_for(job_id, JobStatus.CANCELLED).status is JobStatus.CANCELLED
    wait_until(lambda: not workers[0].children())
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("place", ["a file"], indirect=True)
def test_what_cannot_be_divided_runs_whole_and_says_so(tmp_path, state):
    job_id = state.start(state.add_flow(flow(tmp_path)), full_extract=True, splits=PARTS, limit=10)
    assert state.wait_for(job_id).records_out == 10
    assert any("cannot be divided" in line for line in trace_of(state, job_id))
