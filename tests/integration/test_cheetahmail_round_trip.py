"""CheetahMail there and back, by its templates: ten thousand people, with and without faults, every field compared."""

import csv
import io

import pytest

from landbridge.cli.execution import Request, execute
from landbridge.cli.round_trip_cheetahmail import CheetahMailRoundTrip
from landbridge.sandbox import Fault
from landbridge.templates import load
from tests.integration.round_trips import agreed, on_scene

pytestmark = pytest.mark.usefixtures("own_environment")

VENDOR = "cheetahmail"
SECRETS = ("apiPassword", "password")


@pytest.mark.timeout(300)
@pytest.mark.long
@pytest.mark.parametrize(("people", "with_faults"), [(10_000, False), (500, True)])
def test_both_sides_agree_in_every_field_after_a_round_trip(people, with_faults):
    lines = agreed(CheetahMailRoundTrip(), people=people, with_faults=with_faults)
    assert lines["subscribers and active accounts"] > 0.95 * people
    assert lines["new addresses are on both sides"] > 0.1 * people
    assert lines["who left the list is still off it"] > 0.04 * people
    assert lines["corrected cities are on the site"] > 0.03 * people


def playing(action, *, folder, people=30):
    """Run ``action(scene, platform, send)`` with a site and a sandbox; ``send`` fills a template and runs it."""

    async def play(scene):
        connection = scene.connection(VENDOR, SECRETS)
        scene.sandbox.switch(VENDOR, export_delay_s=0.01)
        platform = scene.sandbox[VENDOR]

        async def send(template, **values):
            asked = {field.name for field in load(template).form.fields}
            known = {name: value for name, value in connection.items() if name in asked}
            may_reject = values.pop("may_reject", False)
            report = await scene.run(template, {**known, **values}, may_reject=may_reject)
            await scene.sandbox.idle()
            return report

        return await action(scene, platform, send)

    return on_scene(VENDOR, play, people=people, folder=folder)


def by_uid(platform):
    found = {}
    for record in platform.subscribers.records.values():
        uid = record["fields"]["UID"]
        assert uid not in found, "a subscriber is there twice"
        found[uid] = record
    return found


def reason(platform, uid):
    """Why somebody is off the list; "on" for nobody who is, None for who never was."""
    fact = by_uid(platform)[uid]["lists"].get(platform.connection()["listId"])
    return None if fact is None else fact["reason"] or "on"


@pytest.mark.parametrize("template", ["cheetahmail-outbound", "cheetahmail-subscribers"])
def test_profiles_alone_touch_no_subscription(tmp_path, template):
    async def play(scene, platform, send):
        await send(template, subscription="none")
        assert len(by_uid(platform)) > 20
        assert {reason(platform, uid) for uid in by_uid(platform)} == {None}
        uid = min(by_uid(platform))
        number = platform.subscribers.find_by("UID", uid)
        platform.subscribers.subscribe(number, platform.connection()["listId"], by="person")
        await scene.change({uid: {"profile": {"city": "Oslo"}, "data": {"subscribed": False}}})
        await send(template, subscription="none")
        assert (reason(platform, uid), by_uid(platform)[uid]["fields"]["CITY"]) == ("on", "Oslo")

    playing(play, folder=tmp_path)


def test_who_has_said_nothing_is_left_out_of_the_file(tmp_path):
    async def play(scene, platform, send):
        await send("cheetahmail-outbound", subscriptionField="data.neverAsked")
        assert by_uid(platform) == {}
        await send("cheetahmail-outbound", subscriptionField="data.neverAsked", silentCode="U")
        assert {reason(platform, uid) for uid in by_uid(platform)} == {"k"}

    playing(play, folder=tmp_path)


def test_the_layout_of_the_file_is_what_was_agreed(tmp_path):
    async def play(scene, platform, send):
        agreed_on = {"load_pattern": r"acme_(?P<list>\d+)_.*\.csv\.gz", "load_delimiter": "|", "action_column": "OP"}
        scene.sandbox.switch(VENDOR, **agreed_on)
        layout = {"filePrefix": "acme", "delimiter": "|", "actionColumn": "OP", "compress": True}
        await send("cheetahmail-outbound", **layout)
        assert len(by_uid(platform)) > 20
        assert {reason(platform, uid) for uid in by_uid(platform)} == {"on", "k"}

    playing(play, folder=tmp_path)


def test_a_file_puts_nobody_back_whose_unsubscribe_is_known_to_the_consent_ledger(tmp_path):
    async def play(scene, platform, send):
        await send("cheetahmail-outbound")
        scene.sandbox.switch(VENDOR, load_resubscribes=True)
        [uid, other, *_] = sorted(uid for uid in by_uid(platform) if reason(platform, uid) == "on")
        for each in (uid, other):
            number = platform.subscribers.find_by("UID", each)
            platform.subscribers.unsubscribe(number, platform.connection()["listId"], "w")
        put(platform, "known_1.csv", {"UID": uid, "LIST": platform.connection()["listId"], "REASON": "w"})

        async def run(template, **values):
            asked = {field.name for field in load(template).form.fields}
            known = {name: value for name, value in scene.connection(VENDOR, SECRETS).items() if name in asked}
            flow = load(template).fill({**known, **values}).flow
            rejects = tmp_path / "rejects.jsonl"
            report = await execute(Request(flow, consent_ledger=tmp_path / "ledger", rejects=rejects, quiet=True))
            await scene.sandbox.idle()
            return report

        back = await run("cheetahmail-unsubscribes", fileNameRegex=r"known_.*\.csv")
        assert back.steps["account"].records_out == 1
        await scene.change({uid: {"data": {"subscribed": True}}})
        assert (await run("cheetahmail-outbound")).rejects == 1
        assert reason(platform, uid) == "w"
        assert reason(platform, other) == "on", "of whom nobody here knew; the platform's own setting counts"

    playing(play, folder=tmp_path)


def test_a_no_in_a_file_passes_though_somebody_else_has_the_address(tmp_path):
    """Two people swap their addresses, which a file cannot tell the platform, and one of them says no."""

    async def play(scene, platform, send):
        await send("cheetahmail-outbound")
        [one, two, *_] = sorted(uid for uid in by_uid(platform) if reason(platform, uid) == "on")
        emails = {uid: by_uid(platform)[uid]["email"] for uid in (one, two)}
        await scene.change({one: {"profile": {"email": "meanwhile@example.com"}, "data": {"subscribed": False}}})
        await scene.change({two: {"profile": {"email": emails[one]}}})
        await scene.change({one: {"profile": {"email": emails[two]}}})
        await send("cheetahmail-outbound")
        assert (reason(platform, one), reason(platform, two)) == ("k", "on")
        assert {uid: by_uid(platform)[uid]["email"] for uid in (one, two)} == emails, "the file's rows are refused"

    playing(play, folder=tmp_path)


def test_people_who_swap_their_addresses_get_them_by_the_api(tmp_path):
    async def play(scene, platform, send):
        await send("cheetahmail-subscribers")
        [one, two, *_] = sorted(uid for uid in by_uid(platform) if reason(platform, uid) == "on")
        emails = {uid: by_uid(platform)[uid]["email"] for uid in (one, two)}
        await scene.change({one: {"profile": {"email": "meanwhile@example.com"}, "data": {"subscribed": False}}})
        await scene.change({two: {"profile": {"email": emails[one]}}})
        await scene.change({one: {"profile": {"email": emails[two]}}})
        for _ in range(2):
            await send("cheetahmail-subscribers")
            found = by_uid(platform)
            assert (found[one]["email"], found[two]["email"]) == (emails[two], emails[one])
            assert (reason(platform, one), reason(platform, two)) == ("i", "on")
        accounts = await scene.accounts("UID, data")
        assert accounts[one]["data"]["cheetahmail"]["email"] == emails[two], "the account knows what the platform knows"

    playing(play, folder=tmp_path)


@pytest.mark.parametrize("action", ["unsubscribe", "remove"])
def test_leavers_are_unsubscribed_or_removed_as_the_form_says(tmp_path, action):
    async def play(scene, platform, send):
        await send("cheetahmail-outbound")
        uids = sorted(uid for uid in by_uid(platform) if reason(platform, uid) == "on")
        await scene.change({uid: {"isActive": False} for uid in uids[:3]})
        before = len(platform.loads)
        report = await send("cheetahmail-leavers", action=action)
        [load_] = list(platform.loads.values())[before:]
        assert int(load_["ROWS"]) == report.steps["sftp"].records_in == report.steps["deactivated"].records_out >= 3
        async with scene.calls() as calls:
            await calls.call("accounts.deleteAccount", {"UID": uids[3]}, may_repeat=True)
        await send("cheetahmail-leavers", who="deleted", action=action)
        if action == "remove":
            assert not by_uid(platform).keys() & set(uids[:4])
        else:
            assert [reason(platform, uid) for uid in uids[:4]] == ["k"] * 4
        assert {reason(platform, uid) for uid in uids[4:]} == {"on"}

    playing(play, folder=tmp_path)


@pytest.mark.parametrize(("unsubscribe_from", "wanted"), [("list", "i"), ("everything", "k")])
def test_deactivated_accounts_are_unsubscribed_by_the_api(tmp_path, unsubscribe_from, wanted):
    async def play(scene, platform, send):
        await send("cheetahmail-subscribers")
        uids = sorted(uid for uid in by_uid(platform) if reason(platform, uid) == "on")
        gone = {"isActive": False, "profile": {"email": f"gone-{uids[0]}@example.com"}}
        await scene.change({uids[0]: gone, uids[1]: {"isActive": False}})
        await send("cheetahmail-deactivated", unsubscribeFrom=unsubscribe_from)
        assert [reason(platform, uid) for uid in uids[:2]] == [wanted] * 2, "also who has moved in the same moment"
        assert {reason(platform, uid) for uid in uids[2:]} == {"on"}
        addresses = {by_uid(platform)[uid]["email"] for uid in uids[:2]}
        assert set(platform.subscribers.suppressed) == (addresses if wanted == "k" else set())

    playing(play, folder=tmp_path)


def put(platform, name, *rows):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    (platform.frame.folder / "export" / name).write_text(text.getvalue())


def test_only_unsubscribes_of_the_list_for_a_wanted_reason_of_known_people_come_back(tmp_path):
    async def play(scene, platform, send):
        list_id = platform.connection()["listId"]
        accounts = await scene.accounts()
        uids = sorted(uid for uid, account in accounts.items() if account["data"]["subscribed"])
        rows = [
            {"UID": uids[0], "LIST": list_id, "REASON": "w"},
            {"UID": uids[0], "LIST": list_id, "REASON": "w"},
            {"UID": uids[1], "LIST": "77", "REASON": "w"},
            {"UID": uids[2], "LIST": list_id, "REASON": "i"},
            {"UID": uids[3], "LIST": list_id, "REASON": "b"},
            {"UID": "stranger", "LIST": list_id, "REASON": "w"},
        ]
        put(platform, "unsubscribes_1.csv", *rows)
        report = await send("cheetahmail-unsubscribes")
        assert report.steps["account"].records_out == 2
        after = await scene.accounts()
        assert {uid for uid in uids if not after[uid]["data"]["subscribed"]} == {uids[0], uids[3]}
        for uid in accounts:
            accounts[uid]["data"].pop("subscribed")
            after[uid]["data"].pop("subscribed")
        assert after == accounts, "nothing else has changed"

    playing(play, folder=tmp_path)


def test_with_ready_files_an_export_is_read_only_when_it_is_whole(tmp_path):
    async def play(scene, platform, send):
        scene.sandbox.switch(VENDOR, writes_ready_files=True, export_delay_s=0.0)
        await send("cheetahmail-outbound")
        uids = [uid for uid in by_uid(platform) if reason(platform, uid) == "on"]
        for uid in uids:
            number = platform.subscribers.find_by("UID", uid)
            platform.subscribers.unsubscribe(number, platform.connection()["listId"], "w")
        scene.sandbox.faults.add(Fault("broken_file", operation="unsubscribes", times=1))
        platform.export()
        asked = {"readyFile": "{stem}.ready"}
        assert (await send("cheetahmail-unsubscribes", **asked)).steps["account"].records_out == 0
        assert (await send("cheetahmail-unsubscribes", **asked)).steps["account"].records_out == len(uids) > 5

    playing(play, folder=tmp_path)


@pytest.mark.parametrize("create", [False, True])
def test_changes_of_people_without_an_account_are_left_out_unless_the_form_creates_them(tmp_path, create):
    async def play(scene, platform, send):
        before = await scene.accounts()
        uid = min(before)
        put(
            platform,
            "changes_1.csv",
            {"UID": uid, "EMAIL": "first@example.com", "CITY": "Rom"},
            {"UID": uid, "EMAIL": "last@example.com", "CITY": ""},
            {"UID": "f" * 32, "EMAIL": "stranger@example.com", "CITY": "Bern"},
        )
        fields = [
            {"sourceField": "EMAIL", "targetField": "profile.email"},
            {"sourceField": "CITY", "targetField": "profile.city"},
        ]
        await send("cheetahmail-changes", create=create, fields=fields)
        after = await scene.accounts()
        profile = after[uid]["profile"]
        assert (profile["email"], profile["city"]) == ("last@example.com", "Rom"), "an empty column changes nothing"
        assert ("f" * 32 in after) is create
        assert after.keys() - {"f" * 32} == before.keys()

    playing(play, folder=tmp_path)


def test_a_new_address_travels_by_the_api_and_is_remembered_once(tmp_path):
    async def play(scene, platform, send):
        first = await send("cheetahmail-subscribers")
        assert first.steps["remember"].records_out == len(by_uid(platform))
        again = await send("cheetahmail-subscribers")
        assert again.steps["remember"].records_out == 0
        uids = sorted(by_uid(platform))
        await scene.change({uids[0]: {"profile": {"email": "new@example.com"}}})
        third = await send("cheetahmail-subscribers")
        assert third.steps["remember"].records_out == 1
        assert sorted(by_uid(platform)) == uids
        assert by_uid(platform)[uids[0]]["email"] == "new@example.com"

    playing(play, folder=tmp_path)


def test_who_was_removed_or_moved_at_the_platform_is_not_made_again(tmp_path):
    async def play(scene, platform, send):
        await send("cheetahmail-subscribers")
        uids = sorted(by_uid(platform))
        platform.subscribers.delete(platform.subscribers.find_by("UID", uids[0]))
        platform.subscribers.write(platform.subscribers.find_by("UID", uids[1]), "own@example.com", {}, by="person")
        report = await send("cheetahmail-subscribers", may_reject=True)
        assert report.rejects == 2
        assert sorted(by_uid(platform)) == uids[1:]

    playing(play, folder=tmp_path)
