"""The audit trail: who did what, in which way, from where."""

import urllib.parse

from landbridge.jobs import tokens
from landbridge.server import idx_sites
from tests.contract.api.caller import Api
from tests.contract.idx import client as idx


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
