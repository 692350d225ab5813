"""Users are added, changed and removed by admins, and one admin stays."""

import secrets

import pytest

from tests.contract.api.caller import Api
from tests.contract.api.house import PASSWORD


def test_users_are_added_changed_and_removed_by_admins(house):
    admin, _ = house.browser("admin")
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
    admin, _ = house.browser("admin")
    reply = admin.post("/users", {"email": email, "role": "viewer", "password": PASSWORD} | wrong)
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


def test_a_token_makes_nobody_who_could_log_in_and_raises_no_role(house):
    program, user = house.api("admin"), house.user("viewer")
    new = {"email": f"{secrets.token_hex(4)}@people.example", "role": "admin"}
    assert program.post("/users", new | {"password": PASSWORD}).code == "LB-8009"
    robot = program.post("/users", new)
    assert robot.status == 201
    path = f"/users/{user.id}"
    for body in ({"role": "admin"}, {"enabled": True}):
        assert program("PATCH", path, body).code == "LB-8009"
    for each in (path, f"/users/{robot.json['id']}"):
        assert program.post(f"{each}/password", {"password": "another good sentence"}).code == "LB-8009"
    assert program("PATCH", path, {"name": "Zoë"}).json["role"] == "viewer"
    Api(house.url).log_in(user.email, PASSWORD)
