"""Schedules, delta and alerts in a running service, from the planned instant to the file and the mail."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from landbridge.dataflow import Dataflow
from landbridge.dataflow.scheduling import Scheduling
from landbridge.jobs import db_dataflows, db_jobs, db_schedules
from landbridge.jobs.documents import Documents
from landbridge.jobs.planned import planned_id
from landbridge.jobs.vault import Vault
from landbridge.server.service import ServiceSettings, running
from tests.integration.command import step
from tests.servers.mail import Mailbox


@pytest.fixture
def mailbox(monkeypatch):
    with Mailbox() as found:
        monkeypatch.setenv("LANDBRIDGE_SMTP", found.url)
        yield found


def wait_for(look, timeout_s=60):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s} s")


def test_a_scheduling_delivers_at_its_time_and_tells_by_mail(tmp_path, mailbox):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "a.csv").write_text("id\n1\n")
    steps = [
        step("read", "datasource.read.local", path=str(tmp_path / "in")) | {"next": ["write"]},
        step("write", "datasource.write.local", path=str(tmp_path / "out")),
    ]
    flow = Dataflow.load(json.dumps({"name": "Copy", "steps": steps}))
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)
    data = tmp_path / "data"
    with running(ServiceSettings(data=data, port=0)) as service:
        with service.database.write() as tx:
            dataflow = db_dataflows.add(tx, Documents(Vault.open(data)).content(flow), by="anna").id
            keys = {"successEmailNotification": "good@example.com", "failureEmailNotification": "bad@example.com"}
            times = {"frequencyType": "day", "nextJobStartTime": due.isoformat()}
            row = db_schedules.add(tx, Scheduling.from_json({"dataflowId": dataflow, **keys, **times}), by="anna")

        def ended():
            with service.database.read() as tx:
                return [job for job in db_jobs.listing(tx) if job.ended]

        (job,) = wait_for(ended)
        assert (job.id, job.status, job.planned) == (planned_id(row.id, due), "succeeded", due)
        assert timedelta(0) <= job.created - due < timedelta(seconds=2)
        assert (tmp_path / "out" / "a.csv").read_text() == "id\n1\n"
        wait_for(lambda: mailbox.mails)
    ((recipients, message),) = mailbox.mails
    assert recipients == ["good@example.com"]
    assert message["Subject"] == 'landbridge: "Copy" succeeded'
    with running(ServiceSettings(data=data, port=0)) as service:  # starts nothing again
        time.sleep(1.5)
        with service.database.read() as tx:
            assert len(db_jobs.listing(tx)) == 1
            after = db_schedules.get(tx, row.id)
    assert after.next_start == due + timedelta(days=1)
