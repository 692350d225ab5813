"""Guards and dry runs through the command line, against a site."""

import json

import pytest

from tests.contract.gigya.local_site import running_site
from tests.crash.killed_at import Killable
from tests.integration.command import step


@pytest.fixture(scope="module")
def one_site():
    with running_site(people=60, seed=21) as site:
        yield site


@pytest.fixture
def site(one_site, command):
    command.environ.update(one_site.environ)
    return one_site


def rows_in(folders, rows):
    (folders / "in" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def import_flow(command, folders, *, guards=None, component="account", name="flow", **params):
    path = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("parse", "file.parse.json"),
        step("write", f"datasource.write.gigya.{component}", **params),
        name=name,
    )
    if guards is not None:
        document = json.loads(path.read_text())
        path.write_text(json.dumps(document | {"landbridge": {"guards": guards}}))
    return path


def subscribed(granted, time=None):
    more = {"lastUpdatedSubscriptionState": time} if time else {}
    return {"news": {"email": {"isSubscribed": granted, **more}}}


def uids(site, count):
    return [row["UID"] for row in site.search(f"SELECT UID FROM accounts LIMIT {count}")]


def test_too_many_deactivations_stop_the_job_before_the_first_write_until_they_are_approved(site, command, folders):
    rows_in(folders, [{"UID": uid, "isActive": False} for uid in uids(site, 30)])
    flow = import_flow(command, folders, guards={"deactivations": {"more": 10}})
    outcome = command.run(flow, "--journal", folders / "journal")
    assert outcome.code == 1
    assert outcome.report["error"]["code"] == "LB-5203"
    assert "30 deactivations of 30 records; 10 are allowed" in outcome.err
    [trip] = outcome.report["guards"]
    assert site.search("SELECT COUNT(*) FROM accounts WHERE isActive = false")[0]["count(*)"] == 0
    assert command.run(flow, "--approve", "0123456789ab").code == 1
    assert site.search("SELECT COUNT(*) FROM accounts WHERE isActive = false")[0]["count(*)"] == 0
    (folders / "in" / "rows.jsonl").unlink()  # what was gathered is not read again
    outcome = command.run(flow, "--journal", folders / "journal", "--approve", trip["approval"])
    assert outcome.code == 0, outcome.err
    assert outcome.step("parse")["out"] == 30
    assert site.search("SELECT COUNT(*) FROM accounts WHERE isActive = false")[0]["count(*)"] == 30
    rows_in(folders, [{"UID": uid, "isActive": True} for uid in uids(site, 30)])
    assert command.run(flow).code == 0


def test_a_uid_that_occurs_twice_stops_the_job(site, command, folders):
    [uid] = uids(site, 1)
    rows_in(folders, [{"UID": uid, "data": {"twice": "a"}}, {"UID": uid, "data": {"twice": "b"}}])
    outcome = command.run(import_flow(command, folders))
    assert outcome.report["error"]["code"] == "LB-5205"
    assert uid not in outcome.err
    assert "twice" not in site.account(uid)["data"]
    off = import_flow(command, folders, guards={"steps": {"write": {"duplicates": False}}}, name="off")
    assert command.run(off).code == 0
    assert site.account(uid)["data"]["twice"] == "b"


def test_no_file_is_published_while_a_guard_stops_a_writer_next_to_it(site, command, folders):
    [uid] = uids(site, 1)
    rows_in(folders, [{"UID": uid, "data": {"x": 1}}] * 2)
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        {**step("parse", "file.parse.json"), "next": ["write", "json"]},
        {**step("write", "datasource.write.gigya.account"), "next": []},
        step("json", "file.format.json", fileName="a.json"),
        step("out", "datasource.write.local", path=str(folders / "out")),
    )
    outcome = command.run(flow)
    assert outcome.report["error"]["code"] == "LB-5205"
    assert not list((folders / "out").iterdir())


def test_an_opt_out_is_not_undone_by_a_later_import(site, command, folders):
    [uid] = uids(site, 1)
    ledger = folders / "ledger.jsonl"
    flow = import_flow(command, folders)
    rows_in(folders, [{"UID": uid, "subscriptions": subscribed(granted=True)}])
    assert command.run(flow, "--consent-ledger", ledger).code == 0
    rows_in(folders, [{"UID": uid, "subscriptions": subscribed(granted=False)}])
    assert command.run(flow, "--consent-ledger", ledger).code == 0
    rows_in(folders, [{"UID": uid, "subscriptions": subscribed(granted=True)}])
    outcome = command.run(flow, "--consent-ledger", ledger)
    assert outcome.report["error"]["code"] == "LB-5206"
    assert site.account(uid)["subscriptions"]["news"]["email"]["isSubscribed"] is False
    rows_in(folders, [{"UID": uid, "subscriptions": subscribed(granted=True, time="2099-01-01T00:00:00Z")}])
    assert command.run(flow, "--consent-ledger", ledger).code == 0


def test_stale_consents_can_be_rejected_while_the_rest_is_written(site, command, folders):
    first, second = uids(site, 2)
    ledger = folders / "ledger.jsonl"
    flow = import_flow(command, folders, guards={"consent": {"action": "reject"}})
    rows_in(folders, [{"UID": first, "subscriptions": subscribed(granted=False)}])
    assert command.run(flow, "--consent-ledger", ledger).code == 0
    both = [{"UID": uid, "subscriptions": subscribed(granted=True), "data": {"seen": "yes"}} for uid in (first, second)]
    rows_in(folders, both)
    rejects = folders / "rejects.jsonl"
    outcome = command.run(flow, "--consent-ledger", ledger, "--rejects", rejects)
    assert outcome.code == 3, outcome.err
    [reject] = map(json.loads, rejects.read_text().splitlines())
    assert (reject["code"], reject["record"]["UID"]) == ("LB-5206", first)
    assert (outcome.step("write")["in"], outcome.step("write")["out"]) == (2, 1)
    assert site.account(second)["data"]["seen"] == "yes"
    assert "seen" not in site.account(first).get("data", {})


def test_a_wrong_threshold_is_told_before_anything_is_opened(command, folders):
    outcome = command.run(import_flow(command, folders, guards={"optOuts": {"max": 3}}))
    assert outcome.code == 1
    assert "LB-1751" in outcome.err
    assert "landbridge.guards" in outcome.err


def test_a_dry_run_tells_what_the_site_would_make_of_each_record(site, command, folders):
    active, other, third = site.search("SELECT * FROM accounts LIMIT 3")
    site.call("accounts.setAccountInfo", UID=other["UID"], subscriptions=subscribed(granted=True))
    rows = [
        {"UID": active["UID"], "profile": {"email": active["profile"]["email"]}, "isActive": True},
        {"UID": third["UID"], "isActive": False},
        {"UID": other["UID"], "subscriptions": subscribed(granted=False)},
        {"UID": "nobody-here", "data": {"a": 1}},
        {"data": {"a": 1}},
        {"UID": active["UID"] + "", "securityOverride": True},
    ]
    rows_in(folders, rows)
    guards = {"duplicates": {"more": 5}}
    outcome = command.run(import_flow(command, folders, guards=guards), "--dry-run")
    assert outcome.code == 0, outcome.err
    planned = outcome.report["planned"]["write"]
    assert planned == {
        "creates": 0,
        "updates": 2,
        "unchanged": 1,
        "invalid": 2,
        "cannotTell": 1,
        "optOuts": 1,
        "deactivations": 1,
        "deletes": 0,
    }
    assert "cannot tell" in outcome.err
    assert site.account(other["UID"])["subscriptions"]["news"]["email"]["isSubscribed"] is True
    create = import_flow(command, folders, guards=guards, createMissing=True, name="create")
    assert command.run(create, "--dry-run").report["planned"]["write"]["creates"] == 1
    insert = import_flow(command, folders, guards=guards, component="importaccount", name="insert")
    planned = command.run(insert, "--dry-run").report["planned"]["write"]
    assert (planned["creates"], planned["invalid"], planned["updates"]) == (1, 5, 0)


def test_what_a_dry_run_plans_is_what_the_run_does(site, command, folders):
    known = site.search("SELECT UID, data FROM accounts LIMIT 40")
    rows = [{"UID": row["UID"], "data": {"plan": "x"} if number % 2 else {}} for number, row in enumerate(known)]
    rows += [{"UID": f"new-{number}", "profile": {"email": f"n{number}@example.com"}} for number in range(5)]
    rows_in(folders, rows)
    flow = import_flow(command, folders, component="importaccount", importPolicy="upsert")
    planned = command.run(flow, "--dry-run").report["planned"]["write"]
    assert (planned["creates"], planned["updates"], planned["unchanged"]) == (5, 20, 20)
    before = site.search("SELECT COUNT(*) FROM accounts")[0]["count(*)"]
    assert command.run(flow).code == 0
    assert site.search("SELECT COUNT(*) FROM accounts")[0]["count(*)"] == before + 5
    assert command.run(flow, "--dry-run").report["planned"]["write"]["unchanged"] == 45


def test_a_dry_run_tells_which_guard_would_stop_the_job(site, command, folders):
    rows_in(folders, [{"UID": uid, "isActive": False} for uid in uids(site, 12)])
    outcome = command.run(import_flow(command, folders, guards={"deactivations": {"more": 10}}), "--dry-run")
    assert outcome.code == 0
    assert [trip["guard"] for trip in outcome.report["guards"]] == ["deactivations"]
    assert "a guard would stop step" in outcome.err


def test_of_files_a_dry_run_cannot_tell(command, folders, accounts):
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("parse", "file.parse.json"),
        step("dsv", "file.format.dsv", fileName="a.csv"),
        step("out", "datasource.write.local", path=str(folders / "out")),
    )
    outcome = command.run(flow, "--dry-run")
    assert outcome.report["planned"]["out"]["cannotTell"] == len(accounts)
    assert outcome.report["writers"]["out"]["records"] == len(accounts)


def test_a_dry_run_is_never_taken_for_done_and_teaches_the_ledger_nothing(site, command, folders):
    [uid] = uids(site, 1)
    rows_in(folders, [{"UID": uid, "data": {"dry": "no"}, "subscriptions": subscribed(granted=False)}])
    flow = import_flow(command, folders)
    options = ("--journal", folders / "journal", "--consent-ledger", folders / "ledger.jsonl")
    assert command.run(flow, *options, "--dry-run").code == 0
    assert not (folders / "ledger.jsonl").exists()
    assert command.run(flow, *options).code == 0
    assert site.account(uid)["data"]["dry"] == "no"
    assert (folders / "ledger.jsonl").exists()


def test_an_approved_job_that_was_killed_goes_on_without_a_second_approval(site, command, folders):
    rows_in(folders, [{"UID": uid, "isActive": False} for uid in uids(site, 50)])
    flow = import_flow(command, folders, guards={"deactivations": {"more": 10}}, maxConnections=2)
    [trip] = command.run(flow).report["guards"]
    options = ("--journal", folders / "journal", "--report", folders / "report.json")
    with Killable(command.environ) as killable:
        killed, _ = killable.run("run", flow, *options, "--approve", trip["approval"], kill_at=4, only=["write"])
        assert killed == -9
        code, _ = killable.run("run", flow, *options)
        assert code == 0
    assert site.search("SELECT COUNT(*) FROM accounts WHERE isActive = false")[0]["count(*)"] == 50
    assert json.loads((folders / "report.json").read_text())["writers"]["write"]["deactivations"] == 50
