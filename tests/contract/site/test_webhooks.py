"""Webhooks: their definitions, their delivery, their signatures."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.contract.site.client import Client, run


class Receiver:
    """A web server that takes webhooks; the first ``failures`` requests are answered with 500."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in self.requests for event in json.loads(body)["events"]]

    async def take(self, request: web.Request) -> web.Response:
        if self.failures:
            self.failures -= 1
            return web.Response(status=500)
        self.requests.append((dict(request.headers), await request.read()))
        return web.Response()

    async def wait_for(self, number: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(10):
            while len(self.events()) < number:  # noqa: ASYNC110 - it is bounded by the time-out
                await asyncio.sleep(0.01)
        return self.events()


@asynccontextmanager
async def receiving(failures: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver(failures)
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def test_events_are_delivered_in_order_with_both_signatures(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        async with receiving() as receiver:
            await client.ok(
                "accounts.webhooks.set", name="all", url=receiver.url, headers=[{"name": "X-Team", "value": "crm"}],
                events=["accountUpdated", "accountDeleted", "subscriptionUpdated"],
            )  # fmt: skip
            await client.ok("accounts.importFullAccount", UID="u1", profile={"email": "a@x.example"})
            await client.ok("accounts.setAccountInfo", UID="u1", data={"x": 1})
            await client.ok("accounts.setAccountInfo", UID="u1", data={"x": 2}, muteWebhooks=True)
            await client.ok("accounts.setAccountInfo", UID="u1", subscriptions={"news.email.isSubscribed": True})
            await client.ok("accounts.deleteAccount", UID="u1")
            events = await receiver.wait_for(4)
            assert [event["type"] for event in events] == [
                "accountUpdated", "accountUpdated", "subscriptionUpdated", "accountDeleted",
            ]  # fmt: skip
            assert events[0]["data"] == {"accountType": "full", "uid": "u1"}
            assert len({event["id"] for event in events}) == 4
            headers, body = receiver.requests[0]
            assert headers["X-Team"] == "crm"
            key = base64.b64decode(client.site.credentials.partner_secret)
            assert (
                headers["X-Gigya-Sig-Hmac-Sha1"]
                == base64.b64encode(hmac.new(key, body, hashlib.sha1).digest()).decode()
            )
            claims = headers["x-gigya-sig-jwt"].split(".")[1]
            content = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            assert content["jti"] == json.loads(body)["nonce"]
            assert content["exp"] - content["iat"] == 60
            status = await client.ok("accounts.webhooks.getStatus", url=receiver.url)
            assert status["webhookStatus"]["statusCode"] == 200

    run(scenario, folder)


def test_a_delivery_that_fails_is_repeated(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        async with receiving(failures=1) as receiver:
            await client.ok("accounts.webhooks.set", name="x", url=receiver.url, events="accountDeleted")
            await client.ok("accounts.importFullAccount", UID="u1")
            await client.ok("accounts.deleteAccount", UID="u1")
            (event,) = await receiver.wait_for(1)
            assert event["type"] == "accountDeleted"

    run(scenario, folder)


def test_what_was_not_delivered_is_delivered_after_a_restart(folder: Path) -> None:
    async def before(client: Client) -> None:
        await client.ok("accounts.webhooks.set", name="x", url="http://127.0.0.1:9/hook", events="accountDeleted")
        await client.ok("accounts.importFullAccount", UID="u1")
        await client.ok("accounts.deleteAccount", UID="u1")

    async def after(client: Client) -> None:
        async with receiving() as receiver:
            await client.ok("accounts.webhooks.set", name="x", url=receiver.url, events="accountDeleted")
            (event,) = await receiver.wait_for(1)
            assert event["data"]["uid"] == "u1"

    run(before, folder)
    run(after, folder)


def test_a_webhook_can_be_delivered_twice(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        client.site.switches = replace(client.site.switches, duplicate_webhooks=True)
        async with receiving() as receiver:
            await client.ok("accounts.webhooks.set", name="x", url=receiver.url, events="accountCreated")
            await client.ok("accounts.importLiteAccount", email="a@x.example")
            first, second = await receiver.wait_for(2)
            assert first == second
            assert first["data"]["accountType"] == "lite"

    run(scenario, folder)


def test_webhooks_are_listed_changed_and_deleted(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok(
            "accounts.webhooks.set", name="x", url="https://a.example/1", events="accountDeleted", active=False
        )
        await client.ok(
            "accounts.webhooks.set", name="x", url="https://a.example/2", events="accountCreated,accountDeleted"
        )
        (hook,) = (await client.ok("accounts.webhooks.getAll"))["webhooks"]
        assert (hook["url"], hook["events"]) == ("https://a.example/2", ["accountCreated", "accountDeleted"])
        await client.ok("accounts.webhooks.delete", name="x")
        assert (await client.ok("accounts.webhooks.getAll"))["webhooks"] == []
        assert (await client.call("accounts.webhooks.delete", name="x"))["errorCode"] == 404000
        assert (await client.call("accounts.webhooks.getStatus", url="https://a.example/1"))["errorCode"] == 404000

    run(scenario, folder)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": ""}, 400002),
        ({"name": "x" * 101}, 400006),
        ({"url": "http://example.com/hook"}, 400006),
        ({"url": "ftp://example.com"}, 400006),
        ({"events": ""}, 400002),
        ({"events": "accountInvented"}, 400006),
        ({"version": "1.0"}, 400006),
        ({"headers": [{"name": "X", "value": "a\r\nY: b"}]}, 400006),
        ({"name": "second", "url": "https://a.example/first"}, 400003),
    ],
)
def test_a_webhook_that_is_wrong_is_refused(folder: Path, changes: dict[str, Any], code: int) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.webhooks.set", name="first", url="https://a.example/first", events="accountDeleted")
        hook = {"name": "x", "url": "https://a.example/x", "events": "accountDeleted"} | changes
        assert (await client.call("accounts.webhooks.set", **hook))["errorCode"] == code

    run(scenario, folder)
