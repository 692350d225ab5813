"""Sessions of browsers: how they begin, what other sites may not do with them, and what ends them."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from landbridge.errors import AccessRefused
from landbridge.jobs import db_workers, logins, passwords, tokens, users
from landbridge.jobs.tokens import SessionLife
from landbridge.server.api import routing
from landbridge.server.throttling import FREE_FOR_ACCOUNT
from tests.contract.api.caller import Api
from tests.contract.api.house import PASSWORD


def test_the_cookie_of_a_session_is_kept_from_scripts_and_other_sites(house):
    user = house.user()
    cookie = Api(house.url).log_in(user.email, PASSWORD).cookie
    assert cookie["httponly"]
    assert cookie["samesite"].lower() == "lax"
    assert cookie["path"] == "/"
    assert not cookie["secure"]  # a browser would not send it back over HTTP
    assert cookie.value.encode() not in b"".join(file.read_bytes() for file in house.data.glob("landbridge.db*"))


def test_an_e_mail_address_is_the_same_in_capitals(house):
    user = house.user()
    assert Api(house.url).log_in(f" {user.email.upper()} ", PASSWORD).json["name"] == user.email


@pytest.mark.parametrize("given", [None, "", "wrong", "ö"])
def test_a_change_by_a_browser_needs_the_csrf_token(house, given):
    browser, _ = house.browser("editor")
    right, browser.csrf = browser.csrf, None
    headers = {} if given is None else {"X-CSRF-Token": given.encode().decode("latin-1")}
    reply = browser.post("/tokens", {"name": "x"}, headers=headers)
    assert (reply.status, reply.code) == (403, "LB-8004")
    assert browser.get("/tokens").json["items"] == []
    assert browser.get("/session").json["csrfToken"] == right
    assert browser.post("/tokens", {"name": "x"}, headers={"X-CSRF-Token": right}).status == 201


def test_the_csrf_token_of_another_session_does_not_count(house):
    browser, user = house.browser("editor")
    other = Api(house.url)
    other.log_in(user.email, PASSWORD)
    assert other.csrf != browser.csrf
    browser.csrf = other.csrf
    assert browser.post("/tokens", {"name": "x"}).code == "LB-8004"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_what_a_page_of_another_site_sends_is_refused(house, headers):
    browser, user = house.browser("editor")
    assert browser.post("/tokens", {"name": "x"}, headers=headers).code == "LB-8004"
    login = {"email": user.email, "password": PASSWORD}
    assert Api(house.url).post("/session", login, headers=headers).code == "LB-8004"


def test_what_a_page_of_its_own_sends_is_done(house):
    browser, _ = house.browser("editor")
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": house.url}
    assert browser.post("/tokens", {"name": "x"}, headers=headers).status == 201


def test_a_login_never_takes_over_a_session_that_was_there(house):
    attacker, _ = house.browser()
    victim, user = Api(house.url), house.user()
    victim.cookie = attacker.cookie  # planted
    victim.log_in(user.email, PASSWORD)
    assert victim.cookie != attacker.cookie
    assert victim.get("/session").json["name"] == user.email
    assert attacker.get("/session").code == "LB-8003"  # it was ended
    victim.cookie = "chosen-by-somebody"
    assert victim.log_in(user.email, PASSWORD).cookie.value != "chosen-by-somebody"


def test_a_session_ends_by_a_logout(house):
    browser, user = house.browser()
    reply = browser("DELETE", "/session")
    assert reply.status == 204
    assert reply.cookie.value == ""
    assert browser.get("/session").code == "LB-8003"
    assert user.email in {line.actor for line in house.audited("session.end")}


def test_another_password_ends_all_sessions_but_the_one_that_gave_it(house):
    browser, user = house.browser("editor")
    other = Api(house.url)
    other.log_in(user.email, PASSWORD)
    old_cookie, new = browser.cookie, "an entirely new sentence"
    browser.take(browser("PUT", "/session/password", {"currentPassword": PASSWORD, "newPassword": new}))
    assert browser.get("/session").status == 200
    assert other.get("/session").code == "LB-8003"
    other.cookie = old_cookie
    assert other.get("/session").code == "LB-8003"
    Api(house.url).log_in(user.email, PASSWORD, status=401)
    Api(house.url).log_in(user.email, new)


def test_ones_own_password_is_changed_only_by_who_knows_it(house):
    browser, user = house.browser()
    new = "an entirely new sentence"
    reply = browser("PUT", "/session/password", {"currentPassword": "a wrong one here", "newPassword": new})
    assert (reply.status, reply.code) == (401, "LB-8006")
    reply = browser("PUT", "/session/password", {"currentPassword": PASSWORD, "newPassword": "short"})
    assert (reply.status, reply.code) == (422, "LB-8021")
    assert browser.get("/session").status == 200
    Api(house.url).log_in(user.email, PASSWORD)


def test_a_new_password_that_cannot_be_is_no_failed_login(fresh):
    browser, user = fresh.browser()
    for _ in range(FREE_FOR_ACCOUNT + 2):
        unfit = browser("PUT", "/session/password", {"currentPassword": PASSWORD, "newPassword": "short"})
        assert (unfit.status, unfit.code) == (422, "LB-8021")
    good = {"currentPassword": PASSWORD, "newPassword": "an entirely new sentence"}
    assert browser("PUT", "/session/password", good).status == 200
    Api(fresh.url).log_in(user.email, "an entirely new sentence")


def test_a_wrong_old_password_is_a_failed_login_whatever_the_new_one_is(fresh):
    browser, _ = fresh.browser()
    wrong = {"currentPassword": "a wrong one here", "newPassword": "short"}
    codes = [browser("PUT", "/session/password", wrong).code for _ in range(FREE_FOR_ACCOUNT + 1)]
    assert codes == ["LB-8006"] * FREE_FOR_ACCOUNT + ["LB-8007"]


def test_people_log_in_while_all_threads_of_the_api_are_busy(fresh, monkeypatch):
    browser, user = fresh.browser()
    go_on, listing = threading.Event(), db_workers.listing

    def slowly(tx):
        go_on.wait(25)
        return listing(tx)

    monkeypatch.setattr(db_workers, "listing", slowly)
    with ThreadPoolExecutor(routing.AT_ONCE) as pool:
        waiting = [pool.submit(browser.get, "/workers") for _ in range(routing.AT_ONCE)]
        try:
            api = Api(fresh.url)
            api.log_in(user.email, PASSWORD)
            changed = {"currentPassword": PASSWORD, "newPassword": "an entirely new sentence"}
            api.take(api("PUT", "/session/password", changed))
            assert not any(each.done() for each in waiting)
        finally:
            go_on.set()
    assert {each.result().status for each in waiting} <= {200, 401}


def given_a_password(house, user):
    with house.database.write() as tx:
        users.set_password(
            tx, user.id, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("of the admin"), by="admin"
        )


def switched_off(house, user):
    with house.database.write() as tx:
        users.change(tx, user.id, users.UserChange(enabled=False), by="admin")


@pytest.mark.parametrize("meanwhile", [given_a_password, switched_off])
def test_a_change_of_ones_own_password_does_not_undo_what_an_admin_does_at_that_moment(house, monkeypatch, meanwhile):
    browser, user = house.browser()
    hashed = passwords.hashed

    def slowly(password, **more):
        meanwhile(house, user)
        return hashed(password, **more)

    monkeypatch.setattr(passwords, "hashed", slowly)
    with pytest.raises(AccessRefused, match="LB-8006"):
        logins.change_own_password(house.database, user.id, PASSWORD, "an entirely new sentence", life=SessionLife())
    with house.database.write() as tx:
        users.change(tx, user.id, users.UserChange(enabled=True), by="admin")
    assert browser.get("/session").code == "LB-8003"
    Api(house.url).log_in(user.email, "an entirely new sentence", status=401)


def test_a_session_whose_secret_begins_like_a_token_is_a_session_all_the_same(house, monkeypatch):
    user = house.user()
    with monkeypatch.context() as patch:
        patch.setattr(secrets, "token_urlsafe", lambda _=None: f"{tokens.PREFIX}{secrets.token_hex(20)}")
        browser = Api(house.url)
        browser.log_in(user.email, PASSWORD)
    assert browser.cookie.startswith(tokens.PREFIX)
    assert browser.get("/session").json["name"] == user.email


def test_an_admin_who_gives_a_password_or_switches_a_user_off_ends_their_sessions(house):
    admin, _ = house.browser("admin")
    browser, user = house.browser()
    assert admin.post(f"/users/{user.id}/password", {"password": "another good sentence"}).status == 204
    assert browser.get("/session").code == "LB-8003"
    browser.log_in(user.email, "another good sentence")
    token = browser.post("/tokens", {"name": "x"}).json["secret"]
    assert admin("PATCH", f"/users/{user.id}", {"enabled": False}).json["enabled"] is False
    assert browser.get("/session").code == "LB-8003"
    assert Api(house.url, token=token).get("/session").code == "LB-8003"
    Api(house.url).log_in(user.email, "another good sentence", status=401)
    assert admin("PATCH", f"/users/{user.id}", {"enabled": True}).status == 200
    assert browser.get("/session").code == "LB-8003"  # it has ended for good
    assert Api(house.url, token=token).get("/session").status == 200


def test_a_session_ends_after_twelve_hours_and_after_two_without_a_request(house):
    for column, over in (("expires", timedelta(seconds=1)), ("last_used", timedelta(hours=2, seconds=1))):
        browser, _ = house.browser()
        assert browser.get("/session").status == 200
        house.change_token(browser.cookie, **{column: datetime.now(UTC) - over})
        assert browser.get("/session").code == "LB-8003"
    browser, _ = house.browser()
    lasts = datetime.fromisoformat(browser.get("/session").json["expires"]) - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < lasts <= timedelta(hours=12)
    house.change_token(browser.cookie, last_used=datetime.now(UTC) - timedelta(minutes=119))
    assert browser.get("/session").status == 200
