"""Every change leaves a line in the audit trail, whichever way it came, and none holds a secret or a person's data."""

import json

import pytest

from landbridge.dataflow import Dataflow, Scheduling
from landbridge.errors import AccessRefused
from landbridge.jobs import (
    connections,
    db_alerts,
    db_approvals,
    db_audit,
    db_dataflows,
    db_delta,
    db_jobs,
    db_rejects,
    db_schedules,
    delta,
    first_admin,
    jobs,
    key_rotation,
    passwords,
    rejects,
    replay,
    retention,
    tokens,
    users,
)
from landbridge.jobs.connections import Values
from landbridge.jobs.db import Database
from landbridge.jobs.db_audit import ADDRESS, Lines
from landbridge.jobs.db_jobs import Ending, JobStatus
from landbridge.jobs.db_rejects import Choice, NewReject
from landbridge.jobs.db_tables import metadata
from landbridge.jobs.documents import Documents
from landbridge.jobs.flows import change, store
from landbridge.jobs.job_options import JobOptions
from landbridge.jobs.logins import log_in, log_out
from landbridge.jobs.roles import Role
from landbridge.jobs.tokens import SessionLife
from landbridge.jobs.users import UserChange
from landbridge.jobs.vault import Vault
from landbridge.server import idx_sites
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started

PLANTED = "planted-secret-4711"
PERSON = "grace.hopper@customer.example"
BY = "anna@office.example"


class Trail:
    """A data folder, and what its audit trail says."""

    def __init__(self, folder, place):
        self.folder = folder
        self.vault = Vault.open(folder)
        self.documents = Documents(self.vault)
        self.database = Database.open(place)
        self.flow = self.do(lambda tx: store(tx, self.documents, flow_of(), by="setup")).row

    def do(self, change):
        with self.database.write() as tx:
            return change(tx)

    def lines(self, **wanted):
        with self.database.read() as tx:
            return db_audit.listing(tx, Lines(**wanted), limit=1000)

    def job(self, *, status=None, **options):
        """A job, begun and ended."""

        def made(tx):
            row = jobs.start(tx, self.flow.id, by="setup", **options)
            if status is not None:
                start = db_jobs.begin(tx, row.id, worker_id="w", host="h", landbridge_version="0").starts
                db_jobs.end(tx, row.id, Ending(status), start=start)
            return row

        return self.do(made)

    def reject(self, job):
        sealed = self.vault.seal({"record": {"profile": {"email": PERSON}}})
        self.do(lambda tx: db_rejects.add(tx, job.id, "write", [NewReject("LB-4621", "refused", sealed)]))
        with self.database.read() as tx:
            return db_rejects.newest(tx, Choice(job_id=job.id), limit=1)[0].id


def flow_of(host="a"):
    flow, _ = Dataflow.from_json(
        {
            "name": "Export",
            "steps": [
                {"id": "read", "type": "datasource.read.local", "params": {"path": "/in"}, "next": ["parse"]},
                {"id": "parse", "type": "file.parse.json", "next": ["write"]},
                {
                    "id": "write",
                    "type": "datasource.write.gigya.account",
                    "params": {"apiKey": "3_abcdefghijkl", "userKey": host, "secret": PLANTED},
                },
            ],
        }
    )
    return flow


def scheduling_of(trail, **others):
    document = {"name": "nightly", "dataflowId": trail.flow.id, "frequencyType": "day", "timeOfDay": "05:00"}
    return Scheduling.from_json(document | {"failureEmailNotification": PERSON} | others)


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server


@pytest.fixture(params=["file", "postgresql"])
def trail(request, tmp_path):
    data = tmp_path / "data"
    trail = Trail(data, data if request.param == "file" else request.getfixturevalue("postgres").url)
    yield trail
    with trail.database.write() as tx:
        for table in reversed(metadata.sorted_tables):
            tx.execute(table.delete())
    trail.database.close()


def test_a_new_dataflow(trail):
    row = trail.do(lambda tx: store(tx, trail.documents, flow_of(), by=BY, replace=False)).row
    [line] = trail.lines(action="dataflow.add", actor=BY)
    assert (line.object_kind, line.object_id) == ("dataflow", row.id)
    assert line.details == {"name": "Export", "version": 1, "kind": "published"}


def test_a_changed_dataflow(trail):
    trail.do(lambda tx: change(tx, trail.documents, trail.flow.id, flow_of("b"), by=BY))
    trail.do(lambda tx: change(tx, trail.documents, trail.flow.id, flow_of("b"), by=BY))  # says the same
    [line] = trail.lines(action="dataflow.change", actor=BY)
    assert (line.object_id, line.details["version"]) == (trail.flow.id, 2)


def test_a_removed_dataflow(trail):
    trail.do(lambda tx: db_dataflows.remove(tx, trail.flow.id, by=BY))
    [line] = trail.lines(action="dataflow.remove", actor=BY)
    assert line.object_id == trail.flow.id


def test_schedulings(trail):
    row = trail.do(lambda tx: db_schedules.add(tx, scheduling_of(trail), by=BY))
    trail.do(lambda tx: db_schedules.change(tx, row.id, scheduling_of(trail, enabled=False), by=BY))
    trail.do(lambda tx: db_schedules.remove(tx, row.id, by=BY))
    removed, changed, added = trail.lines(actor=BY)
    assert [each.action for each in (added, changed, removed)] == [
        "scheduling.add",
        "scheduling.change",
        "scheduling.remove",
    ]
    assert {each.object_id for each in (added, changed, removed)} == {row.id}
    assert changed.details == {"name": "nightly", "dataflow": trail.flow.id, "enabled": False}


def test_connections_by_the_names_of_what_changed(trail):
    first = Values({"host": "h", "username": PERSON}, {"password": PLANTED})
    second = Values({"host": "other"}, {"password": f"{PLANTED}-2"})
    trail.do(lambda tx: connections.add(tx, trail.vault, "files", kind="sftp", values=first, by=BY))
    trail.do(lambda tx: connections.change(tx, trail.vault, "files", values=second, by=BY))
    trail.do(lambda tx: connections.remove(tx, "files", by=BY))
    removed, changed, added = trail.lines(actor=BY, object_kind="connection", object_id="files")
    assert (added.action, changed.action, removed.action) == (
        "connection.add",
        "connection.change",
        "connection.remove",
    )
    assert added.details == {"type": "sftp", "params": ["host", "username"], "secrets": True}
    assert changed.details == {"params": ["host"], "secrets": True}


def test_marks_set_and_reset(trail):
    moment = trail.flow.created
    trail.do(lambda tx: delta.set_mark(tx, trail.flow.id, moment, by=BY))
    trail.do(lambda tx: delta.reset(tx, trail.flow.id, by=BY))
    reset, put = trail.lines(actor=BY, object_id=trail.flow.id)
    assert (put.action, put.details) == ("delta.set", {"mark": moment.isoformat()})
    assert (reset.action, reset.details) == ("delta.reset", {"mark": None})


def test_a_mark_that_a_job_moves_is_no_change_by_a_person(trail):
    trail.do(lambda tx: db_delta.move(tx, db_delta.get(tx, trail.flow.id), mark=None, files=None, by="job 1"))
    assert not trail.lines(action="delta.")


def test_rules_for_alerts_without_the_addresses(trail):
    settings = {"to": [PERSON]}
    row = trail.do(lambda tx: db_alerts.add_rule(tx, kind="email", settings=settings, by=BY))
    trail.do(lambda tx: db_alerts.remove_rule(tx, row.id, by=BY))
    removed, added = trail.lines(actor=BY, object_kind="alert_rule", object_id=row.id)
    assert (added.action, removed.action) == ("alert_rule.add", "alert_rule.remove")
    assert added.details == {"channel": "email", "dataflow": None}


def test_jobs_started_stopped_and_repeated(trail):
    row = trail.do(lambda tx: jobs.start(tx, trail.flow.id, by=BY, kind="dry_run", options=JobOptions(limit=3)))
    trail.do(lambda tx: jobs.cancel(tx, row.id, by=BY))
    again = trail.do(lambda tx: jobs.retry(tx, row.id, by=BY))
    retried, cancelled, started = trail.lines(actor=BY)
    assert (started.action, started.object_id) == ("job.start", row.id)
    assert started.details == {"dataflow": trail.flow.id, "version": 1, "kind": "dry_run", "options": {"limit": 3}}
    assert (cancelled.action, cancelled.object_id) == ("job.cancel", row.id)
    assert (retried.action, retried.object_id) == ("job.retry", again.id)
    assert retried.details == {"of": row.id, "goes_on": False}


def test_a_job_that_is_asked_for_twice_has_one_line(trail):
    for _ in range(2):
        trail.do(lambda tx: jobs.start(tx, trail.flow.id, by=BY, job_id="same"))
    assert len(trail.lines(actor=BY)) == 1


def test_a_job_of_a_scheduling_is_no_change_by_a_person(trail):
    trail.do(lambda tx: jobs.start(tx, trail.flow.id, by="scheduling 1", scheduling_id="1"))
    assert not trail.lines(action="job.")


@pytest.mark.parametrize("decision", ["approve", "refuse"])
def test_approvals(trail, decision):
    guard = {"approval": "C0DE", "step": "write", "message": "too many", "guard": "g", "code": "LB-5202"}
    guard["counts"] = {"records": 152, "changes": 150, "allowed": 40}
    job = trail.job(status=JobStatus.WAITING_FOR_APPROVAL)
    trail.do(lambda tx: db_approvals.ask(tx, job.id, [guard]))
    trail.do(lambda tx: getattr(db_approvals, decision)(tx, job.id, by=BY))
    [line] = trail.lines(action=f"job.{decision}", actor=BY)
    seen = {"guard": "g", "code": "LB-5202", "counts": guard["counts"]}
    assert (line.object_id, line.details) == (job.id, {"asked": [{"approval": "C0DE", "step": "write", **seen}]})


def test_rejects_that_are_shown_exported_and_replayed(trail):
    job = trail.job(status=JobStatus.SUCCEEDED_WITH_ERRORS)
    reject = trail.reject(job)
    shown = trail.do(lambda tx: rejects.reveal(tx, trail.vault, reject, by=BY))
    assert shown["record"] == {"profile": {"email": PERSON}}
    trail.do(lambda tx: rejects.note_export(tx, Choice(job_id=job.id, codes=["LB-4621"]), by=BY))
    [begun] = trail.do(lambda tx: replay.start(tx, job.id, by=BY))
    replayed, exported, revealed = trail.lines(actor=BY)
    assert (revealed.action, revealed.object_id, revealed.details) == ("reject.show", str(reject), {"job": job.id})
    assert (exported.action, exported.object_id) == ("reject.export", job.id)
    assert exported.details == {"step": None, "codes": ["LB-4621"]}
    assert (replayed.action, replayed.object_id) == ("job.replay", begun.id)


def test_users_and_tokens_and_logins(trail):
    hashed = passwords.hashed(f"{PLANTED} {PLANTED}")
    user = trail.do(lambda tx: users.add(tx, email="a@b.example", role=Role.EDITOR, password_hash=hashed, by=BY))
    trail.do(lambda tx: users.change(tx, user.id, UserChange(role=Role.ADMIN), by=BY))
    trail.do(lambda tx: users.change(tx, user.id, UserChange(role=Role.ADMIN), by=BY))  # says the same
    trail.do(lambda tx: users.set_password(tx, user.id, hashed, by=BY))
    made = trail.do(lambda tx: tokens.add(tx, user_id=user.id, name="x", most=Role.ADMIN, by=BY))
    trail.do(lambda tx: tokens.revoke(tx, made.row.id, by=BY))
    begun = log_in(trail.database, "a@b.example", f"{PLANTED} {PLANTED}", life=SessionLife())
    trail.do(lambda tx: log_out(tx, begun.secret, by="a@b.example", user_id=user.id))
    other = trail.do(lambda tx: users.add(tx, email="c@d.example", role=Role.ADMIN, password_hash=None, by=BY))
    trail.do(lambda tx: users.remove(tx, other.id, by=BY))
    assert [line.action for line in reversed(trail.lines(actor=BY))] == [
        "user.add",
        "user.change",
        "user.password",
        "token.add",
        "token.revoke",
        "user.add",
        "user.remove",
    ]
    assert [line.action for line in trail.lines(actor="a@b.example")] == ["session.end", "session.begin"]
    assert made.secret not in repr(trail.lines())
    assert begun.secret not in repr(trail.lines())


def test_the_first_admin(trail):
    secret = trail.do(first_admin.new_link)
    hashed = passwords.hashed("a good password")
    trail.do(lambda tx: first_admin.make(tx, secret, email="a@b.example", name="", password_hash=hashed))
    [line] = trail.lines(action="user.add")
    assert (line.actor, line.details["role"]) == ("setup link", "admin")


def test_another_key(trail):
    key_rotation.rotate(trail.database, trail.folder, {}, by=BY)
    [line] = trail.lines(action="key.rotate", actor=BY)
    assert line.details["values"] >= 1


def test_other_times_of_retention(trail):
    trail.do(lambda tx: retention.Retention(audit=1000).save(tx, by=BY))
    [line] = trail.lines(action="retention.change", actor=BY)
    assert line.details["audit"] == 1000


def test_sites_and_who_saw_their_credentials(trail):
    row = trail.do(lambda tx: idx_sites.add(tx, trail.vault, by=BY, name="Second"))
    trail.do(lambda tx: idx_sites.renew(tx, trail.vault, row.api_key, by=BY))
    trail.do(lambda tx: idx_sites.note_shown(tx, row.api_key, by=BY))
    assert [line.action for line in trail.lines(actor=BY, object_id=row.api_key)] == [
        "site.show_credentials",
        "site.renew_credentials",
        "site.add",
    ]
    with trail.database.read() as tx:
        site = idx_sites.find(tx, trail.vault, row.api_key)
    for secret in (site.secret, site.partner_secret, site.private_key, site.user_key):
        assert secret not in repr(trail.lines())


def test_a_change_that_is_taken_back_leaves_no_line(trail):
    def fail(tx):
        db_dataflows.remove(tx, trail.flow.id, by=BY)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trail.do(fail)
    assert not trail.lines(actor=BY)


def test_a_line_says_where_the_request_came_from(trail):
    token = ADDRESS.set("192.0.2.7")
    try:
        trail.do(lambda tx: jobs.start(tx, trail.flow.id, by=BY))
    finally:
        ADDRESS.reset(token)
    trail.do(lambda tx: jobs.start(tx, trail.flow.id, by=BY))
    assert [line.address for line in trail.lines(actor=BY)] == ["", "192.0.2.7"]


def test_neither_secrets_nor_peoples_data_get_into_the_trail(trail):
    values = Values({"host": "h", "username": PERSON}, {"password": PLANTED})
    job = trail.job(status=JobStatus.SUCCEEDED_WITH_ERRORS)
    reject, hashed = trail.reject(job), passwords.hashed(f"{PLANTED} {PLANTED}")
    options, sealed = JobOptions(placeholders=("password",)), trail.vault.seal({"password": PLANTED})
    for planted in (
        lambda tx: store(tx, trail.documents, flow_of(PERSON), by=BY),
        lambda tx: connections.add(tx, trail.vault, "files", kind="sftp", values=values, by=BY),
        lambda tx: connections.change(tx, trail.vault, "files", values=Values({"username": f"{PERSON}.uk"}), by=BY),
        lambda tx: db_schedules.add(tx, scheduling_of(trail), by=BY),
        lambda tx: db_alerts.add_rule(tx, kind="email", settings={"to": [PERSON]}, by=BY),
        lambda tx: jobs.start(tx, trail.flow.id, by=BY, options=options, sealed=sealed),
        lambda tx: rejects.reveal(tx, trail.vault, reject, by=BY),
        lambda tx: users.add(tx, email="a@b.example", role=Role.ADMIN, password_hash=hashed, by=BY),
    ):
        trail.do(planted)
    for email, password in (("a@b.example", PLANTED), (PLANTED, PERSON)):
        with pytest.raises(AccessRefused, match="LB-8006"):
            log_in(trail.database, email, password, life=SessionLife())
    lines = trail.lines()
    assert len(lines) >= 11
    text = json.dumps([[line.actor, line.action, line.object_id, line.details] for line in lines])
    assert not [planted for planted in (PLANTED, PERSON, "argon2") if planted in text]
