"""getAccountInfo, setAccountInfo, importFullAccount, deleteAccount and the look-ups by identifier."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.contract.site.client import Client, run

EMAIL = "ann@x.example"


async def ann(client: Client, uid: str = "ann", email: str = EMAIL, **more: Any) -> str:
    content = {
        "profile": {"firstName": "Ann", "email": email, "likes": [{"name": "Opera"}, {"name": "Chess"}]},
        "data": {"score": 4.5, "tags": ["a", "b"], "deep": {"x": 1, "y": 2}},
        "loginIDs": {"emails": [email]},
        "emails": {"verified": [email], "unverified": []},
    }
    await client.ok("accounts.importFullAccount", UID=uid, **content | more)
    return uid


async def stored(client: Client, uid: str = "ann") -> dict[str, Any]:
    (found,) = await client.find(f"SELECT * FROM accounts WHERE UID = '{uid}'")
    return found


def test_a_change_merges_objects_replaces_arrays_and_deletes_by_null(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client)
        await client.ok(
            "accounts.setAccountInfo",
            UID="ann",
            profile={"city": "Bern", "likes": [{"name": "Dune"}]},
            data={"score": None, "deep": {"y": 3}, "tags": [], "new": {"z": True}},
        )
        account = await stored(client)
        assert account["profile"] == {"firstName": "Ann", "email": EMAIL, "likes": [{"name": "Dune"}], "city": "Bern"}
        assert account["data"] == {"deep": {"x": 1, "y": 3}, "tags": [], "new": {"z": True}}

    run(scenario, folder)


def test_a_change_sets_the_time_of_the_last_update(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client, created="2020-01-01T00:00:00.000Z", lastUpdated="2020-01-02T00:00:00Z")
        before = await stored(client)
        assert before["createdTimestamp"] == 1577836800000
        assert before["lastUpdatedTimestamp"] == 1577923200000
        began = time.time_ns() // 1_000_000
        await client.ok("accounts.setAccountInfo", UID="ann", data={"x": 1})
        after = await stored(client)
        assert began <= after["lastUpdatedTimestamp"] <= time.time_ns() // 1_000_000
        assert after["createdTimestamp"] == before["createdTimestamp"]
        changed = await client.find(f"SELECT UID FROM accounts WHERE lastUpdatedTimestamp >= {began}")
        assert changed == [{"UID": "ann"}]

    run(scenario, folder)


def test_flags_are_set_and_shown(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client)
        await client.ok("accounts.setAccountInfo", UID="ann", isActive="false", isVerified="1", regSource="shop")
        await client.ok("accounts.setAccountInfo", UID="ann", regSource="other")
        info = await client.ok("accounts.getAccountInfo", UID="ann", include="regSource")
        assert (info["isActive"], info["isVerified"], info["regSource"]) == (False, True, "shop")
        assert await client.find("SELECT UID FROM accounts WHERE isActive = false") == [{"UID": "ann"}]
        back = await client.call("accounts.setAccountInfo", UID="ann", isVerified=False)
        assert back["errorCode"] == 400006

    run(scenario, folder)


def test_an_unknown_account_cannot_be_read_changed_or_deleted(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        for method in ("accounts.getAccountInfo", "accounts.setAccountInfo", "accounts.deleteAccount"):
            reply = await client.call(method, UID="nobody")
            assert (reply["errorCode"], reply["errorMessage"]) == (403005, "Unauthorized user")
            assert (await client.call(method))["errorCode"] == 400002

    run(scenario, folder)


def test_include_chooses_what_is_shown(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client, subscriptions={"news.email.isSubscribed": True}, internal={"note": 1})
        plain = await client.ok("accounts.getAccountInfo", UID="ann")
        assert set(plain) >= {"UID", "profile", "data", "createdTimestamp"}
        assert not {"emails", "loginIDs", "subscriptions", "internal"} & set(plain)
        assert "likes" not in plain["profile"]
        assert plain["createdTimestamp"] % 1000 == 0
        full = await client.ok(
            "accounts.getAccountInfo",
            UID="ann",
            include="emails,loginIDs,subscriptions,profile,internal,identities-all",
            extraProfileFields="likes",
        )
        assert full["emails"] == {"verified": [EMAIL], "unverified": []}
        assert full["loginIDs"] == {"emails": [EMAIL], "unverifiedEmails": []}
        assert full["subscriptions"]["news"]["email"]["isSubscribed"] is True
        assert full["profile"]["likes"][1] == {"name": "Chess"}
        assert full["internal"] == {"note": 1}
        assert "data" not in full

    run(scenario, folder)


def test_an_account_is_found_by_its_identifiers(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client, phoneNumber="+41441234567", customIdentifiers={"crm": "77"})
        for wanted in ({"_uid": "ann"}, {"_email": "ANN@x.example"}, {"_phoneNumber": "+41441234567"}, {"crm": "77"}):
            assert (await client.ok("accounts.getAccountInfo", findBy=wanted))["UID"] == "ann", wanted
        assert (await client.call("accounts.getAccountInfo", findBy={"_email": "no@x.example"}))["errorCode"] == 403005
        found = await client.ok("accounts.identifiers.find", identifierSchema="gigya.com/identifiers/email", id=EMAIL)
        assert found["UID"] == "ann"
        for schema, value, code in (("email", "no@x.example", 404000), ("shoe", "42", 400006)):
            parameters = {"identifierSchema": f"gigya.com/identifiers/{schema}", "id": value}
            assert (await client.call("accounts.identifiers.find", **parameters))["errorCode"] == code
        assert (await client.ok("accounts.isAvailableLoginID", loginID=EMAIL))["isAvailable"] is False
        assert (await client.ok("accounts.isAvailableLoginID", loginID="b@x.example"))["isAvailable"] is True

    run(scenario, folder)


def test_login_emails_are_added_and_removed(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client)
        await ann(client, uid="bob", email="bob@x.example")
        await client.ok("accounts.setAccountInfo", UID="ann", addLoginEmails="Two@x.example", removeLoginEmails=EMAIL)
        assert (await stored(client))["loginIDs"]["emails"] == ["two@x.example"]
        assert await client.find(f"SELECT UID FROM accounts WHERE loginIDs.emails = '{EMAIL}'") == []
        taken = await client.call("accounts.setAccountInfo", UID="ann", addLoginEmails="bob@x.example", data={"x": 1})
        assert taken["errorCode"] == 400003
        assert "x" not in (await stored(client))["data"]
        saved = await client.call(
            "accounts.setAccountInfo", UID="ann", addLoginEmails="bob@x.example", data={"x": 1},
            conflictHandling="saveProfileAndFail",
        )  # fmt: skip
        assert saved["errorCode"] == 200010
        assert (await stored(client))["data"]["x"] == 1

    run(scenario, folder)


def test_an_import_inserts_and_by_upsert_overwrites(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client, isRegistered=True, lastLogin="2024-05-06T07:08:09.123Z", lang="de")
        again = await client.call("accounts.importFullAccount", UID="ann", data={"score": 1})
        assert (again["errorCode"], again["errorMessage"]) == (400003, "Unique identifier exists")
        reply = await client.ok(
            "accounts.importFullAccount", uid="ann", importPolicy="upsert", data={"score": 9},
            loginIDs={"username": "annie"},
        )  # fmt: skip
        assert reply["UID"] == "ann"
        account = await stored(client)
        assert account["data"] == {"score": 9.0, "tags": ["a", "b"], "deep": {"x": 1, "y": 2}}
        assert account["loginIDs"] == {"username": "annie", "emails": [], "unverifiedEmails": []}
        assert account["lastLoginTimestamp"] == 1714979289123
        assert account["isRegistered"] is True

    run(scenario, folder)


def test_an_imported_account_that_never_logged_in_says_so(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        uid = (await client.ok("accounts.importFullAccount", createUID=True))["UID"]
        account = await stored(client, uid)
        assert (account["lastLogin"], account["lastLoginTimestamp"]) == ("0001-01-01T00:00:00Z", 0)

    run(scenario, folder)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, 400002),
        ({"UID": "x", "importPolicy": "update"}, 400006),
        ({"UID": "with blank"}, 400006),
        ({"UID": "x" * 300}, 400006),
        ({"UID": "x", "created": "yesterday"}, 400006),
        ({"UID": "x", "profile": {"email": "no address"}}, 400009),
        ({"UID": "x", "profile": {"shoeSize": 42}}, 400009),
        ({"UID": "x", "profile": {"birthYear": "old"}}, 400009),
        ({"UID": "x", "profile": {"gender": "x"}}, 400009),
        ({"UID": "x", "loginIDs": {"emails": 5}}, 400006),
        ({"UID": "x", "loginIDs": {"username": 5}}, 400006),
        ({"UID": "x", "identities": {}}, 400006),
        ({"UID": "x", "password": {"hashedPassword": "x"}}, 400006),
        ({"UID": "x", "password": {"hashedPassword": "x", "hashSettings": {"algorithm": "rot13"}}}, 400006),
        ({"UID": "x", "subscriptions": {"news": {"email": {"isSubscribed": True}}}}, 400006),
        ({"UID": "x", "subscriptions": {"news": True}}, 400006),
        ({"UID": "x", "preferences": {"terms": 1}}, 400006),
        ({"UID": "x", "communications": {"marketing": {}}}, 400006),
        ({"UID": "x", "data": {"a": {"b": {"c": None}}}}, 0),
    ],
)
def test_an_import_that_cannot_be_stored_leaves_nothing(folder: Path, parameters: dict[str, Any], code: int) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.call("accounts.importFullAccount", **parameters)
        assert reply["errorCode"] == code, reply
        assert await client.find("SELECT count(*) FROM accounts") == [{"count(*)": int(code == 0)}]
        assert await client.find("SELECT count(*) FROM emailAccounts") == [{"count(*)": 0}]

    run(scenario, folder)


def test_two_accounts_cannot_have_the_same_login_email(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client)
        reply = await client.call("accounts.importFullAccount", UID="eve", loginIDs={"emails": [EMAIL.upper()]})
        assert reply["errorCode"] == 400003

    run(scenario, folder)


def test_validation_errors_name_the_field_and_not_the_value(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.call(
            "accounts.importFullAccount", UID="x", profile={"birthYear": "secret-value", "shoe": 1, "gender": "q"}
        )
        assert [(each["errorCode"], each["fieldName"]) for each in reply["validationErrors"]] == [
            (400023, "profile.birthYear"), (400024, "profile.shoe"), (400026, "profile.gender"),
        ]  # fmt: skip
        assert "secret-value" not in str(reply)

    run(scenario, folder)


def test_subscriptions_are_written_and_searched_by_email_account(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        channel = {"isSubscribed": True, "lastUpdatedSubscriptionState": "2021-01-01T00:00:00Z", "tags": ["web"]}
        await ann(client, subscriptions={"news": {"email": channel}})
        (row,) = await client.find(
            "SELECT * FROM emailAccounts WHERE subscriptions.news.email.lastUpdatedSubscriptionState > '2020-12-31'"
        )
        assert (row["email"], row["UID"], row["hasFullAccount"], row["hasLiteAccount"]) == (EMAIL, "ann", True, False)
        assert len(row["token"]) == 64
        assert row["profile"]["firstName"] == "Ann"
        news = row["subscriptions"]["news"]["email"]
        assert (news["tags"], news["doubleOptIn"]["status"]) == (["web"], "NotConfirmed")
        await client.ok(
            "accounts.setAccountInfo", UID="ann", subscriptions={"news": {"email": {"isSubscribed": False}}}
        )
        (row,) = await client.find(f"SELECT * FROM emailAccounts WHERE email = '{EMAIL}'")
        news = row["subscriptions"]["news"]["email"]
        assert news["isSubscribed"] is False
        assert news["lastUpdatedSubscriptionState"] > "2025"
        assert news["tags"] == ["web"]

    run(scenario, folder)


def test_subscriptions_move_with_the_email_address(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client, subscriptions={"news.email.isSubscribed": True})
        await client.ok("accounts.setAccountInfo", UID="ann", profile={"email": "New@x.example"})
        (row,) = await client.find("SELECT * FROM emailAccounts")
        assert (row["email"], row["subscriptions"]["news"]["email"]["isSubscribed"]) == ("new@x.example", True)

    run(scenario, folder)


def test_an_unwritable_part_of_a_subscription_is_refused(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client)
        for change in ({"isSubscribed": "perhaps"}, {"tags": "x"}, {"colour": 1}):
            reply = await client.call("accounts.setAccountInfo", UID="ann", subscriptions={"news": {"email": change}})
            assert reply["errorCode"] == 400006, change

    run(scenario, folder)


def test_consents_need_a_language_and_keep_their_times(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client)
        statement = {"terms": {"tos": {"isConsentGranted": True, "docVersion": 2.0}}}
        refused = await client.call("accounts.setAccountInfo", UID="ann", preferences=statement)
        assert (refused["errorCode"], refused["errorDetails"]) == (400002, "Missing required parameter : lang")
        await client.ok("accounts.setAccountInfo", UID="ann", preferences=statement, lang="fr")
        first = (await stored(client))["preferences"]["terms"]["tos"]
        assert (first["isConsentGranted"], first["lang"], first["docVersion"]) == (True, "fr", 2.0)
        await client.ok("accounts.setAccountInfo", UID="ann", preferences=statement, lang="fr")
        second = (await stored(client))["preferences"]["terms"]["tos"]
        assert second["lastConsentModified"] == first["lastConsentModified"]
        assert second["actionTimestamp"] >= first["actionTimestamp"]

    run(scenario, folder)


def test_communications_are_kept_and_searched(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client, communications={"marketing_SMS": {"status": "OptIn", "optIn": {"brand": "X"}}})
        info = await client.ok("accounts.getAccountInfo", UID="ann", includeCommunications="all")
        assert info["communications"]["marketing_SMS"]["optIn"] == {"brand": "X"}
        (row,) = await client.find("SELECT * FROM communications WHERE status = 'OptIn'")
        assert (row["UID"], row["topicId"], row["channelId"]) == ("ann", "marketing", "SMS")

    run(scenario, folder)


def test_a_deleted_account_is_gone_with_all_that_belongs_to_it(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await ann(client)
        await client.ok("ds.store", type="orders", oid="1", UID="ann", data={"x": 1})
        await client.ok("accounts.deleteAccount", UID="ann")
        assert (await client.call("accounts.getAccountInfo", UID="ann"))["errorCode"] == 403005
        assert await client.find("SELECT * FROM accounts") == []
        assert await client.find("SELECT * FROM emailAccounts") == []
        assert (await client.call("ds.get", type="orders", oid="1"))["errorCode"] == 404000
        assert (await client.ok("accounts.isAvailableLoginID", loginID=EMAIL))["isAvailable"] is True

    run(scenario, folder)


def test_a_lite_account_survives_the_deletion_of_the_full_one(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importLiteAccount", email=EMAIL, subscriptions={"news.email.isSubscribed": True})
        await ann(client)
        (row,) = await client.find("SELECT * FROM emailAccounts")
        assert (row["hasFullAccount"], row["hasLiteAccount"]) == (True, True)
        assert row["subscriptions"]["news"]["email"]["isSubscribed"] is True
        await client.ok("accounts.deleteAccount", UID="ann")
        (row,) = await client.find("SELECT * FROM emailAccounts WHERE hasLiteAccount=true AND hasFullAccount=false")
        assert row["email"] == EMAIL

    run(scenario, folder)
