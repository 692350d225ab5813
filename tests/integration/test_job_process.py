"""The process of a job, when a fault of ours ends it."""

from datetime import UTC, datetime

from landbridge.jobs.child_process import ChildProcess
from landbridge.jobs.messages import Begin, Crashed


def test_a_fault_is_told_to_the_worker_and_not_printed(tmp_path, capfd):
    begin = Begin(
        job_id="j",
        flow="{}",
        kind="run",
        started=datetime.now(UTC),
        journal=str(tmp_path / "j"),
        seen_files={},
        chosen_files="",
        options={"limit": "no number"},
        stall_timeout_s=10,
    )
    process = ChildProcess(begin)
    try:
        [crashed] = [message for message in process.messages() if message is not None]
        assert isinstance(crashed, Crashed)
        assert "ValidationError" in crashed.traceback
        assert process.wait() == 1
    finally:
        process.kill()
        process.close()
    assert "Traceback" not in capfd.readouterr().err
