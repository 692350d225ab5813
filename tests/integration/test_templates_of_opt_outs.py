"""Every template that brings opt-outs back, with each place on the account where its form says that they may go."""

import json

import pytest

from landbridge.cli.round_trip import value_at
from landbridge.errors import FlowError
from landbridge.templates import load, names
from tests.integration.round_trips import on_scene

pytestmark = pytest.mark.usefixtures("own_environment")

PLACES = (
    "data.subscribed",
    "subscriptions.newsletter.email.isSubscribed",
    "preferences.privacy.marketing.isConsentGranted",
)
STATUS = "EMAIL_PERMISSION_STATUS_"
INCLUDE = {"include": "data,subscriptions,preferences"}


def at_silverpop(scene, out, there):
    """Contacts, of whom one has opted out."""
    database = scene.sandbox["silverpop"].database
    for uid in (out, there):
        columns = {"UID": uid, "EMAIL": f"{uid}@example.com"}
        number = (database.matches({"UID": uid}) or [None])[0] or database.insert(
            columns, opted_in=True, details="", created_from=1
        )
        if uid == out:
            database.opt_out(number, "unsubscribe link")
    secrets = ("clientSecret", "refreshToken", "password")
    return {"silverpop-opt-outs": scene.connection("silverpop", secrets)}


def at_cheetahmail(scene, out, there):
    """Subscribers of the list, of whom one has left it; the daily export is there."""
    platform = scene.sandbox["cheetahmail"]
    people, connection = platform.subscribers, scene.connection("cheetahmail", ("apiPassword", "password"))
    for uid in (out, there):
        number = people.write(people.find_by("UID", uid), f"{uid}@example.com", {"UID": uid}, by="api")
        people.subscribe(number, connection["listId"], by="api")
        if uid == out:
            people.unsubscribe(number, connection["listId"], "w")
    platform.export()
    return {"cheetahmail-unsubscribes": connection}


def at_responsys(scene, out, there):
    """Members, of whom one has opted out; an export and a feed are there."""
    platform = scene.sandbox["responsys"]
    members, ready = platform.members, {"readyFile": "{stem}.ready"}
    for uid in (out, there):
        [*known] = members.find("CUSTOMER_ID_", uid)
        number = members.put(known[0] if known else None, {"CUSTOMER_ID_": uid, "EMAIL_ADDRESS_": f"{uid}@example.com"})
        members.opt_in(number, "form")
        if uid == out:
            members.opt_out(number, "unsubscribe link")
    fields = ("CUSTOMER_ID_", "EMAIL_ADDRESS_", STATUS)
    platform.connect.define({"kind": "export", "name": "M", "fileName": "members", "fields": fields, **ready})
    platform.connect.define({"kind": "feed", "name": "F", "events": ["OPT_OUT"], **ready})
    platform.connect.run("M")
    platform.connect.run("F")
    files = scene.file_connection("responsys", ("privateKey",))
    return {
        "responsys-opt-outs": scene.connection("responsys", ("password",)),
        "responsys-files-back": {**files, "fields": "EMAIL_ADDRESS_=profile.email", "subscription": "optOuts"},
        "responsys-files-events": {**files, "account": "4711", "feed": "OPT_OUT"},
    }


async def account(scene, uid):
    """What the site keeps of an account, subscriptions among it."""
    async with scene.calls() as calls:
        answer = await calls.call("accounts.getAccountInfo", {"UID": uid, **INCLUDE}, may_repeat=True)
    return json.loads(answer.body)


VENDORS = {"silverpop": at_silverpop, "cheetahmail": at_cheetahmail, "responsys": at_responsys}
BACK = [name for name in names() if '"field": "{{subscriptionField}}"' in load(name).flow.dump()]
"""Templates that write a subscription on the site."""


def test_the_templates_that_bring_opt_outs_back_are_those_that_are_played_here():
    assert {name.partition("-")[0] for name in BACK} == set(VENDORS)


@pytest.mark.long
@pytest.mark.parametrize("name", BACK)
def test_an_opt_out_arrives_at_each_place_that_the_form_names(name, tmp_path):
    vendor = name.partition("-")[0]

    async def play(scene):
        found = await scene.accounts()
        active = sorted(uid for uid, account in found.items() if account["isActive"])
        for place, out, there in zip(PLACES, active[::2], active[1::2], strict=False):
            granted = {"data": {"subscribed": True}, "subscriptions": {"newsletter.email.isSubscribed": True}}
            granted |= {"preferences": {"privacy.marketing.isConsentGranted": True}}
            await scene.change(dict.fromkeys((out, there), granted), lang="en")
            forms = VENDORS[vendor](scene, out, there)
            await scene.sandbox.idle()
            fields = {field.name for field in load(name).form.fields}
            values = {key: value for key, value in forms[name].items() if key in fields}
            values |= {"subscriptionField": place} | ({"lang": "de"} if place.startswith("preferences") else {})
            values |= {"where": "isActive = true"} if "where" in fields else {}
            await scene.run(name, values)
            after = [await account(scene, uid) for uid in (out, there)]
            assert [value_at(each, place) for each in after] == [False, True], place
            lang = "de" if place.startswith("preferences") else "en"
            assert [value_at(each, "preferences.privacy.marketing.lang") for each in after] == [lang, "en"]

    on_scene(vendor, play, people=20, folder=tmp_path)


@pytest.mark.parametrize("name", BACK)
def test_a_consent_is_not_changed_without_its_language_and_other_places_need_none(name):
    form = load(name).form
    values = form.examples()
    values |= {"subscription": "optOuts"} if any(field.name == "subscription" for field in form.fields) else {}
    values.pop("lang", None)
    for place in PLACES[:2]:
        assert "lang" not in load(name).fill({**values, "subscriptionField": place}).flow.dump()
    with pytest.raises(FlowError, match="lang "):
        form.read({**values, "subscriptionField": PLACES[2]})


# -- the other direction -----------------------------------------------------------------------------------------------

IMPORT = {"kind": "import", "countFile": "{stem}.count", "readyFile": "{stem}.ready"}
OUT = [
    name
    for name in names()
    if (form := load(name).form)
    if name not in BACK and "subscriptionField" in {field.name for field in form.fields}
]
"""Templates that carry a subscription to the platform."""


def at_start(scene, name):
    """The values of a template's form."""
    if name == "responsys-files-out":
        connect = scene.sandbox["responsys"].connect
        connect.define({**IMPORT, "name": "New", "filePattern": "accounts_new_*", "updateOnMatch": "NO_UPDATE"})
        connect.define({**IMPORT, "name": "Out", "filePattern": "accounts_optouts_*", "insertOnNoMatch": False})
        connect.define({**IMPORT, "name": "Up", "filePattern": "accounts_updates_*", "insertOnNoMatch": False})
        return {**scene.file_connection("responsys", ("privateKey",)), "subscription": "optOuts"}
    if name.startswith("silverpop"):
        secrets = ("clientSecret", "refreshToken", "password")
        return {**scene.connection("silverpop", secrets), "subscription": "status"}
    if name.startswith("cheetahmail"):
        return {**scene.connection("cheetahmail", ("apiPassword", "password")), "subscription": "list"}
    return {**scene.connection("responsys", ("password",)), "subscription": "status"}


def subscribed_at(platform):
    """UIDs of those whom the platform may write to."""
    if platform.name == "silverpop":
        found = platform.database.contacts.values()
        return {each["columns"]["UID"] for each in found if each["optedOut"] is None and each["optedIn"]}
    if platform.name == "cheetahmail":
        found = platform.subscribers.records.values()
        return {each["fields"]["UID"] for each in found if any(fact["left"] is None for fact in each["lists"].values())}
    return {each["CUSTOMER_ID_"] for each in platform.members.records.values() if each[STATUS] == "I"}


@pytest.mark.parametrize("place", PLACES[1:])  # the round trips of the integrations have the first one
@pytest.mark.parametrize("name", OUT)
def test_who_says_yes_at_the_place_that_the_form_names_is_subscribed_and_nobody_else(name, place, tmp_path):
    async def play(scene):
        found = await scene.accounts()
        active = sorted(uid for uid, account in found.items() if account["isActive"])
        yes = set(active[::2])
        changes = {}
        for uid in active:
            here = {each: (uid in yes) == (each == place) for each in PLACES}
            changes[uid] = {
                "data": {"subscribed": here[PLACES[0]]},
                "subscriptions": {"newsletter.email.isSubscribed": here[PLACES[1]]},
                "preferences": {"privacy.marketing.isConsentGranted": here[PLACES[2]]},
            }
        await scene.change(changes, lang="en")
        values = {**at_start(scene, name), "subscriptionField": place}
        fields = {field.name for field in load(name).form.fields}
        await scene.run(name, {key: value for key, value in values.items() if key in fields})
        await scene.sandbox.idle()
        assert subscribed_at(scene.sandbox[name.partition("-")[0]]) == yes

    on_scene(name.partition("-")[0], play, people=12, folder=tmp_path)
