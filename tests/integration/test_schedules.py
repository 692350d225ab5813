"""The scheduler on a real database: each planned run once, in time, under the policies of its scheduling."""

import os
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
import pytest

from landbridge.dataflow.scheduling import Scheduling
from landbridge.errors import FlowError
from landbridge.jobs import db_dataflows, db_jobs, db_schedules
from landbridge.jobs.db import Database
from landbridge.jobs.db_dataflows import Content
from landbridge.jobs.db_jobs import Ending, JobStatus
from landbridge.jobs.db_tables import metadata
from landbridge.jobs.planned import planned_id, start_planned
from landbridge.jobs.schedules import Scheduler
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server


@pytest.fixture(params=["file", "postgresql"])
def database(request, tmp_path):
    place = tmp_path / "data" if request.param == "file" else request.getfixturevalue("postgres").url
    opened = Database.open(place)
    with opened.write() as tx:
        for table in reversed(metadata.sorted_tables):
            tx.execute(table.delete())
    yield opened
    opened.close()


@pytest.fixture
def in_file(tmp_path):
    opened = Database.open(tmp_path / "data")
    yield opened
    opened.close()


class Clock:
    """A clock that is set by hand."""

    def __init__(self, start):
        self.now = start

    def __call__(self):
        return self.now


class Jobs:
    """Asks for jobs as the service does, and remembers when."""

    def __init__(self):
        self.runs = []
        self.fail = None

    def __call__(self, tx, runs):
        if self.fail:
            raise self.fail
        failures = start_planned(tx, runs)
        self.runs += [(run, datetime.now(UTC)) for run in runs if run.id not in failures]
        return failures

    @property
    def planned(self):
        return [run.planned for run, _ in self.runs]


def flow(database, name="Export"):
    with database.write() as tx:
        return db_dataflows.add(tx, Content(name=name, document='{"steps":[]}'), by="anna").id


def stored(database, dataflow, **keys):
    with database.write() as tx:
        return db_schedules.add(tx, Scheduling.from_json({"name": "s", "dataflowId": dataflow, **keys}), by="anna")


def written(moment):
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def begin_and_end(database, job, status=JobStatus.SUCCEEDED):
    with database.write() as tx:
        row = db_jobs.begin(tx, job, worker_id="w", host="h", landbridge_version="0")
        db_jobs.end(tx, job, Ending(status), start=row.starts)


@contextmanager
def clocked(database, start):
    clock, jobs = Clock(start), Jobs()
    yield clock, jobs, Scheduler(database, jobs, clock=clock)


def serve_until(scheduler, done, *, timeout_s):
    """Run a scheduler as the service does, until ``done``."""

    def watch():
        time.sleep(0.3)
        end = time.monotonic() + timeout_s
        while not done() and time.monotonic() < end:
            time.sleep(0.05)

    async def serve():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.run)
            await anyio.to_thread.run_sync(watch)
            tasks.cancel_scope.cancel()

    anyio.run(serve)


START = datetime(2026, 1, 5, 6, tzinfo=UTC)


def test_a_scheduling_runs_at_its_times_and_its_options_reach_the_job(database):
    row = stored(
        database,
        flow(database),
        frequencyType="hour",
        nextJobStartTime=written(START),
        limit=7,
        fullExtract=True,
        logLevel="debug",
    )
    with clocked(database, START - MINUTE) as (clock, jobs, scheduler):
        scheduler.tick()
        assert jobs.runs == []
        for hours in range(3):
            clock.now = START + timedelta(hours=hours)
            scheduler.tick()
            begin_and_end(database, planned_id(row.id, clock.now))
        assert jobs.planned == [START, START + timedelta(hours=1), START + timedelta(hours=2)]
        options = jobs.runs[0][0].options
        assert (options.limit, options.full_extract, options.log_level) == (7, True, "debug")
        with database.read() as tx:
            after = db_schedules.get(tx, row.id)
        assert after.planned_until == START + timedelta(hours=2)
        assert after.next_start == START + timedelta(hours=3)
        assert after.job_id == f"{row.id}@20260105T080000Z"


def test_two_schedulers_never_start_the_same_planned_run_twice(database):
    dataflow = flow(database)
    rows = [
        stored(database, dataflow, frequencyType="minute", nextJobStartTime=written(START), landbridge=settings)
        for settings in [{"whileRunning": "allow", "misfire": "runAll", "misfireLimit": 30}] * 40
    ]
    clock, all_jobs = Clock(START - MINUTE), [Jobs() for _ in range(3)]
    schedulers = [Scheduler(database, jobs, clock=clock) for jobs in all_jobs]
    for scheduler in schedulers:
        scheduler.tick()
    barrier = threading.Barrier(len(schedulers))
    failures = []

    def work(scheduler):
        try:
            for _ in range(5):
                barrier.wait(timeout=60)
                scheduler.tick()
        except Exception as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=work, args=(scheduler,)) for scheduler in schedulers]
    clock.now = START + timedelta(minutes=9)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    ids = [run.id for jobs in all_jobs for run, _ in jobs.runs]
    assert len(ids) == len(set(ids)) == 40 * 10
    with database.read() as tx:
        assert {db_schedules.get(tx, row.id).planned_until for row in rows} == {clock.now}


def test_a_run_whose_job_exists_is_not_doubled_when_the_position_was_lost(in_file):
    row = stored(in_file, flow(in_file), frequencyType="hour", nextJobStartTime=written(START))
    with clocked(in_file, START) as (_, jobs, scheduler):
        scheduler.tick()
        assert len(jobs.runs) == 1
    with in_file.write() as tx:  # as if a backup of the table had been brought back
        tx.exec_driver_sql(f"UPDATE scheduling SET planned_until = '2026-01-05 05:59:59.000000' WHERE id = '{row.id}'")
        tx.exec_driver_sql("UPDATE job SET status = 'succeeded'")
    with clocked(in_file, START) as (_, jobs, scheduler):
        scheduler.tick()
        assert len(jobs.runs) == 1
    with in_file.read() as tx:
        assert len(db_jobs.listing(tx)) == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, [7]), ({"misfire": "skip"}, []), ({"misfire": "runAll"}, [1, 2, 3, 4, 5, 6, 7]),
     ({"misfire": "runAll", "misfireLimit": 2}, [6, 7])],
)  # fmt: skip
def test_after_an_outage_the_misfire_policy_tells_what_runs(in_file, settings, expected):
    stored(
        in_file,
        flow(in_file),
        frequencyType="day",
        nextJobStartTime="2026-11-01T06:00:00Z",
        landbridge={"timeZone": "Europe/Zurich", **settings},
    )
    with clocked(in_file, datetime(2026, 11, 7, 6, 30, tzinfo=UTC)) as (_, jobs, scheduler):
        scheduler.tick()
        assert [planned.day for planned in jobs.planned] == expected
        assert all(planned.hour == 6 for planned in jobs.planned)
        scheduler.tick()
        assert len(jobs.runs) == len(expected)


@pytest.mark.parametrize(
    ("policy", "while_waiting", "while_running"), [("queue", 0, 1), ("skip", 0, 0), ("allow", 1, 1)]
)
def test_while_a_job_of_the_dataflow_has_not_ended_the_policy_tells_what_runs(
    in_file, policy, while_waiting, while_running
):
    row = stored(
        in_file,
        flow(in_file),
        frequencyType="hour",
        nextJobStartTime=written(START),
        landbridge={"whileRunning": policy},
    )
    with clocked(in_file, START) as (clock, jobs, scheduler):
        scheduler.tick()
        first = jobs.runs[0][0].id
        clock.now += timedelta(hours=1)
        scheduler.tick()
        assert len(jobs.runs) == 1 + while_waiting
        if while_waiting:
            begin_and_end(in_file, jobs.runs[1][0].id)
        with in_file.write() as tx:
            db_jobs.begin(tx, first, worker_id="w", host="h", landbridge_version="0")
        before = len(jobs.runs)
        clock.now += timedelta(hours=1)
        scheduler.tick()
        assert len(jobs.runs) == before + while_running
        assert all(run.options.may_overlap is (policy == "allow") for run, _ in jobs.runs)
        with in_file.read() as tx:
            assert db_schedules.get(tx, row.id).planned_until == clock.now


def test_keep_updated_starts_again_a_pause_after_each_end(database):
    row = stored(
        database,
        flow(database),
        frequencyType="minute",
        nextJobStartTime=written(datetime.now(UTC) - timedelta(hours=1)),
        landbridge={"keepUpdatedPauseSeconds": 60},
    )
    with clocked(database, datetime.now(UTC)) as (clock, jobs, scheduler):
        scheduler.tick()
        assert jobs.planned == [row.schedule.timetable.start]
        clock.now += timedelta(hours=1)
        scheduler.tick()
        assert len(jobs.runs) == 1  # the first has not ended
        begin_and_end(database, jobs.runs[0][0].id)
        clock.now = datetime.now(UTC) + timedelta(seconds=55)
        scheduler.tick()
        assert len(jobs.runs) == 1
        clock.now = datetime.now(UTC) + timedelta(seconds=62)
        scheduler.tick()
        scheduler.tick()
        assert len(jobs.runs) == 2


def test_a_change_takes_effect_and_starts_nothing_by_itself(database):
    dataflow = flow(database)
    keys = {"name": "s", "dataflowId": dataflow, "frequencyType": "hour", "nextJobStartTime": written(START)}
    row = stored(database, dataflow, **keys)
    with clocked(database, START) as (clock, jobs, scheduler):
        scheduler.tick()
        clock.now = START + timedelta(minutes=30)
        change = partial(Scheduling.from_json)
        before = datetime.now(UTC) - timedelta(seconds=1)
        with database.write() as tx:
            # The client sends back the next start that it was shown, and another interval.
            shown = {**keys, "nextJobStartTime": written(START + timedelta(hours=1)), "frequencyInterval": 3}
            db_schedules.change(tx, row.id, change(shown), by="bert")
        scheduler.tick()
        assert len(jobs.runs) == 1
        with database.read() as tx:
            after = db_schedules.get(tx, row.id)
        assert after.schedule.timetable.start == START
        assert (after.revision, after.updated_by) == (2, "bert")
        assert after.planned_until >= before  # what was planned until now is settled
        with database.write() as tx:
            db_schedules.change(tx, row.id, change({**keys, "enabled": False}), by="bert")
        clock.now = START + timedelta(hours=5)
        scheduler.tick()
        assert len(jobs.runs) == 1
        with database.write() as tx:
            db_schedules.remove(tx, row.id, by="test")
        with database.read() as tx, pytest.raises(FlowError, match="there is no scheduling"):
            db_schedules.get(tx, row.id)


def test_a_scheduling_that_two_people_change_keeps_the_first_change(in_file):
    dataflow = flow(in_file)
    row = stored(in_file, dataflow, frequencyType="hour")
    scheduling = Scheduling.from_json({"name": "t", "dataflowId": dataflow})
    with in_file.write() as tx:
        db_schedules.change(tx, row.id, scheduling, by="bert", expected_revision=1)
    with in_file.write() as tx, pytest.raises(FlowError) as caught:
        db_schedules.change(tx, row.id, scheduling, by="carla", expected_revision=1)
    assert caught.value.code == "LB-1723"
    assert "bert" in caught.value.message


def test_switched_on_again_it_does_not_catch_up(in_file):
    dataflow = flow(in_file)
    keys = {"name": "s", "dataflowId": dataflow, "frequencyType": "minute", "nextJobStartTime": written(START)}
    row = stored(in_file, dataflow, **keys, enabled=False)
    now = datetime.now(UTC)
    with in_file.write() as tx:
        changed = db_schedules.change(tx, row.id, Scheduling.from_json(keys), by="bert")
    assert changed.planned_until >= now
    once = {"name": "o", "dataflowId": dataflow, "frequencyType": "once", "nextJobStartTime": "2026-01-01T00:00:00Z"}
    waiting = stored(in_file, dataflow, **once, enabled=False)
    with in_file.write() as tx:
        db_schedules.change(tx, waiting.id, Scheduling.from_json(once), by="bert")
    with clocked(in_file, datetime.now(UTC)) as (_, jobs, scheduler):
        scheduler.tick()
        assert [run.scheduling_id for run, _ in jobs.runs] == [waiting.id]


def test_a_job_that_cannot_be_made_does_not_hold_up_the_others(in_file, caplog):
    good, bad = flow(in_file), flow(in_file, "gone")
    for dataflow in (bad, good):
        stored(in_file, dataflow, frequencyType="hour", nextJobStartTime=written(START))
    with clocked(in_file, START - MINUTE) as (clock, jobs, scheduler):
        scheduler.tick()
        with in_file.write() as tx:  # it is gone, and the scheduler has not noticed yet
            tx.exec_driver_sql(f"UPDATE dataflow SET removed = created WHERE id = '{bad}'")
        clock.now = START
        scheduler.tick()
        assert [run.dataflow_id for run, _ in jobs.runs] == [good]
        assert "cannot start" in caplog.text
        caplog.clear()
        flow(in_file, "another")
        clock.now += timedelta(hours=1)
        scheduler.tick()
        assert "cannot start" not in caplog.text


def test_a_fault_in_the_middle_of_a_batch_loses_nothing(in_file):
    for _ in range(5):
        stored(in_file, flow(in_file), frequencyType="hour", nextJobStartTime=written(START))
    with clocked(in_file, START) as (_, jobs, scheduler):
        jobs.fail = OSError("the disk is gone")
        with pytest.raises(OSError, match="disk"):
            scheduler.tick()
        jobs.fail = None
        scheduler.tick()
        assert len(jobs.runs) == 5


def test_a_thousand_schedules_fire_within_two_seconds_of_their_instant(in_file):
    """All at the same instant, while the scheduler sleeps: the hardest case."""
    dataflows = [flow(in_file, f"flow {number}") for number in range(200)]

    def add(count, start):
        with in_file.write() as tx:
            for number in range(count):
                keys = {"name": "s", "dataflowId": dataflows[number % 200], "nextJobStartTime": written(start)}
                zone = {"timeZone": "Europe/Zurich", "whileRunning": "allow"}
                kind = ("once", "minute", "hour", "day", "week")[number % 5]
                db_schedules.add(tx, Scheduling.from_json({**keys, "frequencyType": kind, "landbridge": zone}), by="a")

    begun = time.monotonic()
    add(100, datetime.now(UTC) + timedelta(days=400))
    prepare_s = (time.monotonic() - begun) * 10
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4 + 2 * prepare_s)
    start = start.replace(microsecond=0)
    add(1000, start)
    jobs = Jobs()
    serve_until(Scheduler(in_file, jobs), lambda: len(jobs.runs) == 1000, timeout_s=60)
    lateness = [(at - run.planned).total_seconds() for run, at in jobs.runs]
    assert len(lateness) == 1000
    assert min(lateness) >= 0
    if max(lateness) >= 2 and os.getloadavg()[0] > 2 * os.cpu_count():
        pytest.skip(f"others keep this machine busy (load {os.getloadavg()[0]}): {max(lateness):.1f} s")
    assert max(lateness) < 2


def test_a_new_scheduling_is_noticed_while_the_scheduler_sleeps(database):
    jobs = Jobs()
    asked = []

    def ask_later():
        if not asked:
            asked.append(stored(database, flow(database), frequencyType="once").id)
        return bool(jobs.runs)

    serve_until(Scheduler(database, jobs), ask_later, timeout_s=40)
    assert [run.scheduling_id for run, _ in jobs.runs] == asked
