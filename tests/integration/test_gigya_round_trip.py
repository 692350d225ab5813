"""Everybody out of one site into files, and from the files into a second, empty site.

``LANDBRIDGE_ROUND_TRIP=100000`` takes that many people; without it a few hundred go, so that the tests stay quick.
"""

import base64
import json
import os

import pytest

from tests.contract.gigya.local_site import running_site
from tests.integration.command import step

PEOPLE = int(os.environ.get("LANDBRIDGE_ROUND_TRIP", "800"))
TIMEOUT_S = max(60, PEOPLE // 100)
pytestmark = [pytest.mark.long, pytest.mark.timeout(4 * TIMEOUT_S)]

OWN = {"iRank"}
"""What a site decides itself and nobody can import."""

ODD = [
    {
        "UID": "odd-empty",
        "profile": {"email": "odd1@example.com", "firstName": ""},
        "data": {"a": "", "b": {}, "c": []},
    },
    {
        "UID": "odd-arrays",
        "profile": {
            "email": "odd2@example.com",
            "likes": [{"name": "A, \"B\"\nC;", "category": "x"}, {"name": "𝄞 é ß 漢", "time": "2020-02-29T23:59:59Z"}],
            "work": [{"company": "Eins", "isCurrent": True, "startDate": "2001-01-01"}, {"company": "Zwei"}],
        },
        "data": {"list": [1, 2.5, "x", False, None, [], [[1]], {"deep": {"er": [{"est": None}]}}]},
    },
    {
        "UID": "odd-texts",
        "profile": {"email": "odd3@example.com", "lastName": " O'Neil \t", "zip": "007", "city": "Łódź\r\nupper"},
        "data": {"quote": '"', "back": "\\n", "formula": "=1+1", "comma": ",", "null": "null", "dash": "-"},
    },
    {
        "UID": "odd-numbers",
        "profile": {"email": "odd4@example.com", "birthYear": 1900, "age": 0},
        "data": {"big": 9007199254740993, "small": -1e-9, "zero": 0, "no": False, "yes": True, "float": 2.0},
    },
    {
        "UID": "odd-consents",
        "profile": {"email": "odd5@example.com"},
        "isActive": False,
        "created": "1999-12-31T23:59:59.999Z",
        "subscriptions": {
            "news": {"daily": {"email": {"isSubscribed": True, "tags": ["a", "b,c"],
                                         "lastUpdatedSubscriptionState": "2011-11-11T11:11:11.111Z"}}},
            "old": {"email": {"isSubscribed": False, "lastUpdatedSubscriptionState": "2010-10-10T10:10:10Z"}},
        },
        "preferences": {
            "privacy": {"x": {"isConsentGranted": False, "lang": "ja", "docVersion": 2.5,
                              "customData": [{"key": "k", "value": "v"}], "actionTimestamp": "2012-12-12T12:12:12Z",
                              "lastConsentModified": "2012-12-12T12:12:12Z"}},
        },
    },
]  # fmt: skip

JSON_ONLY = {
    "UID": "odd-json",
    "profile": {"email": "odd6@example.com"},
    "data": {"dotted.key": {"in.side": 1}, "text": "true", "digits": "1234", "'quoted'": "x"},
}
"""What a table cannot tell: keys with dots, and texts that read like booleans and numbers when types are inferred."""


def brought_in(site, people):
    for person in people:
        reply = site.call("accounts.importFullAccount", **person)
        assert reply["errorCode"] == 0, reply


@pytest.fixture(scope="module")
def source():
    with running_site(people=PEOPLE, seed=5) as site:
        brought_in(site, [*ODD, JSON_ONLY])
        yield site


@pytest.fixture
def target():
    with running_site() as site:
        yield site


def everybody(site):
    """Accounts by UID with their subscriptions; in pages, as a site with very many needs it."""

    def rows(source):
        reply = site.call("accounts.search", query=f"SELECT * FROM {source} LIMIT 5000", openCursor="true")
        while True:
            assert reply["errorCode"] == 0, reply
            yield from reply["results"]
            if "nextCursorId" not in reply:
                return
            reply = site.call("accounts.search", cursorId=reply["nextCursorId"])

    accounts = {row["UID"]: row for row in rows("accounts")}
    for row in rows("emailAccounts"):
        accounts[row["UID"]]["subscriptions"] = row.get("subscriptions", {})
    return accounts


def differences(before, after):
    """The fields that differ, as ``UID path: old -> new``."""
    found = [f"{uid} is missing" for uid in before.keys() - after.keys()]
    found += [f"{uid} is new" for uid in after.keys() - before.keys()]
    for uid in before.keys() & after.keys():
        old, new = ({key: value for key, value in each[uid].items() if key not in OWN} for each in (before, after))
        if old != new or json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True):
            keys = sorted(old.keys() | new.keys())
            found += [f"{uid} {key}: {old.get(key)} -> {new.get(key)}" for key in keys if old.get(key) != new.get(key)]
    return found


def export(site, select, *behind):
    own = {**site.params, "rateTier": "none"}
    look_up = step(
        "subscriptions",
        "datasource.lookup.gigya.account",
        **own,
        **{"select": "subscriptions", "from": "emailAccounts", "batchSize": 500, "mismatchBehavior": "process"},
        lookupFields=[{"sourceField": "UID", "gigyaField": "UID"}],
    )
    return step("accounts", "datasource.read.gigya.account", **own, select=select), look_up, *behind


def run(command, *steps, name):
    flow = command.flow(*steps, name=name)
    # All people of another site come at once, those who opted out among them.
    free = {"landbridge": {"guards": {"optOuts": False, "deactivations": False}}}
    flow.write_text(json.dumps({**json.loads(flow.read_text()), **free}))
    outcome = command.run(flow, "--quiet", timeout=TIMEOUT_S)
    assert (outcome.code, outcome.status) == (0, "succeeded"), outcome.err
    return outcome


def bring_back(command, target, folders, *parse):
    run(
        command,
        step("files", "datasource.read.local", path=str(folders / "out")),
        *parse,
        step(
            "import",
            "datasource.write.gigya.importaccount",
            **{**target.params, "rateTier": "none", "importPolicy": "insert", "maxConnections": 40},
        ),
        name="back",
    )


def test_accounts_go_out_to_json_and_into_an_empty_site_without_change(source, target, command, folders):
    before = everybody(source)
    assert len(before) == PEOPLE + len(ODD) + 1
    out = export(
        source,
        "*",
        step("json", "file.format.json", fileName="accounts.jsonl", layout="lines"),
        step("folder", "datasource.write.local", path=str(folders / "out")),
    )
    run(command, *out, name="out")
    # The site that gives the file and the record keep their own words for what cannot be imported.
    gone = ("iRank", "loginProvider", "socialProviders", "lastUpdatedTimestamp", "createdTimestamp")
    bring_back(
        command,
        target,
        folders,
        step("parse", "file.parse.json"),
        step("remove", "field.remove", fields=[*gone]),
    )
    assert differences(before, everybody(target))[:5] == []


TABLE = [
    *("UID", "isActive", "isRegistered", "isVerified", "regSource"),
    *("created", "lastUpdated", "lastLogin", "registered", "verified", "oldestDataUpdated"),
    *("profile", "data", "preferences", "subscriptions", "loginIDs", "emails"),
]
UNTANGLE = """
function process(record, ctx, logger, next) {
    var made = {};
    for (var name in record) {
        var value = record[name];
        if (typeof value === "string" && value.charAt(0) === "[") value = JSON.parse(value);
        var keys = name.split("."), place = made;
        for (var i = 0; i < keys.length - 1; i++) place = place[keys[i]] = place[keys[i]] || {};
        place[keys[keys.length - 1]] = value;
    }
    return made;
}
"""
"""A table's columns are names with dots; a script makes objects of them, and arrays of JSON texts."""


def as_a_table_tells_it(accounts):
    """The accounts without what a table cannot hold: empty objects and the difference of null and absent."""

    def told(value):
        if not isinstance(value, dict):
            return value
        inner = {key: told(member) for key, member in value.items()}
        return {key: member for key, member in inner.items() if member is not None and member != {}}

    return {uid: told(account) for uid, account in accounts.items()}


def test_accounts_go_out_to_a_table_and_into_an_empty_site_without_change(source, target, command, folders):
    before = everybody(source)
    del before[JSON_ONLY["UID"]]
    out = export(
        source,
        "*",
        step("select", "field.select", fields=TABLE),
        step("dsv", "file.format.dsv", fileName="accounts.csv"),
        step("folder", "datasource.write.local", path=str(folders / "out")),
    )
    own = {**out[0]["params"], "where": f'UID != "{JSON_ONLY["UID"]}"'}
    run(command, {**out[0], "params": own}, *out[1:], name="out")
    # The types of free data are the site's to know; a table has texts only.
    fields = {
        "score": "float",
        "loyalty.points": "integer",
        "loyalty.since": "date",
        "null": "string",
        "dash": "string",
    }
    target.call("accounts.setSchema", dataSchema={"fields": {name: {"type": kind} for name, kind in fields.items()}})
    script = base64.b64encode(UNTANGLE.encode()).decode()
    bring_back(
        command,
        target,
        folders,
        step("parse", "file.parse.dsv", inferTypes=True),
        step("untangle", "record.evaluate", script=script, ECMAScriptVersion="12"),
    )
    assert differences(as_a_table_tells_it(before), as_a_table_tells_it(everybody(target)))[:5] == []


def test_what_a_table_cannot_tell_is_what_is_documented(source, target, command, folders):
    out = export(
        source,
        "UID, profile, data",
        step("dsv", "file.format.dsv", fileName="accounts.csv"),
        step("folder", "datasource.write.local", path=str(folders / "out")),
    )
    where = 'UID IN ("odd-empty", "odd-json", "odd-arrays")'
    run(command, {**out[0], "params": {**out[0]["params"], "where": where}}, *out[1:], name="out")
    script = base64.b64encode(UNTANGLE.encode()).decode()
    bring_back(
        command,
        target,
        folders,
        step("parse", "file.parse.dsv", inferTypes=True),
        step("untangle", "record.evaluate", script=script, ECMAScriptVersion="12"),
    )
    after = everybody(target)
    # An empty object leaves no cell, an empty text is a quoted one, an empty array is a text of its own.
    assert after["odd-empty"]["data"] == {"a": "", "c": []}
    assert after["odd-empty"]["profile"]["firstName"] == ""
    # Texts that read like values become values with inferTypes; a dot in a key cannot be told from a level.
    data = after["odd-json"]["data"]
    assert (data["text"], data["digits"]) == (True, 1234)
    assert data["dotted"] == {"key": {"in": {"side": 1}}}
    # Within an array all is kept, nulls, too: it travels as JSON text.
    assert after["odd-arrays"]["data"]["list"] == ODD[1]["data"]["list"]
