"""The Responsys steps against the emulated platform and a local site, in good and bad weather."""

import anyio
import pytest

from landbridge.cli.round_trip_responsys import ResponsysRoundTrip
from landbridge.components import check
from landbridge.errors import AuthError, ConnectionFailed, FlowError, TransientError
from landbridge.records import Batch
from landbridge.remote import http, responsys as remote
from tests.contract.sandbox.running import running_sandbox
from tests.integration.round_trips import agreed, on_scene
from tests.steps import make, rejects

pytestmark = pytest.mark.usefixtures("own_environment")

WRITER, LOOKUP, READER = (f"datasource.{kind}.responsys" for kind in ("write", "lookup", "read"))
STATUS = "EMAIL_PERMISSION_STATUS_"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("people", "with_faults"), [(2_000, False), (500, True)])
def test_both_sides_agree_in_every_field_after_a_round_trip(people, with_faults):
    lines = agreed(ResponsysRoundTrip(), people=people, with_faults=with_faults)
    assert lines["members and active accounts"] > 0.95 * people
    assert lines["who opted out is still out"] > 0.03 * people


def test_profiles_without_consent_leave_it_alone(tmp_path):
    async def play(scene):
        members = scene.sandbox["responsys"].members
        form = {**scene.connection("responsys", ("password",)), "subscription": "none"}
        await scene.run("responsys-members", form)
        assert {each[STATUS] for each in members.records.values()} == {"O"}
        opted_in = next(iter(members.records))
        members.put(opted_in, {STATUS: "I"})
        await scene.run("responsys-members", {**form, "defaultPermission": "OPTIN"})
        assert [riid for riid, each in members.records.items() if each[STATUS] == "I"] == [opted_in]

    on_scene("responsys", play, people=30, folder=tmp_path)


def test_leavers_are_opted_out_or_removed_as_the_form_says(tmp_path):
    async def play(scene):
        kept = scene.sandbox["responsys"].members
        form = scene.connection("responsys", ("password",))
        await scene.run("responsys-members", form)
        uids = sorted(each["CUSTOMER_ID_"] for each in kept.records.values() if each[STATUS] == "I")
        await scene.change({uid: {"isActive": False} for uid in uids[:3]})
        await scene.run("responsys-leavers", form)
        still_in = {each["CUSTOMER_ID_"] for each in kept.records.values() if each[STATUS] == "I"}
        assert still_in == set(uids[3:])
        await scene.run("responsys-leavers", {**form, "action": "delete"})
        there = {each["CUSTOMER_ID_"] for each in kept.records.values()}
        assert not there.intersection(uids[:3])
        assert still_in <= there
        async with scene.calls() as calls:
            await calls.call("accounts.deleteAccount", {"UID": uids[3]}, may_repeat=True)
        await scene.run("responsys-leavers", {**form, "who": "deleted", "action": "delete"})
        assert not kept.find("CUSTOMER_ID_", uids[3])

    on_scene("responsys", play, people=30, folder=tmp_path)


# -- the steps alone ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox("responsys") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox, monkeypatch):
    monkeypatch.setattr(http.Retries, "delay_s", lambda self, attempt: 0.01)
    monkeypatch.setattr(remote, "LIMIT_WAIT_S", 0.01)
    one_sandbox.do(empty)
    yield one_sandbox
    one_sandbox.calm("responsys")


def empty(sandbox):
    vendor = sandbox["responsys"]
    vendor.members.records.clear()
    vendor.extension.clear()
    vendor.supplemental.clear()


@pytest.fixture
def connection(sandbox):
    return sandbox.connection("responsys")


def written(params, *records):
    """What a writer takes of records, and why it rejects the others."""
    step = make(WRITER, params)

    async def run():
        async with step.opened():
            return (await step.write(Batch.from_objects(records))).to_objects()

    return anyio.run(run), rejects(step)


def members(sandbox):
    return {row["CUSTOMER_ID_"]: row for row in sandbox.rows("responsys", "members")}


def person(uid, **more):
    return {"CUSTOMER_ID_": uid, "EMAIL_ADDRESS_": f"{uid}@example.com", **more}


def test_a_refused_record_is_rejected_alone(sandbox, connection):
    done, refused = written(connection, person("u1"), {**person("u2"), "EMAIL_ADDRESS_": "bad"}, {"CITY_": "Oslo"})
    assert [record["CUSTOMER_ID_"] for record in done] == ["u1"]
    assert [each["code"] for each in map(error_of, refused)] == ["LB-4631"] * 2
    assert "Invalid email address" in error_of(refused[0])["message"]
    assert set(members(sandbox)) == {"u1"}


def error_of(reject):
    return reject["error"] if isinstance(reject.get("error"), dict) else reject


def test_an_absent_field_is_left_alone(sandbox, connection):
    written(connection, person("u1", CITY_="Oslo", COUNTRY_="NO"), person("u2", CITY_="Bern"))
    written(connection, person("u1", CITY_="Rome"), person("u2", COUNTRY_="CH"), {"CUSTOMER_ID_": "u1", "STATE_": "x"})
    found = members(sandbox)
    assert [found["u1"][name] for name in ("CITY_", "COUNTRY_", "STATE_")] == ["Rome", "NO", "x"]
    assert [found["u2"][name] for name in ("CITY_", "COUNTRY_")] == ["Bern", "CH"]


def test_more_than_a_call_takes_travels_in_several(sandbox, connection):
    done, refused = written(connection, *(person(f"u{number}") for number in range(450)))
    assert (len(done), refused, len(members(sandbox))) == (450, [], 450)


def test_several_records_of_one_member_are_written_in_their_order(sandbox, connection):
    written(connection, *(person("u1", CITY_=f"c{number}") for number in range(5)))
    assert [row["CITY_"] for row in sandbox.rows("responsys", "members")] == ["c4"]


@pytest.mark.parametrize(("resubscribe", "status"), [(False, "O"), (True, "I")])
def test_who_has_opted_out_is_not_opted_in_again(sandbox, connection, resubscribe, status):
    written(connection, person("u1", **{STATUS: "I"}), person("u2", **{STATUS: "I"}))
    sandbox.do(lambda own: own["responsys"].members.opt_out(own["responsys"].members.find("CUSTOMER_ID_", "u1")[0], ""))
    again = [person(uid, CITY_="Oslo", **{STATUS: "I"}) for uid in ("u1", "u2", "u3")]
    done, _ = written({**connection, "resubscribe": resubscribe}, *again)
    assert len(done) == 3
    found = members(sandbox)
    assert [found[uid][STATUS] for uid in ("u1", "u2", "u3")] == [status, "I", "I"]
    assert found["u1"]["CITY_"] == "Oslo"


@pytest.mark.parametrize(("resubscribe", "status"), [(False, "O"), (True, "I")])
def test_who_opts_out_in_one_record_is_not_opted_in_by_the_next(sandbox, connection, resubscribe, status):
    written(connection, person("u1", **{STATUS: "I"}))
    both = [person("u1", **{STATUS: "O"}), person("u1", CITY_="Oslo", **{STATUS: "I"})]
    done, _ = written({**connection, "resubscribe": resubscribe}, *both)
    assert len(done) == 2
    assert [(each[STATUS], each["CITY_"]) for each in members(sandbox).values()] == [(status, "Oslo")]


def test_an_address_in_capitals_is_the_same_member(sandbox, connection):
    by_address = {**connection, "matchColumn": "EMAIL_ADDRESS_"}
    records = [("b@example.com", "STATE_"), ("a@example.com", "CITY_"), ("A@example.com", "STATE_")]
    given = [{"EMAIL_ADDRESS_": address, "COUNTRY_": column, column: "x"} for address, column in records]
    done, _ = written(by_address, *given)
    assert len(done) == 3
    found = {row["EMAIL_ADDRESS_"].lower(): row for row in sandbox.rows("responsys", "members")}
    assert found["a@example.com"]["COUNTRY_"] == "STATE_", "the last record counts"


def test_deleting_who_is_not_there_is_done(sandbox, connection):
    written(connection, person("u1"), person("u2"))
    done, refused = written({**connection, "action": "delete"}, {"CUSTOMER_ID_": "u1"}, {"CUSTOMER_ID_": "u9"})
    assert (len(done), refused, set(members(sandbox))) == (2, [], {"u2"})


def test_opting_out_changes_members_that_are_there_and_makes_none(sandbox, connection):
    written(connection, person("u1", CITY_="Oslo", **{STATUS: "I"}), person("u2", **{STATUS: "I"}))
    leavers = [{"CUSTOMER_ID_": uid} for uid in ("u1", "u9")]
    assert written({**connection, "action": "optOut"}, *leavers) == (leavers, [])
    found = members(sandbox)
    assert {uid: (each[STATUS], each.get("CITY_")) for uid, each in found.items()} == {
        "u1": ("O", "Oslo"),
        "u2": ("I", None),
    }


def test_rows_of_both_kinds_of_table_are_written(sandbox, connection):
    written(connection, person("u1"))
    extension = {**connection, "profileExtension": "Preferences"}
    done, refused = written(extension, {"CUSTOMER_ID_": "u1", "COLOR": "red"}, {"CUSTOMER_ID_": "u9", "COLOR": "blue"})
    assert (len(done), len(refused)) == (1, 1)
    assert [row["COLOR"] for row in sandbox.rows("responsys", "extension Preferences")] == ["red"]
    table = {**connection, "supplementalTable": "Likes", "folder": "Landbridge"}
    likes = [{"CUSTOMER_ID_": "u1", "NAME": name} for name in ("tea", "jazz")]
    assert written(table, *likes) == (likes, [])
    assert len(sandbox.rows("responsys", "supplemental Likes")) == 2


@pytest.mark.parametrize("given", [{}, {"tableKey": "CUSTOMER_ID_, NAME"}])
def test_of_several_rows_with_one_key_the_last_one_wins_whatever_columns_they_carry(sandbox, connection, given):
    sandbox.switch("responsys", first_row_counts=bool(given))
    table = {**connection, "supplementalTable": "Likes", "folder": "Landbridge", **given}
    tea = {"CUSTOMER_ID_": "u1", "NAME": "tea"}
    rows = [{**tea, "RANK": "1", "CITY": "Bern"}, {**tea, "RANK": "2"}, {**tea, "RANK": "3", "CITY": "Rom"}]
    rows += [{"CUSTOMER_ID_": f"u{number}", "NAME": "jazz"} for number in range(300)]
    rows += [{**tea, "RANK": "4", "CITY": "Oslo"}]
    assert written(table, *rows) == (rows, [])
    found = [row for row in sandbox.rows("responsys", "supplemental Likes") if row["NAME"] == "tea"]
    assert found == [{**tea, "RANK": "4", "CITY": "Oslo"}]


def test_a_row_without_its_whole_key_is_rejected_alone(sandbox, connection):
    table = {**connection, "supplementalTable": "Likes", "folder": "Landbridge", "tableKey": ["CUSTOMER_ID_", "NAME"]}
    done, refused = written(table, {"CUSTOMER_ID_": "u1", "NAME": "tea"}, {"CUSTOMER_ID_": "u2"})
    assert [row["CUSTOMER_ID_"] for row in done] == ["u1"]
    assert [(each["code"], each["message"]) for each in refused] == [("LB-4631", "the record has no NAME")]


@pytest.mark.parametrize("status", [401, 500])
def test_a_token_that_is_not_good_any_more_is_replaced_once(sandbox, connection, status):
    written(connection, person("u1"))
    sandbox.switch("responsys", expired_status=status)
    sandbox.fail("token_expiry", times=1)
    assert len(written(connection, person("u2"))[0]) == 1
    sandbox.fail("token_expiry")
    with pytest.raises(AuthError):
        written(connection, person("u3"))


def test_lost_replies_and_limits_lose_and_double_nothing(sandbox, connection):
    sandbox.fail("lost_reply", operation="members", times=3)
    sandbox.fail("rate_limit", operation="members", times=3)
    done, refused = written(connection, *(person(f"u{number}") for number in range(300)))
    assert (len(done), refused) == (300, [])
    assert len(sandbox.rows("responsys", "members")) == 300


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"password": "wrong"}, AuthError, "LB-2104"),
        ({"listName": "Nobody"}, FlowError, "LB-1521"),
        ({"url": "http://127.0.0.1:9"}, ConnectionFailed, "LB-2101"),
    ],
)
def test_what_is_wrong_is_told_in_one_error(connection, change, kind, code):
    with pytest.raises(kind) as caught:
        written({**connection, **change}, person("u1"))
    assert caught.value.code == code
    assert connection["password"] not in str(caught.value)


def test_a_column_that_the_list_lacks_is_told(connection):
    with pytest.raises(FlowError) as caught:
        written(connection, person("u1", NONSENSE="x"))
    assert "NONSENSE" in caught.value.message


def test_a_platform_that_stays_busy_ends_the_job_as_passing(sandbox, connection):
    sandbox.fail("rate_limit", operation="members")
    with pytest.raises(TransientError) as caught:
        written(connection, person("u1"))
    assert caught.value.code == "LB-3221"


def looked_up(params, *records):
    step = make(LOOKUP, params)

    async def run():
        async with step.opened():
            return (await step.look_up(Batch.from_objects(records))).to_objects()

    return anyio.run(run)


def test_a_lookup_adds_the_member_and_leaves_out_who_is_none(sandbox, connection):
    written(connection, person("u1", **{STATUS: "I", "SCORE": "7"}), person("u2", **{STATUS: "O"}))
    params = {**connection, "fields": "SCORE,CITY_"}
    asked = [{"UID": uid} for uid in ("u1", "u2", "u9")]
    assert looked_up(params, *asked) == [
        {"UID": "u1", "responsys": {"SCORE": "7"}},
        {"UID": "u2", "responsys": {}},
    ]
    assert looked_up({**params, "permissionStatus": "O"}, *asked) == [{"UID": "u2", "responsys": {}}]
    assert looked_up(params, {"UID": "u9"}) == []


def read(params):
    async def run():
        return [row async for batch in make(READER, params).read() for row in batch.to_objects()]

    return anyio.run(run)


def test_members_are_read_by_their_keys(connection):
    people = [person(f"u{number}", **{STATUS: "IO"[number % 2]}) for number in range(250)]
    written(connection, *people)
    ids = [f"u{number}" for number in range(300)]
    fields = {"ids": ids, "fields": ["CUSTOMER_ID_", "EMAIL_ADDRESS_"]}
    wanted = [{name: each[name] for name in fields["fields"]} for each in people]
    assert sorted(read({**connection, **fields}), key=str) == sorted(wanted, key=str)
    some = read({**connection, "ids": "u1,u2,u9999", "permissionStatus": "O"})
    assert [(row["CUSTOMER_ID_"], row[STATUS]) for row in some] == [("u1", "O")]
    assert "CREATED_DATE_" in some[0], "without fields all columns are read"
    by_address = {**connection, "matchColumn": "EMAIL_ADDRESS_", "ids": [people[3]["EMAIL_ADDRESS_"]]}
    assert [row["CUSTOMER_ID_"] for row in read(by_address)] == ["u3"]
    assert read({**connection, "ids": ["nobody"]}) == []


def test_a_check_tells_what_is_fit_and_what_is_not(connection):
    async def run(kind, params):
        return [finding async for finding in check.tested(make(kind, params))]

    assert [each.verdict for each in anyio.run(run, WRITER, connection)] == ["ok", "ok"]
    odd = anyio.run(run, LOOKUP, {**connection, "fields": "NONSENSE"})
    assert (odd[-1].what, odd[-1].verdict) == ("columns", "failed")
    assert anyio.run(run, WRITER, {**connection, "listName": "Nobody"})[-1].verdict == "failed"
