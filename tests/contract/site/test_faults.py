"""Rate limits, quirks and faults that are switched on to prove clients."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from landbridge.site import Fault
from tests.contract.site.client import Client, run

COUNT = "SELECT count(*) FROM accounts"


def test_a_fault_answers_the_next_calls_and_then_lets_them_through(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        client.site.faults.add(Fault("accounts.search", error_code=403048, skip=1, times=2))
        codes = [(await client.call("accounts.search", query=COUNT))["errorCode"] for _ in range(5)]
        assert codes == [0, 403048, 403048, 0, 0]
        assert (await client.call("accounts.isAvailableLoginID", loginID="x"))["errorCode"] == 0

    run(scenario, folder)


@pytest.mark.parametrize(("after_work", "stored"), [(False, 0), (True, 1)])
def test_an_error_comes_before_or_after_the_work(folder: Path, after_work: bool, stored: int) -> None:
    async def scenario(client: Client) -> None:
        client.site.faults.add(Fault("accounts.import*", error_code=500001, after_work=after_work, times=1))
        reply = await client.call("accounts.importFullAccount", UID="u1")
        assert (reply["errorCode"], reply["statusCode"]) == (500001, 500)
        assert await client.find(COUNT) == [{"count(*)": stored}]

    run(scenario, folder)


def test_a_connection_is_dropped_in_the_middle_of_the_reply(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        client.site.faults.add(Fault("accounts.search", drop=True, times=1))
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.call("accounts.search", query=COUNT)
        assert await client.find(COUNT) == [{"count(*)": 0}]

    run(scenario, folder)


def test_a_page_can_be_slow(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        client.site.faults.add(Fault("accounts.search", delay_s=0.3, times=1))
        began = time.monotonic()
        await client.find(COUNT)
        assert time.monotonic() - began >= 0.3

    run(scenario, folder)


def test_searches_and_other_calls_have_rates_of_their_own(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        client.site.switches = replace(client.site.switches, searches_per_s=5)
        replies = await asyncio.gather(*(client.call("accounts.search", query=COUNT) for _ in range(20)))
        codes = [reply["errorCode"] for reply in replies]
        assert 5 <= codes.count(0) <= 8
        assert set(codes) == {0, 403048}
        others = await asyncio.gather(*(client.call("accounts.isAvailableLoginID", loginID="x") for _ in range(20)))
        assert {reply["errorCode"] for reply in others} == {0}
        await asyncio.sleep(0.5)
        assert (await client.call("accounts.search", query=COUNT))["errorCode"] == 0

    run(scenario, folder)


def test_imports_of_one_uid_are_limited_by_the_minute(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        client.site.switches = replace(client.site.switches, imports_per_uid_per_minute=2)
        codes = [
            (await client.call("accounts.importFullAccount", UID="u1", importPolicy="upsert"))["errorCode"]
            for _ in range(3)
        ]
        assert codes == [0, 0, 503001]
        assert (await client.call("accounts.importFullAccount", UID="u2"))["errorCode"] == 0

    run(scenario, folder)


def test_concurrent_reads_of_one_uid_are_limited(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u1")
        client.site.switches = replace(client.site.switches, concurrent_reads_per_uid=0)
        reply = await client.call("accounts.getAccountInfo", UID="u1")
        assert (reply["errorCode"], reply["errorMessage"]) == (409030, "Too many requests for same user")
        client.site.switches = replace(client.site.switches, concurrent_reads_per_uid=5)
        assert (await client.call("accounts.getAccountInfo", UID="u1"))["errorCode"] == 0

    run(scenario, folder)


async def admin(client: Client, verb: str, what: str, json: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    url = f"{client.site.url}/_site/{what}"
    async with client.http.request(verb, url, json=json, headers=headers) as reply:
        body: dict[str, Any] = await reply.json()
        return reply.status, body


def test_switches_and_faults_are_set_from_outside(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        status, state = await admin(client, "POST", "switches", {"empty_last_page": True, "searches_per_s": 7})
        assert status == 200
        assert (state["switches"]["empty_last_page"], state["switches"]["searches_per_s"]) == (True, 7)
        status, state = await admin(client, "POST", "faults", {"method": "ds.*", "error_code": 500001})
        assert state["faults"][0]["method"] == "ds.*"
        assert (await client.call("ds.getTypes"))["errorCode"] == 500001
        await admin(client, "DELETE", "faults", {})
        assert (await client.call("ds.getTypes"))["errorCode"] == 0
        assert (await admin(client, "GET", "state"))[1]["switches"]["searches_per_s"] == 7

    run(scenario, folder)


def test_what_is_no_switch_or_fault_is_refused(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        for what, given in (
            ("switches", {"colour": "red"}),
            ("switches", {"empty_last_page": "yes"}),
            ("switches", {"index_delay_s": None}),
            ("switches", {"searches_per_s": -1}),
            ("switches", [1]),
            ("faults", {"weather": 1}),
            ("faults", {"times": "many"}),
        ):
            status, body = await admin(client, "POST", what, given)
            assert (status, "error" in body) == (400, True), given
        assert (await admin(client, "POST", "faults", {}, **{"Content-Type": "text/plain"}))[0] == 400
        assert (await admin(client, "GET", "nothing"))[0] == 404

    run(scenario, folder)
