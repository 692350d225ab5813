"""The Silverpop steps against the emulated platform, in good and bad weather."""

import csv
import json

import anyio
import pytest

from landbridge.errors import AuthError, FlowError, GuardTripped, LandbridgeError
from landbridge.remote import silverpop as remote
from tests.contract.sandbox.running import running_sandbox
from tests.integration.command import step
from tests.integration.in_process import InProcess
from tests.steps import make, rejects


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox("silverpop") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox, monkeypatch):
    # Repetitions need not be patient here; how patient they are is the matter of the http tests.
    monkeypatch.setattr(remote.Retries, "delay_s", lambda self, attempt: 0.01)
    one_sandbox.do(empty)
    yield one_sandbox
    one_sandbox.calm("silverpop")


def empty(sandbox):
    vendor = sandbox["silverpop"]
    for number in list(vendor.database.contacts):
        vendor.database.remove(number)
    for table in list(vendor.tables_):
        table.rows.clear()
        del vendor.frame.collection("tables")[table.id]
    for folder in ("upload", "download"):
        for file in (vendor.frame.folder / folder).iterdir():
            file.unlink()


@pytest.fixture
def command(tmp_path):
    return InProcess(tmp_path)


@pytest.fixture
def connection(sandbox):
    return sandbox.connection("silverpop")


@pytest.fixture
def api(connection):
    names = ("url", "clientId", "clientSecret", "refreshToken", "listId")
    return {name: connection[name] for name in names}


def contacts(sandbox):
    found = {}
    for row in sandbox.rows("silverpop", "contacts"):
        assert row["UID"] not in found, "a contact is there twice"
        found[row["UID"]] = row
    return found


def write(component, rows, *, size=None):
    """What a record writer gives on, and its rejects."""
    from landbridge.records import Batch

    async def deliver():
        done = []
        async with component.opened():
            for at in range(0, len(rows), size or len(rows)):
                done += (await component.write(Batch.from_objects(rows[at : at + (size or len(rows))]))).to_objects()
        return done

    return anyio.run(deliver), [(str(each["code"]), each["message"]) for each in rejects(component)]


def contact(api, **params):
    return make("datasource.write.silverpop.contact", {**api, **params})


def person(number, **fields):
    return {"UID": f"u{number}", "EMAIL": f"u{number}@example.com", **fields}


STORM = (
    ("token_expiry", {"skip": 2, "times": 1}),
    ("token_expiry", {"skip": 30, "times": 1}),
    ("concurrency", {"probability": 0.2}),
    ("rate_limit", {"probability": 0.05, "times": 2}),
    ("lost_reply", {"probability": 0.2}),
)


def storm(sandbox, operation="*"):
    for kind, fault in STORM:
        sandbox.fail(kind, operation=operation, **fault)


# -- contacts one by one -----------------------------------------------------------------------------------------------


def test_records_become_contacts_and_a_changed_address_changes_the_same_contact(api, sandbox):
    rows = [person(n, **{"First Name": "Zoë & <Co>", "Newsletter": n % 2 == 0}) for n in range(300)]
    done, refused = write(contact(api), rows)
    assert (len(done), refused) == (300, [])
    moved = [{"UID": row["UID"], "EMAIL": f"moved-{row['EMAIL']}"} for row in rows[:100]]
    write(contact(api), moved)
    found = contacts(sandbox)
    assert len(found) == 300
    assert found["u7"]["EMAIL"] == "moved-u7@example.com"
    assert (found["u7"]["First Name"], found["u7"]["Newsletter"], found["u8"]["Newsletter"]) == (
        "Zoë & <Co>",
        "No",
        "Yes",
    )


def test_a_storm_loses_and_doubles_nobody(api, sandbox):
    storm(sandbox)
    done, refused = write(contact(api, contactsPerCall=5), [person(n) for n in range(200)])
    assert (len(done), refused) == (200, [])
    assert len(contacts(sandbox)) == 200


def test_bad_records_are_rejected_one_by_one(api, sandbox):
    rows = [
        person(1),
        {"EMAIL": "no-uid@example.com"},
        person(2, EMAIL="nonsense"),
        person(3, City="a\x00b"),
        person(4),
    ]
    done, refused = write(contact(api), rows)
    assert [row["UID"] for row in done] == ["u1", "u4"]
    assert len(refused) == 3
    assert "nonsense" not in str(refused)
    assert set(contacts(sandbox)) == {"u1", "u4"}


def test_two_records_of_one_contact_keep_their_order(api, sandbox):
    write(contact(api, contactsPerCall=1), [person(1, City=f"c{n}") for n in range(9)])
    assert contacts(sandbox)["u1"]["City"] == "c8"


def test_profile_writes_never_touch_the_opt_state(api, sandbox):
    write(contact(api), [person(1), person(2)])
    write(contact(api, action="optOut"), [{"UID": "u1"}])
    before = contacts(sandbox)
    write(contact(api), [person(1, City="Oslo"), person(2, City="Oslo")])
    after = contacts(sandbox)
    for uid in ("u1", "u2"):
        assert (before[uid]["opted in"], before[uid]["opted out"]) == (after[uid]["opted in"], after[uid]["opted out"])
    assert after["u1"]["opted out"]


def test_the_wish_opts_out_adds_and_never_opts_in_again_by_itself(api, sandbox):
    wish = {"newsletterField": "Subscribed"}
    rows = [person(1, Subscribed="Yes"), person(2, Subscribed="No"), person(3), person(4, Subscribed=True)]
    done, refused = write(contact(api, **wish), rows)
    assert (len(done), refused) == (4, [])
    assert set(contacts(sandbox)) == {"u1", "u4"}, "who says no, or nothing, is not made reachable"
    write(contact(api, **wish), [person(1, Subscribed="false")])
    assert contacts(sandbox)["u1"]["opted out"]
    write(contact(api, **wish), [person(1, Subscribed="Yes", City="Oslo")])
    found = contacts(sandbox)["u1"]
    assert found["opted out"]
    assert found["City"] == "Oslo"
    write(contact(api, **wish, addOptedOut=True), [person(5, Subscribed="No")])
    assert contacts(sandbox)["u5"]["opted out"]


def test_only_a_consent_that_is_newer_than_the_opt_out_takes_it_back(api, sandbox):
    wish = {"newsletterField": "Subscribed", "consentTimeField": "SubscribedAt", "gmtConfirmed": True}
    write(contact(api), [person(1), person(2)])
    write(contact(api, action="optOut"), [{"UID": "u1"}, {"UID": "u2"}])
    old = person(1, Subscribed="Yes", SubscribedAt="2020-01-01T00:00:00Z")
    new = person(2, Subscribed="Yes", SubscribedAt="2099-01-01T00:00:00Z")
    write(contact(api, **wish), [old, new])
    found = contacts(sandbox)
    assert found["u1"]["opted out"]
    assert found["u2"]["opted out"] is None


def test_columns_of_sms_consent_are_never_written(api, connection, sandbox, command, folders):
    sms = sandbox.do(
        lambda s: s["silverpop"].create_database(f"SMS {id(api)}", {"UID": 0, "SMS": 13}, keys=("UID",)).id
    )
    with pytest.raises(FlowError, match="SMS consent"):
        write(contact(api, listId=sms), [person(1, SMS="x")])
    outcome = command.run(import_flow(command, folders, {**connection, "listId": sms}, [person(1, SMS="x")]))
    assert "SMS consent" in outcome.err


def test_what_is_gone_counts_as_removed_and_as_opted_out(api, sandbox):
    write(contact(api), [person(1)])
    for action in ("optOut", "remove"):
        done, refused = write(contact(api, action=action), [{"UID": "u1"}, {"UID": "nobody"}])
        assert (len(done), refused) == (2, [])
    assert contacts(sandbox) == {}


def forecast(component, rows):
    from landbridge.records import Batch

    async def ask():
        async with component.opened():
            return await component.forecast(Batch.from_objects(rows))

    return [(str(each.verdict), each.opts_out, each.deletes) for each in anyio.run(ask)]


def test_a_dry_run_tells_what_would_become_of_each_contact(api, sandbox):
    write(contact(api), [person(1, City="Bern", Newsletter=True), person(2), person(3)])
    write(contact(api, action="optOut"), [{"UID": "u3"}])
    before = contacts(sandbox)
    rows = [person(1, City="Bern", Newsletter="true"), person(2, City="Oslo"), person(9), {"EMAIL": "x@example.com"}]
    told = [verdict for verdict, _, _ in forecast(contact(api), rows)]
    assert told == ["unchanged", "update", "create", "invalid"]
    wish = [person(1, S="No"), person(3, S="No"), person(8, S="No"), person(7, S="Yes"), person(3, S="Yes")]
    assert forecast(contact(api, newsletterField="S"), wish) == [
        ("update", True, False),
        ("unchanged", False, False),
        ("unchanged", False, False),
        ("create", False, False),
        ("unchanged", False, False),
    ]
    assert forecast(contact(api, action="remove"), [person(1), person(9)]) == [
        ("update", False, True),
        ("unchanged", False, False),
    ]
    assert contacts(sandbox) == before


def test_update_only_rejects_who_is_not_there(api):
    _, refused = write(contact(api, action="update"), [person(1)])
    assert refused == [("128", "UpdateRecipient: Recipient is not a member of the list.")]


@pytest.mark.parametrize("wrong", ["clientId", "clientSecret", "refreshToken"])
def test_wrong_credentials_are_told_once_and_not_shown(api, wrong):
    component = contact({**api, wrong: "planted-secret"})
    with pytest.raises(AuthError, match="LB-2104") as told:
        write(component, [person(1)])
    assert "planted-secret" not in str(told.value)


def test_a_wrong_database_is_an_error_of_the_flow(api):
    with pytest.raises(FlowError, match="LB-1521"):
        write(contact({**api, "listId": "1"}), [person(1)])
    with pytest.raises(FlowError, match="Nonsense"):
        write(contact(api, columns=["Nonsense"]), [person(1)])
    with pytest.raises(FlowError, match="instead of yes/no"):
        write(contact(api, columns=["City:yesno"]), [person(1)])


# -- files -------------------------------------------------------------------------------------------------------------


def import_flow(command, folders, connection, rows, *, name="d.csv", **params):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (folders / "in" / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    target = {} if "tableId" in params else {"listId": connection["listId"]}
    known = {key: value for key, value in connection.items() if key != "listId"}
    return command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("import", "datasource.write.silverpop", **known, **target, **params),
    )


def test_a_file_is_imported_and_its_refused_rows_are_rejects(connection, sandbox, command, folders):
    rows = [person(n, City="L'Haÿ\n2nd line") for n in range(50)]
    rows += [person(60, EMAIL="nonsense"), {"EMAIL": "x@example.com"}]
    outcome = command.run(import_flow(command, folders, connection, rows), "--rejects", folders / "rejects.jsonl")
    assert (outcome.code, outcome.status) == (3, "succeeded_with_errors"), outcome.err
    kept = [json.loads(line) for line in (folders / "rejects.jsonl").read_text().splitlines()]
    assert [each["code"] for each in kept] == ["LB-4631", "LB-4631"]
    assert "nonsense" in kept[0]["text"]
    assert len(contacts(sandbox)) == 50
    vendor = sandbox.do(lambda s: s["silverpop"].frame.folder)
    assert not list((vendor / "upload").iterdir()), "imported files hold personal data and are removed"
    assert not list((vendor / "download").iterdir())


def test_files_stay_where_the_step_says_so(connection, sandbox, command, folders):
    assert command.run(import_flow(command, folders, connection, [person(1)], keepFiles=True)).code == 0
    folder = sandbox.do(lambda s: s["silverpop"].frame.folder)
    assert sorted(file.name for file in (folder / "upload").iterdir()) == ["d.csv", "d.csv.map.xml"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"UID": "u1", "Nonsense": "x"}], "has no column Nonsense"),
        ([{"uid": "u1"}], "has no column uid"),
        ([{"EMAIL": "a@example.com"}], "lacks the key column UID"),
        ([{"UID;EMAIL": "u1;a@example.com"}], "semicolons"),
    ],
)
def test_a_header_that_does_not_fit_stops_the_job_before_anything_is_sent(
    connection, sandbox, command, folders, rows, told
):
    outcome = command.run(import_flow(command, folders, connection, rows))
    assert (outcome.code, "LB-4633" in outcome.err) == (1, True), outcome.err
    assert told in outcome.err
    folder = sandbox.do(lambda s: s["silverpop"].frame.folder)
    assert not list((folder / "upload").iterdir())
    assert not contacts(sandbox)


def test_a_compressed_file_is_told_apart(connection, command, folders):
    flow = import_flow(command, folders, connection, [person(1)])
    (folders / "in" / "d.csv").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe\n")
    outcome = command.run(flow)
    assert "not UTF-8 text" in outcome.err


def test_the_wish_in_a_file_becomes_three_imports(connection, sandbox, api, command, folders):
    write(contact(api), [person(1), person(2), person(3)])
    write(contact(api, action="optOut"), [{"UID": "u3"}])
    rows = [
        person(1, Subscribed="No", City="Bern"),
        person(2, Subscribed="", City="Bern"),
        person(3, Subscribed="Yes", City="Bern"),
        person(4, Subscribed="Yes"),
        person(5, Subscribed="No"),
    ]
    outcome = command.run(import_flow(command, folders, connection, rows, newsletterField="Subscribed"))
    assert outcome.code == 0, outcome.err
    found = contacts(sandbox)
    assert set(found) == {"u1", "u2", "u3", "u4"}, "u5 has never subscribed and is not made reachable"
    assert [bool(found[f"u{n}"]["opted out"]) for n in (1, 2, 3, 4)] == [True, False, True, False]
    assert {found[f"u{n}"]["City"] for n in (1, 2, 3)} == {"Bern"}


def test_the_wish_in_a_file_may_add_those_who_say_no(connection, sandbox, command, folders):
    flow = import_flow(
        command, folders, connection, [person(5, Subscribed="No")], newsletterField="Subscribed", addOptedOut=True
    )
    assert command.run(flow).code == 0
    assert contacts(sandbox)["u5"]["opted out"]


@pytest.mark.parametrize("keeps", [False, True])
def test_opt_outs_are_kept_even_if_imports_undid_them(connection, sandbox, api, command, folders, keeps):
    write(contact(api), [person(n) for n in range(6)])
    write(contact(api, action="optOut"), [{"UID": "u1"}, {"UID": "u2"}])
    sandbox.switch("silverpop", import_resubscribes=True)
    sandbox.fail("broken_file", operation="ExportList", times=1)
    flow = import_flow(command, folders, connection, [person(n, City="Bern") for n in range(6)], keepOptOuts=keeps)
    assert command.run(flow).code == 0
    out = {uid for uid, row in contacts(sandbox).items() if row["opted out"]}
    assert out == ({"u1", "u2"} if keeps else set()), "without it, this platform opts people in again"
    folder = sandbox.do(lambda s: s["silverpop"].frame.folder)
    assert not list((folder / "upload").iterdir())


def test_a_job_that_fails_there_fails_here_with_its_words(connection, sandbox, command, folders):
    flow = import_flow(command, folders, connection, [person(1)])
    sandbox.do(lambda s: setattr(s["silverpop"], "jobs", Failing(s["silverpop"])))
    try:
        outcome = command.run(flow)
    finally:
        sandbox.do(lambda s: setattr(s["silverpop"], "jobs", Failing.__base__(s["silverpop"])))
    assert (outcome.code, "LB-4632" in outcome.err) == (1, True)
    assert "Details: null" in outcome.err


class Failing(__import__("landbridge.sandbox.silverpop.jobs", fromlist=["Jobs"]).Jobs):
    """Jobs that all end in an error."""

    def begin(self, operation, work, parameters):
        from landbridge.sandbox.silverpop.jobs import JobFailed

        async def fail(_):
            raise JobFailed(f"Error executing {operation}. Details: null")

        return super().begin(operation, fail, parameters)


def test_a_dry_run_logs_in_and_sends_nothing(connection, sandbox, command, folders):
    flow = import_flow(command, folders, connection, [person(1)])
    assert command.run(flow, "--dry-run").code == 0
    assert not contacts(sandbox)
    wrong = import_flow(command, folders, {**connection, "password": "wrong"}, [person(1)])
    outcome = command.run(wrong, "--dry-run")
    assert "LB-2104" in outcome.err


def test_a_storm_around_an_import_loses_and_doubles_nobody(connection, sandbox, command, folders):
    storm(sandbox)
    sandbox.fail("slow_job", operation="ImportList", times=1, delay_s=0.5)
    outcome = command.run(import_flow(command, folders, connection, [person(n) for n in range(300)]))
    assert outcome.code == 0, outcome.err
    assert len(contacts(sandbox)) == 300


def test_rows_that_the_platform_refuses_without_saying_which_are_counted(connection, sandbox, command, folders):
    sandbox.fail("partial_failure", operation="ImportList", times=1)
    sandbox.fail("broken_file", operation="ImportList", times=1)
    flow = import_flow(command, folders, connection, [person(n) for n in range(300)])
    outcome = command.run(flow, "--rejects", folders / "rejects.jsonl")
    assert outcome.code == 3
    assert outcome.report["rejects"] == 3
    assert outcome.step("import")["rejected"] == 3


# -- reading -----------------------------------------------------------------------------------------------------------


def read(connection, since=None, *, spool, **params):
    component = make("datasource.read.silverpop", {**connection, **params}, spool_dir=spool)
    component.since = since

    async def collect():
        return [row async for batch in component.read() for row in batch.to_objects()]

    return anyio.run(collect)


def test_contacts_are_read_with_their_kind_and_numbers(connection, api, sandbox, tmp_path):
    write(contact(api), [person(1, Score=7.5, ZIP="02826"), person(2), person(3)])
    write(contact(api, action="optOut"), [{"UID": "u2"}])
    rows = read(
        connection,
        spool=tmp_path,
        columns="UID, Score, ZIP",
        exportType=["OPT_OUT", "OPT_IN"],
        statusField="status",
        numberColumns=["Score"],
    )
    assert rows == [
        {"UID": "u1", "Score": 7.5, "ZIP": "02826", "status": "OPT_IN"},
        {"UID": "u3", "status": "OPT_IN"},
        {"UID": "u2", "status": "OPT_OUT"},
    ]
    folder = sandbox.do(lambda s: s["silverpop"].frame.folder)
    assert not list((folder / "download").iterdir()), "an export holds personal data and is removed"
    assert not list(tmp_path.iterdir())


def test_changes_are_read_only_where_the_zone_is_confirmed(connection, tmp_path):
    from datetime import UTC, datetime

    since = datetime(2099, 1, 1, tzinfo=UTC)
    with pytest.raises(FlowError, match="LB-1523"):
        read(connection, since, spool=tmp_path, columns=["UID"])
    assert read(connection, since, spool=tmp_path, columns=["UID"], gmtConfirmed=True) == []


def test_an_export_that_is_cut_off_is_made_again_once(connection, api, sandbox, tmp_path):
    write(contact(api), [person(n) for n in range(50)])
    sandbox.fail("broken_file", operation="ExportList", times=1)
    assert len(read(connection, spool=tmp_path, columns=["UID", "EMAIL"])) == 50
    sandbox.fail("broken_file", operation="ExportList", times=2)
    with pytest.raises(LandbridgeError, match="LB-3223"):
        read(connection, spool=tmp_path, columns=["UID", "EMAIL"])


def test_an_unknown_column_is_an_error_of_the_flow(connection, tmp_path):
    with pytest.raises(FlowError, match="uid"):
        read(connection, spool=tmp_path, columns=["uid"])


# -- tables ------------------------------------------------------------------------------------------------------------

LIKES = {
    "tableName": "Likes",
    "elements": "profile.likes",
    "columns": [
        {"sourceField": "name", "targetField": "NAME"},
        {"sourceField": "time", "targetField": "WHEN", "type": "DATE_TIME"},
        {"sourceField": "#", "targetField": "POSITION", "type": "NUMERIC"},
    ],
    "keyColumns": ["NAME"],
}


def table(api, **params):
    return make("datasource.write.silverpop.table", {**api, **LIKES, **params})


def findings(generator):
    async def collect():
        return [finding async for finding in generator]

    return anyio.run(collect)


@pytest.fixture
def likes(api):
    findings(table(api).create_missing())
    return api


def liker(number, *names):
    return {
        "UID": f"u{number}",
        "profile": {"likes": [{"name": each, "time": "2023-05-01T10:00:00Z"} for each in names]},
    }


def rows(sandbox, name="Likes"):
    return {(row["UID"], row["NAME"]): row for row in sandbox.rows("silverpop", f"table {name}")}


def test_each_element_becomes_a_row_of_its_account(likes, sandbox):
    people = [liker(1, "Opera", "Chess"), {"UID": "u2"}, liker(3, "Opera"), liker(4)]
    done, refused = write(table(likes), people)
    assert (len(done), refused) == (4, [])
    found = rows(sandbox)
    assert set(found) == {("u1", "Opera"), ("u1", "Chess"), ("u3", "Opera")}
    assert found["u1", "Chess"] == {"UID": "u1", "NAME": "Chess", "WHEN": "05/01/2023 10:00:00", "POSITION": "2"}
    write(table(likes, action="delete"), [liker(1, "Opera", "Nothing")])
    assert set(rows(sandbox)) == {("u1", "Chess"), ("u3", "Opera")}


def test_a_deadlock_is_tried_again_and_a_storm_does_no_harm(likes, sandbox):
    storm(sandbox)
    sandbox.fail("partial_failure", operation="InsertUpdateRelationalTable", times=2)
    done, refused = write(table(likes), [liker(n, "Opera", "Chess", "Ski") for n in range(150)], size=50)
    assert (len(done), refused) == (150, [])
    assert len(rows(sandbox)) == 450


def test_a_record_fails_with_its_refused_row_and_the_others_are_written(likes, sandbox):
    bad = {"UID": "u2", "profile": {"likes": [{"name": "Opera", "time": "nonsense"}, {"name": "Ski"}]}}
    done, refused = write(table(likes), [liker(1, "Opera"), bad, {"profile": {"likes": []}}, liker(3, "a\x00")])
    assert [row["UID"] for row in done] == ["u1"]
    assert [code for code, _ in refused] == ["LB-4631"] * 3
    assert set(rows(sandbox)) == {("u1", "Opera"), ("u2", "Ski")}


def test_objects_of_objects_and_plain_values_have_rows_too(api, sandbox):
    columns = [{"sourceField": "@", "targetField": "NAME"}, {"sourceField": "points", "targetField": "POINTS"}]
    achievements = {"tableName": "Loyalty", "elements": "data.won", "columns": columns}
    findings(table(api, **achievements).create_missing())
    write(table(api, **achievements), [{"UID": "u1", "data": {"won": {"a": {"points": 3}, "b": {"points": 4}}}}])
    assert {key: row["POINTS"] for key, row in rows(sandbox, "Loyalty").items()} == {("u1", "a"): "3", ("u1", "b"): "4"}
    plain = {"tableName": "Tags", "elements": "tags", "columns": [{"sourceField": ".", "targetField": "NAME"}]}
    findings(table(api, **plain).create_missing())
    write(table(api, **plain), [{"UID": "u1", "tags": ["x", "y"]}])
    assert set(rows(sandbox, "Tags")) == {("u1", "x"), ("u1", "y")}


def test_the_budget_of_rows_stops_the_job_before_it_is_exceeded(likes, sandbox):
    write(table(likes), [liker(1, "a", "b", "c")])
    with pytest.raises(GuardTripped, match="LB-5101"):
        write(table(likes, maxTableRows=5), [liker(2, "a", "b", "c")])
    assert len(rows(sandbox)) == 3


def test_a_column_called_email_is_refused_before_anything_is_sent(api):
    with pytest.raises(ValueError, match="email"):
        table(api, columns=[{"sourceField": "x", "targetField": "Email"}])


def test_a_file_goes_into_a_table(api, connection, sandbox, command, folders, likes):
    [found] = sandbox.do(lambda s: [each.id for each in s["silverpop"].tables_])
    data = [{"UID": f"u{n}", "NAME": "Opera", "WHEN": "05/01/2023 10:00:00", "POSITION": "1"} for n in range(200)]
    outcome = command.run(import_flow(command, folders, connection, data, tableId=found))
    assert outcome.code == 0, outcome.err
    assert len(rows(sandbox)) == 200
    outcome = command.run(import_flow(command, folders, connection, data, tableId=found, maxTableRows=100))
    assert "LB-5101" in outcome.err


# -- checking ----------------------------------------------------------------------------------------------------------


def verdicts(found):
    return {finding.what: finding.verdict for finding in found}


def test_a_test_finds_what_is_missing_and_creating_makes_it(api, sandbox):
    fresh = sandbox.do(lambda s: s["silverpop"].create_database(f"Fresh {id(api)}", {"City": 0}).id)
    wanted = {"listId": fresh, "columns": ["UID:text", "Newsletter:yesno", "City:numeric"], "syncFields": ["UID"]}
    found = verdicts(findings(contact(api, **wanted).test()))
    assert (found["login"], found["column UID"], found["column Newsletter"]) == ("ok", "failed", "failed")
    assert found["column City"] == "failed", "a type cannot be changed"
    made = findings(contact(api, **wanted).create_missing())
    assert {finding.what for finding in made} == {"column UID", "column Newsletter"}
    found = verdicts(findings(contact(api, **wanted).test()))
    assert (found["column UID"], found["column Newsletter"], found["column City"]) == ("ok", "ok", "failed")
    assert findings(contact(api, **wanted).create_missing()) == []


def test_a_test_warns_where_addresses_are_the_key_and_where_the_zone_is_another(api, sandbox):
    by_mail = sandbox.do(lambda s: s["silverpop"].create_database(f"Mail {id(api)}", {}, keys=("EMAIL",)).id)
    write(contact(api, listId=by_mail), [{"EMAIL": "a@example.com"}])
    found = verdicts(findings(contact(api, listId=by_mail).test()))
    assert (found["key"], found["time zone"]) == ("warning", "warning")
    sandbox.switch("silverpop", api_user_zone="Asia/Tokyo")
    assert verdicts(findings(contact(api, listId=by_mail, gmtConfirmed=True).test()))["time zone"] == "failed"


def test_a_table_is_made_and_associated_once(api, sandbox):
    before = verdicts(findings_or_error(table(api)))
    assert before["error"] == "failed"
    assert [finding.what for finding in findings(table(api).create_missing())] == ["table", "association"]
    after = verdicts(findings(table(api).test()))
    assert set(after.values()) == {"ok"}
    assert findings(table(api).create_missing()) == []


def findings_or_error(component):
    from landbridge.components.check import Finding, tested

    return [
        Finding("error", each.verdict, each.message) if each.what == "connection" else each
        for each in findings(tested(component))
    ]


def test_the_command_prints_what_to_fix_and_creates_it(connection, sandbox, command, folders):
    fresh = sandbox.do(lambda s: s["silverpop"].create_database(f"Command {id(command)}", {}).id)
    flow = import_flow(
        command, folders, {**connection, "listId": fresh}, [person(1)], syncFields=["UID"], newsletterColumns="News"
    )
    outcome = command("check", flow)
    assert outcome.code == 1
    assert "FAILED   column News: the database does not have it" in outcome.out
    assert "ok       folder: the folder can be listed; it holds 1 files" in outcome.out
    assert connection["clientSecret"] not in outcome.out + outcome.err
    outcome = command("check", flow, "--create")
    assert outcome.code == 0, outcome.out
    assert "created  column News" in outcome.out
    outcome = command("check", import_flow(command, folders, {**connection, "password": "wrong"}, [person(1)]))
    assert "LB-2104" in outcome.out
    assert "wrong" not in outcome.out


def test_the_file_writer_refuses_a_database_that_does_not_fit(connection, command, folders):
    for params, told in (({"newsletterColumns": ["City"]}, "instead of yes/no"), ({"columns": ["Gone"]}, "Gone")):
        outcome = command.run(import_flow(command, folders, connection, [person(1)], **params))
        assert "LB-1521" in outcome.err
        assert told in outcome.err


# -- the token ---------------------------------------------------------------------------------------------------------


def calls(sandbox):
    return {row["operation"]: row["number"] for row in sandbox.rows("silverpop", "calls")}


def test_a_token_is_asked_for_once_and_again_shortly_before_its_end(api, sandbox):
    remote._TOKENS.clear()
    before = calls(sandbox).get("token", 0)
    for _ in range(3):
        write(contact(api), [person(1)])
    assert calls(sandbox)["token"] == before + 1
    [(account, known)] = remote._TOKENS.items()
    remote._TOKENS[account] = remote._Token(known.text, 0.0)
    write(contact(api), [person(1)])
    assert calls(sandbox)["token"] == before + 2


def test_ten_calls_at_a_time_are_shared_by_all_steps_of_a_process(api, sandbox):
    from landbridge.records import Batch

    sandbox.switch("silverpop", call_delay_s=0.05)
    monkeys = [contact(api, contactsPerCall=1, maxConnections=10) for _ in range(2)]

    async def deliver(component, numbers):
        async with component.opened():
            await component.write(Batch.from_objects([person(number) for number in numbers]))

    async def both():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, monkeys[0], range(40))
            tasks.start_soon(deliver, monkeys[1], range(40, 80))

    before = calls(sandbox).get("AddRecipient", 0)
    anyio.run(both)
    assert len(contacts(sandbox)) == 80
    assert calls(sandbox)["AddRecipient"] - before == 80, "no call was refused and made again"


def test_hosts_that_do_not_exist_are_told_apart(api, monkeypatch):
    with pytest.raises(LandbridgeError, match="LB-2101"):
        write(contact({**api, "url": "http://127.0.0.1:9"}), [person(1)])
    with pytest.raises(ValueError, match="encrypt"):
        contact({**api, "url": "http://vendor.example.com"})
    with pytest.raises(ValueError, match="podNumber"):
        contact({name: value for name, value in api.items() if name != "url"})
