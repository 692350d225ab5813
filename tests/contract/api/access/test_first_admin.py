"""The set-up link makes the first admin, once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from landbridge.jobs import db_settings, first_admin
from tests.contract.api.caller import Api
from tests.contract.api.house import PASSWORD


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
