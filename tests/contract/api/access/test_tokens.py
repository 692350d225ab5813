"""Tokens of programs: who makes them, what they may do, and when they end."""

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from landbridge.jobs import db_tokens
from landbridge.jobs.tokens import hash_of
from tests.contract.api.caller import Api
from tests.contract.api.house import PASSWORD


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
    admin, _ = house.browser("admin")
    assert admin("PATCH", f"/users/{user.id}", {"role": "viewer"}).status == 200
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
