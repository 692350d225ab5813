"""Addresses, signatures and tokens, and where a step finds its site."""

import base64
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from landbridge.components.datasource.gigya_site import SiteParams, login_of, tier_of
from landbridge.errors import FlowError
from landbridge.remote.gigya import encoded
from landbridge.remote.gigya_login import SiteLogin, bearer_token, data_center_host, signature, signed

OWN = {
    "LANDBRIDGE_SITE_API_KEY": "4_own",
    "LANDBRIDGE_SITE_USER_KEY": "ownUser",
    "LANDBRIDGE_SITE_SECRET": "b3duU2VjcmV0",
    "LANDBRIDGE_SITE_DATA_CENTER": "eu1",
}


def test_the_signature_is_that_of_the_vendors_own_test():
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
    secret = base64.b64encode(b"test-consumer-secret&test-token-secret").decode()
    made = signature(secret, verb="post", url="http://Photos.example.net:80/photos", parameters=parameters)
    assert made == "j4/Jwtp11HLWl7KG3QlsczfRRpU="


def test_every_signed_request_has_its_own_nonce():
    login = SiteLogin(api_key="4_k", user_key="u", secret="c2VjcmV0", data_center="eu1.gigya.com", signs=True)
    made = [signed(login, url="https://accounts.eu1.gigya.com/x", parameters={}, now_s=5.9) for _ in range(2)]
    assert made[0]["nonce"] != made[1]["nonce"]
    assert made[0]["timestamp"] == "5"
    assert "secret" not in made[0]


def test_a_secret_that_is_not_base64_is_told():
    with pytest.raises(FlowError) as caught:
        signature("not base64!", verb="POST", url="https://x.example.com/y", parameters={})
    assert caught.value.code == "LB-1504"


@pytest.mark.parametrize("form", [serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8])
def test_a_token_names_the_application_and_is_signed_by_its_key(form):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    login = SiteLogin(api_key="4_k", user_key="application", private_key=pem, data_center="eu1.gigya.com")
    head, claims, sign = bearer_token(login, now_s=1000.5).split(".")

    def decoded(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    assert msgspec.json.decode(decoded(head)) == {"alg": "RS256", "typ": "JWT", "kid": "application"}
    assert msgspec.json.decode(decoded(claims))["iat"] == 1000
    key.public_key().verify(decoded(sign), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())


def test_a_private_key_that_is_none_is_told_without_showing_it():
    login = SiteLogin(api_key="4_k", user_key="u", private_key="nonsense", data_center="eu1.gigya.com")
    with pytest.raises(FlowError) as caught:
        bearer_token(login, now_s=0)
    assert caught.value.code == "LB-1503"
    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("eu1", "eu1.gigya.com"),
        (" US1.gigya.com ", "us1.gigya.com"),
        ("cn1", "cn1.sapcdm.cn"),
        ("us1-st1.gigya.com", "us1-st1.gigya.com"),
        ("global", "global.gigya.com"),
    ],
)
def test_a_data_center_is_known_by_its_short_name_or_domain(name, host):
    assert data_center_host(name) == host


@pytest.mark.parametrize("name", ["", "https://eu1.gigya.com", "eu1/evil", "a b"])
def test_what_is_no_data_center_is_refused(name):
    with pytest.raises(FlowError):
        data_center_host(name)


def test_the_first_word_of_a_method_is_its_host():
    login = login_of(SiteParams(), OWN)
    assert login.address("accounts.tfa.getCertificate") == "https://accounts.eu1.gigya.com/accounts.tfa.getCertificate"
    assert login.address("ds.search") == "https://ds.eu1.gigya.com/ds.search"
    assert login.address("notify") == "https://socialize.eu1.gigya.com/socialize.notify"
    local = login_of(SiteParams(url="http://127.0.0.1:80/"), OWN)
    assert local.address("ds.search") == "http://127.0.0.1:80/ds.search"


def test_a_step_without_parameters_talks_to_the_own_site():
    login = login_of(SiteParams(), OWN)
    assert (login.api_key, login.user_key, login.secret) == ("4_own", "ownUser", "b3duU2VjcmV0")


def test_parameters_of_a_step_count_more_than_the_environment():
    login = login_of(
        SiteParams(apiKey="4_other", secret="x", dataCenter="us1"), {**OWN, "LANDBRIDGE_SITE_URL": "http://localhost:1"}
    )
    assert (login.api_key, login.user_key, login.secret) == ("4_other", "ownUser", "x")
    assert (login.url, login.data_center) == ("", "us1.gigya.com")


def test_a_private_key_takes_the_place_of_the_secret():
    login = login_of(SiteParams(), {**OWN, "LANDBRIDGE_SITE_PRIVATE_KEY": "pem"})
    assert (login.secret, login.private_key) == (None, "pem")
    assert login_of(SiteParams(secret="x"), {**OWN, "LANDBRIDGE_SITE_PRIVATE_KEY": "pem"}).private_key is None


def test_what_is_missing_is_told_with_every_place_that_was_looked_at():
    with pytest.raises(FlowError) as caught:
        login_of(SiteParams(userKey="u"), {})
    assert caught.value.code == "LB-1501"
    for place in ("API_KEY", "SECRET", "PRIVATE_KEY", "DATA_CENTER", "URL"):
        assert f"LANDBRIDGE_SITE_{place}" in caught.value.message
    assert "userKey" not in caught.value.message


def test_plain_http_is_allowed_on_this_machine_only():
    with pytest.raises(FlowError) as caught:
        login_of(SiteParams(), {**OWN, "LANDBRIDGE_SITE_URL": "http://site.example.com"})
    assert caught.value.code == "LB-1303"
    assert login_of(SiteParams(), {**OWN, "LANDBRIDGE_SITE_URL": "http://127.0.0.1:8080"}).url


@pytest.mark.parametrize(
    ("params", "environ", "tier"),
    [
        ({}, OWN, "5M"),
        ({"rateTier": "20M"}, OWN, "20M"),
        ({}, {**OWN, "LANDBRIDGE_SITE_RATE_TIER": "over50M"}, "over50M"),
        ({"url": "http://127.0.0.1:1"}, OWN, "none"),
        ({"url": "http://127.0.0.1:1", "rateTier": "5M"}, OWN, "5M"),
    ],
)
def test_the_tier_of_a_site_is_the_smallest_unless_told_otherwise(params, environ, tier):
    chosen = SiteParams.model_validate(params)
    assert tier_of(chosen, login_of(chosen, environ), environ) == tier


def test_an_unknown_tier_is_told():
    environ = {**OWN, "LANDBRIDGE_SITE_RATE_TIER": "huge"}
    with pytest.raises(FlowError) as caught:
        tier_of(SiteParams(), login_of(SiteParams(), environ), environ)
    assert caught.value.code == "LB-1507"


def test_no_secret_shows_up_when_a_login_is_printed():
    assert "b3duU2VjcmV0" not in repr(login_of(SiteParams(), OWN))


def test_a_form_is_read_back_as_it_was():
    sent = {"profile": '{"a b":"ä&=+%;/?#\'\\n😀"}', "empty": "", "now": str(datetime(2026, 1, 1, tzinfo=UTC))}
    assert dict(parse_qsl(encoded(sent).decode(), keep_blank_values=True, strict_parsing=True)) == sent
