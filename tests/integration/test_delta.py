"""What a job reads, and how the mark moves: with real jobs, folders and a site."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from landbridge.dataflow import Dataflow
from landbridge.dataflow.scheduling import Scheduling
from landbridge.errors import FlowError
from landbridge.jobs import db_dataflows, db_delta, db_jobs, db_schedules, delta, jobs
from landbridge.jobs.db import Database
from landbridge.jobs.db_jobs import Ending, JobStatus
from landbridge.jobs.delta_files import FileHistory, FileMemory
from landbridge.jobs.documents import Documents
from landbridge.jobs.job_options import JobOptions
from landbridge.jobs.supervision import Supervision, Surroundings
from landbridge.jobs.vault import Vault
from tests.contract.gigya.local_site import running_site
from tests.integration.command import step
from tests.integration.in_process import InProcess


class House:
    """A data folder in which jobs are run one by one, without a service."""

    def __init__(self, folder):
        self.folder = folder
        self.database = Database.open(folder / "data")
        self.documents = Documents(Vault.open(folder / "data"))
        for name in ("in", "out"):
            (folder / name).mkdir()

    def close(self):
        self.database.close()

    def add(self, *steps):
        steps = [dict(one) for one in steps]
        for one, follower in pairwise(steps):
            one["next"] = [follower["id"]]
        flow = Dataflow.load(json.dumps({"name": "Flow", "steps": steps}))
        with self.database.write() as tx:
            return db_dataflows.add(tx, self.documents.content(flow), by="anna").id

    def run(self, flow, **facts):
        with self.database.write() as tx:
            job = jobs.start(tx, flow, by="anna", **facts)
        assert Supervision(job.id, self.surroundings()).run()
        with self.database.read() as tx:
            return db_jobs.get(tx, job.id)

    def surroundings(self, **more):
        data = self.folder / "data"
        shared = {"place": data, "data": data, "worker_id": "w", "host": "h"}
        return Surroundings(database=self.database, documents=self.documents, **shared, **more)

    def mark(self, flow):
        with self.database.read() as tx:
            return db_delta.get(tx, flow)

    def put(self, name, text, *, modified=None):
        path = self.folder / "in" / name
        path.write_text(text)
        if modified is not None:
            os.utime(path, (modified.timestamp(), modified.timestamp()))

    def out(self):
        """The lines that the last job has delivered."""
        path = self.folder / "out" / "all.csv"
        lines = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path)
    yield found
    found.close()


def copy_flow(house, **writer):
    return house.add(
        step("read", "datasource.read.local", path=str(house.folder / "in")),
        step("parse", "file.parse.dsv"),
        step("csv", "file.format.dsv", fileName="all.csv", writeHeader=False, createEmptyFile=False),
        step("write", "datasource.write.local", path=str(house.folder / "out"), **writer),
    )


NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)


def test_files_are_read_once_also_when_their_times_are_equal(house):
    flow = copy_flow(house)
    house.put("a.csv", "id\n1\n", modified=NOON)
    house.put("old.csv", "id\n0\n", modified=NOON - timedelta(days=3))
    job = house.run(flow)
    assert (job.status, house.out()) == (JobStatus.SUCCEEDED, ["1"])
    assert house.run(flow).status is JobStatus.SUCCEEDED
    assert house.out() == []
    house.put("b.csv", "id\n2\n", modified=NOON)
    house.put("c.csv", "id\n3\n", modified=NOON - timedelta(hours=2))
    house.run(flow)
    assert sorted(house.out()) == ["2", "3"]
    house.put("a.csv", "id\n4\n", modified=NOON + timedelta(seconds=1))
    house.run(flow)
    assert house.out() == ["4"]
    assert house.run(flow, options=JobOptions(full_extract=True)).status is JobStatus.SUCCEEDED
    assert sorted(house.out()) == ["0", "2", "3", "4"]
    house.run(flow)
    assert house.out() == []
    assert list((house.folder / "data" / "jobs").glob("*.files.json")) == []


def test_a_success_moves_the_mark_to_its_start_minus_the_overlap(house):
    flow = copy_flow(house)
    house.put("a.csv", "id\n1\n")
    job = house.run(flow)
    mark = house.mark(flow)
    assert mark.mark == job.started - delta.OVERLAP
    assert (mark.job_id, mark.revision) == (job.id, 1)
    assert "a.csv" in json.dumps(mark.files)
    with house.database.read() as tx:
        assert db_dataflows.get(tx, flow).last_runtime == job.started


@pytest.mark.parametrize(
    "facts",
    [{"kind": "test"}, {"kind": "dry_run"}, {"options": JobOptions(limit=1)}],
    ids=["test", "dry run", "limited"],
)
def test_a_run_that_is_not_the_real_thing_never_moves_the_mark(house, facts):
    flow = copy_flow(house)
    house.put("a.csv", "id\n1\n2\n")
    assert house.run(flow, **facts).status is JobStatus.SUCCEEDED
    assert house.mark(flow).revision == 0
    house.out()
    house.run(flow)
    assert house.out() == ["1", "2"]


def test_a_failed_job_leaves_the_mark_and_the_next_one_reads_its_files(house):
    flow = copy_flow(house)
    house.put("a.csv", "id\n1\n")
    (house.folder / "out").rmdir()
    job = house.run(flow)
    assert job.status is JobStatus.FAILED
    assert house.mark(flow).revision == 0
    (house.folder / "out").mkdir()
    house.run(flow)
    assert house.out() == ["1"]


def test_the_mark_moves_only_together_with_the_success(house):
    flow = copy_flow(house)

    def fail(*_):
        raise OSError("the disk is gone")

    with house.database.write() as tx:
        job = jobs.start(tx, flow, by="anna")
    with pytest.raises(OSError, match="disk"):
        Supervision(job.id, house.surroundings(after_job=[fail])).run()
    assert house.mark(flow).revision == 0
    with house.database.read() as tx:
        assert db_jobs.get(tx, job.id).status is JobStatus.RUNNING


def test_a_mark_that_a_person_sets_while_a_job_runs_stays(house):
    flow = copy_flow(house)
    with house.database.write() as tx:
        job = db_jobs.begin(tx, jobs.start(tx, flow, by="anna").id, worker_id="w", host="h", landbridge_version="0")
        job = delta.prepare(tx, job)
        assert job.options.since == job.started - timedelta(hours=24)
        wanted = job.started - timedelta(days=30)
        delta.set_mark(tx, flow, wanted, by="bert")
        delta.job_ended(tx, job, Ending(JobStatus.SUCCEEDED), {})
    assert house.mark(flow).mark == wanted
    house.put("a.csv", "id\n1\n", modified=NOON - timedelta(days=29))
    house.run(flow)
    assert house.out() == ["1"]
    with house.database.write() as tx:
        delta.reset(tx, flow, by="bert")
        assert db_delta.get(tx, flow).mark is None


def test_of_two_jobs_at_the_same_time_the_later_mark_wins(house):
    flow = copy_flow(house)
    with house.database.write() as tx:
        begun = []
        for _ in range(2):
            new = jobs.start(tx, flow, by="anna").id
            job = db_jobs.begin(tx, new, worker_id="w", host="h", landbridge_version="0")
            begun.append(delta.prepare(tx, job))
            time.sleep(0.01)
        for job in reversed(begun):
            delta.job_ended(tx, job, Ending(JobStatus.SUCCEEDED), {})
        assert db_delta.get(tx, flow).mark == begun[1].started - delta.OVERLAP


def test_a_job_that_begins_again_reads_what_it_wanted_to_read_the_first_time(house):
    flow = copy_flow(house)
    with house.database.write() as tx:
        new = jobs.start(tx, flow, by="anna").id
        first = delta.prepare(tx, db_jobs.begin(tx, new, worker_id="w", host="h", landbridge_version="0"))
        delta.set_mark(tx, flow, NOON, by="bert")
        again = delta.prepare(tx, db_jobs.begin(tx, new, worker_id="v", host="h", landbridge_version="0"))
    assert again.options == first.options


@pytest.mark.parametrize("told", ["2", ""])
def test_work_that_begins_again_reads_the_files_it_chose_though_their_ready_files_are_gone(folders, told):
    command = InProcess(folders)
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in"), readyFile="{stem}.ready"),
        step("parse", "file.parse.dsv"),
        step("csv", "file.format.dsv", fileName="all.csv", writeHeader=False),
        step("write", "datasource.write.local", path=str(folders / "out")),
    )
    (folders / "in" / "a.csv").write_text("id\n1\n2\n")
    (folders / "in" / "a.ready").write_text(told)

    def run():
        memory = FileMemory(datetime.now(UTC) - timedelta(days=1))
        kept = folders / "chosen.json"
        return command.run(flow, history=FileHistory(memory, read_all=False, started=datetime.now(UTC), kept=kept))

    (folders / "out").rmdir()
    assert run().code == 1
    (folders / "in" / "a.ready").unlink()
    (folders / "in" / "b.csv").write_text("id\n3\n")
    (folders / "in" / "b.ready").write_text("1")
    (folders / "out").mkdir()
    assert run().code == 0
    assert (folders / "out" / "all.csv").read_text().split() == ["1", "2"]


@pytest.mark.parametrize(
    ("keys", "period"),
    [
        ({"frequencyType": "once"}, timedelta(hours=24)),
        ({"frequencyType": "minute", "frequencyInterval": 20}, timedelta(minutes=20)),
        ({"frequencyType": "hour"}, timedelta(hours=1)),
        ({"frequencyType": "day"}, timedelta(days=1)),
        ({"frequencyType": "week"}, timedelta(weeks=1)),
        ({"frequencyType": "month"}, timedelta(days=31)),
        ({"landbridge": {"cron": "0 6 * * mon-fri"}}, timedelta(days=3)),
        ({"landbridge": {"cron": "0 6 29 2 *"}}, timedelta(days=1)),
        ({"landbridge": {"keepUpdatedPauseSeconds": 60}}, timedelta(hours=24)),
    ],
    ids=str,
)
def test_the_first_job_of_a_scheduling_reads_one_period_back(house, keys, period):
    flow = copy_flow(house)
    monday = datetime(2026, 11, 23, 6, tzinfo=UTC)
    with house.database.write() as tx:
        scheduling = Scheduling.from_json({"dataflowId": flow, "nextJobStartTime": "2026-11-23 06:00:00", **keys})
        row = db_schedules.add(tx, scheduling, by="anna")
        new = jobs.start(tx, flow, by="scheduling", scheduling_id=row.id, planned=monday).id
        job = db_jobs.begin(tx, new, worker_id="w", host="h", landbridge_version="0")
        assert delta.prepare(tx, job).options.since == job.started - period


def test_a_full_extract_has_no_since_and_moves_the_mark(house):
    flow = copy_flow(house)
    job = house.run(flow, options=JobOptions(full_extract=True))
    assert job.options.since is None
    assert house.mark(flow).mark == job.started - delta.OVERLAP


def test_two_edits_of_a_mark_do_not_overwrite_each_other(house):
    flow = copy_flow(house)
    with house.database.write() as tx:
        before = db_delta.get(tx, flow)
        delta.set_mark(tx, flow, NOON, by="anna")
        assert not db_delta.move(tx, before, mark=NOON, files=None, by="bert")
        stale = db_delta.get(tx, flow)
        delta.set_mark(tx, flow, NOON, by="carla")
        assert not db_delta.move(tx, stale, mark=NOON, files=None, by="dora")
        assert db_delta.get(tx, flow).updated_by == "carla"


def test_only_accounts_that_changed_since_the_mark_are_read(house):
    with running_site(people=50, seed=3) as site:
        flow = house.add(
            step("read", "datasource.read.gigya.account", select="UID", **site.params),
            step("csv", "file.format.dsv", fileName="all.csv", writeHeader=False, createEmptyFile=False),
            step("write", "datasource.write.local", path=str(house.folder / "out")),
        )
        assert house.run(flow, options=JobOptions(full_extract=True)).status is JobStatus.SUCCEEDED
        everyone = house.out()
        assert len(everyone) == 50
        with house.database.write() as tx:
            delta.set_mark(tx, flow, datetime.now(UTC), by="anna")
        site.call("accounts.setAccountInfo", UID=everyone[7], data='{"marker": 1}')
        time.sleep(1.2)  # a search shows it a second later
        house.run(flow)
        assert house.out() == [everyone[7]]


def test_an_edit_at_the_same_moment_as_a_job_is_told(house, monkeypatch):
    flow = copy_flow(house)
    monkeypatch.setattr(db_delta, "move", lambda *_, **__: False)
    with house.database.write() as tx, pytest.raises(FlowError) as caught:
        delta.reset(tx, flow, by="anna")
    assert caught.value.code == "LB-1731"
