"""Schedulers that are killed again and again start every planned run exactly once."""

import random
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from landbridge.dataflow.scheduling import Scheduling
from landbridge.jobs import db_dataflows, db_jobs, db_schedules
from landbridge.jobs.db import Database
from landbridge.jobs.db_dataflows import Content
from landbridge.jobs.planned import planned_id
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started

SCHEDULINGS = 300
SECONDS = 6


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server


@pytest.mark.parametrize("kind", ["file", "postgresql"])
def test_each_planned_run_is_started_once_however_often_schedulers_are_killed(kind, tmp_path, request):
    place = tmp_path / "data" if kind == "file" else request.getfixturevalue("postgres").url
    schedulers = 1 if kind == "file" else 2
    database = Database.open(place)
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)
    planned = [first + timedelta(seconds=number % SECONDS) for number in range(SCHEDULINGS)]
    with database.write() as tx:
        flow = db_dataflows.add(tx, Content(name="Flow", document='{"steps":[]}'), by="anna").id
        keys = {"dataflowId": flow, "frequencyType": "once", "landbridge": {"whileRunning": "allow"}}
        rows = [
            db_schedules.add(tx, Scheduling.from_json({**keys, "nextJobStartTime": at.isoformat()}), by="anna")
            for at in planned
        ]
    wanted = {planned_id(row.id, at) for row, at in zip(rows, planned, strict=True)}
    command = [sys.executable, "-m", "tests.crash.schedule_until_killed", str(place)]

    def begin():
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    processes = [begin() for _ in range(schedulers)]
    kills = 0
    dice = random.Random(7)
    try:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            time.sleep(dice.uniform(0.2, 1.6))
            with database.read() as tx:
                found = {job.id for job in db_jobs.listing(tx, limit=10_000)}
            if found >= wanted:
                break
            if kills < 5:
                at = dice.randrange(schedulers)
                processes[at].kill()
                processes[at].wait()
                processes[at] = begin()
                kills += 1
    finally:
        for process in processes:
            process.kill()
            process.wait()
    with database.read() as tx:
        jobs = db_jobs.listing(tx, limit=10_000)
        positions = {db_schedules.get(tx, row.id).planned_until for row in rows}
    database.close()
    assert kills >= 3
    assert Counter(job.id for job in jobs) == Counter(wanted)
    assert positions == set(planned)
