"""Opt-outs that come back late, or twice: they do not undo a newer yes on the site, and a later opt-out counts."""

import json
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from landbridge.cli.execution import Request, execute
from landbridge.cli.round_trip import value_at
from landbridge.engine.job import Options
from landbridge.templates import load
from tests.integration.round_trips import on_scene
from tests.integration.test_templates_of_opt_outs import PLACES, VENDORS, account

pytestmark = pytest.mark.usefixtures("own_environment")

SAID_AT = "data.saidAt"
"""Where the accounts of these tests keep the time of a yes in a field of their own."""

FEED = {"kind": "feed", "name": "F", "events": ["OPT_OUT"], "readyFile": "{stem}.ready"}


def out_at_silverpop(scene, uid, at):
    """A contact opts out at that moment; gives the form."""
    contacts = scene.sandbox["silverpop"].database
    [number] = contacts.matches({"UID": uid}) or [
        contacts.insert({"UID": uid, "EMAIL": f"{uid}@example.com"}, opted_in=True, details="", created_from=1)
    ]
    contacts.opt_in(number, "form")
    contacts.opt_out(number, "link")
    contacts.contacts[number] = {**contacts.contacts[number], "optedOut": at.isoformat()}
    secrets = ("clientSecret", "refreshToken", "password")
    return {**scene.connection("silverpop", secrets), "gmtConfirmed": True}


def out_at_cheetahmail(scene, uid, at):
    """A subscriber leaves the list on that day; the export is there, beside those of before."""
    platform = scene.sandbox["cheetahmail"]
    people, connection = platform.subscribers, scene.connection("cheetahmail", ("apiPassword", "password"))
    number = people.write(people.find_by("UID", uid), f"{uid}@example.com", {"UID": uid}, by="api")
    people.subscribe(number, connection["listId"], by="api")
    people.unsubscribe(number, connection["listId"], "w")
    last = max(people.events, key=int)
    people.events[last] = {**people.events[last], "DATE": f"{at:%d-%b-%Y}"}
    platform.export()
    return connection


def out_at_responsys(scene, uid, at):
    """A member opts out at that moment; the feed is there, beside those of before."""
    platform = scene.sandbox["responsys"]
    members = platform.members
    [*known] = members.find("CUSTOMER_ID_", uid)
    number = members.put(known[0] if known else None, {"CUSTOMER_ID_": uid, "EMAIL_ADDRESS_": f"{uid}@example.com"})
    members.opt_out(number, "link")
    last = str(members.events.last)
    members.events.all[last] = {**members.events.all[last], "at": at.isoformat()}
    platform.connect.define(FEED)
    platform.connect.run("F")
    return {**scene.file_connection("responsys", ("privateKey",)), "account": "4711", "feed": "OPT_OUT"}


DATED = {
    "cheetahmail-unsubscribes": out_at_cheetahmail,
    "responsys-files-events": out_at_responsys,
    "silverpop-opt-outs": out_at_silverpop,
}
"""Templates whose source tells when somebody opted out."""


def granted(value):
    """The person says it on the site, at each place."""
    said = {"data": {"subscribed": value, "saidAt": datetime.now(UTC).isoformat(timespec="milliseconds")}}
    said |= {"subscriptions": {"newsletter.email.isSubscribed": value}}
    return said | {"preferences": {"privacy.marketing.isConsentGranted": value}}


async def says_yes(scene, *uids):
    """Each person says no, then yes: the site keeps the time of a change only."""
    for value in (False, True):
        await scene.change({uid: granted(value) for uid in uids}, lang="en")


def values_of(name, given, place):
    """The form, with what the place needs."""
    fields = {field.name for field in load(name).form.fields}
    values = {key: value for key, value in given.items() if key in fields} | {"subscriptionField": place}
    values |= {"lang": "en"} if place.startswith("preferences") else {}
    return values | ({"consentTimeField": SAID_AT} if place.startswith("data") else {})


@pytest.mark.long
@pytest.mark.parametrize("name", DATED)
def test_a_newer_yes_on_the_site_survives_the_old_opt_out_and_falls_with_a_later_one(name, tmp_path):
    vendor = name.partition("-")[0]

    async def play(scene):
        found = await scene.accounts()
        people = sorted(uid for uid, each in found.items() if each["isActive"])
        now = datetime.now(UTC)
        for place, uid in zip(PLACES, people, strict=False):

            async def run(expected, values, place=place, uid=uid):
                report = await scene.run(name, values)
                assert report.rejects == 0
                assert value_at(await account(scene, uid), place) is expected, place

            # Opted out, not known to the site yet; there the person says yes meanwhile.
            old = DATED[name](scene, uid, now - timedelta(days=3, seconds=7))
            await scene.sandbox.idle()
            await says_yes(scene, uid)
            values = values_of(name, old, place)
            await run(True, values)
            # The later opt-out stands beside the old one.
            DATED[name](scene, uid, datetime.now(UTC) + timedelta(seconds=1))
            await scene.sandbox.idle()
            await run(False, values)

    on_scene(vendor, play, people=12, folder=tmp_path)


@pytest.mark.parametrize("name", DATED)
def test_without_a_time_of_the_yes_an_old_opt_out_counts(name, tmp_path):
    async def play(scene):
        found = await scene.accounts()
        uid = min(uid for uid, each in found.items() if each["isActive"])
        given = DATED[name](scene, uid, datetime.now(UTC) - timedelta(days=3, seconds=7))
        await scene.sandbox.idle()
        await says_yes(scene, uid)
        values = values_of(name, given, PLACES[0])
        del values["consentTimeField"]
        await scene.run(name, values)
        assert value_at(await account(scene, uid), PLACES[0]) is False

    on_scene(name.partition("-")[0], play, people=6, folder=tmp_path)


def test_an_opt_in_that_was_written_late_does_not_hide_the_opt_out_behind_it(tmp_path):
    """In at nine and out at ten at the platform; the feed of opt-ins is read at noon, that of opt-outs after it."""

    async def play(scene):
        found = await scene.accounts()
        uid = min(uid for uid, each in found.items() if each["isActive"])
        members, connect = scene.sandbox["responsys"].members, scene.sandbox["responsys"].connect
        number = members.put(None, {"CUSTOMER_ID_": uid, "EMAIL_ADDRESS_": f"{uid}@example.com"})
        members.opt_in(number, "form")
        last = str(members.events.last)
        early = datetime.now(UTC) - timedelta(hours=3, seconds=1)
        members.events.all[last] = {**members.events.all[last], "at": early.isoformat()}
        connect.define({**FEED, "name": "I", "events": ["OPT_IN"]})
        connect.run("I")
        await scene.sandbox.idle()
        given = out_at_responsys(scene, uid, early + timedelta(hours=1))
        await scene.sandbox.idle()
        values = values_of("responsys-files-events", given, PLACES[1])
        await scene.run("responsys-files-events", {**values, "feed": "OPT_IN", "optIns": "subscribe"})
        assert value_at(await account(scene, uid), PLACES[1]) is True
        await scene.run("responsys-files-events", values)
        assert value_at(await account(scene, uid), PLACES[1]) is False
        # And a yes on the site, after the opt-out was brought, is a new one.
        await says_yes(scene, uid)
        await scene.run("responsys-files-events", values)
        assert value_at(await account(scene, uid), PLACES[1]) is True

    on_scene("responsys", play, people=6, folder=tmp_path)


@pytest.mark.parametrize("place", PLACES)
def test_an_opt_in_that_is_read_again_does_not_undo_a_no_on_the_site(place, tmp_path):
    async def play(scene):
        found = await scene.accounts()
        uid = min(uid for uid, each in found.items() if each["isActive"])
        members, connect = scene.sandbox["responsys"].members, scene.sandbox["responsys"].connect
        await scene.change({uid: granted(False)}, lang="en")
        members.opt_in(members.put(None, {"CUSTOMER_ID_": uid, "EMAIL_ADDRESS_": f"{uid}@example.com"}), "form")
        last = str(members.events.last)
        members.events.all[last] |= {"at": (datetime.now(UTC) + timedelta(seconds=1)).isoformat()}
        connect.define({**FEED, "events": ["OPT_IN"]})
        connect.run("F")
        await scene.sandbox.idle()
        given = {**scene.file_connection("responsys", ("privateKey",)), "account": "4711", "feed": "OPT_IN"}
        values = values_of("responsys-files-events", {**given, "optIns": "subscribe"}, place)
        await scene.run("responsys-files-events", values)
        assert value_at(await account(scene, uid), place) is True
        await anyio.sleep(1.1)
        await scene.change({uid: granted(False)}, lang="en")
        await scene.run("responsys-files-events", values)
        after = await account(scene, uid)
        assert value_at(after, place) is False
        assert value_at(after, "data.responsys.optedInAt") is not None

    on_scene("responsys", play, people=6, folder=tmp_path)


@pytest.mark.parametrize("place", PLACES)
def test_a_hard_bounce_from_before_the_yes_is_noted_and_unsubscribes_nobody(place, tmp_path):
    async def play(scene):
        found = await scene.accounts()
        active = sorted((uid, each["profile"]["email"]) for uid, each in found.items() if each["isActive"])
        (old, old_mail), (new, new_mail) = active[:2]
        members, connect = scene.sandbox["responsys"].members, scene.sandbox["responsys"].connect
        await says_yes(scene, old, new)
        for uid, mail, shift in ((old, old_mail, timedelta(hours=-5)), (new, new_mail, timedelta(seconds=1))):
            members.bounce(members.put(None, {"CUSTOMER_ID_": uid, "EMAIL_ADDRESS_": mail}), "unknown", is_hard=True)
            last = str(members.events.last)
            at = (datetime.now(UTC) + shift).isoformat()
            members.events.all[last] = {**members.events.all[last], "at": at}
        connect.define({**FEED, "events": ["BOUNCE"]})
        connect.run("F")
        await scene.sandbox.idle()
        values = {**scene.file_connection("responsys", ("privateKey",)), "account": "4711", "feed": "BOUNCE"}
        values |= {"hardBounces": "unsubscribe"}
        await scene.run("responsys-files-events", values_of("responsys-files-events", values, place))
        after = [await account(scene, uid) for uid in (old, new)]
        assert [value_at(each, "data.responsys.bounceType") for each in after] == ["H", "H"]
        assert [value_at(each, place) for each in after] == [True, False]

    on_scene("responsys", play, people=6, folder=tmp_path)


def test_of_two_days_on_which_somebody_left_the_list_the_later_one_is_compared(tmp_path):
    async def play(scene):
        found = await scene.accounts()
        uid = min(uid for uid, each in found.items() if each["isActive"])
        out_at_cheetahmail(scene, uid, datetime.now(UTC) - timedelta(days=5))
        given = out_at_cheetahmail(scene, uid, datetime.now(UTC))
        await scene.sandbox.idle()
        await says_yes(scene, uid)
        await scene.run("cheetahmail-unsubscribes", values_of("cheetahmail-unsubscribes", given, PLACES[1]))
        assert value_at(await account(scene, uid), PLACES[1]) is False

    on_scene("cheetahmail", play, people=6, folder=tmp_path)


# -- what guards and dry runs know of it ----------------------------------------------------------------------------


def test_the_ledger_and_the_counts_learn_from_all_templates_that_bring_opt_outs_back(tmp_path):
    """With the field that their forms have from the start."""

    async def play(scene, name):
        found = await scene.accounts()
        out, there = sorted(uid for uid, each in found.items() if each["isActive"])[:2]
        await says_yes(scene, out, there)
        given = VENDORS[name.partition("-")[0]](scene, out, there)[name]
        await scene.sandbox.idle()
        fields = {field.name for field in load(name).form.fields}
        values = {key: value for key, value in given.items() if key in fields}
        flow = load(name).fill(values).flow
        dry = await execute(Request(flow, options=Options(dry_run=True), quiet=True))
        ledger = tmp_path / f"{name}.jsonl"
        report = await execute(Request(flow, consent_ledger=ledger, quiet=True))
        return dry, report, [json.loads(line)[:2] for line in ledger.read_text().splitlines()], out

    for name in ("cheetahmail-unsubscribes", "responsys-opt-outs", "silverpop-opt-outs"):
        (tmp_path / name).mkdir()
        dry, report, learned, out = on_scene(
            name.partition("-")[0], lambda scene, name=name: play(scene, name), people=6, folder=tmp_path / name
        )
        assert [f"uid:{out}", "data.subscribed"] in learned, name
        assert dry.planned["account"]["optOuts"] == 1, name
        assert report.writers["account"]["optOuts"] == 1, name
