"""Lists, page by page, while others add and remove."""

import base64
import json
import urllib.parse

import pytest

from landbridge.jobs import db_jobs
from landbridge.jobs.db_jobs import NewJob
from tests.contract.idx.flows import lines


def pages(api, path, between=lambda: None):
    """All items; ``between`` is called after each page."""
    found, following = [], path
    while following:
        reply = api.get(following)
        assert reply.status == 200, reply.body
        found += reply.json["items"]
        link = reply.headers.get("Link")
        assert (link is None) == (reply.json["next"] is None)
        following = link and link[1:].partition(">")[0].removeprefix("/api/v1")
        between()
    return found


def test_rows_that_are_added_meanwhile_neither_repeat_nor_hide_one(api):
    names = [f"page {number:02}" for number in range(7)]
    for name in names:
        api.post("/dataflows", lines(name=name))
    added = iter(
        ("page 00a", "page 03a", "page 99", "aaa page ", "page 01a", "page 05a", *[f"page z{n}" for n in range(9)])
    )

    def add():
        api.post("/dataflows", lines(name=next(added)))

    found = [each["name"] for each in pages(api, "/dataflows?limit=2&name=page%20", add)]
    assert [name for name in found if name in names] == names
    assert len(found) == len(set(found))
    assert found == sorted(found)


def test_the_item_at_which_a_page_ended_may_be_removed(api):
    made = [api.post("/dataflows", lines(name=f"gone {number}")).json["id"] for number in range(4)]
    first = api.get("/dataflows?limit=2&name=gone").json
    api("DELETE", f"/dataflows/{made[1]}", headers={"If-Match": "*"})
    rest = api.get(f"/dataflows?limit=2&name=gone&after={first['next']}").json
    assert [each["id"] for each in (*first["items"], *rest["items"])] == made


def test_jobs_come_newest_first_by_state_kind_and_time(api, service):
    flow = api.post("/dataflows", lines(name="many jobs")).json["id"]
    with service.state.database.write() as tx:
        for number in range(5):
            kind = "test" if number % 2 else "run"
            db_jobs.add(tx, NewJob(f"many-{number}", flow, 1, "many jobs", "test", kind=kind, status="scheduled"))

    def ids(query=""):
        return [each["id"] for each in pages(api, f"/jobs?dataflowId={flow}&limit=2{query}")]

    assert ids() == [f"many-{number}" for number in (4, 3, 2, 1, 0)]
    assert ids("&kind=test") == ["many-3", "many-1"]
    assert ids("&status=scheduled&status=running") == ids()
    assert ids("&status=failed") == []
    moment = urllib.parse.quote(api.get("/jobs/many-2").json["created"])
    assert ids(f"&since={moment}") == ["many-4", "many-3", "many-2"]
    assert ids(f"&until={moment}") == ["many-1", "many-0"]
    for job in ids():
        api.post(f"/jobs/{job}/cancel")


def cursor(place):
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


NO_PLACES = [
    cursor(each) for each in ([], ["a"], ["a", 1], [1, 2], ["\x00", "a"], None, {}, ["a", "b", "c"], -1, 2**70)
]
NO_INSTANTS = [cursor([each, "a"]) for each in ("2026-01-01T00:00:00", "0001-01-01T00:00:00Z", "now")]


@pytest.mark.parametrize("path", ["dataflows", "jobs", "alerts", "rejects", "schedulings"])
def test_a_cursor_that_was_never_given_is_refused(api, path):
    wrong = ["x", "!!", "A" * 2000, "ä", *NO_PLACES, *(NO_INSTANTS if path in ("jobs", "alerts") else [])]
    for after in wrong:
        reply = api.get(f"/{path}?after={urllib.parse.quote(after)}")
        assert (reply.status, reply.code) == (400, "LB-1794"), (after, reply.body)


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", f"after={'A' * 2001}"])
def test_a_page_has_bounds(api, query):
    assert api.get(f"/jobs?{query}").status == 422
