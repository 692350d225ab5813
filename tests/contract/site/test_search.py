"""accounts.search: queries, cursors, limits, and what it answers to what it does not understand."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from landbridge.search import parse, search
from landbridge.site import Site
from landbridge.site.people import population
from tests.contract.site.client import Client, connected, query_signature, run
from tests.unit.search.queries import predicates

NUMBER = 250


def people() -> list[dict[str, Any]]:
    return [json.loads(json.dumps(person.account)) for person in population(NUMBER, seed=7)]


def test_a_search_returns_the_account_trees_as_they_are(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.ok("accounts.search", query="SELECT * FROM accounts LIMIT 1000")
        assert reply["results"] == people()
        assert (reply["objectsCount"], reply["totalCount"]) == (NUMBER, NUMBER)
        assert "nextCursorId" not in reply
        assert "apiVersion" not in reply
        assert next(iter(reply)) == "results"

    run(scenario, folder, people=NUMBER, seed=7)


QUERIES = [
    "SELECT UID, profile.email AS mail FROM accounts WHERE profile.country IN ('CH', \"DE\") ORDER BY created LIMIT 7",
    "SELECT * FROM accounts WHERE lastUpdatedTimestamp > 1640995200000 ORDER BY lastUpdatedTimestamp ASC LIMIT 300",
    "SELECT * FROM accounts WHERE profile.likes.name CONTAINS 'Opera' AND data.score < 50 LIMIT 300",
    "SELECT data.loyalty FROM accounts WHERE data.loyalty.tier = 'gold' OR NOT isActive = true LIMIT 300",
    "SELECT * FROM accounts WHERE loginIDs.emails = 'person5@example.com'",
    "SELECT * FROM accounts WHERE loginIDs.emails != 'person5@example.com' LIMIT 300",
    "SELECT * FROM accounts WHERE loginIDs.emails IS NULL",
    "SELECT * FROM accounts WHERE verifiedTimestamp IS NULL ORDER BY registeredTimestamp START 3 LIMIT 5",
    "SELECT * FROM accounts WHERE preferences.privacy.marketing.isConsentGranted = true LIMIT 300",
    "SELECT * FROM accounts WHERE regSource = regex('https?:.*') LIMIT 300",
    "SELECT profile.phones.number FROM accounts WHERE profile.phones.type = 'mobile' LIMIT 300",
    "SELECT count(*) FROM accounts WHERE profile.gender = 'f'",
    "SELECT profile.country, count(*), avg(data.score) FROM accounts GROUP BY profile.country LIMIT 300",
    "SELECT min(data.score), max(data.score), std(data.loyalty.points) FROM accounts",
]


def test_queries_find_what_the_language_means(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        accounts = people()
        for query in QUERIES:
            expected = search(parse(query), accounts)
            reply = await client.ok("accounts.search", query=query)
            assert reply["results"] == list(expected.records), query
            assert reply["totalCount"] == expected.total, query
            assert reply["objectsCount"] == len(expected.records), query

    run(scenario, folder, people=NUMBER, seed=7)


def test_a_cursor_gives_every_record_once_in_order(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        for query in (
            "SELECT * FROM accounts LIMIT 60",
            "SELECT UID FROM accounts ORDER BY lastUpdatedTimestamp DESC LIMIT 60",
            "SELECT UID, data.score FROM accounts WHERE data.score > 20 ORDER BY data.score LIMIT 60",
        ):
            pages = await client.pages(query)
            found = [record for page in pages for record in page["results"]]
            everything = replace(parse(query), limit=NUMBER)
            assert found == list(search(everything, people()).records)
            assert {page["totalCount"] for page in pages} == {len(found)}
            assert [page["objectsCount"] for page in pages[:-1]] == [60] * (len(pages) - 1)

    run(scenario, folder, people=NUMBER, seed=7)


def test_a_cursor_may_be_sent_again_after_a_failure(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        first = await client.ok("accounts.search", query="SELECT UID FROM accounts LIMIT 100", openCursor=True)
        cursor = first["nextCursorId"]
        second, again = [await client.ok("accounts.search", cursorId=cursor) for _ in range(2)]
        assert second["results"] == again["results"]
        assert second["nextCursorId"] == again["nextCursorId"] != cursor

    run(scenario, folder, people=NUMBER)


def test_accounts_deleted_meanwhile_leave_no_short_page_and_no_hole(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        first = await client.ok("accounts.search", query="SELECT UID FROM accounts LIMIT 100", openCursor=True)
        everyone = [each["UID"] for each in await client.find("SELECT UID FROM accounts LIMIT 1000")]
        for uid in everyone[100:110]:
            await client.ok("accounts.deleteAccount", UID=uid)
        second = await client.ok("accounts.search", cursorId=first["nextCursorId"])
        assert [each["UID"] for each in second["results"]] == everyone[110:210]
        third = await client.ok("accounts.search", cursorId=second["nextCursorId"])
        assert [each["UID"] for each in third["results"]] == everyone[210:]

    run(scenario, folder, people=NUMBER)


def test_the_last_page_can_be_made_empty(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        client.site.switches = replace(client.site.switches, empty_last_page=True)
        pages = await client.pages("SELECT UID FROM accounts LIMIT 100")
        assert [page["objectsCount"] for page in pages] == [100, 100, 50, 0]
        assert sum(len(page["results"]) for page in pages) == NUMBER

    run(scenario, folder, people=NUMBER)


@pytest.mark.parametrize(
    ("parameters", "details"),
    [
        ({"query": "SELECT FROM"}, "too early at position 12"),
        ({"query": "SELECT * FROM accounts HAVING x = 1"}, "at position 24"),
        ({"query": "SELECT * FROM nowhere"}, "no table nowhere"),
        ({"query": "SELECT * FROM accounts START 5001"}, "START is more than 5000"),
        ({"query": "SELECT * FROM accounts START 1", "openCursor": True}, "START"),
        ({"query": "SELECT count(*) FROM accounts", "openCursor": True}, "functions"),
        ({"query": "SELECT * FROM accounts LIMIT 0", "openCursor": True}, "LIMIT 0"),
        ({"query": "SELECT UID, count(*) FROM accounts"}, "GROUP BY"),
        ({"query": "SELECT UID, count(*) FROM accounts GROUP BY isActive"}, "GROUP BY"),
        ({"query": "SELECT * FROM accounts ORDER BY profile.lastName"}, "encrypted"),
        ({"query": "SELECT * FROM accounts WHERE profile.firstName > 'A'"}, "encrypted"),
        ({"query": "SELECT * FROM accounts WHERE profile.zip = regex('8.*')"}, "encrypted"),
        ({"query": "SELECT * FROM accounts", "accountTypes": "heavy"}, "accountTypes"),
        ({"query": "SELECT * FROM accounts", "timeout": "soon"}, "timeout"),
        ({"cursorId": "unknown"}, "unknown or has expired"),
        ({"cursorId": "0123_99999999999"}, "unknown or has expired"),
        ({"query": "SELECT * FROM accounts", "cursorId": "x"}, "together"),
    ],
)
def test_what_cannot_be_searched_is_refused(folder: Path, parameters: dict[str, Any], details: str) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.call("accounts.search", **parameters)
        assert reply["errorCode"] == 400006
        assert details in reply["errorDetails"]

    run(scenario, folder)


def test_a_client_without_credentials_searches_by_a_query_that_a_server_signed(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        query, now = "SELECT profile.country FROM accounts LIMIT 3", int(time.time() * 1000)
        expires = now + 60_000

        async def asked(
            text: str = query, until: int = expires, sign: str | None = None, **more: Any
        ) -> dict[str, Any]:
            secret = client.site.credentials.partner_secret
            signature = query_signature(secret, query, until) if sign is None else sign
            own = {"apiKey": client.site.api_key, "query": text, "querySig": signature, "expTime": str(until)}
            return await client.send("accounts.search", {**own, **more})

        assert (await asked())["results"] == await client.find(query)
        assert (await asked(restrictedQuery=query, query=""))["objectsCount"] == 3
        refused = {
            403003: asked("SELECT UID FROM accounts"),
            403002: asked(until=now - 1000),
            403007: asked(openCursor="true"),
            400006: asked(restrictedQuery=query),
        }
        assert {code: (await reply)["errorCode"] for code, reply in refused.items()} == {code: code for code in refused}
        assert (await asked(sign="null"))["errorCode"] == 403007
        assert (await client.send("accounts.search", {"apiKey": client.site.api_key, "query": query}))[
            "errorCode"
        ] == 403007
        assert (await asked(sign=query_signature(client.site.secret, query, expires)))["errorCode"] == 0

    run(scenario, folder, people=5)


def test_a_search_without_a_query_says_so(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.call("accounts.search"))["errorDetails"] == "Missing required parameter : query"

    run(scenario, folder)


def test_encrypted_fields_are_compared_as_a_whole(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u1", profile={"firstName": "Mary Ann", "languages": "en fr"})
        count = "SELECT count(*) FROM accounts WHERE"
        assert await client.find(f"{count} profile.firstName CONTAINS 'Mary'") == [{"count(*)": 0}]
        assert await client.find(f"{count} profile.firstName CONTAINS 'Mary Ann'") == [{"count(*)": 1}]
        assert await client.find(f"{count} profile.languages CONTAINS 'fr'") == [{"count(*)": 1}]
        client.site.switches = replace(client.site.switches, encrypted_fields=False)
        assert await client.find(f"{count} profile.firstName CONTAINS 'Mary'") == [{"count(*)": 1}]
        assert len(await client.find("SELECT * FROM accounts ORDER BY profile.lastName")) == 1

    run(scenario, folder)


def test_limits_are_lowered_silently(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        assert len(await client.find("SELECT UID FROM accounts")) == 300
        assert len(await client.find("SELECT UID FROM accounts LIMIT 99999")) == 400
        (page,) = await client.pages("SELECT UID FROM accounts LIMIT 99999")
        assert page["objectsCount"] == 400

    run(scenario, folder, people=400)


def test_the_index_can_lag_behind(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        client.site.switches = replace(client.site.switches, index_delay_s=30)
        await client.ok("accounts.importFullAccount", UID="u1")
        assert await client.find("SELECT * FROM accounts") == []
        assert (await client.ok("accounts.getAccountInfo", UID="u1"))["UID"] == "u1"
        client.site.switches = replace(client.site.switches, index_delay_s=0)
        assert len(await client.find("SELECT * FROM accounts")) == 1

    run(scenario, folder)


def test_passwords_come_only_when_asked_for(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        password = {"hashedPassword": "abc", "hashSettings": {"algorithm": "md5"}}
        await client.ok("accounts.importFullAccount", UID="u1", password=password)
        assert "password" not in (await client.find("SELECT * FROM accounts"))[0]
        (asked,) = await client.find("SELECT UID, password.hash FROM accounts")
        assert asked == {"UID": "u1", "password": {"hash": "abc"}}

    run(scenario, folder)


def test_account_types_select_full_and_lite_accounts(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="full", profile={"email": "full@x.example"})
        lite = (await client.ok("accounts.importLiteAccount", email="lite@x.example", data={"terms": True}))["UID"]
        query = "SELECT UID, profile.email FROM accounts ORDER BY createdTimestamp"
        found = {
            types: [each["UID"] for each in await client.find(query, accountTypes=types)]
            for types in ("full", "lite", "full,lite")
        }
        assert found == {"full": ["full"], "lite": [lite], "full,lite": ["full", lite]}
        pages = await client.pages("SELECT UID FROM accounts LIMIT 1", accountTypes="full,lite")
        assert [page["results"][0]["UID"] for page in pages] == ["full", lite]
        (row,) = await client.find("SELECT * FROM accounts WHERE data.terms = true", accountTypes="lite")
        assert "token" not in row

    run(scenario, folder)


def test_a_search_that_takes_too_long_is_ended(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        query = "SELECT * FROM accounts WHERE " + " OR ".join(f"data.x{number}.y = 1" for number in range(400))
        reply = await client.call("accounts.search", query=query, timeout=1)
        assert (reply["errorCode"], reply["statusCode"]) == (504001, 504)
        assert (await client.find("SELECT count(*) FROM accounts")) == [{"count(*)": 2000}]

    run(scenario, folder, people=2000)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(predicates.map(lambda text: f"SELECT * FROM accounts WHERE {text}"), st.text(max_size=80)),
        max_size=60,
    )
)
def test_no_query_ever_fails_inside_the_site(known_credentials: Path, queries: list[str]) -> None:
    async def scenario() -> None:
        async with Site(known_credentials.parent / "fuzz") as site, connected(site) as client:
            await client.call(
                "accounts.importFullAccount", UID="u1", importPolicy="upsert", data={"a": [1, {"b": "x"}]}
            )
            for query in queries:
                reply = await client.call("accounts.search", query=query.encode("utf-8", "replace").decode())
                assert reply["errorCode"] in (0, 400002, 400006), (query, reply)

    anyio.run(scenario)
