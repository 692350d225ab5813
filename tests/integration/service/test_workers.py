"""Services and workers beside each other: one for a data folder, many on PostgreSQL."""

import signal
import sqlite3
import threading
import time

from landbridge.jobs import db_progress
from landbridge.jobs.db_jobs import JobStatus
from tests.integration.service.parts import PEOPLE, RUNNING, UNIT, local_flow, slow_flow, wait_until
from tests.servers.landbridge_service import State, is_running


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
    place = postgres.new_database()
    shared = ("--database", place, "--slots", "1")
    serve(*shared)
    serve(*shared, name="worker")
    state = State(place, folder / "data")
    try:
        ids = [state.start(state.add_flow(slow_flow(folder, site, f"shared{number}"))) for number in range(2)]
        done = [state.wait_for(job_id) for job_id in ids]
        assert [(job.status, job.starts) for job in done] == [(JobStatus.SUCCEEDED, 1)] * 2
        assert len({job.worker_id for job in done}) == 2
    finally:
        state.close()


def test_a_frozen_worker_loses_its_job_and_does_no_harm_when_it_wakes(folder, site, writes, postgres, serve):
    place = postgres.new_database()
    shared = ("--database", place, "--slots", "1", "--lease", "5")
    workers = [serve(*shared, name="worker") for _ in range(2)]
    state = State(place, folder / "data")
    try:
        job_id = state.start(state.add_flow(slow_flow(folder, site, "frozen")))
        state.wait_for(job_id, RUNNING)
        wait_until(lambda: len(writes) > 5)
        [frozen] = [worker for worker in workers if worker.children()]
        [child] = frozen.children()
        frozen.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: not is_running(child))
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
