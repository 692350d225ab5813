"""Who may do what through the API, and how one proves who one is."""

import re
import secrets
import socket
import statistics
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from fastapi.routing import iter_route_contexts

from landbridge.errors import AccessRefused
from landbridge.jobs import (
    db_audit,
    db_settings,
    db_tokens,
    db_users,
    db_workers,
    first_admin,
    logins,
    passwords,
    tokens,
    users,
)
from landbridge.jobs.roles import Role
from landbridge.jobs.tokens import SessionLife, hash_of
from landbridge.server import idx_sites
from landbridge.server.api import routing
from landbridge.server.throttling import FREE_FOR_ACCOUNT
from tests.contract.api.caller import Api
from tests.contract.api.house import PASSWORD, House
from tests.contract.idx import client as idx

OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/setup"),
    ("POST", "/api/v1/session"),
    ("POST", "/api/v1/setup"),
}
"""Routes that need no login at all."""

ANY_ROLE = {("GET", "/api/v1/openapi.json"), ("HEAD", "/api/v1/openapi.json")}
"""Routes that need a login and no certain role."""


@pytest.fixture(scope="module", autouse=True)
def quick_passwords():
    """Hashes with small parameters: a login takes a moment."""
    with hasher(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)):
        yield


@pytest.fixture
def costly_passwords():
    """Hashes as they are kept."""
    with hasher(PasswordHasher()):
        yield


@contextmanager
def hasher(which):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", which)
        passwords._nobody.cache_clear()
        yield
    passwords._nobody.cache_clear()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("access")) as house:
        yield house


@pytest.fixture
def fresh(tmp_path):
    """A service without users, which has counted no logins."""
    with House(tmp_path) as house:
        yield house


# -- every role against every route ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def routes(house):
    """Method, path and role of all routes that the service has."""
    found = []
    for route in iter_route_contexts(house.app.routes):
        roles = (
            {each.call.role for each in getattr(route, "dependant", None).dependencies if hasattr(each.call, "role")}
            if getattr(route, "dependant", None)
            else set()
        )
        assert len(roles) <= 1, route.path
        found += [(method, route.path, next(iter(roles), None)) for method in sorted(route.methods or ())]
    assert len(found) > 15
    return found


def test_every_route_names_the_role_that_it_needs(routes):
    assert {(method, path) for method, path, role in routes if role is None} <= OPEN | ANY_ROLE


def test_a_route_that_changes_something_needs_more_than_a_viewer(routes):
    own = {"/session", "/session/password", "/tokens", "/tokens/{token_id}"}
    shown = re.compile(r"/(lint|preview|diff|fill|check)$")
    for method, path, role in routes:
        name = path.removeprefix("/api/v1")
        if method not in ("GET", "HEAD") and (method, path) not in OPEN and name not in own and not shown.search(name):
            assert role is not Role.VIEWER, f"{method} {path}"


@pytest.mark.parametrize("role", [None, *Role])
def test_a_role_is_let_in_where_it_may_and_nowhere_else(house, routes, role):
    api = house.api(role)
    wrong = []
    for method, path, needed in routes:
        if method == "HEAD":
            continue
        # What does not exist is asked for, so that nothing is changed and nothing found.
        reply = api(
            method, re.sub(r"\{(\w+)(:\w+)?\}", "4711", path), root="", read=method != "GET" or "events" not in path
        )
        if (method, path) in OPEN:
            wanted = reply.status not in (401, 403)
        elif role is None:
            wanted = (reply.status, reply.code) == (401, "LB-8001")
        elif needed is not None and not role.may(needed):
            wanted = (reply.status, reply.code) == (403, "LB-8002")
        else:
            wanted = reply.status != 401 and reply.status < 500 and (reply.status != 403 or reply.code == "LB-8009")
        if not wanted:
            wrong.append((method, path, needed, reply.status, reply.body[:200]))
    assert wrong == []


def test_what_does_not_exist_looks_to_strangers_like_what_does(house):
    assert house.api().get("/nothing").code == "LB-8001"
    assert house.api("viewer").get("/nothing").status == 404


def test_a_thing_may_be_named_like_a_method_of_the_other_api(house):
    assert house.api().get("/connections/idx.search").code == "LB-8001"
    assert house.api("viewer").get("/connections/idx.search").code == "LB-1761"
    assert house.api().post("/idx.search", root="").json["errorCode"] == 400002  # the API key is missing


def test_health_is_told_to_everybody(house):
    for path in ("/healthz", "/readyz"):
        for host in (None, "10.1.2.3:80"):  # load balancers ask by address
            reply = house.api().get(path, root="", headers={"Host": host} if host else {})
            assert "status" in reply.json
            assert reply.code == ""


# -- tokens ------------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_only_its_hash_is_kept(house):
    browser, user = house.browser("editor")
    made = browser.post("/tokens", {"name": "deploy", "role": "operator"})
    assert made.status == 201
    secret = made.json["secret"]
    assert secret.startswith("lb_")
    program = Api(house.url, token=secret)
    assert program.get("/session").json["name"] == f"{user.email} (token deploy)"
    assert program.get("/session").json["role"] == "operator"
    assert secret not in browser.get("/tokens").body.decode()
    assert secret.encode() not in b"".join(file.read_bytes() for file in house.data.glob("landbridge.db*"))
    lasts = datetime.fromisoformat(made.json["expires"]) - datetime.now(UTC)
    assert timedelta(days=89) < lasts < timedelta(days=90)


def test_a_token_may_do_no_more_than_its_user_may_now(house):
    browser, user = house.browser("admin")
    program = Api(house.url, token=browser.post("/tokens", {"name": "all", "role": "admin"}).json["secret"])
    assert program.get("/users").status == 200
    assert house.api("admin")("PATCH", f"/users/{user.id}", {"role": "viewer"}).status == 200
    assert program.get("/users").code == "LB-8002"
    assert program.get("/session").json["role"] == "viewer"


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        ("viewer", {"role": "operator"}),
        ("editor", {"role": "admin"}),
        ("editor", {"days": None}),
        ("viewer", {"name": " "}),
        ("viewer", {"name": "two\nlines"}),
    ],
)
def test_a_token_that_would_be_too_much_is_not_made(house, role, wanted):
    browser, _ = house.browser(role)
    reply = browser.post("/tokens", {"name": "x", **wanted})
    assert (reply.status, reply.code) == (422, "LB-8027")


def test_an_admin_makes_the_token_of_a_program_that_cannot_log_in(house):
    admin, _ = house.browser("admin")
    robot = admin.post("/users", {"email": f"{secrets.token_hex(4)}@robots.example", "role": "operator"}).json
    made = admin.post("/tokens", {"name": "deploy", "userId": robot["id"], "days": 1})
    assert (made.status, made.json["email"]) == (201, robot["email"])
    who = Api(house.url, token=made.json["secret"]).get("/session").json
    assert (who["user"]["id"], who["role"]) == (robot["id"], "operator")
    assert admin.post("/tokens", {"name": "x", "userId": robot["id"], "role": "admin"}).code == "LB-8027"
    assert admin.post("/tokens", {"name": "x", "userId": "nobody"}).code == "LB-8024"
    editor, _ = house.browser("editor")
    assert editor.post("/tokens", {"name": "x", "userId": robot["id"]}).code == "LB-8002"


def test_an_admin_may_make_a_token_that_never_expires(house):
    browser, _ = house.browser("admin")
    assert browser.post("/tokens", {"name": "for ever", "days": None}).json["expires"] is None


def test_a_token_cannot_make_tokens_or_change_passwords_or_log_out(house):
    api = house.api("admin")
    new = {"currentPassword": PASSWORD, "newPassword": PASSWORD + "!"}
    assert api.post("/tokens", {"name": "x"}).code == "LB-8009"
    assert api("PUT", "/session/password", new).code == "LB-8009"
    assert api("DELETE", "/session").code == "LB-8009"


def test_tokens_of_others_are_for_admins(house):
    browser, _ = house.browser("editor")
    other, _ = house.browser("editor")
    made = browser.post("/tokens", {"name": "mine"}).json
    assert [each["id"] for each in browser.get("/tokens").json["items"]] == [made["id"]]
    assert other.get("/tokens").json["items"] == []
    assert other.get("/tokens?all=true").code == "LB-8002"
    assert other.get(f"/tokens/{made['id']}").code == "LB-8026"
    assert other("DELETE", f"/tokens/{made['id']}").code == "LB-8026"
    assert Api(house.url, token=made["secret"]).get("/session").status == 200
    admin = house.api("admin")
    assert made["id"] in {each["id"] for each in admin.get("/tokens?all=true&limit=500").json["items"]}
    assert admin("DELETE", f"/tokens/{made['id']}").status == 204
    assert Api(house.url, token=made["secret"]).get("/session").code == "LB-8003"


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
def test_a_token_sees_and_ends_itself_and_none_of_its_users_others(house, role):
    browser, _ = house.browser("admin")
    made = browser.post("/tokens", {"name": "found by a stranger", "role": role}).json
    other = browser.post("/tokens", {"name": "another"}).json
    api = Api(house.url, token=made["secret"])
    assert [each["id"] for each in api.get("/tokens").json["items"]] == [made["id"]]
    assert api.get(f"/tokens?after={api_cursor(browser)}").json["items"] in (
        [],
        [api.get(f"/tokens/{made['id']}").json],
    )
    for method in ("GET", "DELETE"):
        refused = api(method, f"/tokens/{other['id']}")
        assert (refused.status, refused.code) == (404, "LB-8026")
    assert browser.get(f"/tokens/{other['id']}").json["revoked"] is None
    assert api("DELETE", f"/tokens/{made['id']}").status == 204
    assert api.get("/session").code == "LB-8003"


def api_cursor(browser):
    """A place in the list of tokens, behind its first one."""
    return browser.get("/tokens?limit=1").json["next"]


def test_the_token_of_an_admin_reaches_all_and_makes_none(house):
    browser, _ = house.browser("editor")
    made = browser.post("/tokens", {"name": "an editor's"}).json
    admin = house.api("admin")
    assert admin.get(f"/tokens/{made['id']}").json["name"] == "an editor's"
    assert admin("DELETE", f"/tokens/{made['id']}").status == 204
    for body in ({"name": "longer", "days": 3650}, {"name": "less", "days": 1, "role": "viewer"}):
        assert admin.post("/tokens", body).code == "LB-8009"


@pytest.mark.parametrize("ended", ["expires", "revoked"])
def test_a_token_that_is_over_is_refused(house, ended):
    secret = house.state.token("admin")
    assert Api(house.url, token=secret).get("/users").status == 200
    house.change_token(secret, **{ended: datetime.now(UTC) - timedelta(seconds=1)})
    reply = Api(house.url, token=secret).get("/users")
    assert (reply.status, reply.code) == (401, "LB-8003")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("secret", ["", "lb_", "lb_nobody", "x" * 5000, "lb_\xe4\xf6", "Bearer lb_x", "0"])
def test_a_token_that_was_never_made_is_refused(house, secret):
    assert Api(house.url).get("/users", headers={"Authorization": f"Bearer {secret}"}).status == 401


def test_a_session_is_no_token_and_a_token_no_session(house):
    browser, _ = house.browser("admin")
    assert Api(house.url, token=browser.cookie).get("/users").code == "LB-8003"
    thief = Api(house.url)
    thief.cookie = house.state.token("admin")
    assert thief.get("/users").code == "LB-8003"


def test_the_use_of_a_token_is_noted_to_the_minute(house):
    secret = house.state.token("viewer")
    api = Api(house.url, token=secret)

    def last_used():
        with house.database.read() as tx:
            return db_tokens.with_hash(tx, hash_of(secret)).last_used

    assert last_used() is None
    api.get("/session")
    first = last_used()
    assert abs(datetime.now(UTC) - first) < timedelta(seconds=30)
    api.get("/session")
    assert last_used() == first
    house.change_token(secret, last_used=first - timedelta(minutes=2))
    api.get("/session")
    assert last_used() > first


# -- sessions ----------------------------------------------------------------------------------------------------------


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
        go_on.wait(20)
        return listing(tx)

    monkeypatch.setattr(db_workers, "listing", slowly)
    with ThreadPoolExecutor(routing.AT_ONCE) as pool:
        waiting = [pool.submit(browser.get, "/workers") for _ in range(routing.AT_ONCE)]
        try:
            api, began = Api(fresh.url), time.monotonic()
            api.log_in(user.email, PASSWORD)
            changed = {"currentPassword": PASSWORD, "newPassword": "an entirely new sentence"}
            api.take(api("PUT", "/session/password", changed))
            assert time.monotonic() - began < 10
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
    admin = house.api("admin")
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


# -- logins that fail --------------------------------------------------------------------------------------------------


def test_an_unknown_user_and_a_wrong_password_are_answered_alike(costly_passwords, fresh):
    user, disabled = fresh.user(), fresh.user()
    with fresh.database.write() as tx:
        db_users.change(tx, disabled.id, enabled=False)
        nobody = users.add(tx, email="none@people.example", role=Role.VIEWER, password_hash=None, by="test")
    tries = {
        "wrong": (user.email, "a wrong password"),
        "unknown": ("nobody@people.example", PASSWORD),
        "switched off": (disabled.email, PASSWORD),
        "without a password": (nobody.email, PASSWORD),
    }
    took = {name: [] for name in tries}
    replies = set()
    for _ in range(4):
        for name, (email, password) in tries.items():
            begun = time.perf_counter()
            reply = Api(fresh.url).log_in(email, password, status=401)
            took[name].append(time.perf_counter() - begun)
            replies.add((reply.status, reply.body))
    assert len(replies) == 1
    fastest = {name: min(times) for name, times in took.items()}
    # A login that checks nothing takes a few milliseconds, one that does takes tens of them.
    assert max(fastest.values()) < 5 * min(fastest.values()), took
    assert statistics.median(took["unknown"]) > 0.01


def test_logins_that_fail_slow_down_and_tell_when_to_come_again(fresh):
    user = fresh.user()
    wrong = {"email": user.email, "password": "a wrong password"}
    replies = []
    while not replies or replies[-1].status == 401:  # on a slow machine some delays pass by themselves
        replies.append(Api(fresh.url).post("/session", wrong))
        assert len(replies) < 15
    assert [reply.code for reply in replies[:5]] == ["LB-8006"] * 5
    assert (replies[-1].status, replies[-1].code) == (429, "LB-8007")
    wait = int(replies[-1].headers["Retry-After"])
    assert wait > 0
    assert Api(fresh.url).log_in(fresh.user().email, PASSWORD).status == 200  # another account is not held up
    time.sleep(wait)
    assert Api(fresh.url).log_in(user.email, PASSWORD).status == 200


def test_many_attempts_at_the_same_moment_are_no_way_around_the_delay(fresh):
    user = fresh.user()
    with ThreadPoolExecutor(16) as pool:
        found = [
            reply.status
            for reply in pool.map(
                lambda number: Api(fresh.url).post(
                    "/session", {"email": user.email, "password": f"wrong one {number:04}"}
                ),
                range(40),
            )
        ]
    assert found.count(401) <= 8
    assert found.count(401) + found.count(429) == 40


def test_a_login_that_fails_is_in_the_trail_without_what_was_typed(fresh):
    user = fresh.user()
    Api(fresh.url).log_in(user.email, "a wrong password", status=401)
    Api(fresh.url).log_in("my-password-in-the-wrong-field", "x", status=401)
    assert [(line.actor, line.address, line.object_id) for line in fresh.audited("session.refuse")] == [
        ("unknown", "127.0.0.1", ""),
        ("unknown", "127.0.0.1", user.id),
    ]
    with fresh.database.read() as tx:
        assert "wrong" not in repr(db_audit.listing(tx))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "a@b.c"},
        {"email": None, "password": None},
        {"email": ["a@b.c"], "password": PASSWORD},
        {"email": "a@b.c", "password": "x" * 10_000},
        {"email": "a\x00@b.c", "password": PASSWORD},
        {"email": "a@b.c", "password": PASSWORD, "role": "admin"},
    ],
)
def test_a_login_that_is_none_is_refused_without_repeating_it(house, body):
    reply = house.api().post("/session", body)
    assert reply.status == 422
    assert PASSWORD not in reply.body.decode()


# -- the first admin ---------------------------------------------------------------------------------------------------


def test_a_browser_that_opens_the_set_up_link_is_told_what_to_do(house):
    reply = Api(house.url)("GET", "/setup", root="", headers={"Accept": "text/html"})
    assert (reply.status, reply.headers.get_content_type()) == (200, "text/html")
    page = reply.body.decode()
    for told in ("landbridge users add", "/api/v1/setup", "landbridge users setup-link"):
        assert told in page
    assert not any(word in page for word in ("<script", "src=", "href="))


def set_up(house, token, **others):
    body = {"token": token, "email": "ada@people.example", "name": "Ada", "password": PASSWORD}
    return Api(house.url).post("/setup", body | others)


def test_the_set_up_link_makes_the_first_admin_once(fresh):
    token = fresh.link()
    assert set_up(fresh, "wrong").code == "LB-8008"
    assert set_up(fresh, token, password="short").code == "LB-8021"
    assert set_up(fresh, token, email="nonsense").code == "LB-8022"
    made = set_up(fresh, token)
    assert (made.status, made.json["role"]) == (201, "admin")
    again = set_up(fresh, token, email="eve@people.example")
    assert (again.status, again.code) == (403, "LB-8008")
    browser = Api(fresh.url)
    browser.log_in("ada@people.example", PASSWORD)
    assert [each["email"] for each in browser.get("/users").json["items"]] == ["ada@people.example"]
    [line] = fresh.audited("user.add")
    assert (line.actor, line.details["role"]) == ("setup link", "admin")


def test_of_many_who_use_the_link_at_the_same_moment_one_becomes_admin(fresh):
    token = fresh.link()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: set_up(fresh, token, email=f"u{number}@people.example").status, range(8)))
    assert sorted(found) == [201, *[403] * 7]


def test_a_new_link_ends_the_one_before_and_an_hour_ends_each(fresh):
    old = fresh.link()
    with fresh.database.write() as tx:
        new = first_admin.new_link(tx)
    assert set_up(fresh, old).code == "LB-8008"
    with fresh.database.write() as tx:
        kept = db_settings.get(tx, first_admin.SETTING)
        assert new not in str(kept)
        lasts = datetime.fromisoformat(kept["expires"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < lasts <= timedelta(hours=1)
        db_settings.put(tx, first_admin.SETTING, kept | {"expires": (datetime.now(UTC)).isoformat()})
    assert set_up(fresh, new).code == "LB-8008"


# -- users -------------------------------------------------------------------------------------------------------------


def test_users_are_added_changed_and_removed_by_admins(house):
    admin = house.api("admin")
    email = f"{secrets.token_hex(4)}@People.example"
    new = {"email": email, "name": "Zoë", "role": "operator", "password": PASSWORD}
    made = admin.post("/users", new)
    assert (made.status, made.json["email"], made.json["name"]) == (201, email.lower(), "Zoë")
    assert "password" not in made.body.decode().lower()
    path = f"/users/{made.json['id']}"
    assert admin.post("/users", new | {"email": email.upper()}).code == "LB-8023"
    assert admin.get(path).json == made.json
    assert admin("PATCH", path, {"role": "editor", "name": "Z"}).json["role"] == "editor"
    assert admin("DELETE", path).status == 204
    assert (admin.get(path).status, admin.get(path).code) == (404, "LB-8024")
    lines = [line for line in house.audited("user.") if line.object_id == made.json["id"]]
    assert [line.action for line in lines] == ["user.remove", "user.change", "user.add"]
    assert lines[1].details == {"email": email.lower(), "name": "Z", "role": "editor"}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"email": "nonsense"}, "LB-8022"),
        ({"email": "a@b.c\n"}, None),
        ({"email": "a@b.c,d@e.f"}, "LB-8022"),
        ({"email": "x" * 400 + "@b.c"}, "LB-8022"),
        ({"name": "x" * 300}, "LB-8022"),
        ({"name": "two\nlines"}, "LB-8022"),
        ({"role": "owner"}, "LB-1791"),
        ({"password": "short"}, "LB-8021"),
        ({"email": "twelve.chars@b.c", "password": "Twelve.Chars@b.c"}, "LB-8021"),
    ],
)
def test_a_user_that_cannot_be_is_refused(house, wrong, code):
    email = f"{secrets.token_hex(4)}@people.example"
    reply = house.api("admin").post("/users", {"email": email, "role": "viewer", "password": PASSWORD} | wrong)
    assert (reply.status, reply.code) == ((422, code) if code else (201, ""))


def test_the_last_admin_stays(fresh):
    admin = Api(fresh.url)
    user = fresh.user("admin")
    admin.log_in(user.email, PASSWORD)
    path = f"/users/{user.id}"
    tries = [("PATCH", {"role": "editor"}), ("PATCH", {"enabled": False}), ("DELETE", None)]
    for method, body in tries:
        reply = admin(method, path, body)
        assert (reply.status, reply.code) == (409, "LB-8025")
    other = fresh.user("admin")
    assert admin("PATCH", f"/users/{other.id}", {"enabled": False}).status == 200
    for method, body in tries:
        assert admin(method, path, body).code == "LB-8025"  # one who is switched off does not count
    assert admin("PATCH", f"/users/{other.id}", {"enabled": True}).status == 200
    assert admin("PATCH", path, {"role": "editor"}).status == 200
    assert admin.get("/users").code == "LB-8002"


# -- hosts, bodies, headers --------------------------------------------------------------------------------------------


def test_replies_carry_the_headers_that_browsers_need(house):
    for reply in (
        house.api("viewer").get("/session"),
        house.api().get("/session"),
        house.api().get("/healthz", root=""),
    ):
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert reply.headers["Cache-Control"] == "no-store"
        assert "Strict-Transport-Security" not in reply.headers
        assert "Server" not in reply.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8650", "127.0.0.1.evil.example", "", "10.0.0.1", "[::2]"]
)
def test_a_host_name_that_is_not_this_machine_is_refused(house, host):
    reply = house.api("admin").get("/users", headers={"Host": host})
    assert (reply.status, reply.code) == (421, "LB-8005")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8650", "[::1]", "[::1]:8650"])
def test_this_machine_is_known_by_its_names(house, host):
    assert house.api("admin").get("/users", headers={"Host": host}).status == 200


def test_a_name_that_was_given_is_answered(tmp_path):
    life = SessionLife(whole=timedelta(hours=1))
    with House(tmp_path, host_names=["landbridge.example"], sessions=life) as house:
        assert house.api("admin").get("/users", headers={"Host": "Landbridge.example:443"}).status == 200
        browser, _ = house.browser()
        lasts = datetime.fromisoformat(browser.get("/session").json["expires"]) - datetime.now(UTC)
        assert lasts < timedelta(hours=1)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(house):
    reply = house.api("admin").post("/users", b"", headers={"Content-Length": str(9 << 20)})
    assert (reply.status, reply.code) == (413, "LB-8010")


@pytest.mark.parametrize("before", [b"GET /", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_headers_without_end_are_not_kept(house, before):
    parts = urllib.parse.urlsplit(house.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(before)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012 - it takes some of them
            for _ in range(200):
                connection.sendall(b"x" * 65_536)


def test_a_body_of_unknown_length_is_cut_off_where_it_is_too_large(house):
    parts = urllib.parse.urlsplit(house.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        head = f"POST /api/v1/users HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        head += f"Authorization: Bearer {house.state.token('admin')}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        # One byte too many, and no more: what is on the way when a server hangs up may take its answer along.
        for _ in range(8):
            connection.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        connection.sendall(b"1\r\n \r\n")
        reply = connection.recv(4096)
    assert reply.startswith(b"HTTP/1.1 413 ")


# -- the trail ---------------------------------------------------------------------------------------------------------


def test_the_trail_is_read_page_by_page_and_by_what_one_looks_for(house):
    admin = house.api("admin")
    before = admin.get("/audit?limit=1").json["items"][0]["id"]
    user = house.user()
    for name in ("one", "two", "three"):
        admin("PATCH", f"/users/{user.id}", {"name": name})
    path = f"/audit?objectKind=user&objectId={user.id}&action=user.change"
    everything = admin.get(path).json["items"]
    assert [each["details"]["name"] for each in everything] == ["three", "two", "one"]
    assert min(each["id"] for each in everything) > before
    paged, after = [], ""
    while True:
        page = admin.get(f"{path}&limit=2{after}").json
        paged += page["items"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
        admin("PATCH", f"/users/{user.id}", {"name": "meanwhile"})
    assert paged == everything
    assert admin.get(f"/audit?actor={urllib.parse.quote('nobody')}").json["items"] == []
    assert admin.get("/audit?action=user.&limit=1").json["items"][0]["details"]["name"] == "meanwhile"
    assert admin.get("/audit?until=2020-01-01T00:00:00Z").json["items"] == []
    assert admin.get("/audit?since=yesterday").status == 422


def test_a_line_says_by_which_token_and_from_where(house):
    user = house.user()
    made = house.state.token("admin", email="robot@people.example")
    assert Api(house.url, token=made)("DELETE", f"/users/{user.id}").status == 204
    [line] = [line for line in house.audited("user.remove") if line.object_id == user.id]
    assert (line.actor, line.address) == ("robot@people.example (token test)", "127.0.0.1")


def test_a_change_is_noted_whichever_way_it_came(house):
    flow = {"name": "noted", "steps": [{"id": "read", "type": "datasource.read.local", "params": {"path": "/in"}}]}
    made = house.api("editor").post("/dataflows", flow)
    assert made.status == 201, made.body
    with house.database.read() as tx:
        [site] = idx_sites.all_sites(tx, house.service.vault)
    other = idx.Client(house.url, site).ok("idx.createDataflow", data=flow)["id"]
    lines = {line.object_id: line for line in house.audited("dataflow.add")}
    through_api, through_idx = lines[made.json["id"]], lines[other]
    assert through_api.actor.endswith("@test.example (token test)")
    assert through_idx.actor == f"idx {site.user_key}"
    assert {through_api.address, through_idx.address} == {"127.0.0.1"}


def test_tokens_are_noted_without_their_secret(house):
    browser, _ = house.browser("editor")
    made = browser.post("/tokens", {"name": "noted"}).json
    browser("DELETE", f"/tokens/{made['id']}")
    lines = [line for line in house.audited("token.") if line.object_id == made["id"]]
    assert [line.action for line in lines] == ["token.revoke", "token.add"]
    assert tokens.PREFIX not in repr(lines)
