"""Scheduled exports and imports whose service is killed at random moments: nothing is lost, nothing is doubled.

``LANDBRIDGE_KILLS=100 pytest -s tests/crash/test_jobs_killed.py`` does the long version and prints its figures.
"""

import json
import os
import random
import sys
import time
from collections import Counter

import pytest

from landbridge.jobs.db_jobs import JobStatus
from landbridge.jobs.delta import OVERLAP
from landbridge.site.app import Application
from tests.contract.gigya.local_site import running_site
from tests.servers.landbridge_service import Process, State
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started

KILLS = int(os.environ.get("LANDBRIDGE_KILLS", "3"))
PEOPLE = 200
IMPORTED = 120
CONNECTIONS = 2
UNIT = 10 * CONNECTIONS
JOB_S = 2.5
"""About how long a job takes when nothing kills it."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(60 + KILLS * 40)]


@pytest.fixture(scope="module")
def site():
    with running_site(people=PEOPLE, seed=5) as site:
        site.fail(method="accounts.setAccountInfo", delay_s=0.02, probability=1.0)
        yield site


@pytest.fixture
def writes(monkeypatch):
    """How often each account was written, as the site sees it."""
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


@pytest.fixture
def environ(folder, site):
    return {**os.environ, **site.environ, "LANDBRIDGE_HOME": str(folder / "home")}


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server


def export_flow(folder):
    return {
        "name": "export",
        "steps": [
            {
                "id": "read",
                "type": "datasource.read.gigya.account",
                "params": {"select": "UID,data.marker", "batchSize": 20},
                "next": ["json"],
            },
            {
                "id": "json",
                "type": "file.format.json",
                "params": {"fileName": "export_${jobId}.jsonl", "layout": "lines"},
                "next": ["write"],
            },
            {"id": "write", "type": "datasource.write.local", "params": {"path": str(folder / "out")}},
        ],
    }


def import_flow(folder):
    return {
        "name": "import",
        "steps": [
            {"id": "read", "type": "datasource.read.local", "params": {"path": str(folder / "in")}, "next": ["parse"]},
            {"id": "parse", "type": "file.parse.json", "next": ["update"]},
            {
                "id": "update",
                "type": "datasource.write.gigya.account",
                "params": {"maxConnections": CONNECTIONS},
                "next": ["report"],
                "error": [],
            },
            {
                "id": "report",
                "type": "file.format.json",
                "params": {"fileName": "imported_${jobId}.jsonl", "layout": "lines"},
                "next": ["write"],
            },
            {"id": "write", "type": "datasource.write.local", "params": {"path": str(folder / "out")}},
        ],
    }


class Rounds:
    """Each round imports a new file and exports everybody, by schedulings, under fire."""

    def __init__(self, folder, site, writes, state):
        self.folder, self.site, self.writes, self.state = folder, site, writes, state
        self.importing = state.add_flow(import_flow(folder))
        self.exporting = state.add_flow(export_flow(folder))
        self.uids = [row["UID"] for row in site.search("SELECT UID FROM accounts LIMIT 1000")]
        self.kills = self.starts = self.jobs = self.repeated = 0

    def run(self, number, fire, *, timeout_s):
        """``fire`` kills something, and gives how often."""
        self.writes.clear()
        chosen = random.Random(number).sample(self.uids, IMPORTED)
        partial = self.folder / f"{number}.jsonl"
        partial.write_text("".join(json.dumps({"UID": uid, "data": {"marker": f"m{number}"}}) + "\n" for uid in chosen))
        partial.rename(self.folder / "in" / f"{number}.jsonl")
        before = self.state.mark(self.importing)
        ids = [
            self.state.schedule_once(self.importing, f"import {number}"),
            self.state.schedule_once(self.exporting, f"export {number}", full_extract=True),
        ]
        kills = fire()
        jobs = self.state.wait(ids, timeout_s=timeout_s)
        assert [job.status for job in jobs] == [JobStatus.SUCCEEDED] * 2, [(job.error, job.reason) for job in jobs]
        assert [job.scheduling_id for job in jobs] == ids, "a planned run was started twice"
        self.check_import(jobs[0], number, chosen, before, kills)
        self.check_export(jobs[1])
        self.kills += kills
        self.starts += sum(job.starts for job in jobs)
        self.jobs += len(jobs)
        for path in (self.folder / "out").iterdir():
            path.unlink()

    def check_import(self, job, number, chosen, before, kills):
        found = self.site.search("SELECT UID, data.marker FROM accounts LIMIT 1000")
        marked = {row["UID"] for row in found if row.get("data", {}).get("marker") == f"m{number}"}
        assert marked == set(chosen), "lost updates"
        repeated = sum(self.writes.values()) - IMPORTED
        assert set(self.writes) == set(chosen)
        assert 0 <= repeated <= UNIT * kills, "more was repeated than what was under way"
        self.repeated += repeated
        assert [row["UID"] for row in self.delivered(f"imported_{job.id}.jsonl")] == chosen
        assert (job.records_in, job.rejected) == (IMPORTED, 0)
        after = self.state.mark(self.importing)
        assert after.revision == before.revision + 1, "the mark moves once for each job"
        assert after.mark == job.started - OVERLAP
        assert self.state.last_runtime(self.importing) == job.started

    def check_export(self, job):
        names = sorted(path.name for path in (self.folder / "out").iterdir() if "imported" not in path.name)
        assert names == [f"export_{job.id}.jsonl"]
        assert sorted(row["UID"] for row in self.delivered(names[0])) == sorted(self.uids), "lost or doubled records"
        assert job.records_in == PEOPLE

    def delivered(self, name):
        return [json.loads(line) for line in (self.folder / "out" / name).read_text().splitlines()]

    def print_figures(self, what, processes):
        sys.stdout.write(
            f"\n{what}: {self.kills} kills, which ended {sum(p.children_killed for p in processes)} jobs at work; "
            f"{self.jobs} jobs were begun {self.starts} times, all succeeded; {self.repeated} of "
            f"{self.jobs // 2 * IMPORTED:,} writes repeated; nothing lost, no file doubled, marks right\n"
        )


def some_time(chance, processes):
    """Until a random moment of a job, or now and then of the time around it."""
    deadline = time.monotonic() + 5
    while chance.random() < 0.999 and time.monotonic() < deadline and not any(p.children() for p in processes):
        time.sleep(0.02)
    time.sleep(chance.uniform(0, JOB_S))


def test_on_a_data_folder(folder, site, writes, environ):
    chance = random.Random(20)
    data = folder / "data"
    state = State(data, data)
    rounds = Rounds(folder, site, writes, state)
    arguments = ["serve", "--data", str(data), "--port", "0", "--slots", "2"]
    service = Process(arguments, environ, folder / "log")

    def fire():
        kills = chance.choice([1, 2])
        for _ in range(kills):
            some_time(chance, [service])
            if chance.random() < 0.3:
                service.kill_a_child() or time.sleep(0.5)
            else:
                service.kill()
                service.start()
        return kills

    try:
        number = 0
        while rounds.kills < KILLS:
            number += 1
            rounds.run(number, fire, timeout_s=150)
    finally:
        service.stop()
        state.close()
    rounds.print_figures("data folder", [service])


def test_on_postgresql_with_two_workers(folder, site, writes, environ, postgres):
    chance = random.Random(21)
    data = folder / "data"
    state = State(postgres.url, data)
    rounds = Rounds(folder, site, writes, state)
    common = ["--data", str(data), "--database", postgres.url, "--slots", "1", "--lease", "5"]
    workers = [
        Process(["serve", "--port", "0", *common], environ, folder / "log1"),
        Process(["serve", "--port", "0", *common], environ, folder / "log2"),
    ]

    def fire():
        kills = chance.choice([1, 2])
        for _ in range(kills):
            some_time(chance, workers)
            victim = chance.choice([worker for worker in workers if worker.children()] or workers)
            if chance.random() < 0.2:
                victim.kill_a_child() or time.sleep(0.5)
            else:
                victim.kill()
                if chance.random() < 0.5:
                    time.sleep(6)  # the other one takes over
                victim.start()
        return kills

    try:
        number = 0
        while rounds.kills < KILLS:
            number += 1
            rounds.run(number, fire, timeout_s=150)
    finally:
        for worker in workers:
            worker.stop()
        state.close()
    rounds.print_figures("PostgreSQL, two workers", workers)
