"""Secrets that no dataflow names stay out of the log, too."""

from landbridge.engine.redaction import Redaction


def test_the_credentials_of_the_own_site_are_masked(monkeypatch):
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nx7sSecondLine\n-----END RSA PRIVATE KEY-----\n"
    monkeypatch.setenv("LANDBRIDGE_SITE_SECRET", "cGxhbnRlZA==")
    monkeypatch.setenv("LANDBRIDGE_SITE_PRIVATE_KEY", key)
    monkeypatch.setenv("LANDBRIDGE_SITE_API_KEY", "4_named")
    masked = Redaction(["own-secret"]).masked
    assert masked("own-secret cGxhbnRlZA== 4_named") == "******** ******** 4_named"
    assert masked(f"key {key}") == "key ********"
    assert masked("line x7sSecondLine of -----BEGIN RSA PRIVATE KEY-----").startswith("line ******** of -----BEGIN")


def test_without_an_own_site_only_what_is_given_is_masked(monkeypatch):
    for name in ("LANDBRIDGE_SITE_SECRET", "LANDBRIDGE_SITE_PRIVATE_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert Redaction(["own-secret", "abc"]).masked("own-secret abc cGxhbnRlZA==") == "******** abc cGxhbnRlZA=="
