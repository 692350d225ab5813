"""The reader of audiences against the emulated Lytics and a local site, in good and bad weather."""

import anyio
import msgspec
import pytest

from landbridge.cli.round_trip_lytics import LyticsRoundTrip
from landbridge.components import check
from landbridge.errors import AuthError, ConnectionFailed, FlowError, LandbridgeError, TransientError
from landbridge.remote import http
from landbridge.sandbox import Fault
from landbridge.site import Site
from tests.contract.sandbox.running import running_sandbox
from tests.integration.round_trips import agreed, on_scene
from tests.steps import make

pytestmark = pytest.mark.usefixtures("own_environment")

READER = "datasource.read.lytics.audience"


# -- there and back ----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.long
@pytest.mark.parametrize(("people", "with_faults"), [(10_000, False), (200, True)])
def test_the_site_names_exactly_who_is_in_the_audience(people, with_faults):
    lines = agreed(LyticsRoundTrip(), people=people, with_faults=with_faults)
    assert lines["slugs of the audience's people"] > 0.3 * people
    assert lines["slugs of those who left it"] > 0.02 * people


def on_a_site(action, *, folder, people=40):
    """Run ``action`` with a site, and a sandbox in which everybody has a score: 0, 1, 2 … in the order of UIDs."""

    async def play(scene):
        own = scene.sandbox["lytics"].audiences
        accounts = sorted(await scene.accounts("UID"))
        for number, uid in enumerate(accounts):
            own.collect({"gigya_uid": uid, "score": number})
        return await action(scene, own, accounts)

    return on_scene("lytics", play, people=people, folder=folder)


def form_of(scene, audience, **values):
    return {**scene.connection("lytics", ("accessToken",)), "audience": audience, **values}


async def kept(scene, own, rule, **values):
    """The form of a new audience whose lists the site has got already."""
    form = form_of(scene, own.create("Top", f"FILTER {rule}"), **values)
    await scene.run("lytics-audience", form)
    return form


async def stored(scene, field="lytics_segments"):
    accounts = await scene.accounts("UID, data")
    return {uid: account["data"][field] for uid, account in accounts.items() if field in account.get("data", {})}


def test_only_the_changed_lists_are_written(tmp_path):
    async def play_it(scene, own, accounts):
        audience = own.create("Top", "FILTER score >= 30")
        form = form_of(scene, audience)
        assert (await scene.run("lytics-audience", form)).steps["account"].records_in == 10
        own.collect({"gigya_uid": accounts[30], "score": 1})
        own.collect({"gigya_uid": accounts[0], "score": 99})
        own.create("Best", "FILTER score = 39")
        report = await scene.run("lytics-audience", form)
        assert report.steps["account"].records_in == 3
        lists = await stored(scene)
        assert lists[accounts[30]] == ["all"]
        assert lists[accounts[0]] == ["all", "top"]
        assert lists[accounts[39]] == ["all", "best", "top"]
        assert len(lists) == 11

    on_a_site(play_it, folder=tmp_path)


def test_who_leaves_the_last_audience_keeps_an_empty_list(tmp_path):
    async def play_it(scene, own, accounts):
        audience = own.create("Top", "FILTER score >= 38")
        for key, segment in list(own.segments.items()):
            own.change(key, is_public=segment["slug_name"] == "top")
        form = form_of(scene, audience)
        await scene.run("lytics-audience", form)
        own.collect({"gigya_uid": accounts[38], "score": 0})
        await scene.run("lytics-audience", form)
        assert await stored(scene) == {accounts[38]: [], accounts[39]: ["top"]}
        assert (await stored(scene, "lytics_segment_ids")) == {accounts[38]: [], accounts[39]: [audience]}

    on_a_site(play_it, folder=tmp_path)


def test_who_leaves_a_renamed_audience_is_found_by_its_id(tmp_path):
    async def play_it(scene, own, accounts):
        audience = own.create("Top", "FILTER score >= 38")
        form = form_of(scene, audience)
        await scene.run("lytics-audience", form)
        own.change(audience, slug_name="summit")
        own.collect({"gigya_uid": accounts[38], "score": 0})
        await scene.run("lytics-audience", form)
        assert await stored(scene) == {accounts[38]: ["all"], accounts[39]: ["all", "summit"]}

    on_a_site(play_it, folder=tmp_path)


def test_the_data_store_takes_the_lists_in_place_of_the_accounts(tmp_path):
    async def play_it(scene, own, accounts):
        form = await kept(scene, own, "score >= 38", storage="dataStore", keepIds=False)
        own.collect({"gigya_uid": accounts[38], "score": 0})
        report = await scene.run("lytics-audience", form)
        assert report.steps["object"].records_in == 1
        assert await stored(scene) == {}
        found = {}
        async with scene.calls() as calls:
            async for page in calls.pages("ds.search", "SELECT * FROM lytics_segments LIMIT 100"):
                found |= {each["oid"]: each for each in msgspec.json.decode(b"[" + page.elements + b"]")}
        assert {oid: each["data"]["lytics_segments"] for oid, each in found.items()} == {
            accounts[38]: ["all"],
            accounts[39]: ["all", "top"],
        }
        assert {each["UID"] for each in found.values()} == {accounts[38], accounts[39]}

    on_a_site(play_it, folder=tmp_path)


def test_a_wrong_gigya_id_field_empties_nobodys_list(tmp_path):
    async def play_it(scene, own, accounts):
        form = await kept(scene, own, "score >= 38")
        before = await stored(scene)
        with pytest.raises(Exception, match=r"none of the 2 users .* known at Lytics"):
            await scene.run("lytics-audience", {**form, "gigyaIdField": "uid"})
        for uid in accounts[38:]:
            own.collect({"gigya_uid": uid, "score": 0})
        with pytest.raises(Exception, match=r"none of the 2 accounts .* known at Lytics"):
            await scene.run("lytics-audience", {**form, "gigyaIdField": "uid"})
        assert await stored(scene) == before
        await scene.run("lytics-audience", form)
        assert await stored(scene) == {uid: ["all"] for uid in accounts[38:]}

    on_a_site(play_it, folder=tmp_path)


def test_a_field_that_holds_something_else_than_uids_empties_nobodys_list(tmp_path):
    async def play_it(scene, own, accounts):
        for number, uid in enumerate(accounts):
            own.collect({"gigya_uid": uid, "email": f"p{number}@example.com"})
        form = await kept(scene, own, "score >= 2")
        before = await stored(scene)
        with pytest.raises(Exception, match=r"none of the 38 accounts .* known at Lytics"):
            await scene.run("lytics-audience", {**form, "gigyaIdField": "email"})
        assert await stored(scene) == before
        assert len(before) == 38

    on_a_site(play_it, folder=tmp_path)


def test_who_was_removed_at_lytics_gets_an_empty_list_even_if_nobody_else_was_in_the_audience(tmp_path):
    """Users of the audience who have an account prove the field right, though the site's lists do not name them yet."""

    async def play_it(scene, own, accounts):
        form = await kept(scene, own, "score >= 39")
        own.forget(own.by("gigya_uid", accounts[39])[0])
        own.collect({"gigya_uid": accounts[38], "score": 50})
        await scene.run("lytics-audience", form)
        assert await stored(scene) == {accounts[38]: ["all", "top"], accounts[39]: []}

    on_a_site(play_it, folder=tmp_path)


def test_the_only_one_of_an_audience_who_was_removed_stops_the_job_unless_it_is_said(tmp_path):
    async def play_it(scene, own, accounts):
        form = await kept(scene, own, "score >= 39")
        own.forget(own.by("gigya_uid", accounts[39])[0])
        with pytest.raises(Exception, match=r"the one account .* is not known at Lytics"):
            await scene.run("lytics-audience", form)
        await scene.run("lytics-audience", {**form, "unknownAreGone": True})
        assert await stored(scene) == {accounts[39]: []}

    on_a_site(play_it, folder=tmp_path)


@pytest.mark.parametrize("field", ["gigya_uid", "email"])
def test_a_check_tries_some_uids_on_the_site(tmp_path, field):
    async def play_it(scene, own, accounts):
        for number, uid in enumerate(accounts):
            own.collect({"gigya_uid": uid, "email": f"p{number}@example.com"})
        params = {**scene.sandbox["lytics"].connection(), "audience": own.create("Top", "FILTER score >= 2")}
        params |= {"gigyaIdField": field, "storage": "account"}
        step = make(READER, params)
        return {found.what: (found.verdict, found.message) async for found in check.tested(step)}

    found = on_a_site(play_it, folder=tmp_path)
    is_right = field == "gigya_uid"
    assert found["site"][0] == "ok"
    assert found["accounts"][0] == ("ok" if is_right else "failed")
    assert f"{38 if is_right else 0} of " in found["accounts"][1]


def test_a_scan_without_snapshot_harms_nobody(tmp_path):
    """Users come twice, or with their memberships, and calls fail: the lists are the same."""

    async def play_it(scene, own, accounts):
        audience = own.create("Top", "FILTER score >= 10")
        own.create("Hidden", "FILTER score >= 38", is_public=False)
        form = form_of(scene, audience)
        scene.sandbox.switch("lytics", scan_repeats=True, scan_has_memberships=True, status_is_number=False)
        scene.sandbox.faults.add(Fault("rate_limit", operation="scan", times=1), Fault("lost_reply", times=2))
        report = await scene.run("lytics-audience", form)
        assert report.steps["account"].records_in == 30
        assert await stored(scene) == {uid: ["all", "top"] for uid in accounts[10:]}
        report = await scene.run("lytics-audience", {**form, "allAudiences": True})
        assert report.steps["account"].records_in == 2
        assert (await stored(scene))[accounts[39]] == ["all", "hidden", "top"]

    on_a_site(play_it, folder=tmp_path)


# -- the reader alone --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox("lytics") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox, monkeypatch):
    monkeypatch.setattr(http.Retries, "delay_s", lambda self, attempt: 0.01)
    one_sandbox.do(lambda own: own["lytics"].audiences.users.clear())
    yield one_sandbox
    one_sandbox.calm("lytics")


@pytest.fixture
def connection(sandbox):
    return {**sandbox.connection("lytics"), "audience": "all"}


def known(sandbox, *users):
    sandbox.do(lambda own: [own["lytics"].audiences.collect(user) for user in users])


def read(params, **spool):
    async def run():
        return [row async for batch in make(READER, params, **spool).read() for row in batch.to_objects()]

    return anyio.run(run)


def test_a_user_has_uid_memberships_and_the_fields_asked_for(sandbox, connection):
    known(sandbox, {"gigya_uid": "u1", "score": 5, "email": "a@example.com"}, {"_uid": "visitor", "score": 1})
    audience = sandbox.do(lambda own: own["lytics"].audiences.find("all")["id"])
    [row] = read({**connection, "fields": "score"})
    assert row == {
        "UID": "u1",
        "segments": ["all"],
        "segmentIds": [audience],
        "isMember": True,
        "user": {"score": 5},
    }


def test_a_user_of_several_accounts_becomes_a_record_for_each(sandbox, connection):
    known(sandbox, {"gigya_uid": ["u1", "u2"]}, {"gigya_uid": "u3"})
    assert [row["UID"] for row in read(connection)] == ["u1", "u2", "u3"]


def test_a_user_that_the_scan_names_twice_is_read_once(sandbox, connection):
    known(sandbox, *({"gigya_uid": f"u{number}"} for number in range(25)))
    sandbox.switch("lytics", scan_repeats=True)
    assert sorted(row["UID"] for row in read({**connection, "pageSize": 4})) == sorted(f"u{n}" for n in range(25))


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"accessToken": "wrong"}, AuthError, "LB-2104"),
        ({"audience": "nothing"}, FlowError, "LB-1521"),
        ({"gigyaIdField": "uid"}, FlowError, "LB-1521"),
        ({"lyticsUrl": "http://127.0.0.1:9"}, ConnectionFailed, "LB-2101"),
    ],
)
def test_what_is_wrong_is_told_in_one_error(sandbox, connection, change, kind, code):
    known(sandbox, {"gigya_uid": "u1"})
    with pytest.raises(kind) as caught:
        read({**connection, **change})
    assert caught.value.code == code
    assert connection["accessToken"] not in str(caught.value)


def test_a_vendor_that_stays_busy_ends_the_job_as_passing(sandbox, connection):
    known(sandbox, {"gigya_uid": "u1"})
    sandbox.switch("lytics", retry_after=False)
    sandbox.fail("rate_limit", operation="scan")
    with pytest.raises(TransientError) as caught:
        read(connection)
    assert caught.value.code == "LB-3106"


def checked(params):
    async def run():
        return [finding async for finding in check.tested(make(READER, params))]

    return anyio.run(run)


def test_a_check_tells_what_is_fit_and_what_is_not(sandbox, connection):
    known(sandbox, {"gigya_uid": "u1"}, {"_uid": "v"})
    fit = checked(connection)
    assert [(each.what, each.verdict) for each in fit] == [
        ("login", "ok"),
        ("audience", "ok"),
        ("Gigya ID field", "ok"),
    ]
    assert "1 of the first 2 users" in fit[-1].message
    assert checked({**connection, "gigyaIdField": "uid"})[-1].verdict == "failed"
    missing = checked({**connection, "audience": "nothing"})[-1]
    assert (missing.what, missing.verdict) == ("audience", "failed")
    assert "all (" in missing.hint
    [refused] = checked({**connection, "accessToken": "wrong"})
    assert refused.verdict == "failed"


def test_a_server_of_another_kind_is_told_apart(tmp_path):
    async def run():
        async with Site(tmp_path / "site", people=0) as site:
            params = {"lyticsUrl": site.url, "accessToken": "t", "audience": "a", "gigyaIdField": "uid"}
            with pytest.raises(LandbridgeError) as caught:
                async for _ in make(READER, params).read():
                    pass
            return caught.value.code

    assert anyio.run(run) in ("LB-2107", "LB-1521")
