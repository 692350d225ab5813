"""getSchema, setSchema, deleteSchemaFields, getPolicies, and the enforcement of schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.site.client import Client, run


def fields(**options: Any) -> dict[str, Any]:
    return {"dataSchema": {"fields": {"field": options}}}


def test_a_fresh_site_has_the_vendors_schemas(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        schema = await client.ok("accounts.getSchema")
        assert schema["profileSchema"]["dynamicSchema"] is False
        assert schema["profileSchema"]["fields"]["firstName"] == {
            "type": "string", "required": False, "allowNull": True, "writeAccess": "clientModify", "encrypt": "AES",
        }  # fmt: skip
        assert set(schema["dataSchema"]["fields"]) == {"terms", "subscribe"}
        only = await client.ok("accounts.getSchema", include="dataSchema")
        assert "profileSchema" not in only
        public = await client.anonymous("accounts.getSchema")
        assert "encrypt" not in public["profileSchema"]["fields"]["firstName"]
        assert (await client.call("accounts.getSchema", filter="half"))["errorCode"] == 400006

    run(scenario, folder)


@pytest.mark.parametrize(
    ("options", "value", "code"),
    [
        ({"type": "integer"}, "twelve", 400023),
        ({"type": "integer"}, 1.5, 400023),
        ({"type": "integer"}, 2**40, 400023),
        ({"type": "long"}, 2**40, 0),
        ({"type": "long"}, 2**63, 400023),
        ({"type": "float"}, "much", 400023),
        ({"type": "boolean"}, 1, 400023),
        ({"type": "boolean"}, "True", 0),
        ({"type": "date"}, "2024-02-30", 400023),
        ({"type": "date"}, "2024-02-29T10:00:00.123Z", 0),
        ({"type": "string"}, "x" * 16385, 400023),
        ({"type": "string"}, {"a": 1}, 400024),
        ({"type": "string", "format": "regex('[a-z]{2}')"}, "abc", 400026),
        ({"type": "string", "format": "regex('^[a-z]{2}$')"}, "ab", 0),
    ],
)
def test_a_value_must_fit_its_field(folder: Path, options: dict[str, Any], value: Any, code: int) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u")
        await client.ok("accounts.setSchema", dataSchema={"fields": {"field": options}, "dynamicSchema": False})
        reply = await client.call("accounts.setAccountInfo", UID="u", data={"field": value})
        assert reply["errorCode"] == (400009 if code else 0)
        if code:
            assert [each["errorCode"] for each in reply["validationErrors"]] == [code]

    run(scenario, folder)


def test_values_are_stored_in_the_type_of_their_field(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        schema = {name: {"type": name} for name in ("integer", "float", "boolean", "string")}
        await client.ok("accounts.setSchema", dataSchema={"fields": schema})
        given = {"integer": "12", "float": "1.5", "boolean": "true", "string": 7}
        await client.ok("accounts.importFullAccount", UID="u", data=given)
        (row,) = await client.find("SELECT data FROM accounts WHERE data.integer > 11 AND data.boolean = true")
        assert row["data"] == {"integer": 12, "float": 1.5, "boolean": True, "string": "7"}

    run(scenario, folder)


def test_a_unique_field_belongs_to_one_account(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.setSchema", **fields(type="string", unique=True))
        await client.ok("accounts.importFullAccount", UID="u1", data={"field": "x"})
        await client.ok("accounts.setAccountInfo", UID="u1", data={"field": "x"})
        reply = await client.call("accounts.importFullAccount", UID="u2", data={"field": "x"})
        assert reply["validationErrors"][0]["errorCode"] == 400022
        await client.ok("accounts.importFullAccount", UID="u2", data={"field": "y"})

    run(scenario, folder)


def test_unknown_fields_are_refused_where_the_schema_is_fixed(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u", data={"anything": 1})
        await client.ok("accounts.setSchema", dataSchema={"dynamicSchema": False})
        reply = await client.call("accounts.setAccountInfo", UID="u", data={"anything": 2})
        assert reply["validationErrors"][0]["errorCode"] == 400024
        await client.ok("accounts.setSchema", subscriptionsSchema={"dynamicSchema": False})
        reply = await client.call(
            "accounts.importFullAccount",
            UID="v",
            profile={"email": "v@x.example"},
            subscriptions={"a.email.isSubscribed": True},
        )
        assert reply["errorCode"] == 400009

    run(scenario, folder)


def test_schemas_change_field_by_field_and_survive_a_restart(folder: Path) -> None:
    async def change(client: Client) -> None:
        await client.ok("accounts.setSchema", **fields(type="string", required=True))
        await client.ok("accounts.setSchema", **fields(format="regex('a+')"))
        conflict = await client.call("accounts.setSchema", **fields(type="integer"))
        assert conflict["errorCode"] == 400029

    async def look(client: Client) -> None:
        schema = (await client.ok("accounts.getSchema"))["dataSchema"]["fields"]
        assert schema["field"] == {"type": "string", "required": True, "format": "regex('a+')"}
        await client.ok("accounts.deleteSchemaFields", dataSchema="field")
        assert "field" not in (await client.ok("accounts.getSchema"))["dataSchema"]["fields"]
        assert (await client.call("accounts.deleteSchemaFields", dataSchema=["field"]))["errorCode"] == 400006
        assert (await client.call("accounts.deleteSchemaFields"))["errorCode"] == 400002

    run(change, folder)
    run(look, folder)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, 400002),
        ({"dataSchema": {"fields": []}}, 400006),
        ({"dataSchema": {"fields": {"x": 1}}}, 400006),
        ({"dataSchema": {"fields": {"not a name": {}}}}, 400006),
        ({"dataSchema": {"fields": {"x": {"type": "colour"}}}}, 400006),
        ({"dataSchema": {"fields": {"x": {"writeAccess": "all"}}}}, 400006),
        ({"dataSchema": {"fields": {"x": {"format": "regex('(')"}}}}, 400006),
        ({"profileSchema": {"fields": {"shoeSize": {"type": "long"}}}}, 400006),
    ],
)
def test_what_is_no_schema_is_refused(folder: Path, parameters: dict[str, Any], code: int) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.call("accounts.setSchema", **parameters))["errorCode"] == code

    run(scenario, folder)


def test_policies_are_shown_in_public_and_private_sections(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        assert "accountOptions" in await client.ok("accounts.getPolicies")
        public = await client.anonymous("accounts.getPolicies")
        assert "registration" in public
        assert "accountOptions" not in public
        assert (await client.anonymous("accounts.getPolicies", sections="federation"))["errorCode"] == 403007
        assert (await client.call("accounts.getPolicies", sections="weather"))["errorCode"] == 400006

    run(scenario, folder)
