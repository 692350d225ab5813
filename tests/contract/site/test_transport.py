"""Requests in every encoding that clients use, and the envelope of the replies."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.contract.site.client import Client, run

PING = "accounts.isAvailableLoginID"


def credentials(client: Client) -> dict[str, str]:
    return {"apiKey": client.site.api_key, "userKey": client.site.user_key, "secret": client.site.secret}


def test_parameters_come_by_query_by_form_and_by_multipart(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        parameters = credentials(client) | {"loginID": "a@b.example"}
        url = f"{client.site.url}/{PING}"
        multipart = aiohttp.FormData(default_to_multipart=True)
        for name, value in parameters.items():
            multipart.add_field(name, value)
        for request in (
            client.http.get(url, params=parameters),
            client.http.post(url, data=parameters),
            client.http.post(url, data=multipart),
            client.http.post(url, params={"loginID": "a@b.example"}, data=credentials(client)),
            client.http.get(
                url, params=parameters, headers={"Content-Type": "application/json", "Authorization": "Basic eDp5"}
            ),
        ):
            async with request as reply:
                assert (await reply.json())["isAvailable"] is True

    run(scenario, folder)


def test_names_of_parameters_are_matched_in_any_case(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        key = client.site.api_key
        for names in ({"APIKey": key, "LOGINid": "x"}, {"ApiKey": key, "loginid": "x"}):
            assert (await client.send(PING, names))["isAvailable"] is True

    run(scenario, folder)


@pytest.mark.parametrize("value", ["true", "True", "1"])
def test_booleans_come_in_every_spelling(folder: Path, value: str) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.call("accounts.importFullAccount", createUID=value, isActive=value, isVerified="False")
        assert reply["errorCode"] == 0
        assert len(reply["UID"]) == 32
        wrong = await client.call("accounts.importFullAccount", createUID="perhaps")
        assert wrong["errorCode"] == 400006

    run(scenario, folder)


def test_the_method_is_found_by_the_path_alone(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        form = credentials(client) | {"query": "SELECT count(*) FROM accounts"}
        for host in ("accounts.eu1.gigya.com", "ids.us1.gigya.com", "nowhere.example"):
            for method in ("accounts.search", "ids.search"):
                async with client.http.post(f"{client.site.url}/{method}", data=form, headers={"Host": host}) as reply:
                    assert (await reply.json())["totalCount"] == 0

    run(scenario, folder)


def test_a_request_line_may_hold_a_whole_url(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        body = urlencode(credentials(client) | {"loginID": "x"}).encode()
        reader, writer = await asyncio.open_connection(client.site.host, client.site.port)
        writer.write(
            b"POST http://accounts.us1.gigya.com/accounts.isAvailableLoginID HTTP/1.1\r\n"
            b"Host: accounts.us1.gigya.com\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n"
            b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
        reply = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert b'"isAvailable":true' in reply

    run(scenario, folder)


def test_a_reply_has_the_vendors_envelope(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        good = await client.call(PING, loginID="x", context='{"row":7}')
        assert list(good) == [
            "callId", "context", "errorCode", "apiVersion", "statusCode", "statusReason", "time", "isAvailable",
        ]  # fmt: skip
        assert re.fullmatch(r"[0-9a-f]{32}", good["callId"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", good["time"])
        assert good["context"] == '{"row":7}'
        assert (good["statusCode"], good["statusReason"]) == (200, "OK")
        bad = await client.call(PING)
        assert list(bad)[:4] == ["callId", "errorCode", "errorDetails", "errorMessage"]
        assert bad["errorCode"] == 400002
        assert bad["errorDetails"] == "Missing required parameter : loginID"
        assert (bad["statusCode"], bad["statusReason"]) == (400, "Bad Request")

    run(scenario, folder)


def test_unknown_parameters_are_ignored_and_listed(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.call(PING, loginID="x", colour="red", sdk="php_3.1.0", cid="report")
        assert [each["paramName"] for each in reply["ignoredParams"]] == ["colour"]
        assert reply["ignoredParams"][0]["warningCode"] == 403007

    run(scenario, folder)


def test_the_http_status_is_200_unless_status_codes_are_asked_for(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        for asked, status in (("false", 200), ("true", 400)):
            form = {"apiKey": "wrong", "httpStatusCodes": asked}
            async with client.http.post(f"{client.site.url}/{PING}", data=form) as reply:
                assert reply.status == status
                assert "Date" in reply.headers
                assert (await reply.json())["errorCode"] == 400093

    run(scenario, folder)


def test_jsonp_wraps_the_reply_in_the_callback(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        parameters = {"apiKey": client.site.api_key, "loginID": "x", "format": "jsonp", "callback": "cb"}
        async with client.http.get(f"{client.site.url}/{PING}", params=parameters) as reply:
            text = await reply.text()
        assert json.loads(text.removeprefix("cb(").removesuffix(");"))["isAvailable"] is True
        reply_xml = await client.call(PING, loginID="x", format="xml")
        assert reply_xml["errorCode"] == 400096

    run(scenario, folder)


@pytest.mark.parametrize(
    ("method", "code"), [("accounts.doesNotExist", 405001), ("login", 405001), ("accounts/../etc", 405001)]
)
def test_an_unknown_method_is_refused(folder: Path, method: str, code: int) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.call(method))["errorCode"] == code
        assert (await client.anonymous(method))["errorCode"] == 403007

    run(scenario, folder)


def test_a_body_that_is_no_form_is_refused(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        url = f"{client.site.url}/{PING}"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for data, headers, code in (
            (b"a=%ff%fe", form, 400001),
            ("näh=1".encode("latin-1"), form, 400001),
            (b"&".join(b"p%d=1" % number for number in range(2000)), form, 400001),
            (b"no boundary", {"Content-Type": "multipart/form-data"}, 400001),
            (b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=x"}, 400002),
            (BytesIO(b"a=" + b"x" * (17 << 20)), form, 413001),
        ):
            async with client.http.post(url, data=data, headers=headers) as reply:
                assert (await reply.json())["errorCode"] == code, data

    run(scenario, folder)


@pytest.mark.parametrize(
    "profile", ["{", "[]", '"text"', "[" * 100_000, '{"firstName":"\\ud800"}', '{"firstName":"\\u0000"}']
)
def test_a_parameter_that_is_no_json_object_is_refused(folder: Path, profile: str) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.call("accounts.importFullAccount", UID="u1", profile=profile)
        assert reply["errorCode"] == 400006
        assert (await client.find("SELECT count(*) FROM accounts"))[0]["count(*)"] == 0

    run(scenario, folder)


def test_https_is_served_with_a_certificate_of_the_sites_own_authority(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        trusted = ssl.create_default_context(cafile=client.site.authority_file)
        form = credentials(client) | {"loginID": "x"}
        async with client.http.post(f"{client.site.https_url}/{PING}", data=form, ssl=trusted) as reply:
            assert (await reply.json())["isAvailable"] is True
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await client.http.post(f"{client.site.https_url}/{PING}", data=form)

    run(scenario, folder, https_port=0)
