"""Splits in the service: the parts of a job's input are worked on by all workers, and the result is that of one."""

import filecmp
import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from landbridge.errors import StorageError
from landbridge.jobs import (
    db_jobs,
    db_progress,
    db_splits,
    db_workers,
    jobs,
    retention,
    split_work as jobs_split_work,
    supervision as supervision_module,
)
from landbridge.jobs.db_jobs import Ending, JobStatus
from landbridge.jobs.limits import Limits
from landbridge.jobs.split_work import SplitWork
from landbridge.jobs.supervision import Supervision
from landbridge.jobs.surroundings import Surroundings
from tests.integration.command import step
from tests.integration.test_splits import write_lines
from tests.servers.landbridge_service import Process, State
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started

SIZE = (1 << 20) + 1000
PARTS = 6
FILES = 6
SHORT = ["--slots", "2", "--lease", "5", "--grace", "1"]


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server


@pytest.fixture(params=["a file", "postgresql"])
def place(request, tmp_path):
    """Where the database is; with PostgreSQL there are two workers."""
    return tmp_path / "data" if request.param == "a file" else request.getfixturevalue("postgres").new_database()


def environ_of(folder):
    for name in ("in", "out", "data"):
        (folder / name).mkdir()
    return {**os.environ, "LANDBRIDGE_HOME": str(folder / "home"), "LANDBRIDGE_DATA": str(folder / "data")}


@pytest.fixture
def environ(tmp_path):
    return environ_of(tmp_path)


@dataclass
class Common:
    """A service on a data folder, which the tests share that leave it running; each uses a folder of its own."""

    folder: Path
    service: Process
    state: State

    def folder_for(self, name):
        folder = self.folder / name
        for part in ("in", "out"):
            (folder / part).mkdir(parents=True)
        return folder

    def journals_of(self, job_id):
        return [path for path in (self.folder / "data" / "jobs").iterdir() if job_id in path.name]


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    folder = tmp_path_factory.mktemp("common")
    environ = environ_of(folder)
    state = State(folder / "data", folder / "data")
    service = Process(["serve", "--port", "0", *SHORT], environ, folder / "log")
    yield Common(folder, service, state)
    service.stop()
    state.close()


@pytest.fixture
def state(tmp_path, environ, place):
    state = State(place, tmp_path / "data")
    yield state
    state.close()


@pytest.fixture
def workers(tmp_path, environ, place, state):
    """A service, and with PostgreSQL another worker."""
    shared = [] if place == tmp_path / "data" else ["--database", place]
    processes = [Process(["serve", "--port", "0", *shared, *SHORT], environ, tmp_path / "log0")]
    if shared:
        processes.append(Process(["worker", *shared, *SHORT], environ, tmp_path / "log1"))
    yield processes
    for process in processes:
        process.stop()


def flow(folder, *between, name="out"):
    for number in range(FILES):
        write_lines(folder / "in" / f"{number}.jsonl", size=SIZE, seed=number)
    with (folder / "in" / "2.jsonl").open("a") as file:
        file.write('{"UID": cut off\n')
    steps = [
        step("read", "datasource.read.local", path=str(folder / "in"), sortBy="name"),
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
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_divided_job_gives_the_bytes_and_counts_of_a_whole_one(common):
    state, folder = common.state, common.folder_for("divided")
    whole = state.wait_for(state.start(state.add_flow(flow(folder, name="whole")), full_extract=True))
    divided_id = state.start(state.add_flow(flow(folder, name="divided")), full_extract=True, splits=PARTS)
    divided = state.wait_for(divided_id)
    assert whole.status is divided.status is JobStatus.SUCCEEDED_WITH_ERRORS
    assert filecmp.cmp(folder / "out" / "whole.csv", folder / "out" / "divided.csv", shallow=False)
    assert (whole.records_in, whole.records_out, whole.rejected) == (
        divided.records_in, divided.records_out, divided.rejected
    )  # fmt: skip
    with state.database.read() as tx:
        counts = [[(row.step, row.records_out, row.rejected, row.filtered) for row in db_progress.steps_of(tx, job.id)]
                  for job in (whole, divided)]  # fmt: skip
    assert counts[0] == counts[1]
    progress = progress_of(state, divided_id)
    assert progress.done == progress.total >= PARTS
    assert not [path for path in common.journals_of(divided_id) if (path / "splits").exists()]


@pytest.mark.long
@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_several_workers_share_the_parts_and_the_parts_of_a_killed_one_are_done_by_others(tmp_path, state, workers):
    job_id = state.start(state.add_flow(flow(tmp_path, slowly())), full_extract=True, splits=PARTS)
    wait_until(lambda: len(set(running(state, job_id).values())) == len(workers))
    workers[1].kill()
    job = state.wait_for(job_id, timeout_s=90)
    assert job.status is JobStatus.SUCCEEDED_WITH_ERRORS, job.error
    workers[1].start()
    again = state.start(state.add_flow(flow(tmp_path, name="whole")), full_extract=True)
    state.wait_for(again, timeout_s=90)
    assert filecmp.cmp(tmp_path / "out" / "whole.csv", tmp_path / "out" / "out.csv", shallow=False)
    assert sum("worker" in line and "parts" in line for line in trace_of(state, job_id)) >= 1


@pytest.mark.parametrize("place", ["a file"], indirect=True)
def test_a_job_whose_service_was_killed_keeps_the_parts_that_are_done(tmp_path, state, workers):
    job_id = state.start(state.add_flow(flow(tmp_path, slowly())), full_extract=True, splits=PARTS)
    wait_until(lambda: progress_of(state, job_id).done >= 2)
    workers[0].kill()
    workers[0].start()
    job = state.wait_for(job_id, timeout_s=90)
    assert (job.status, job.starts) == (JobStatus.SUCCEEDED_WITH_ERRORS, 2)
    told = next(line for line in reversed(trace_of(state, job_id)) if "divided into" in line)
    assert int(told.split("of which ")[1].split()[0]) >= 2
    assert (tmp_path / "out" / "out.csv").exists()


def test_a_part_that_fails_ends_the_job_with_its_reason_and_publishes_nothing(common):
    state, folder = common.state, common.folder_for("fails")
    dataflow = state.add_flow(flow(folder, name="fails"))
    (folder / "in" / "3.jsonl").write_text('[{"UID": "u1"}, ')
    job_id = state.start(dataflow, full_extract=True, splits=PARTS)
    wait_until(lambda: state.job(job_id).ended)
    job = state.job(job_id)
    assert (job.status, job.error["step"]) == (JobStatus.FAILED, "parse")
    assert list((folder / "out").iterdir()) == []


def test_a_cancelled_job_stops_its_parts(common):
    state, folder = common.state, common.folder_for("cancelled")
    job_id = state.start(state.add_flow(flow(folder, slowly(), name="cancelled")), full_extract=True, splits=PARTS)
    wait_until(lambda: progress_of(state, job_id).done >= 1)
    with state.database.write() as tx:
        jobs.cancel(tx, job_id, by="test")
    assert state.wait_for(job_id, JobStatus.CANCELLED).status is JobStatus.CANCELLED
    wait_until(lambda: not common.journals_of(job_id))
    assert running(state, job_id) == {}
    wait_until(lambda: not common.service.children())
    assert common.journals_of(job_id) == list((folder / "out").iterdir()) == []


def test_what_cannot_be_divided_runs_whole_and_says_so(common):
    state, folder = common.state, common.folder_for("whole")
    job_id = state.start(state.add_flow(flow(folder, name="limited")), full_extract=True, splits=PARTS, limit=10)
    assert state.wait_for(job_id).records_out == 10
    assert any("cannot be divided" in line for line in trace_of(state, job_id))


def test_what_a_step_tells_while_it_works_on_a_part_is_in_the_trace_of_the_job(common):
    state, folder = common.state, common.folder_for("tells")
    talkative = step("tell", "record.evaluate", script=TALKATIVE, ECMAScriptVersion="12", parallel=True)
    job_id = state.start(state.add_flow(flow(folder, talkative, name="tells")), full_extract=True, splits=PARTS)
    state.wait_for(job_id)
    assert any("this is the last one of them" in line for line in trace_of(state, job_id))
    assert "this is the last one" not in (common.folder / "log").read_text()


TALKATIVE = """function process(record, ctx, logger, next) {
  if (record.n === 0) logger.warn("this is the last one of them");
  return record;
}"""


@pytest.fixture
def split_work(tmp_path, state):
    """The work of a worker that is alive, and a running job of two parts that its folder has."""
    job_id = state.start(state.add_flow(flow(tmp_path)), splits=2)
    with state.database.write() as tx:
        db_workers.add(tx, "worker", host="here", process=1, landbridge_version="1", slots=1)
        db_jobs.admit(tx, Limits())
        row = db_jobs.begin(tx, job_id, worker_id="worker", host="here", landbridge_version="1")
        db_splits.put(tx, job_id, total=2, done=[1])
    data = tmp_path / "data"
    (data / "jobs" / row.journal / "splits").mkdir(parents=True)
    surroundings = Surroundings(state.database, data, state.documents, data, "worker", "here", max_starts=2)
    work = SplitWork(surroundings, slots=1)
    yield work, job_id
    work.stop()


@pytest.mark.parametrize("place", ["a file"], indirect=True)
def test_a_part_whose_process_cannot_be_started_is_tried_again_and_ends_the_job_at_last(state, split_work, monkeypatch):
    def no_process(begin):
        raise StorageError("LB-7506", f"no process for part {begin.split}")

    monkeypatch.setattr(jobs_split_work, "_LOST_CHECK_S", 0.05)
    monkeypatch.setattr(jobs_split_work, "ChildProcess", no_process)
    work, job_id = split_work

    def has_failed():
        work.look()
        return progress_of(state, job_id).error

    wait_until(has_failed)
    error = progress_of(state, job_id).error
    assert (error["code"], "2 times" in error["message"]) == ("LB-6005", True)


@pytest.mark.parametrize("place", ["a file"], indirect=True)
def test_a_worker_that_is_believed_dead_takes_no_parts(state, split_work):
    _, job_id = split_work
    with state.database.write() as tx:
        db_workers.stop(tx, "worker", leaves_jobs=False)
        assert db_splits.claim(tx, job_id, worker_id="worker") is None


def begun(state, folder, name, *, total, seen=True):
    """A running job of so many parts; its folder is here or not."""
    job_id = state.start(state.add_flow(flow(folder, name=name)), splits=total)
    with state.database.write() as tx:
        db_jobs.admit(tx, Limits(per_site=100))
        row = db_jobs.begin(tx, job_id, worker_id="worker", host="here", landbridge_version="1")
        db_splits.put(tx, job_id, total=total, done=[])
    if seen:
        (folder / "data" / "jobs" / row.journal / "splits").mkdir(parents=True)
    return job_id


@pytest.mark.parametrize("place", ["a file", "postgresql"], indirect=True)
def test_every_part_is_taken_however_many_there_are_that_cannot_be(state, split_work, tmp_path):
    work, two_parts = split_work
    begun(state, tmp_path, "elsewhere", total=200, seen=False)
    many = begun(state, tmp_path, "many", total=120)
    taken = []
    while claim := work._claim():
        taken.append(claim)
    assert [claim.number for claim in taken if claim.job_id == many] == list(range(120))
    assert [claim.number for claim in taken if claim.job_id == two_parts] == [0]
    assert len(taken) == 121


@pytest.mark.parametrize("place", ["a file", "postgresql"], indirect=True)
def test_a_large_job_does_not_hold_up_the_parts_of_others(state, split_work, tmp_path):
    work, _ = split_work
    large, small = begun(state, tmp_path, "large", total=50), begun(state, tmp_path, "small", total=3)
    taken = [work._claim().job_id for _ in range(7)]
    assert taken.count(small) == taken.count(large) == 3


@pytest.mark.parametrize("place", ["a file", "postgresql"], indirect=True)
def test_several_workers_never_take_the_same_part(state, split_work, tmp_path):
    work, _ = split_work
    job_id = begun(state, tmp_path, "shared", total=30)
    with ThreadPoolExecutor(6) as pool:
        claims = [claim for claim in pool.map(lambda _: work._claim(), range(40)) if claim and claim.job_id == job_id]
    numbers = [claim.number for claim in claims]
    assert len(numbers) == len(set(numbers)) >= 24


@pytest.mark.parametrize("place", ["a file", "postgresql"], indirect=True)
def test_the_journal_of_a_cancelled_job_stays_until_its_last_part_has_ended(state, split_work, tmp_path):
    work, job_id = split_work
    claim = work._claim()
    assert claim.job_id == job_id
    with state.database.write() as tx:
        db_splits.put(tx, job_id, total=3, done=[])
    row = state.job(job_id)
    journal = tmp_path / "data" / "jobs" / row.journal
    supervision = Supervision(job_id, work._all)
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(supervision._end, row, Ending(JobStatus.CANCELLED, "cancelled"), None)
        wait_until(lambda: state.job(job_id).status is JobStatus.CANCELLED)
        assert work._claim() is None, "nobody begins another part"
        time.sleep(0.5)
        (journal / "splits" / "still-written").mkdir()
        assert not ending.done()
        with state.database.write() as tx:
            db_splits.give_back(tx, claim, worker_id="worker")
        assert ending.result(timeout=60)
    assert not journal.exists()


@pytest.mark.parametrize("place", ["a file"], indirect=True)
def test_the_sweep_leaves_a_journal_alone_in_which_a_part_still_writes(state, split_work, monkeypatch, tmp_path):
    monkeypatch.setattr(supervision_module, "_PARTS_TIMEOUT_S", 0.1)
    work, job_id = split_work
    claim, row = work._claim(), state.job(job_id)
    journal = tmp_path / "data" / "jobs" / row.journal
    assert Supervision(job_id, work._all)._end(row, Ending(JobStatus.CANCELLED, "cancelled"), None)
    os.utime(journal, (0, 0))
    retention.sweep(state.database, tmp_path / "data", forget=lambda _: None)
    assert journal.exists()
    with state.database.write() as tx:
        db_splits.give_back(tx, claim, worker_id="worker")
    retention.sweep(state.database, tmp_path / "data", forget=lambda _: None)
    assert not journal.exists()
