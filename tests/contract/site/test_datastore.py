"""ds.*: objects, their schemas, and ds.search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.site.client import Client, run


async def get(client: Client, **parameters: Any) -> dict[str, Any]:
    data: dict[str, Any] = (await client.ok("ds.get", type="orders", oid="1", **parameters))["data"]
    return data


def test_an_object_is_stored_merged_read_and_deleted(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.ok("ds.store", type="orders", oid="1", data={"a": {"x": 1}, "list": [1]}))["oid"] == "1"
        await client.ok("ds.store", type="orders", oid="1", data={"a": {"y": 2}, "list": [2]})
        assert await get(client) == {"a": {"x": 1, "y": 2}, "list": [1, 2]}
        await client.ok("ds.store", type="orders", oid="1", data={"list": [3]}, updateBehavior="arraySet")
        assert await get(client) == {"a": {"x": 1, "y": 2}, "list": [3]}
        assert await get(client, fields="a.x,list") == {"a": {"x": 1}, "list": [3]}
        await client.ok("ds.delete", type="orders", oid="1", fields="a.x")
        assert await get(client) == {"a": {"y": 2}, "list": [3]}
        await client.ok("ds.store", type="orders", oid="1", data={"b": 1}, updateBehavior="replace")
        assert await get(client) == {"b": 1}
        whole = await client.ok("ds.get", type="orders", oid="1")
        assert whole["lastUpdated"] >= whole["created"] > 10**12
        assert whole["lastUpdatedTime"].endswith("Z")
        await client.ok("ds.delete", type="orders", oid="1")
        for method in ("ds.get", "ds.delete"):
            assert (await client.call(method, type="orders", oid="1"))["errorCode"] == 404000

    run(scenario, folder)


def test_auto_makes_an_oid_and_the_uid_is_part_of_the_key(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u1")
        made = [(await client.ok("ds.store", type="orders", oid="auto", data={}))["oid"] for _ in range(2)]
        assert made[0] != made[1]
        await client.ok("ds.store", type="orders", oid="1", UID="u1", data={"whose": "u1"})
        await client.ok("ds.store", type="orders", oid="1", data={"whose": "nobody"})
        assert await get(client, UID="u1") == {"whose": "u1"}
        assert await get(client) == {"whose": "nobody"}

    run(scenario, folder)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"oid": "1", "data": {}}, 400002),
        ({"type": "orders", "data": {}}, 400002),
        ({"type": "orders", "oid": "1"}, 400002),
        ({"type": "no type", "oid": "1", "data": {}}, 400006),
        ({"type": "orders", "oid": "1", "data": [1]}, 400006),
        ({"type": "orders", "oid": "1", "data": {}, "updateBehavior": "guess"}, 400006),
        ({"type": "orders", "oid": "1", "data": {}, "UID": "nobody"}, 403005),
        ({"type": "orders", "oid": "1", "data": {"points_i": "many"}}, 400009),
        ({"type": "orders", "oid": "1", "data": {"text": "x" * (513 << 10)}}, 413003),
    ],
)
def test_what_cannot_be_stored_is_refused(folder: Path, parameters: dict[str, Any], code: int) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.call("ds.store", **parameters))["errorCode"] == code
        assert (await client.ok("ds.getTypes"))["types"] == []

    run(scenario, folder)


def test_the_end_of_a_fields_name_tells_its_type(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("ds.store", type="orders", oid="1", data={"n_i": "5", "f_f": "1.5", "b_b": "true", "s_s": 7})
        assert await get(client) == {"n_i": 5, "f_f": 1.5, "b_b": True, "s_s": "7"}

    run(scenario, folder)


def test_types_have_schemas(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        schema = {"fields": {"total": {"type": "float"}}, "dynamicSchema": False}
        await client.ok("ds.setSchema", type="orders", dataSchema=schema)
        assert (await client.ok("ds.getSchema", type="orders"))["schema"] == schema
        assert (await client.ok("ds.getTypes"))["types"] == ["orders"]
        for data in ({"total": "much"}, {"other": 1}):
            assert (await client.call("ds.store", type="orders", oid="1", data=data))["errorCode"] == 400009
        await client.ok("ds.deleteSchemaFields", type="orders", dataSchema="total")
        assert (await client.ok("ds.getSchema", type="orders"))["schema"]["fields"] == {}
        assert (await client.call("ds.getSchema", type="nothing"))["errorCode"] == 404000
        assert (await client.call("ds.setSchema", type="orders"))["errorCode"] == 400002

    run(scenario, folder)


def test_objects_are_searched_by_type(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        for number in range(5):
            await client.ok(
                "ds.store", type="orders", oid=str(number), data={"total": number, "tags": ["x", f"t{number}"]}
            )
        await client.ok("ds.store", type="other", oid="0", data={"total": 99})
        rows = await client.find(
            "SELECT oid, data.total FROM orders WHERE data.total >= 3 ORDER BY oid DESC", "ds.search"
        )
        assert rows == [{"oid": "4", "data": {"total": 4}}, {"oid": "3", "data": {"total": 3}}]
        assert [
            row["oid"] for row in await client.find("SELECT * FROM orders WHERE data.tags CONTAINS 't2'", "ds.search")
        ] == ["2"]
        assert await client.find("SELECT sum(data.total) AS all FROM orders", "ds.search") == [{"all": 10}]
        pages = await client.pages("SELECT oid FROM orders LIMIT 2", "ds.search")
        assert [row["oid"] for page in pages for row in page["results"]] == list("01234")
        unknown = await client.call("ds.search", query="SELECT * FROM nowhere")
        assert unknown["errorCode"] == 400006

    run(scenario, folder)
