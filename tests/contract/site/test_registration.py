"""Registration, login, sessions, signatures and tokens."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from tests.contract.site.client import Client, run

EMAIL = "ann@x.example"
PASSWORD = "correct horse"


async def registered(client: Client, **more: Any) -> dict[str, Any]:
    token = (await client.anonymous("accounts.initRegistration"))["regToken"]
    return await client.anonymous(
        "accounts.register", regToken=token, email=EMAIL, password=PASSWORD, finalizeRegistration=True, **more
    )


def test_a_person_registers_and_logs_in(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        reply = await registered(client, profile={"firstName": "Ann"})
        assert (reply["errorCode"], reply["newUser"], reply["isRegistered"]) == (0, True, True)
        assert reply["profile"] == {"firstName": "Ann", "email": EMAIL}
        assert reply["sessionInfo"]["cookieName"].startswith("glt_")
        login = await client.anonymous("accounts.login", loginID=EMAIL.upper(), password=PASSWORD)
        assert login["UID"] == reply["UID"]
        assert login["lastLoginTimestamp"] < 10**10
        token = login["sessionInfo"]["cookieValue"]
        info = await client.anonymous("accounts.getAccountInfo", login_token=token)
        assert info["UID"] == reply["UID"]
        changed = await client.anonymous("accounts.setAccountInfo", login_token=token, profile={"lastName": "B"})
        assert changed["errorCode"] == 0
        await client.anonymous("accounts.logout", login_token=token)
        assert (await client.anonymous("accounts.getAccountInfo", login_token=token))["errorCode"] == 403012

    run(scenario, folder)


def test_a_client_cannot_write_server_only_fields(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        token = (await registered(client))["sessionInfo"]["cookieValue"]
        for change in ({"profile": {"city": "Bern"}}, {"data": {"vip": True}}):
            reply = await client.anonymous("accounts.setAccountInfo", login_token=token, **change)
            assert reply["errorCode"] == 400020
            assert reply["validationErrors"][0]["errorCode"] == 400025
        assert (await client.anonymous("accounts.setAccountInfo", login_token=token, data={"terms": True}))[
            "errorCode"
        ] == 0

    run(scenario, folder)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"loginID": "nobody@x.example", "password": PASSWORD}, 403042),
        ({"loginID": EMAIL, "password": "wrong"}, 403042),
        ({"loginID": EMAIL}, 400002),
    ],
)
def test_a_login_that_is_wrong_is_refused(folder: Path, parameters: dict[str, Any], code: int) -> None:
    async def scenario(client: Client) -> None:
        await registered(client)
        assert (await client.anonymous("accounts.login", **parameters))["errorCode"] == code

    run(scenario, folder)


def test_a_disabled_account_cannot_log_in(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        uid = (await registered(client))["UID"]
        await client.ok("accounts.setAccountInfo", UID=uid, isActive=False)
        reply = await client.anonymous("accounts.login", loginID=EMAIL, password=PASSWORD)
        assert (reply["errorCode"], reply["errorMessage"]) == (403041, "Account disabled")

    run(scenario, folder)


def test_a_new_password_replaces_the_old_one(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        uid = (await registered(client))["UID"]
        assert (await client.call("accounts.setAccountInfo", UID=uid, newPassword="short"))["errorCode"] == 400006
        await client.ok("accounts.setAccountInfo", UID=uid, newPassword="battery staple")
        assert (await client.anonymous("accounts.login", loginID=EMAIL, password=PASSWORD))["errorCode"] == 403042
        assert (await client.anonymous("accounts.login", loginID=EMAIL, password="battery staple"))["errorCode"] == 0

    run(scenario, folder)


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("md5", "5f4dcc3b5aa765d61d8327deb882cf99"),
        ("sha1", "W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
        ("sha256", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"),
    ],
)
def test_an_imported_hash_lets_the_person_in(folder: Path, algorithm: str, digest: str) -> None:
    async def scenario(client: Client) -> None:
        await client.ok(
            "accounts.importFullAccount", UID="u", loginIDs={"emails": [EMAIL]},
            password={"hashedPassword": digest, "hashSettings": {"algorithm": algorithm}},
        )  # fmt: skip
        assert (await client.anonymous("accounts.login", loginID=EMAIL, password="password"))["UID"] == "u"
        assert (await client.anonymous("accounts.login", loginID=EMAIL, password="Password"))["errorCode"] == 403042

    run(scenario, folder)


def test_a_registration_that_lacks_a_required_field_is_pending(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.setSchema", dataSchema={"fields": {"terms": {"required": True}}})
        reply = await registered(client)
        assert (reply["errorCode"], reply["errorMessage"]) == (206001, "Account Pending Registration")
        assert reply["errorDetails"] == "Missing required fields for registration: data.terms"
        assert (reply["statusCode"], reply["isRegistered"]) == (206, False)
        token = reply["regToken"]
        still = await client.anonymous("accounts.finalizeRegistration", regToken=token)
        assert still["errorCode"] == 206001
        await client.anonymous("accounts.setAccountInfo", regToken=token, data={"terms": True})
        done = await client.anonymous("accounts.finalizeRegistration", regToken=token)
        assert (done["errorCode"], done["isRegistered"]) == (0, True)
        again = await client.anonymous("accounts.finalizeRegistration", regToken=token)
        assert again["errorCode"] == 400006

    run(scenario, folder)


def test_a_login_identifier_is_registered_once(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await registered(client)
        reply = await registered(client)
        assert reply["errorCode"] == 400009
        assert reply["validationErrors"] == [
            {"errorCode": 400003, "message": "email already exists", "fieldName": "email"}
        ]

    run(scenario, folder)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"email": EMAIL, "password": PASSWORD}, 400002),
        ({"regToken": "unknown", "email": EMAIL, "password": PASSWORD}, 400006),
        ({"regToken": "fresh", "password": PASSWORD}, 400002),
        ({"regToken": "fresh", "email": EMAIL}, 400002),
        ({"regToken": "fresh", "email": "nobody", "password": PASSWORD}, 400009),
        ({"regToken": "fresh", "email": EMAIL, "password": "short"}, 400006),
    ],
)
def test_a_registration_that_is_wrong_leaves_no_account(folder: Path, parameters: dict[str, Any], code: int) -> None:
    async def scenario(client: Client) -> None:
        given = dict(parameters)
        if given.get("regToken") == "fresh":
            given["regToken"] = (await client.anonymous("accounts.initRegistration"))["regToken"]
        assert (await client.anonymous("accounts.register", **given))["errorCode"] == code
        assert await client.find("SELECT * FROM accounts") == []

    run(scenario, folder)


def test_a_lite_registration_makes_a_lite_account(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        begun = await client.anonymous("accounts.initRegistration", isLite=True)
        assert begun["isLite"] is True
        reply = await client.anonymous(
            "accounts.register",
            regToken=begun["regToken"],
            email=EMAIL,
            subscriptions={"news.email.isSubscribed": True},
        )
        assert (reply["errorCode"], reply["isLite"]) == (0, True)
        (row,) = await client.find("SELECT * FROM emailAccounts")
        assert (row["UID"], row["hasFullAccount"]) == (reply["UID"], False)

    run(scenario, folder)


def test_a_uid_signature_is_verified_and_exchanged(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        reply = await registered(client)
        signed = {key: reply[key] for key in ("UID", "UIDSignature", "signatureTimestamp")}
        assert (await client.ok("accounts.exchangeUIDSignature", **signed))["UID"] == reply["UID"]
        for change, code in (({"UID": "other"}, 403003), ({"signatureTimestamp": "1000000000"}, 403002)):
            assert (await client.call("accounts.exchangeUIDSignature", **signed | change))["errorCode"] == code

    run(scenario, folder)


def test_a_json_web_token_is_signed_by_the_published_key(folder: Path) -> None:
    def unb64(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    async def scenario(client: Client) -> None:
        uid = (await registered(client, profile={"firstName": "Ann"}))["UID"]
        reply = await client.ok("accounts.getJWT", targetUID=uid, fields="profile.firstName,data.none")
        assert reply["ignoredFields"] == "data.none"
        head, claims, signature = reply["id_token"].split(".")
        (key,) = (await client.anonymous("accounts.getJWTPublicKey", V2=True))["keys"]
        assert json.loads(unb64(head))["kid"] == key["kid"]
        numbers = RSAPublicNumbers(int.from_bytes(unb64(key["e"])), int.from_bytes(unb64(key["n"])))
        numbers.public_key().verify(unb64(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
        content = json.loads(unb64(claims))
        assert (content["sub"], content["profile.firstName"]) == (uid, "Ann")
        assert content["exp"] - content["iat"] == 300
        assert (await client.call("accounts.getJWT"))["errorCode"] == 400002

    run(scenario, folder)
