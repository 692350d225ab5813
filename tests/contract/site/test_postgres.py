"""A site whose data are in PostgreSQL answers as one whose data are in SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from landbridge.errors import StorageError
from landbridge.search import parse, search
from landbridge.search.postgres import PostgresDialect
from landbridge.search.sql import Layout, order_by, where
from landbridge.site import Site
from tests.contract.site.client import Client, run
from tests.contract.site.test_search import NUMBER, QUERIES, people
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started
from tests.unit.search.queries import conditions, orders, records


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with started(Postgres()) as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> str:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS site WITH (FORCE)")
        connection.execute("CREATE DATABASE site")
    return postgres.url.rpartition("/")[0] + "/site"


def test_queries_find_what_the_language_means(folder: Path, database: str) -> None:
    async def scenario(client: Client) -> None:
        accounts = people()
        for query in QUERIES:
            expected = search(parse(query), accounts)
            reply = await client.ok("accounts.search", query=query)
            assert reply["results"] == list(expected.records), query
            assert reply["totalCount"] == expected.total, query
        pages = await client.pages("SELECT UID FROM accounts ORDER BY data.score DESC LIMIT 70")
        assert sum(page["objectsCount"] for page in pages) == NUMBER

    run(scenario, folder, people=NUMBER, seed=7, database=database)


def test_what_is_written_is_read_again_after_a_restart(folder: Path, database: str) -> None:
    async def write(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u1", profile={"email": "a@x.example"}, data={"a": {"b": 1}})
        await client.ok(
            "accounts.importLiteAccount", email="b@x.example", subscriptions={"news.email.isSubscribed": True}
        )
        await client.ok("accounts.setAccountInfo", UID="u1", communications={"marketing_SMS": {"status": "OptIn"}})
        await client.ok("ds.store", type="orders", oid="1", data={"x": 1})
        refused = await client.call("accounts.importFullAccount", UID="u1")
        assert refused["errorCode"] == 400003
        await asyncio.gather(
            *(client.ok("accounts.setAccountInfo", UID="u1", data={f"n{number}": number}) for number in range(50))
        )

    async def read(client: Client) -> None:
        (account,) = await client.find("SELECT * FROM accounts WHERE data.a.b = 1")
        assert {f"n{number}": number for number in range(50)}.items() <= account["data"].items()
        rows = await client.find("SELECT email, hasFullAccount, profile FROM emailAccounts ORDER BY email")
        assert [(row["email"], row["hasFullAccount"]) for row in rows] == [
            ("a@x.example", True),
            ("b@x.example", False),
        ]
        assert rows[0]["profile"] == {"email": "a@x.example"}
        assert len(await client.find("SELECT UID FROM accounts", accountTypes="full,lite")) == 2
        assert len(await client.find("SELECT * FROM communications WHERE status = 'OptIn'")) == 1
        assert await client.find("SELECT oid FROM orders WHERE data.x = 1", "ds.search") == [{"oid": "1"}]
        assert len(await client.find("SELECT * FROM auditLog WHERE errCode = '0'", "audit.search")) == 51
        with pytest.raises(StorageError, match="another site uses it"):
            await Site(folder / "second", database=database).start()

    run(write, folder, database=database)
    run(read, folder, database=database)


def test_a_database_that_cannot_be_reached_is_reported(folder: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(StorageError) as refused:
            await Site(folder, database="postgresql://someone:hidden@127.0.0.1:9/none").start()
        assert refused.value.code == "LB-7301"
        assert "hidden" not in str(refused.value)

    asyncio.run(scenario())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(records, max_size=5), condition=conditions, order=orders)
def test_the_compiled_sql_means_what_the_language_means(
    postgres: Postgres, rows: list[dict[str, Any]], condition: str, order: str
) -> None:
    query = parse(f"SELECT * FROM records WHERE {condition}{order}")
    layout, dialect = Layout("doc"), PostgresDialect()
    compiled, sorting = where(query.where, layout, dialect), order_by(query.order_by, layout, dialect)
    texts = [msgspec.json.encode(row).decode() for row in rows]
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TEMP TABLE records (id INTEGER, doc TEXT)")
        for number, text in enumerate(texts):
            connection.execute("INSERT INTO records VALUES (%s, %s)", (number, text))
        statement = f"SELECT id FROM records WHERE {compiled.text} ORDER BY {sorting.text}".replace("?", "%s")
        found = [row[0] for row in connection.execute(statement.encode(), compiled.parameters + sorting.parameters)]
    decoded = [{**msgspec.json.decode(text), "number": number} for number, text in enumerate(texts)]
    assert found == [record["number"] for record in search(query, decoded, default_limit=9).records]
