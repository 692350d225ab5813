"""Alerts, from the end of a job to a mail server and a webhook that really take them."""

import asyncio
import hashlib
import hmac
import json
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from landbridge.dataflow.scheduling import Scheduling
from landbridge.errors import FlowError
from landbridge.jobs import alerts, db_alerts, db_approvals, db_dataflows, db_jobs, db_schedules, jobs
from landbridge.jobs.alert_delivery import AlertDelivery
from landbridge.jobs.alert_rules import read_settings
from landbridge.jobs.db import Database
from landbridge.jobs.db_dataflows import Content
from landbridge.jobs.db_jobs import Ending, JobStatus
from landbridge.jobs.db_tables import job as job_table, scheduling as scheduling_table
from landbridge.jobs.job_options import JobOptions
from landbridge.jobs.vault import Vault
from landbridge.remote.mail import MailServer
from tests.servers.certificate import make_certificate
from tests.servers.mail import Mailbox

NO_WAIT = (timedelta(0),) * 3
SECRET_ERROR = {"code": "LB-2205", "step": "sftp", "message": "bob@example.com: wrong password hunter2", "hint": None}
FAILED = Ending(JobStatus.FAILED, "", SECRET_ERROR)
SUCCEEDED = Ending(JobStatus.SUCCEEDED)
STOPPED = Ending(JobStatus.WAITING_FOR_APPROVAL, "guard", {"code": "LB-5202", "step": "write", "message": "m"})
WITH_REJECTS = Ending(JobStatus.SUCCEEDED_WITH_ERRORS)
GUARD = {
    "guard": "optOuts",
    "step": "write",
    "code": "LB-5202",
    "message": "150 opt-outs of 152 records; 40 are allowed",
    "counts": {"optOuts": 150, "records": 152, "more": 150, "allowed": 40},
    "approval": "0a1b2c",
}


class Hook:
    """A webhook that keeps what it gets and answers as it is told."""

    def __init__(self):
        self.calls = []
        self.answers = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.calls.append((dict(self.headers), body))
                status, text = hook.answers.pop(0) if hook.answers else (200, "{}")
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class House:
    """A database with one dataflow, whose jobs end as a test wants it."""

    def __init__(self, folder, mailbox):
        self.database = Database.open(folder)
        self.vault = Vault.open(folder)
        self.environ = {"LANDBRIDGE_SMTP": mailbox.url, "LANDBRIDGE_MAIL_FROM": "landbridge@example.com"}
        self.delivery = AlertDelivery(self.database, self.vault, environ=self.environ, delays=NO_WAIT)
        with self.database.write() as tx:
            self.flow = db_dataflows.add(tx, Content(name="Nightly\nexport", document='{"steps":[]}'), by="anna").id

    def rule(self, kind="email", secret=None, **settings):
        settings = {"to": ["ops@example.com"], **settings} if kind == "email" else settings
        with self.database.write() as tx:
            return db_alerts.add_rule(
                tx,
                kind=kind,
                settings=read_settings(settings).as_json(),
                by="anna",
                sealed=self.vault.seal({"secret": secret}) if secret else None,
            )

    def job(self, *endings, records=0, rejected=0, scheduling=None, kind="run", result=None, **options):
        """A job that ends once, or after an approval once more."""
        with self.database.write() as tx:
            planned = datetime.now(UTC) if scheduling else None
            new = jobs.start(
                tx,
                self.flow,
                by="anna",
                kind=kind,
                scheduling_id=scheduling,
                planned=planned,
                options=JobOptions(**options),
            )
            for ending in endings:
                row = db_jobs.begin(tx, new.id, worker_id="w", host="h", landbridge_version="0")
                counts = {"records_in": records, "records_out": records - rejected, "rejected": rejected}
                tx.execute(job_table.update().where(job_table.c.id == row.id).values(counts))
                db_jobs.end(tx, row.id, ending, start=row.starts)
                alerts.job_ended(tx, row, ending, result or {})
                if ending.status is JobStatus.WAITING_FOR_APPROVAL and len(endings) > 1:
                    db_approvals.ask(tx, row.id, result["guards"])
                    db_approvals.approve(tx, row.id, by="anna")
            return row

    def tell(self):
        return asyncio.run(self.delivery.round())

    def alerts(self):
        with self.database.read() as tx:
            return db_alerts.listing(tx)


@pytest.fixture(scope="module")
def post_office():
    with Mailbox() as found:
        yield found


@pytest.fixture
def mailbox(post_office):
    post_office.mails.clear()
    post_office.answers.clear()
    post_office.refused.clear()
    return post_office


@pytest.fixture
def house(tmp_path, mailbox):
    found = House(tmp_path / "data", mailbox)
    yield found
    found.database.close()


def subjects(mailbox):
    return [message["Subject"] for _, message in mailbox.mails]


def test_a_failure_is_told_by_mail_without_what_another_system_said(house, mailbox):
    house.rule()
    job = house.job(FAILED, records=1200, rejected=0)
    assert house.tell() == 1
    ((recipients, message),) = mailbox.mails
    assert recipients == ["ops@example.com"]
    assert message["Subject"] == 'landbridge: "Nightly export" failed'
    text = message.get_content()
    assert job.id in text
    assert "LB-2205: The server refused an operation without saying more." in text
    assert "1,200 read" in text
    assert message["Auto-Submitted"] == "auto-generated"
    assert not any(word in message.as_string() for word in ("bob", "hunter2"))
    assert not any(word in json.dumps(house.alerts()[0].details) for word in ("bob", "hunter2"))
    assert house.tell() == 0


def test_the_first_of_a_row_of_failures_is_told_and_then_the_recovery(house, mailbox):
    house.rule()
    for _ in range(3):
        house.job(FAILED)
        house.tell()
    assert subjects(mailbox) == ['landbridge: "Nightly export" failed']
    assert house.alerts()[0].occurrences == 3
    house.job(SUCCEEDED)
    house.job(SUCCEEDED)
    house.tell()
    assert subjects(mailbox)[1:] == ['landbridge: "Nightly export" is well again']
    house.job(FAILED)
    house.tell()
    assert len(mailbox.mails) == 3


def test_every_failure_is_told_where_a_rule_says_so(house, mailbox):
    house.rule(repeat="every", kinds=["failure"])
    for _ in range(3):
        house.job(FAILED)
    house.job(SUCCEEDED)
    house.tell()
    assert subjects(mailbox) == ['landbridge: "Nightly export" failed'] * 3


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (Ending(JobStatus.FAILED, "stalled", {"code": "LB-6002", "step": "s", "message": "m"}), "stalled"),
        (Ending(JobStatus.WAITING_FOR_APPROVAL, "guard", {"code": "LB-5202", "step": "s", "message": "m"}), "guard"),
        (FAILED, "failure"),
    ],
)
def test_each_kind_is_told_to_those_who_watch_for_it(house, ending, kind):
    house.rule(kinds=[kind])
    house.rule(kinds=["recovery", "late"])
    house.job(ending)
    assert [alert.kind for alert in house.alerts()] == [kind]


@pytest.mark.parametrize("facts", [{"kind": "dry_run"}, {"kind": "test"}], ids=str)
def test_tests_and_dry_runs_alarm_nobody(house, facts):
    house.rule()
    house.job(FAILED, **facts)
    house.job(Ending(JobStatus.CANCELLED, "cancelled"))
    assert house.alerts() == []


@pytest.mark.parametrize(("rejected", "told"), [(0, 0), (10, 0), (11, 0), (60, 1)])
def test_rejects_are_told_above_both_thresholds(house, rejected, told):
    house.rule(rejectsOver=10, rejectsShareOver=5)
    house.job(Ending(JobStatus.SUCCEEDED_WITH_ERRORS), records=1000, rejected=rejected)
    assert [alert.kind for alert in house.alerts()] == ["rejects"] * told
    if told:
        assert house.alerts()[0].message == '"Nightly\nexport" rejected 60 of 1,000 records'


@pytest.mark.parametrize("repeat", ["first", "every"])
def test_rejects_of_a_job_that_a_guard_stopped_are_told_once_and_nobody_is_well_before_they_are_over(house, repeat):
    house.rule(repeat=repeat)
    house.job(STOPPED, WITH_REJECTS, records=152, rejected=9, result={"guards": [GUARD]})
    told = {alert.kind: (alert.occurrences, alert.closed is None) for alert in house.alerts()}
    assert told == {"guard": (1, False), "rejects": (1, True)}
    house.job(WITH_REJECTS, records=152, rejected=9)
    rejects = [alert for alert in house.alerts() if alert.kind == "rejects"]
    assert sum(alert.occurrences for alert in rejects) == 2
    house.job(SUCCEEDED, records=152)
    assert house.alerts()[0].kind == "recovery"
    assert all(alert.closed for alert in house.alerts())


def test_what_a_guard_saw_is_in_the_mail_and_in_the_webhook(house, mailbox):
    with Hook() as hook:
        house.rule()
        house.rule("webhook", secret="s3cret", url=hook.url)
        job = house.job(STOPPED, records=152, result={"guards": [GUARD]})
        house.tell()
        details = json.loads(hook.calls[0][1])["details"]
    [guard] = details["guards"]
    assert guard == {key: GUARD[key] for key in ("guard", "step", "code", "message", "counts")}
    text = mailbox.mails[0][1].get_content()
    assert "write: 150 opt-outs of 152 records; 40 are allowed" in text
    assert f"landbridge jobs approve {job.id}" in text


def test_why_an_alert_was_not_told_is_kept(house, mailbox):
    house.rule()
    mailbox.answers = ["451 try again"]
    house.job(FAILED)
    house.tell()
    assert "[LB-3301]" in house.alerts()[0].error
    house.tell()
    assert (house.alerts()[0].status, house.alerts()[0].error) == ("sent", None)


def test_an_odd_volume_is_told_and_over_with_the_next_usual_one(house, mailbox):
    house.rule()
    for records in (1000, 1010, 990, 1005, 50_000, 1000):  # one odd run does not become the measure
        house.job(SUCCEEDED, records=records)
    house.job(SUCCEEDED, records=3, limit=3)
    house.job(SUCCEEDED, records=90_000, full_extract=True)
    assert [alert.kind for alert in house.alerts()] == []
    house.job(SUCCEEDED, records=2)
    house.tell()
    assert len(mailbox.mails) == 1
    assert '"Nightly export" read 2 records; usual are ' in subjects(mailbox)[0]
    house.job(SUCCEEDED, records=1001)
    assert house.alerts()[0].closed


def test_a_run_that_has_not_begun_long_after_its_time_is_told_once(house, mailbox):
    house.rule()
    now = datetime.now(UTC)
    with house.database.write() as tx:
        row = db_schedules.add(tx, Scheduling.from_json({"name": "nightly", "dataflowId": house.flow}), by="anna")
        tx.execute(scheduling_table.update().values(next_start=now - timedelta(minutes=10)))
        alerts.notice_late(tx)
    assert house.alerts() == []  # 15 minutes are allowed
    with house.database.write() as tx:
        tx.execute(scheduling_table.update().values(next_start=now - timedelta(minutes=16)))
        alerts.notice_late(tx)
        alerts.notice_late(tx)
    assert [alert.kind for alert in house.alerts()] == ["late"]
    with house.database.write() as tx:
        tx.execute(scheduling_table.update().values(next_start=None))
        planned = now - timedelta(minutes=20)
        jobs.start(tx, house.flow, by="scheduler", scheduling_id=row.id, planned=planned)
        alerts.notice_late(tx)
        alerts.notice_late(tx)
    assert [alert.occurrences for alert in house.alerts()] == [3]
    house.tell()
    assert len(mailbox.mails) == 1
    assert "has not started" in subjects(mailbox)[0]
    house.job(SUCCEEDED)
    assert [alert.kind for alert in house.alerts()] == ["recovery", "late"]


@pytest.mark.parametrize(
    ("ending", "recipients"),
    [
        (SUCCEEDED, [["good@example.com"]]),
        (FAILED, [["bad@example.com", "worse@example.com"]]),
        (Ending(JobStatus.SUCCEEDED_WITH_ERRORS), [["good@example.com", "bad@example.com", "worse@example.com"]]),
    ],
)
def test_the_addresses_of_the_scheduling_are_told_every_time(house, mailbox, ending, recipients):
    with house.database.write() as tx:
        keys = {"successEmailNotification": "good@example.com", "failureEmails": "bad@example.com, worse@example.com"}
        row = db_schedules.add(tx, Scheduling.from_json({"dataflowId": house.flow, **keys}), by="anna")
    house.job(ending, scheduling=row.id)
    house.job(ending, scheduling=row.id)
    house.tell()
    assert [to for to, _ in mailbox.mails] == recipients * 2


def test_a_busy_server_gets_the_same_mail_again_and_one_that_refuses_does_not(house, mailbox):
    house.rule(repeat="every")
    mailbox.answers = ["451 try again", "421 busy"]
    house.job(FAILED)
    assert [house.tell() for _ in range(4)] == [1, 1, 1, 0]
    assert [alert.status for alert in house.alerts()] == ["sent"]
    (_, message) = mailbox.mails[0]
    assert house.alerts()[0].id in message["Message-ID"]
    mailbox.answers = ["554 you may not"]
    house.job(FAILED)
    assert [house.tell() for _ in range(2)] == [1, 0]
    assert [alert.status for alert in house.alerts()] == ["given_up", "sent"]
    mailbox.answers = ["451 try again"] * 9
    house.job(FAILED)
    assert [house.tell() for _ in range(5)] == [1, 1, 1, 0, 0]
    assert house.alerts()[0].status == "given_up"


def test_one_wrong_address_does_not_keep_the_mail_from_the_others(house, mailbox, caplog):
    house.rule(to=["gone@example.com", "ops@example.com"])
    mailbox.refused = {"gone@example.com"}
    house.job(FAILED)
    house.tell()
    assert [to for to, _ in mailbox.mails] == [["ops@example.com"]]
    assert "refused 1 of 2 addresses" in caplog.text
    assert "gone@" not in caplog.text


def test_without_a_mail_server_the_log_says_what_to_do(house, caplog):
    house.delivery = AlertDelivery(house.database, house.vault, environ={}, delays=NO_WAIT)
    house.rule()
    house.job(FAILED)
    house.tell()
    assert house.alerts()[0].status == "given_up"
    assert "LB-1744" in caplog.text
    assert "LANDBRIDGE_SMTP" in caplog.text


def test_a_webhook_gets_a_signed_message_whose_signature_anybody_can_check(house):
    with Hook() as hook:
        house.rule("webhook", secret="s3cret", url=hook.url)
        job = house.job(FAILED)
        house.tell()
        ((headers, body),) = hook.calls
        assert abs(int(headers["Landbridge-Timestamp"]) - time.time()) < 60
        signed = headers["Landbridge-Timestamp"].encode() + b"." + body
        assert headers["Landbridge-Signature"] == "v1=" + hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
        message = json.loads(body)
        assert (message["kind"], message["jobId"], message["dataflowId"]) == ("failure", job.id, house.flow)
        assert message["id"] == headers["Landbridge-Id"] == house.alerts()[0].id
        assert message["details"]["code"] == "LB-2205"
        assert b"hunter2" not in body


def test_a_webhook_that_is_busy_is_called_again_and_one_that_refuses_is_not(house, caplog):
    with Hook() as hook:
        house.rule("webhook", secret="s3cret", url=hook.url, repeat="every")
        hook.answers = [(503, "later"), (429, "later")]
        house.job(FAILED)
        assert [house.tell() for _ in range(4)] == [1, 1, 1, 0]
        assert len({headers["Landbridge-Id"] for headers, _ in hook.calls}) == 1
        for answer in [(404, '{"error": 1}'), (302, "elsewhere"), (403, "no")]:
            hook.answers = [answer]
            house.job(FAILED)
            assert [house.tell() for _ in range(2)] == [1, 0]
            assert house.alerts()[0].status == "given_up"
    assert "s3cret" not in caplog.text
    house.job(FAILED)
    house.tell()
    assert house.alerts()[0].status == "pending"  # nobody listens any more


def test_two_senders_tell_an_alert_once_and_a_dead_one_is_replaced(house, mailbox):
    house.rule(repeat="every")
    for _ in range(10):
        house.job(FAILED)
    second = AlertDelivery(house.database, house.vault, environ=house.environ, delays=NO_WAIT)

    async def both():
        await asyncio.gather(house.delivery.round(), second.round())

    asyncio.run(both())
    assert len(mailbox.mails) == 10
    house.job(FAILED)
    with house.database.write() as tx:
        (taken,) = db_alerts.take(tx, delays=NO_WAIT, lease=timedelta(minutes=5))
    assert house.tell() == 0
    with house.database.write() as tx:
        (again,) = db_alerts.take(tx, delays=NO_WAIT, lease=timedelta(0))
    assert again.id == taken.id


def test_mails_are_encrypted_and_the_login_and_the_certificate_are_checked(tmp_path, monkeypatch, house, caplog):
    certificate = make_certificate()
    files = {name: tmp_path / f"{name}.pem" for name in ("chain", "key", "authority")}
    for name, path in files.items():
        path.write_text(getattr(certificate, name))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files["chain"], files["key"])
    with Mailbox(tls_context=context, login=("user", "pass")) as secure:
        house.rule(repeat="every")

        def outcome(url):
            house.delivery = AlertDelivery(
                house.database, house.vault, environ={"LANDBRIDGE_SMTP": url}, delays=NO_WAIT
            )
            house.job(FAILED)
            house.tell()
            return house.alerts()[0].status

        assert outcome(secure.url) == "given_up"
        assert "LB-2106" in caplog.text
        monkeypatch.setenv("SSL_CERT_FILE", str(files["authority"]))
        assert outcome(secure.url) == "sent"
        assert outcome(secure.url.replace(":pass@", ":wrong@")) == "given_up"
        assert "LB-2104" in caplog.text
        assert len(secure.mails) == 1
    assert outcome(secure.url) == "pending"  # nobody listens any more


@pytest.mark.parametrize(
    "url", ["http://x", "smtp://", "smtp://h:x", "smtp://mail.example.com?tls=never", "ops@example.com"]
)
def test_a_mail_server_that_cannot_be_used_is_refused(url):
    with pytest.raises(FlowError) as caught:
        MailServer.from_url(url)
    assert caught.value.code == "LB-1741"


def test_ports_and_encryption_follow_from_the_scheme():
    start = MailServer.from_url("smtp://us%40er:p%3Aw@mail.example.com", sender="a@example.com")
    assert (start.port, start.encrypted, start.username, start.password) == (587, "start", "us@er", "p:w")
    always = MailServer.from_url("smtps://mail.example.com")
    assert (always.port, always.encrypted, always.sender) == (465, "always", "landbridge@mail.example.com")
    assert MailServer.from_environment({}) is None
