"""The ways in which a call shows its credentials, and the code of each failure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from landbridge.gigya_wire.keys import base_string, hmac_sha1
from tests.contract.site.client import Client, bearer, run, signature

SEARCH = {"query": "SELECT count(*) FROM accounts"}


def signed(client: Client, url: str | None = None, **changes: str) -> dict[str, str]:
    parameters = {
        "apiKey": client.site.api_key,
        "userKey": client.site.user_key,
        "timestamp": str(int(time.time())),
        "nonce": f"{time.time_ns()}",
        "format": "json",
        **SEARCH,
        **changes,
    }
    target = url or f"{client.site.url}/accounts.search"
    return parameters | {"sig": signature(client.site.secret, "POST", target, parameters)}


def test_the_signature_is_that_of_the_published_vector() -> None:
    parameters = {
        "oauth_consumer_key": "test-consumer-secret",
        "oauth_token": "test-token-secret",
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": "1191242096",
        "oauth_nonce": "kllo9940pd9333jh",
        "oauth_version": "1.0",
        "file": "vacation.jpg",
        "size": "original",
    }
    secret = "dGVzdC1jb25zdW1lci1zZWNyZXQmdGVzdC10b2tlbi1zZWNyZXQ="
    url = "http://photos.example.net/photos"
    assert hmac_sha1(secret, base_string("post", url, parameters.items())) == "j4/Jwtp11HLWl7KG3QlsczfRRpU="
    assert signature(secret, "POST", url, parameters) == "j4/Jwtp11HLWl7KG3QlsczfRRpU="


def test_a_signed_call_is_accepted_whatever_host_the_client_signed(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        port = client.site.port
        for url in (
            f"http://127.0.0.1:{port}/accounts.search",
            "http://127.0.0.1/accounts.search",
            f"https://127.0.0.1:{port}/accounts.search",
            "https://accounts.us1.gigya.com/accounts.search",
            "http://accounts.eu1.gigya.com/accounts.search",
        ):
            reply = await client.send("accounts.search", signed(client, url))
            assert reply["errorCode"] == 0, url

    run(scenario, folder)


def test_quirks_of_client_libraries_are_accepted(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        in_ms = signed(client, timestamp=str(time.time_ns() // 1_000_000))
        assert (await client.send("accounts.search", in_ms))["errorCode"] == 0
        tricky = signed(client, nonce="-1 ~*'()é/+", query="SELECT * FROM accounts WHERE profile.city = 'Málaga & Co+'")
        assert (await client.send("accounts.search", tricky))["errorCode"] == 0
        # One library signs false as an empty text but sends false.
        parameters = signed(client)
        parameters = {name: value for name, value in parameters.items() if name != "sig"} | {"httpStatusCodes": "false"}
        sig = signature(
            client.site.secret, "POST", f"{client.site.url}/accounts.search", parameters | {"httpStatusCodes": ""}
        )
        assert (await client.send("accounts.search", parameters | {"sig": sig}))["errorCode"] == 0

    run(scenario, folder)


@pytest.mark.parametrize(
    ("changes", "code", "details"),
    [
        ({"timestamp": "1191242096"}, 403002, "Request has expired"),
        ({"timestamp": "soon"}, 400006, "timestamp"),
        ({"nonce": ""}, 400002, "nonce"),
        ({"userKey": "unknown"}, 403005, "The supplied userkey was not found"),
    ],
)
def test_a_signed_call_that_is_wrong_is_refused(
    folder: Path, changes: Mapping[str, str], code: int, details: str
) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.send("accounts.search", signed(client, **changes))
        assert reply["errorCode"] == code
        assert details in reply["errorDetails"]

    run(scenario, folder)


def test_a_changed_parameter_breaks_the_signature(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.send("accounts.search", signed(client) | {"query": "SELECT * FROM accounts"})
        assert (reply["errorCode"], reply["errorMessage"]) == (403003, "Invalid request signature")

    run(scenario, folder)


def test_a_replayed_call_is_refused(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        parameters = signed(client)
        assert (await client.send("accounts.search", parameters))["errorCode"] == 0
        again = await client.send("accounts.search", parameters)
        assert (again["errorCode"], again["errorMessage"]) == (403004, "Duplicate nonce")

    run(scenario, folder)


@pytest.mark.parametrize(
    ("changes", "code", "details"),
    [
        ({"apiKey": None}, 400002, "Missing required parameter : apiKey"),
        ({"apiKey": "nonsense"}, 400093, "GSKeyBase is invalid, no version"),
        ({"apiKey": "4_aaaaaaaaaaaaaaaaaaaaaa"}, 400093, "Invalid ApiKey parameter"),
        ({"userKey": "unknown"}, 403005, "The supplied userkey was not found"),
        ({"secret": "d3Jvbmc="}, 403010, "Invalid parameter: secret"),
        ({"secret": "\u00e9\u6771"}, 403010, "Invalid parameter: secret"),
        ({"userKey": None}, 403010, "Invalid parameter: secret"),
        ({"secret": None}, 403007, "Invalid namespace 'accounts' or method 'search'"),
    ],
)
def test_a_call_with_wrong_credentials_is_refused(
    folder: Path, changes: Mapping[str, str | None], code: int, details: str
) -> None:
    async def scenario(client: Client) -> None:
        known = {"apiKey": client.site.api_key, "userKey": client.site.user_key, "secret": client.site.secret}
        given = {name: value for name, value in {**known, **changes, **SEARCH}.items() if value is not None}
        reply = await client.send("accounts.search", given)
        assert reply["errorCode"] == code
        assert details in reply["errorDetails"]
        assert client.site.secret not in str(reply)

    run(scenario, folder)


def test_a_secret_over_plain_http_can_be_refused(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        client.site.switches = replace(client.site.switches, secret_over_http=False)
        reply = await client.call("accounts.search", **SEARCH)
        assert (reply["errorCode"], reply["errorMessage"]) == (403006, "Secret Sent Over Http")
        assert (await client.send("accounts.search", signed(client)))["errorCode"] == 0

    run(scenario, folder)


@pytest.mark.parametrize("standard", [False, True])
def test_a_bearer_token_is_accepted_in_both_base64_alphabets(folder: Path, standard: bool) -> None:
    async def scenario(client: Client) -> None:
        token = bearer(client.site.private_key, client.site.user_key, standard=standard)
        parameters = {"apiKey": client.site.api_key, "timestamp": "123", **SEARCH}
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.send("accounts.search", parameters, headers=headers))["errorCode"] == 0
        again = await client.send("accounts.search", parameters, headers=headers)
        assert again["errorCode"] == 403004

    run(scenario, folder)


def test_wrong_bearer_tokens_are_refused(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        key, user = client.site.private_key, client.site.user_key
        good = bearer(key, user)
        for token, code in (
            ("nonsense", 400008),
            ("a.b.c", 400008),
            ("W10.W10.x", 400008),
            (good[:-10] + "AAAAAAAAAA", 403025),
            (bearer(key, user, issued=1_000_000_000), 403002),
            (bearer(key, "unknown"), 403005),
            (bearer(client.site.credentials.token_key, user), 403025),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            reply = await client.send("accounts.search", {"apiKey": client.site.api_key, **SEARCH}, headers=headers)
            assert reply["errorCode"] == code, token

    run(scenario, folder)


ANYONE: dict[str, dict[str, Any]] = {
    "accounts.getSchema": {},
    "accounts.getPolicies": {},
    "accounts.initRegistration": {},
    "accounts.getJWTPublicKey": {},
    "accounts.isAvailableLoginID": {"loginID": "x"},
}


def test_a_client_without_credentials_may_call_only_what_is_public(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        for method, parameters in ANYONE.items():
            assert (await client.anonymous(method, **parameters))["errorCode"] == 0, method
        for method in ("accounts.search", "accounts.importFullAccount", "ds.get", "audit.search", "accounts.setSchema"):
            assert (await client.anonymous(method))["errorCode"] == 403007, method
        for method in ("accounts.getAccountInfo", "accounts.setAccountInfo"):
            assert (await client.anonymous(method, UID="x"))["errorCode"] == 403005, method

    run(scenario, folder)
