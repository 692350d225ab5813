"""Silverpop there and back, by its templates: ten thousand people, with and without faults, every field compared."""

from datetime import UTC, datetime, timedelta

import anyio
import msgspec
import pytest

from landbridge.cli.round_trip_silverpop import SilverpopRoundTrip
from landbridge.sandbox import Fault
from landbridge.sandbox.silverpop.tables import Tables
from tests.integration.round_trips import agreed, on_scene

pytestmark = pytest.mark.usefixtures("own_environment")

SECRETS = ("clientSecret", "refreshToken", "password")
API = ("clientId", "clientSecret", "refreshToken", "url", "listId")


@pytest.mark.timeout(300)
@pytest.mark.long
@pytest.mark.parametrize(("people", "with_faults"), [(10_000, False), (1_000, True)])
def test_both_sides_agree_in_every_field_after_a_round_trip(people, with_faults):
    lines = agreed(SilverpopRoundTrip(), people=people, with_faults=with_faults)
    assert lines["contacts and active accounts"] > 0.95 * people
    assert lines["new addresses are on both sides"] > 0.1 * people
    assert lines["who opted out is still out"] > 0.1 * people


def scene_of(people, action, *, folder):
    """Run ``action`` with a site and a sandbox."""
    return on_scene(
        "silverpop", lambda scene: action(scene, scene.sandbox["silverpop"].database), people=people, folder=folder
    )


def by_uid(database):
    found = {}
    for contact in database.contacts.values():
        uid = contact["columns"]["UID"]
        assert uid not in found, "a contact is there twice"
        found[uid] = contact
    return found


def subscribed(account):
    return account.get("subscriptions", {}).get("newsletter", {}).get("email", {}).get("isSubscribed")


@pytest.mark.parametrize("storm", [False, True])
def test_subscriptions_travel_as_the_email_status_and_back(tmp_path, storm):
    async def play_it(scene, database):
        connection = scene.connection("silverpop", SECRETS)
        form = {"subscriptionField": "subscriptions.newsletter.email.isSubscribed"}
        if storm:
            scene.sandbox.faults.add(
                Fault("lost_reply", operation="[!t]*", probability=0.1),
                Fault("concurrency", probability=0.1),
                Fault("token_expiry", skip=5, times=1),
            )
        out = {**{name: connection[name] for name in API}, **form, "subscription": "status"}
        await scene.run("silverpop-contacts", out)
        accounts = await subscriptions(scene)
        active = {uid for uid, account in accounts.items() if account["isActive"]}
        wanting = {uid for uid in active if subscribed(accounts[uid])}
        first = by_uid(database)
        assert set(first) == wanting, "who has not subscribed is not made reachable"
        leaving = sorted(wanting)[:20]
        for uid in leaving:
            [number] = database.matches({"UID": uid})
            database.opt_out(number, "link")
        back = {**connection, **form}
        await scene.run("silverpop-opt-outs", back)
        accounts = await subscriptions(scene)
        assert not any(subscribed(accounts[uid]) for uid in leaving)
        assert all(subscribed(accounts[uid]) for uid in wanting.difference(leaving))
        await scene.run("silverpop-contacts", out)
        await scene.run("silverpop-outbound", {**connection, **form, "subscription": "status"})
        last = by_uid(database)
        assert set(last) == wanting
        assert all(last[uid]["optedOut"] for uid in leaving)
        assert not any(last[uid]["optedOut"] for uid in wanting.difference(leaving))

    scene_of(150, play_it, folder=tmp_path)


async def subscriptions(scene):
    accounts = await scene.accounts()
    async with scene.calls() as calls:

        async def one(uid):
            answer = await calls.call(
                "accounts.getAccountInfo", {"UID": uid, "include": "subscriptions"}, may_repeat=True
            )
            accounts[uid]["subscriptions"] = msgspec.json.decode(answer.body).get("subscriptions", {})

        async with anyio.create_task_group() as tasks:
            for uid in accounts:
                tasks.start_soon(one, uid)
    return accounts


def test_leavers_are_opted_out_or_removed_as_the_form_says(tmp_path):
    async def play_it(scene, database):
        connection = scene.connection("silverpop", SECRETS)
        api = {name: connection[name] for name in API}
        await scene.run("silverpop-outbound", {**connection, "subscription": "none"})
        accounts = sorted(by_uid(database))
        await scene.change({uid: {"isActive": False} for uid in accounts[:5]})
        await scene.run("silverpop-leavers", {**api, "action": "optOut"})
        assert [uid for uid, contact in sorted(by_uid(database).items()) if contact["optedOut"]] == accounts[:5]
        await scene.run("silverpop-leavers", {**api, "action": "remove"})
        assert sorted(by_uid(database)) == accounts[5:]
        for uid in accounts[5:8]:
            await delete(scene, uid)
        await scene.run("silverpop-leavers", {**api, "who": "deleted", "action": "remove"})
        assert sorted(by_uid(database)) == accounts[8:]

    scene_of(100, play_it, folder=tmp_path)


async def delete(scene, uid):
    async with scene.calls() as calls:
        await calls.call("accounts.deleteAccount", {"UID": uid}, may_repeat=True)


def test_likes_become_rows_of_a_table(tmp_path):
    async def play_it(scene, database):
        connection = scene.connection("silverpop", SECRETS)
        api = {name: connection[name] for name in API}
        tables = Tables(database.frame)
        columns = [{"name": name, "type": "TEXT", "key": name != "CATEGORY"} for name in ("UID", "NAME", "CATEGORY")]
        table = tables.create("Gigya Likes", columns)
        await scene.run("silverpop-tables", api)
        accounts = await scene.accounts()
        wanted = {
            (uid, like["name"])
            for uid, account in accounts.items()
            if account["isActive"]
            for like in account["profile"].get("likes", [])
        }
        assert {(row["UID"], row["NAME"]) for row in table.rows.values()} == wanted
        assert wanted

    scene_of(200, play_it, folder=tmp_path)


def test_contacts_without_an_account_are_left_out_on_the_way_back(tmp_path):
    async def play_it(scene, database):
        connection = scene.connection("silverpop", SECRETS)
        await scene.run("silverpop-outbound", {**connection, "subscription": "none"})
        stranger = {"UID": "stranger", "EMAIL": "s@example.com", "Score": "5"}
        database.opt_out(database.insert(stranger, opted_in=True, details="", created_from=1), "link")
        before = await scene.accounts("UID, data")
        await scene.run("silverpop-scores", connection)
        await scene.run("silverpop-opt-outs", connection)
        assert await scene.accounts("UID, data") == before

    scene_of(50, play_it, folder=tmp_path)


def test_only_what_changed_since_is_brought_back(tmp_path):
    async def play_it(scene, database):
        connection = scene.connection("silverpop", SECRETS)
        await scene.run("silverpop-outbound", {**connection, "subscription": "none"})
        for number in list(database.contacts)[:7]:
            database.opt_out(number, "link")
        back = {**connection, "gmtConfirmed": True}
        now = datetime.now(UTC)
        later = await scene.run("silverpop-opt-outs", back, since=now.replace(year=2099))
        assert later.steps["silverpop"].records_out == 0
        report = await scene.run("silverpop-opt-outs", back, since=now - timedelta(minutes=5))
        assert report.steps["account"].records_out == 7

    scene_of(20, play_it, folder=tmp_path)
