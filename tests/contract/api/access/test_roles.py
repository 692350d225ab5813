"""Every role against every route."""

import re

import pytest
from fastapi.routing import iter_route_contexts

from landbridge.jobs.roles import Role

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
