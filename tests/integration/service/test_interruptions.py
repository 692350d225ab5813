"""Jobs that are cancelled, stopped, killed and handed on."""

import fcntl
import os
import shutil
import signal
import time

from landbridge.jobs import db_workers, jobs
from landbridge.jobs.db_jobs import JobStatus
from tests.integration.service.parts import PEOPLE, RUNNING, UNIT, local_flow, names, slow_flow, steps_of, wait_until
from tests.servers.landbridge_service import children_of, is_running


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


def test_a_job_is_stopped_at_its_time_limit(folder, site, common, state):
    job = state.wait_for(state.start(state.add_flow(slow_flow(folder, site)), time_limit_s=2))
    assert (job.status, job.reason, job.error["code"]) == (JobStatus.FAILED, "time_limit", "LB-6004")
    assert names(folder) == []


def test_a_stopped_service_hands_jobs_back_and_the_next_one_goes_on_with_them(folder, site, writes, serve, state):
    service = serve("--grace", "0")
    job_id = state.start(state.add_flow(slow_flow(folder, site)))
    state.wait_for(job_id, RUNNING)
    wait_until(lambda: len(writes) > 3)
    service.stop()
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
    service.process.wait(60)
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
