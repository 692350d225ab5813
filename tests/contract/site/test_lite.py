"""Lite accounts, unsubscribing, and double opt-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.site.client import Client, run

EMAIL = "lite@x.example"


async def row(client: Client) -> dict[str, Any]:
    (found,) = await client.find("SELECT * FROM emailAccounts")
    return found


def test_a_lite_account_is_created_and_merged_into(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        first = await client.ok("accounts.importLiteAccount", email="Lite@x.example", profile={"firstName": "Li"})
        second = await client.ok(
            "accounts.importLiteAccount",
            email=EMAIL,
            data={"terms": True},
            subscriptions={
                "a": {"b": {"email": {"isSubscribed": True, "lastUpdatedSubscriptionState": "2020-01-01T00:00:00Z"}}}
            },
            preferences={"terms": {"tos": {"isConsentGranted": True}}},
        )
        assert first["UID"] == second["UID"]
        found = await row(client)
        assert (found["email"], found["hasLiteAccount"], found["hasFullAccount"]) == (EMAIL, True, False)
        assert found["profile"] == {"email": EMAIL, "firstName": "Li"}
        assert found["data"] == {"terms": True}
        assert found["subscriptions"]["a"]["b"]["email"]["lastUpdatedSubscriptionState"] == "2020-01-01T00:00:00Z"
        assert await client.find("SELECT * FROM accounts") == []

    run(scenario, folder)


def test_a_lite_account_is_deleted_by_its_token(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importLiteAccount", email=EMAIL)
        token = (await client.ok("accounts.getLiteToken", email=EMAIL))["emailAccountToken"]
        assert (await row(client))["token"] == token
        await client.ok("accounts.deleteLiteAccount", emailAccountToken=token)
        assert await client.find("SELECT * FROM emailAccounts") == []
        assert (await client.call("accounts.deleteLiteAccount", emailAccountToken=token))["errorCode"] == 404000
        assert (await client.call("accounts.deleteLiteAccount"))["errorCode"] == 400002
        assert (await client.call("accounts.getLiteToken", email=EMAIL))["errorCode"] == 404000

    run(scenario, folder)


def test_deleting_the_lite_account_leaves_the_full_one(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u", profile={"email": EMAIL})
        assert (await client.call("accounts.deleteLiteAccount", email=EMAIL))["errorCode"] == 404000
        await client.ok("accounts.importLiteAccount", email=EMAIL, data={"x": 1})
        await client.ok("accounts.deleteLiteAccount", email=EMAIL)
        assert (await row(client))["hasLiteAccount"] is False
        assert (await client.ok("accounts.getAccountInfo", UID="u"))["data"] == {}

    run(scenario, folder)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, 400002),
        ({"email": "nobody"}, 400006),
        ({"email": EMAIL, "profile": {"shoe": 1}}, 400009),
        ({"email": EMAIL, "subscriptions": {"x": 1}}, 400006),
    ],
)
def test_a_lite_import_that_cannot_be_stored_is_refused(folder: Path, parameters: dict[str, Any], code: int) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.call("accounts.importLiteAccount", **parameters))["errorCode"] == code
        assert await client.find("SELECT * FROM emailAccounts") == []

    run(scenario, folder)


def test_a_person_unsubscribes_from_some_tags_or_from_all(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok(
            "accounts.importLiteAccount",
            email=EMAIL,
            subscriptions={"news.email": {"isSubscribed": True, "tags": ["a", "b"]}},
        )
        await client.ok("accounts.unsubscribe", subscriptionID="news", email=EMAIL, tags="a")
        news = (await row(client))["subscriptions"]["news"]["email"]
        assert (news["isSubscribed"], news["tags"]) == (True, ["b"])
        token = (await row(client))["token"]
        await client.ok("accounts.unsubscribe", subscriptionID="news", channelToken=token)
        assert (await row(client))["subscriptions"]["news"]["email"]["isSubscribed"] is False
        for parameters, code in (
            ({"subscriptionID": "other", "email": EMAIL}, 400006),
            ({"subscriptionID": "news", "email": "no@x.example"}, 404000),
            ({"subscriptionID": "news"}, 400002),
            ({"email": EMAIL}, 400002),
        ):
            assert (await client.call("accounts.unsubscribe", **parameters))["errorCode"] == code

    run(scenario, folder)


async def opted_in(client: Client) -> dict[str, Any]:
    state: dict[str, Any] = (await row(client))["subscriptions"]["news"]["email"]["doubleOptIn"]
    return state


def test_a_subscription_with_double_opt_in_waits_for_the_link_in_the_mail(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok(
            "accounts.setSchema",
            subscriptionsSchema={"fields": {"news": {"type": "subscription", "doubleOptIn": True}}},
        )
        await client.ok("accounts.importFullAccount", UID="u", profile={"email": EMAIL})
        change = {"news": {"email": {"isSubscribed": True}}}
        await client.ok("accounts.setAccountInfo", UID="u", subscriptions=change)
        waiting = await opted_in(client)
        assert (waiting["status"], waiting["confirmTime"]) == ("Pending", None)
        async with client.http.get(f"{client.site.url}/_site/mails") as reply:
            (mail,) = (await reply.json())["mails"]
        assert (mail["email"], mail["subscription"]) == (EMAIL, "news")
        link = f"{client.site.url}/_site/confirm"
        async with client.http.get(link, params={"token": mail["token"]}) as reply:
            assert reply.status == 200
        confirmed = await opted_in(client)
        assert confirmed["status"] == "Confirmed"
        assert confirmed["confirmTime"] is not None
        async with client.http.get(link, params={"token": mail["token"]}) as reply:
            assert reply.status == 404

    run(scenario, folder)


def test_a_confirmation_that_happened_elsewhere_is_taken_over(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok(
            "accounts.setSchema",
            subscriptionsSchema={"fields": {"news": {"type": "subscription", "doubleOptIn": True}}},
        )
        await client.ok("accounts.importFullAccount", UID="u", profile={"email": EMAIL})
        change = {"news": {"email": {"isSubscribed": True, "doubleOptIn": {"isExternallyVerified": True}}}}
        await client.ok("accounts.setAccountInfo", UID="u", subscriptions=change)
        assert (await opted_in(client))["status"] == "Confirmed"
        await client.ok("accounts.setAccountInfo", UID="u", subscriptions={"news.email.isSubscribed": False})
        assert (await opted_in(client))["status"] == "NotConfirmed"

    run(scenario, folder)
