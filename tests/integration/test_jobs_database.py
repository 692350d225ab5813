"""The database of the control side, in a file and in PostgreSQL."""

import random
import sqlite3
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from landbridge.engine.consent import MemoryLedger, OptOut
from landbridge.errors import FlowError, StorageError
from landbridge.jobs import (
    db,
    db_audit,
    db_dataflows,
    db_jobs,
    db_progress,
    db_retention,
    db_revisions,
    db_totals,
    migrations,
)
from landbridge.jobs.consents import DatabaseLedger
from landbridge.jobs.db import Collision, Database
from landbridge.jobs.db_dataflows import Content
from landbridge.jobs.db_jobs import Ending, JobStatus, NewJob
from landbridge.jobs.db_tables import metadata
from landbridge.jobs.job_options import JobOptions
from landbridge.jobs.limits import Limits
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server


@pytest.fixture(params=["file", "postgresql"])
def place(request, tmp_path):
    if request.param == "file":
        yield tmp_path / "data"
        return
    server = request.getfixturevalue("postgres")
    yield server.url
    database = Database.open(server.url)
    with database.write() as tx:
        for table in reversed(metadata.sorted_tables):
            tx.execute(table.delete())
    database.close()


@pytest.fixture
def database(place):
    opened = Database.open(place)
    yield opened
    opened.close()


def add_flow(tx, name="Export", **content):
    return db_dataflows.add(tx, Content(name=name, document='{"steps":[]}', **content), by="anna")


def add_job(tx, flow, id="j1", **facts):
    new = NewJob(
        id=id,
        dataflow_id=flow.id,
        dataflow_version=flow.version,
        dataflow_name=flow.name,
        started_by="cli",
        **facts,
    )
    return db_jobs.add(tx, new)


def begin(tx, id, worker="w1"):
    return db_jobs.begin(tx, id, worker_id=worker, host="h", landbridge_version="1")


def test_the_migrations_make_the_tables_that_the_code_expects(database):
    with database.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), metadata) == []
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0])
    assert ScriptDirectory.from_config(config).get_current_head() == db.HEAD


def test_opening_a_database_again_keeps_what_is_in_it(place):
    for round_number in range(3):
        database = Database.open(place)
        with database.write() as tx:
            add_flow(tx, f"flow {round_number}")
        with database.read() as tx:
            assert len(db_dataflows.listing(tx)) == round_number + 1
        database.close()


def test_two_processes_may_open_a_new_database_at_the_same_time(place):
    failures = []

    def open_it():
        try:
            Database.open(place).close()
        except Exception as error:  # noqa: BLE001 - whatever it is fails the test
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_database_of_a_newer_version_is_refused(tmp_path):
    Database.open(tmp_path).close()
    file = sqlite3.connect(tmp_path / db.FILE_NAME)
    file.execute("UPDATE alembic_version SET version_num = '9999'")
    file.commit()
    file.close()
    with pytest.raises(StorageError, match=r"LB-7503"):
        Database.open(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / db.FILE_NAME).write_bytes(b"not a database at all" * 100)
    with pytest.raises(StorageError, match=r"LB-7501"):
        Database.open(tmp_path)


@pytest.mark.parametrize("url", ["mysql://u@h/n", "nonsense", "sqlite:///x.db"])
def test_another_kind_of_database_is_refused(url):
    with pytest.raises(FlowError, match=r"LB-1704"):
        Database.open(url)


def test_a_server_that_cannot_be_reached_is_an_error_without_the_password():
    with pytest.raises(StorageError, match=r"LB-7501") as caught:
        Database.open("postgresql://user:planted-secret@127.0.0.1:1/name")
    assert "planted-secret" not in str(caught.value)


def test_the_file_is_readable_by_its_owner_only(tmp_path):
    Database.open(tmp_path).close()
    assert (tmp_path / db.FILE_NAME).stat().st_mode & 0o077 == 0


def test_an_exception_takes_back_what_a_transaction_wrote(database):
    def fail():
        with database.write() as tx:
            add_flow(tx)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.read() as tx:
        assert not db_dataflows.listing(tx)


def test_a_statement_that_fails_does_not_tell_its_values(tmp_path):
    opened = Database.open(tmp_path)
    row = {"id": "i", "user_id": "nobody", "kind": "api", "secret_hash": "geheim-42", "created": datetime.now(UTC)}
    with pytest.raises(sa.exc.IntegrityError) as raised, opened.write() as tx:
        tx.execute(metadata.tables["token"].insert().values(row))
    opened.close()
    assert "geheim-42" not in str(raised.value)


def test_instants_keep_their_moment_in_any_zone(database):
    moment = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=-7)))
    with database.write() as tx:
        flow = add_flow(tx)
        add_job(tx, flow, planned=moment)
        row = db_jobs.get(tx, "j1")
    assert row.planned == moment
    assert row.planned.tzinfo is UTC


def test_every_change_of_a_dataflow_makes_a_version(database):
    with database.write() as tx:
        flow = add_flow(tx)
        for number in range(2, 5):
            flow = db_dataflows.change(tx, flow.id, Content(name=f"n{number}", document=str(number)), by="ben")
    assert (flow.version, flow.name, flow.updated_by) == (4, "n4", "ben")
    with database.read() as tx:
        assert [row.document for row in db_dataflows.all_versions(tx, flow.id)] == ["4", "3", "2", '{"steps":[]}']
        assert db_dataflows.version(tx, flow.id, 3).name == "n3"
        assert db_dataflows.version(tx, flow.id).version == 4
        with pytest.raises(FlowError, match="LB-1701"):
            db_dataflows.version(tx, flow.id, 9)


def test_of_two_changes_to_the_same_version_one_is_refused(database):
    with database.write() as tx:
        flow = add_flow(tx)
        db_dataflows.change(tx, flow.id, Content(name="a", document="a"), by="ben", expected_version=1)
    with pytest.raises(FlowError, match=r"changed by ben.*LB-1703"), database.write() as tx:
        db_dataflows.change(tx, flow.id, Content(name="b", document="b"), by="eve", expected_version=1)


def test_a_removed_dataflow_takes_its_drafts_along_and_leaves_its_versions_to_its_jobs(database):
    with database.write() as tx:
        flow = add_flow(tx)
        draft = db_dataflows.add(
            tx, Content(name="Export", document="draft"), by="anna", kind="draft", draft_of=flow.id
        )
        add_job(tx, flow)
        db_dataflows.remove(tx, flow.id, by="anna")
        assert not db_dataflows.listing(tx, kind=None)
        for row in (flow, draft):
            with pytest.raises(FlowError, match="LB-1701"):
                db_dataflows.get(tx, row.id)
        assert db_dataflows.version(tx, db_jobs.get(tx, "j1").dataflow_id, 1).name == "Export"


def test_a_name_finds_its_dataflow_unless_several_have_it(database):
    with database.write() as tx:
        one = add_flow(tx, "one")
        add_flow(tx, "two")
        add_flow(tx, "two")
        assert db_dataflows.find(tx, "one").id == db_dataflows.find(tx, one.id).id == one.id
        with pytest.raises(FlowError, match="LB-1702"):
            db_dataflows.find(tx, "two")
        with pytest.raises(FlowError, match="LB-1701"):
            db_dataflows.find(tx, "three")


def test_lists_can_be_read_page_by_page(database):
    with database.write() as tx:
        for name in ("b", "a", "a", "c"):
            add_flow(tx, name)
        everything = db_dataflows.listing(tx)
        paged, after = [], None
        while page := db_dataflows.listing(tx, limit=1, after=after):
            paged += page
            after = page[-1].name, page[-1].id
        assert [row.id for row in paged] == [row.id for row in everything]
        for number in range(5):
            add_job(tx, everything[0], f"j{number}")
        jobs, before = [], None
        while page := db_jobs.listing(tx, limit=2, before=before):
            jobs += [row.id for row in page]
            before = page[-1].created, page[-1].id
        assert jobs == ["j4", "j3", "j2", "j1", "j0"]


def test_a_job_with_the_same_id_is_added_once(database):
    options = JobOptions(limit=10, log_level="debug", placeholders=("a",), since=datetime(2026, 1, 1, tzinfo=UTC))
    with database.write() as tx:
        flow = add_flow(tx)
        assert add_job(tx, flow, options=options)
        assert not add_job(tx, flow, kind="test")
        row = db_jobs.get(tx, "j1")
    assert (row.kind, row.options, row.status) == ("run", options, JobStatus.QUEUED)


def test_limits_are_kept_for_all_workers_and_must_let_something_run(database):
    with database.write() as tx:
        assert Limits.load(tx) == Limits()
        Limits(overall=3, per_site=2, per_account=1).save(tx, by="ada")
        assert Limits.load(tx) == Limits(overall=3, per_site=2, per_account=1)
        [line] = db_audit.listing(tx)
        assert (line.action, line.actor, line.details["per_site"]) == ("limits.change", "ada", 2)
        with pytest.raises(FlowError, match="per account") as caught:
            Limits(per_account=0).save(tx, by="ada")
    assert caught.value.code == "LB-1709"


def test_limits_hold_back_jobs_without_holding_up_those_behind_them(database):
    with database.write() as tx:
        flows = [add_flow(tx, f"f{number}") for number in range(6)]
        add_job(tx, flows[0], "a1", accounts=["sftp"], api_key="k1")
        add_job(tx, flows[0], "a2")  # the same dataflow
        add_job(tx, flows[1], "b", accounts=["sftp"])  # the account is in use
        add_job(tx, flows[2], "c", api_key="k1")  # the site is in use
        add_job(tx, flows[3], "d", accounts=["s3"], api_key="k2")
        add_job(tx, flows[4], "e")  # one too many overall
        add_job(tx, flows[0], "a3", options=JobOptions(may_overlap=True))
        limits = Limits(overall=2, per_site=1, per_account=1)
        assert db_jobs.admit(tx, limits) == 2
        assert db_jobs.to_hand_over(tx) == [("a1", 0), ("d", 0)]
        assert db_jobs.admit(tx, limits) == 0
        db_jobs.handed_over(tx, ["a1", "d"])
        assert db_jobs.to_hand_over(tx) == []
        start = begin(tx, "a1").starts
        db_jobs.end(tx, "a1", Ending(JobStatus.SUCCEEDED), start=start)
        assert db_jobs.admit(tx, Limits(overall=9, per_site=1, per_account=1)) == 5
        assert [job for job, _ in db_jobs.to_hand_over(tx)] == ["a2", "b", "c", "e", "a3"]


def test_what_an_earlier_start_of_a_job_writes_is_ignored(database):
    with database.write() as tx:
        add_job(tx, add_flow(tx))
        first = begin(tx, "j1", "w1").starts
        second = begin(tx, "j1", "w2").starts
        assert second == first + 1
        assert not db_jobs.still_mine(tx, "j1", start=first)
        assert not db_jobs.end(tx, "j1", Ending(JobStatus.FAILED), start=first)
        assert not db_jobs.hand_back(tx, "j1", worker_id="w1")
        assert db_jobs.still_mine(tx, "j1", start=second)
        assert db_jobs.end(tx, "j1", Ending(JobStatus.SUCCEEDED), start=second)
        assert begin(tx, "j1") is None
        row = db_jobs.get(tx, "j1")
    assert (row.status, row.worker_id, row.starts) == (JobStatus.SUCCEEDED, "w2", 2)
    assert row.started <= row.ended


def test_a_job_that_has_not_begun_is_cancelled_at_once_and_a_running_one_when_it_has_stopped(database):
    with database.write() as tx:
        flow = add_flow(tx)
        add_job(tx, flow, "waits")
        add_job(tx, flow, "runs")
        begin(tx, "runs")
        assert db_jobs.ask_cancel(tx, "waits", by="anna").status is JobStatus.CANCELLED
        assert begin(tx, "waits") is None
        assert db_jobs.ask_cancel(tx, "runs", by="anna").status is JobStatus.RUNNING
        assert db_jobs.cancelled_among(tx, ["runs"]) == ["runs"]
        with pytest.raises(FlowError, match="LB-1706"):
            db_jobs.ask_cancel(tx, "waits", by="anna")
        with pytest.raises(FlowError, match="LB-1705"):
            db_jobs.ask_cancel(tx, "none", by="anna")


def test_counts_files_and_trace_of_a_job_are_kept(database):
    at = datetime(2026, 3, 2, tzinfo=UTC)
    steps = [
        db_progress.StepRow("read", 0, "datasource.read.local", "done", records_out=5_000_000_000),
        db_progress.StepRow("a step with. dots >", 1, "file.format.dsv", "done", bytes=7, files=1, started=at),
    ]
    edges = [db_progress.EdgeRow("read", "a step with. dots >", "next", 5, 6)]
    files = [db_progress.FileRow(0, "out.csv", 7, None), db_progress.FileRow(1, "ready", 0, 0)]
    with database.write() as tx:
        add_job(tx, add_flow(tx))
        for _ in range(2):
            db_progress.save_counts(tx, "j1", steps=steps, edges=edges, totals=db_progress.Totals(records_in=5))
            db_progress.save_files(tx, "j1", files)
        for number in range(3):
            line = db_progress.TraceRow(at, "info", f"line {number}", "read", sealed=b"x")
            db_progress.add_trace(tx, "j1", [line])
        assert db_progress.steps_of(tx, "j1") == steps
        assert db_progress.edges_of(tx, "j1") == edges
        assert db_progress.files_of(tx, "j1") == files
        assert db_jobs.get(tx, "j1").records_in == 5
        first = db_progress.trace_of(tx, "j1", limit=1)
        rest = db_progress.trace_of(tx, "j1", after=first[0].id)
        assert [line.message for line in (*first, *rest)] == ["line 0", "line 1", "line 2"]


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)  # a file has one writer at a time
def test_a_job_may_be_added_while_somebody_changes_its_dataflow(database, place):
    with database.write() as tx:
        flow = add_flow(tx)
    planner = Database.open(place)
    with database.write() as tx, planner.write() as other:
        db_revisions.locked(tx, "dataflow", flow.id)
        other.execute(sa.text("SET LOCAL lock_timeout = '2s'"))
        add_job(other, flow)
    planner.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)  # a file has one writer at a time
def test_of_two_changes_that_wait_for_each_other_one_is_taken_back_as_a_collision(database):
    with database.write() as tx:
        flows = [add_flow(tx, name) for name in ("A", "B")]
    both, outcomes = threading.Barrier(2), []

    def lock(order):
        try:
            with database.write() as tx:
                db_revisions.locked(tx, "dataflow", order[0].id)
                both.wait(60)
                db_revisions.locked(tx, "dataflow", order[1].id)
            outcomes.append("done")
        except Collision as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=lock, args=[order]) for order in (flows, flows[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["LB-7501", "done"]


def test_changes_of_an_area_are_counted(database):
    with database.write() as tx:
        before = db.changes(tx, db_jobs.AREA)
        add_job(tx, add_flow(tx))
        assert db.changes(tx, db_jobs.AREA) == before + 1


def test_the_ledger_in_the_database_remembers_what_one_in_memory_does(place, database):
    chance = random.Random(7)
    real, model = DatabaseLedger(place), MemoryLedger()
    keys = [f"uid:{number}" for number in range(1200)]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(5):
        found = [
            OptOut(chance.choice(keys), chance.choice(["news", "sms"]), start + timedelta(seconds=chance.randrange(9)))
            for _ in range(2000)
        ]
        real.keep(found)
        model.keep(found)
        assert real.opt_outs(keys) == model.opt_outs(keys)
    assert real.opt_outs(["nobody"]) == {}
    real.keep([])
    real.close()


def test_sums_over_ended_jobs_outlive_the_jobs(database):
    with database.write() as tx:
        flow = add_flow(tx, "summed")
        for number, totals in enumerate([(3, 2, 1), (5, 5, 0)]):
            add_job(tx, flow, f"s{number}")
            begin(tx, f"s{number}")
            counted = dict(zip(("records_in", "records_out", "rejected"), totals, strict=True))
            db_progress.save_counts(
                tx, f"s{number}", steps=[], edges=[], totals=db_progress.Totals(**counted, bytes=10)
            )
            db_jobs.end(tx, f"s{number}", Ending(JobStatus.SUCCEEDED), start=1)
            db_totals.count(tx, f"s{number}")
        add_job(tx, flow, "s2")
        db_jobs.ask_cancel(tx, "s2", by="anna")
    with database.write() as tx:
        db_retention.remove_jobs(tx, ["s0", "s1", "s2"])
        ran, never_ran = sorted(db_totals.totals(tx), key=lambda row: row.status, reverse=True)
    assert (ran.status, ran.name, ran.jobs, ran.took_up_to_s) == ("succeeded", "summed", 2, 1)
    assert (ran.records_in, ran.records_out, ran.rejected, ran.bytes) == (8, 7, 1, 20)
    assert (never_ran.status, never_ran.jobs, never_ran.took_up_to_s) == ("cancelled", 1, db_totals.NEVER_RAN)


def test_many_that_end_at_once_are_all_counted(database):
    with database.write() as tx:
        flow = add_flow(tx, "at once")
        for number in range(24):
            add_job(tx, flow, f"a{number}")

    def cancel(numbers):
        for number in numbers:
            with database.write() as tx:
                db_jobs.ask_cancel(tx, f"a{number}", by="anna")

    threads = [threading.Thread(target=cancel, args=(range(part, 24, 6),)) for part in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as tx:
        [row] = [row for row in db_totals.totals(tx) if row.name == "at once"]
        present = db_totals.present(tx)
    assert (row.jobs, row.status) == (24, "cancelled")
    assert present.jobs.get("queued", 0) == 0
