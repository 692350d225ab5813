"""What is old is forgotten, what is needed stays."""

import os
import time
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from landbridge.errors import FlowError
from landbridge.jobs import (
    db,
    db_dataflows,
    db_jobs,
    db_progress,
    db_rejects,
    db_tokens,
    db_users,
    db_workers,
    retention,
)
from landbridge.jobs.db import Database
from landbridge.jobs.db_dataflows import Content
from landbridge.jobs.db_jobs import Ending, JobStatus, NewJob
from landbridge.jobs.db_progress import TraceRow
from landbridge.jobs.db_rejects import Choice, NewReject
from landbridge.jobs.db_tables import dataflow, job, metadata, reject, token, worker
from landbridge.jobs.retention import Retention
from landbridge.jobs.roles import Role
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server


@pytest.fixture(params=["file", "postgresql"])
def database(request, tmp_path):
    place = tmp_path / "data" if request.param == "file" else request.getfixturevalue("postgres").url
    (tmp_path / "data" / "jobs").mkdir(parents=True)
    opened = Database.open(place)
    yield opened
    with opened.write() as tx:
        for table in reversed(metadata.sorted_tables):
            tx.execute(table.delete())
    opened.close()


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def flow_of(tx, name="flow"):
    return db_dataflows.add(tx, Content(name=name, document="{}"), by="anna")


def ended_job(tx, flow, id, *, days_ago, status=JobStatus.FAILED):
    db_jobs.add(tx, NewJob(id=id, dataflow_id=flow.id, dataflow_version=1, dataflow_name="flow", started_by="cli"))
    start = db_jobs.begin(tx, id, worker_id="w", host="h", landbridge_version="1").starts
    if status in db_jobs.ENDED:
        db_jobs.end(tx, id, Ending(status), start=start)
    moment = db.now(tx) - days_ago * DAY
    tx.execute(
        sa.update(job).where(job.c.id == id).values(created=moment, ended=moment if status in db_jobs.ENDED else None)
    )
    db_progress.add_trace(tx, id, [TraceRow(moment, "debug", "sample", sealed=b"x")])


def sweep(database, data):
    forgotten = []
    swept = retention.sweep(database, data, forget=forgotten.extend)
    return swept.counts, [job_id for job_id, _ in forgotten]


def test_old_jobs_go_but_the_last_ones_and_the_last_good_ones_stay(database, data):
    with database.write() as tx:
        flow, other = flow_of(tx), flow_of(tx)
        for number in range(20):
            status = JobStatus.SUCCEEDED if number < 8 else JobStatus.FAILED
            ended_job(tx, flow, f"j{number:02}", days_ago=200 - number, status=status)
        ended_job(tx, other, "other", days_ago=200)
        ended_job(tx, flow, "runs", days_ago=300, status=JobStatus.RUNNING)
    counts, forgotten = sweep(database, data)
    gone = ["j00", "j01", "j02", *(f"j{number:02}" for number in range(8, 15))]
    assert sorted(forgotten) == gone
    assert counts["jobs"] == len(gone)
    with database.read() as tx:
        left = {row.id for row in db_jobs.listing(tx, limit=100)}
    assert left == {"runs", "other", *(f"j{n:02}" for n in range(20))} - set(gone)
    assert sweep(database, data) == ({}, [])


def test_samples_go_before_the_lines_of_a_trace(database, data):
    with database.write() as tx:
        flow = flow_of(tx)
        for days in (1, 10, 40):
            ended_job(tx, flow, f"j{days}", days_ago=days)
    counts, _ = sweep(database, data)
    assert counts == {"samples": 2, "traces": 1}
    with database.read() as tx:
        traces = {days: db_progress.trace_of(tx, f"j{days}") for days in (1, 10, 40)}
    assert [line.sealed for line in traces[1]] == [b"x"]
    assert [line.sealed for line in traces[10]] == [None]
    assert traces[40] == []


def test_large_amounts_go_in_parts(database, data):
    with database.write() as tx:
        flow = flow_of(tx)
        ended_job(tx, flow, "j", days_ago=1)
        moment = db.now(tx) - 100 * DAY
        db_progress.add_trace(tx, "j", [TraceRow(moment, "info", "line") for _ in range(1201)])
    assert sweep(database, data)[0] == {"traces": 1201}


def test_a_removed_dataflow_goes_after_its_last_job(database, data):
    with database.write() as tx:
        used, unused, lives = flow_of(tx), flow_of(tx), flow_of(tx)
        ended_job(tx, used, "j", days_ago=1)
        for flow in (used, unused):
            db_dataflows.remove(tx, flow.id, by="anna")
        tx.execute(sa.update(dataflow).where(dataflow.c.removed.is_not(None)).values(removed=db.now(tx) - 100 * DAY))
    assert sweep(database, data)[0] == {"dataflows": 1}
    with database.read() as tx:
        assert set(tx.execute(sa.select(dataflow.c.id)).scalars()) == {used.id, lives.id}


def test_journals_stay_while_a_job_may_go_on_from_them(database, data):
    with database.write() as tx:
        flow = flow_of(tx)
        ended_job(tx, flow, "runs", days_ago=2, status=JobStatus.RUNNING)
        ended_job(tx, flow, "failed-now", days_ago=0)
        ended_job(tx, flow, "failed-long-ago", days_ago=2)
        ended_job(tx, flow, "succeeded", days_ago=0, status=JobStatus.SUCCEEDED)
    for name in ("runs", "failed-now", "failed-long-ago", "succeeded", "nobody", "new"):
        folder = data / "jobs" / name
        folder.mkdir()
        (folder / "lock").touch()
        (data / "jobs" / f"{name}.files.json").touch()
        for path in (folder, data / "jobs" / f"{name}.files.json"):
            if name != "new":
                os.utime(path, (time.time() - 3600,) * 2)
    assert sweep(database, data)[0] == {"journals": 6}
    left = {path.name.removesuffix(".files.json") for path in (data / "jobs").iterdir()}
    assert left == {"runs", "failed-now", "new"}


def test_old_rejects_go(database, data):
    with database.write() as tx:
        ended_job(tx, flow_of(tx), "j", days_ago=0)
        db_rejects.add(tx, "j", "write", [NewReject("1", "old", b"x"), NewReject("1", "new", b"x")])
        tx.execute(sa.update(reject).where(reject.c.message == "old").values(created=db.now(tx) - 40 * DAY))
    assert sweep(database, data)[0] == {"rejects": 1}
    with database.read() as tx:
        assert [row.message for row in db_rejects.listing(tx, Choice(job_id="j"))] == ["new"]


def test_workers_of_which_nothing_is_left_go(database, data):
    with database.write() as tx:
        for worker_id in ("gone", "stopped", "lives"):
            db_workers.add(tx, worker_id, host="h", process=1, landbridge_version="1", slots=1)
        db_workers.stop(tx, "gone", leaves_jobs=False)
        db_workers.stop(tx, "stopped", leaves_jobs=True)
        tx.execute(sa.update(worker).values(heartbeat=db.now(tx) - 100 * DAY))
    assert sweep(database, data)[0] == {"workers": 1}


def test_tokens_and_sessions_that_are_long_over_go(database, data):
    with database.write() as tx:
        user = db_users.add(tx, email="a@b.example", name="", role=Role.ADMIN, password_hash=None)
        moment = db.now(tx)
        long_ago, lately = moment - 400 * DAY, moment - DAY
        for name, expires, revoked in (
            ("lives", None, None),
            ("over", long_ago, None),
            ("over lately", lately, None),
            ("revoked", None, long_ago),
            ("revoked lately", None, lately),
        ):
            kind = "session" if name == "over" else "api"
            row = db_tokens.add(tx, user_id=user.id, kind=kind, name=name, secret_hash=name, expires=expires)
            tx.execute(sa.update(token).where(token.c.id == row.id).values(revoked=revoked))
    assert sweep(database, data)[0] == {"tokens": 2}
    with database.read() as tx:
        assert {row.name for row in db_tokens.listing(tx)} == {"lives", "over lately", "revoked lately"}


def test_what_is_set_counts_and_0_keeps_for_ever(database, data):
    with database.write() as tx:
        ended_job(tx, flow_of(tx), "j", days_ago=4000)
        Retention(traces=0, samples=0).save(tx, by="anna")
    assert sweep(database, data)[0] == {}
    with database.write() as tx:
        assert Retention.load(tx) == Retention(traces=0, samples=0)
        Retention(traces=5000, samples=3999).save(tx, by="anna")
    assert sweep(database, data)[0] == {"samples": 1}
    with pytest.raises(FlowError, match="LB-1708"), database.write() as tx:
        replace(Retention(), jobs=-1).save(tx, by="anna")


def test_of_two_workers_one_takes_over_from_a_dead_one(database):
    with database.write() as tx:
        for worker_id in ("dead", "a", "b"):
            db_workers.add(tx, worker_id, host="h", process=1, landbridge_version="1", slots=1)
        assert db_workers.dead(tx, by="a", lease_s=30) == []
        tx.execute(sa.update(worker).where(worker.c.id == "dead").values(heartbeat=db.now(tx) - DAY))
        assert db_workers.claim_dead(tx, by="a", lease_s=30) == ["dead"]
        assert db_workers.claim_dead(tx, by="b", lease_s=30) == []
        assert not db_workers.beat(tx, "dead")
        assert not db_workers.return_to_life(tx, "dead", lease_s=30)
        # The one that took over dies before it is done: another one takes over from it.
        tx.execute(sa.update(worker).where(worker.c.id == "dead").values(heartbeat=db.now(tx) - DAY))
        assert db_workers.claim_dead(tx, by="b", lease_s=30) == ["dead"]
        db_workers.gone(tx, "dead", by="a")
        assert db_workers.dead(tx, by="a", lease_s=0.0) != []
        db_workers.gone(tx, "dead", by="b")
        assert {row.id for row in db_workers.listing(tx)} == {"a", "b"}
        assert db_workers.return_to_life(tx, "dead", lease_s=30)
        assert db_workers.beat(tx, "dead")
