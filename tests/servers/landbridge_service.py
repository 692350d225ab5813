"""Services and workers of landbridge as processes of their own, and their database seen from outside."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from landbridge.dataflow import Dataflow, Scheduling
from landbridge.jobs import db_dataflows, db_delta, db_jobs, db_schedules, jobs, tokens, users
from landbridge.jobs.db import Database
from landbridge.jobs.db_jobs import JobStatus
from landbridge.jobs.documents import Documents
from landbridge.jobs.flows import store
from landbridge.jobs.job_options import JobOptions
from landbridge.jobs.roles import Role
from landbridge.jobs.vault import Vault

START_TIMEOUT_S = 40
CHILD_TIMEOUT_S = 20
HELPER_TIMEOUT_S = 20


@dataclass
class Process:
    """A service or worker in a process of its own; it is ready when the constructor returns."""

    arguments: list[str]
    environ: dict[str, str]
    log: Path
    process: subprocess.Popen = field(init=False)
    children_killed: int = 0

    def __post_init__(self):
        self.start()

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "landbridge", *self.arguments],
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line.startswith("{"):
            line = json.loads(line)["message"]
        self.url = line.split()[-1] if line.startswith("service") else ""
        assert line, f"{self.arguments} did not start:\n{self.log.read_text()[-3000:]}"

    def children(self) -> list[int]:
        """The processes of jobs, which are forked by a server that the service has started."""
        return [job for server in children_of(self.process.pid) for job in children_of(server)]

    def kill(self):
        """Kill the process with signal 9; the jobs that it runs must end, too."""
        children, others = self.children(), children_of(self.process.pid)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._wait_for_end(children, CHILD_TIMEOUT_S)
        self._wait_for_end(others, HELPER_TIMEOUT_S)  # one that is still loading notices later
        self.children_killed += len(children)

    def _wait_for_end(self, pids, timeout_s):
        deadline = time.monotonic() + timeout_s
        while any(is_running(pid) for pid in pids):
            assert time.monotonic() < deadline, f"processes outlive their service: {pids}"
            time.sleep(0.01)

    def kill_a_child(self) -> bool:
        """Kill the process of one job with signal 9; False when there is none."""
        children = self.children()
        if children:
            os.kill(children[0], signal.SIGKILL)
            self.children_killed += 1
        return bool(children)

    def stop(self):
        """Stop in order."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in tasks.read_text().split()]
        except OSError:
            continue
    return found


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class State:
    """The database of services, seen from outside."""

    def __init__(self, place: Path | str, data: Path) -> None:
        self.database = Database.open(place)
        self.documents = Documents(Vault.open(data))

    def close(self):
        self.database.close()

    def token(self, role: str, *, email: str = "") -> str:
        """The token of a new user with this role."""
        with self.database.write() as tx:
            user = users.add(
                tx,
                email=email or f"{secrets.token_hex(4)}@test.example",
                role=Role(role),
                password_hash=None,
                by="test",
            )
            return tokens.add(tx, user_id=user.id, name="test", most=Role.ADMIN, by="test").secret

    def start(self, dataflow_id: str, **options):
        """Ask for a job."""
        with self.database.write() as tx:
            return jobs.start(tx, dataflow_id, by="test", options=JobOptions(**options)).id

    def job(self, job_id: str):
        with self.database.read() as tx:
            return db_jobs.get(tx, job_id)

    def wait_for(self, job_id: str, *status: JobStatus, timeout_s: float = 90):
        """The job when it is in one of these states, or has ended."""
        deadline = time.monotonic() + timeout_s
        while (job := self.job(job_id)).status not in (status or db_jobs.ENDED):
            assert job.status not in db_jobs.ENDED, (job.status, job.error)
            assert time.monotonic() < deadline, (job.status, job.starts, job.admitted)
            time.sleep(0.05)
        return job

    def add_flow(self, document: dict) -> str:
        flow, problems = Dataflow.from_json(document)
        assert not problems
        with self.database.write() as tx:
            return store(tx, self.documents, flow, by="test").row.id

    def schedule_once(self, dataflow_id: str, name: str, *, full_extract: bool = False) -> str:
        """A scheduling whose time has come."""
        scheduling = Scheduling.from_json(
            {
                "name": name,
                "dataflowId": dataflow_id,
                "frequencyType": "once",
                "nextJobStartTime": "2026-01-02T03:04:05.000Z",
                "fullExtract": full_extract,
            }
        )
        with self.database.write() as tx:
            return db_schedules.add(tx, scheduling, by="test").id

    def jobs(self, scheduling_id: str):
        with self.database.read() as tx:
            return db_jobs.listing(tx, scheduling_id=scheduling_id)

    def wait(self, scheduling_ids, *, timeout_s: float):
        """The jobs of the schedulings when all of them have ended."""
        deadline = time.monotonic() + timeout_s
        while True:
            jobs = [job for scheduling in scheduling_ids for job in self.jobs(scheduling)]
            if len(jobs) >= len(scheduling_ids) and all(job.status in db_jobs.ENDED for job in jobs):
                return jobs
            assert time.monotonic() < deadline, [(job.id, job.status, job.starts) for job in jobs]
            time.sleep(0.1)

    def mark(self, dataflow_id: str):
        with self.database.read() as tx:
            return db_delta.get(tx, dataflow_id)

    def last_runtime(self, dataflow_id: str):
        with self.database.read() as tx:
            return db_dataflows.get(tx, dataflow_id).last_runtime
