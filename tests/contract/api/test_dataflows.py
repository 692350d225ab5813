"""Dataflows, drafts, versions and the mark through the API."""

import json

import pytest
from hypothesis import HealthCheck, given, settings

from landbridge.jobs import db_dataflows
from tests.contract.idx.flows import MASK, export, lines
from tests.contract.idx.test_hostile_calls import dataflows as hostile_dataflows

ANY = {"If-Match": "*"}
SECRET = "s3cret-of-the-store"


@pytest.fixture
def flow(api):
    return api.post("/dataflows", export(name="exports")).json


def test_a_dataflow_is_created_shown_changed_and_removed(api):
    made = api.post("/dataflows", export(name="life"))
    assert (made.status, made.json["version"], made.json["kind"]) == (201, 1, "published")
    place = made.headers["Location"].removeprefix("/api/v1")
    assert api.get(place).json == made.json
    document = made.json["document"] | {"description": "changed"}
    changed = api("PUT", place, document, headers={"If-Match": made.headers["ETag"]})
    assert (changed.json["version"], changed.json["description"]) == (2, "changed")
    assert api("PUT", place, document, headers=ANY).json["version"] == 2, "it says the same"
    assert api("DELETE", place, headers={"If-Match": changed.headers["ETag"]}).status == 204
    gone = api.get(place)
    assert (gone.status, gone.code) == (404, "LB-1701")


def test_a_secret_goes_in_and_never_comes_out(api, service, flow):
    place = f"/dataflows/{flow['id']}"
    for path in ("", "/versions/1", "/export", "/diff", "/lint"):
        assert SECRET not in api.get(place + path).body.decode()
    assert flow["document"]["steps"][3]["params"]["password"] == MASK
    api("PUT", place, flow["document"] | {"description": "new"}, headers=ANY)
    with service.state.database.read() as tx:
        whole = service.state.documents.whole(db_dataflows.version(tx, flow["id"]))
    assert whole.steps[3].params["password"] == SECRET, "the mask keeps what is stored"


def password_of(service, flow_id):
    with service.state.database.read() as tx:
        whole = service.state.documents.whole(db_dataflows.version(tx, flow_id))
    return whole.steps[3].params["password"]


def with_params(document, **params):
    """The dataflow with other parameters of its writer; its password is the mask."""
    changed = json.loads(json.dumps(document))
    changed["steps"][3]["params"].update(params)
    return changed


ELSEWHERE = [
    {"host": "files.example.org"},
    {"hostname": "files.example.org", "host": ""},
    {"port": 2222},
    {"username": "another"},
    {"username": None},
    {"connection": "another"},
]


@pytest.mark.parametrize("params", ELSEWHERE, ids=str)
def test_a_masked_secret_does_not_follow_a_step_to_another_place(api, service, flow, params):
    place = f"/dataflows/{flow['id']}"
    moved = with_params(flow["document"], **params)
    for refused in (
        api("PUT", place, moved, headers=ANY),
        api.post(f"/dataflows?kind=draft&draftOf={flow['id']}", moved),
    ):
        assert (refused.status, refused.code, refused.json["step"]) == (422, "LB-1770", "write")
        assert "password" in refused.json["hint"]
    assert api.get(place).json["version"] == 1
    anew = api("PUT", place, with_params(moved, password="given-again"), headers=ANY)
    assert (anew.status, anew.json["version"]) == (200, 2)
    assert password_of(service, flow["id"]) == "given-again"


def test_a_masked_secret_does_not_follow_a_step_to_another_kind_of_system(api, flow):
    document = with_params(flow["document"])
    document["steps"][3]["type"] = "datasource.write.ftp"
    refused = api("PUT", f"/dataflows/{flow['id']}", document, headers=ANY)
    assert (refused.code, "type" in refused.json["detail"]) == ("LB-1770", True)


def test_a_draft_cannot_bring_a_masked_secret_elsewhere_when_it_is_published(api, service, flow):
    renamed = with_params(flow["document"], host="files.example.org")
    del renamed["steps"][3]["params"]["password"]
    draft = api.post(f"/dataflows?kind=draft&draftOf={flow['id']}", renamed).json
    place = f"/dataflows/{draft['id']}"
    assert api("PUT", place, with_params(renamed, password=MASK), headers=ANY).status == 200, "it has none to keep"
    refused = api.post(f"{place}/publish", headers=ANY)
    assert (refused.status, refused.code) == (422, "LB-1770")
    assert api.get(place).status == 200, "the draft is still there"
    assert api.get(f"/dataflows/{flow['id']}").json["version"] == 1


def test_a_masked_secret_stays_whatever_else_changes(api, service, flow):
    document = with_params(flow["document"], remotePath="/upload", timeout=99)
    document["steps"].insert(0, document["steps"].pop())
    document["steps"][0]["params"]["host"] = "files.example.com"
    assert api("PUT", f"/dataflows/{flow['id']}", document, headers=ANY).status == 200
    document["steps"].append(document["steps"].pop(0))
    assert api("PUT", f"/dataflows/{flow['id']}", document, headers=ANY).status == 200
    assert password_of(service, flow["id"]) == SECRET


def test_two_who_change_the_same_version_do_not_overwrite_each_other(api, flow):
    place = f"/dataflows/{flow['id']}"
    tag = api.get(place).headers["ETag"]
    assert api("PUT", place, flow["document"] | {"description": "one"}, headers={"If-Match": tag}).status == 200
    late = api("PUT", place, flow["document"] | {"description": "two"}, headers={"If-Match": tag})
    assert (late.status, late.code) == (412, "LB-1793")
    assert api("DELETE", place, headers={"If-Match": tag}).status == 412
    assert api.get(place).json["description"] == "one"
    assert api("PUT", place, flow["document"]).status == 428
    assert api("DELETE", place).code == "LB-1792"


def test_who_has_it_already_gets_no_body(api, flow):
    place = f"/dataflows/{flow['id']}"
    tag = api.get(place).headers["ETag"]
    for header in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = api.get(place, headers={"If-None-Match": header})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert api.get(place, headers={"If-None-Match": '"1.x"'}).status == 200


def test_versions_are_listed_shown_and_compared(api, flow):
    place = f"/dataflows/{flow['id']}"
    for text in ("two", "three"):
        api("PUT", place, flow["document"] | {"description": text}, headers=ANY)
    first = api.get(f"{place}/versions?limit=2").json
    assert [each["version"] for each in first["items"]] == [3, 2]
    rest = api.get(f"{place}/versions?limit=2&after={first['next']}").json
    assert ([each["version"] for each in rest["items"]], rest["next"]) == ([1], None)
    assert api.get(f"{place}/versions/2").json["document"]["description"] == "two"
    assert api.get(f"{place}/versions/9").status == 404
    changed = api.get(f"{place}/diff").json
    assert (changed["old"], changed["new"]) == (2, 3)
    assert '-  "description": "two",' in changed["lines"]
    assert '+  "description": "three",' in changed["lines"]
    assert api.get(f"{place}/diff?old=3&new=3").json["lines"] == []
    exported = api.get(f"{place}/export?version=2")
    assert "attachment" in exported.headers["Content-Disposition"]
    assert exported.json["description"] == "two"


def test_a_draft_is_published_as_the_next_version_with_its_secrets(api, service, flow):
    document = flow["document"] | {"description": "draft"}
    document["steps"][3]["params"]["password"] = "another-secret"
    draft = api.post(f"/dataflows?kind=draft&draftOf={flow['id']}", document).json
    assert (draft["kind"], draft["draftOf"]) == ("draft", flow["id"])
    assert [each["id"] for each in api.get(f"/dataflows?kind=draft&draftOf={flow['id']}").json["items"]] == [
        draft["id"]
    ]
    published = api.post(f"/dataflows/{draft['id']}/publish", headers=ANY).json
    assert (published["id"], published["version"], published["description"]) == (flow["id"], 2, "draft")
    assert api.get(f"/dataflows/{draft['id']}").status == 404
    assert api.post(f"/dataflows/{flow['id']}/publish", headers=ANY).code == "LB-1791"
    with service.state.database.read() as tx:
        whole = service.state.documents.whole(db_dataflows.version(tx, flow["id"]))
    assert whole.steps[3].params["password"] == "another-secret"


def test_a_draft_of_nothing_is_no_draft(api):
    refused = api.post("/dataflows?kind=draft&draftOf=nobody", export())
    assert (refused.status, refused.code) == (422, "LB-1701")


def test_with_a_dataflow_its_drafts_and_schedulings_go(api, flow):
    draft = api.post(f"/dataflows?kind=draft&draftOf={flow['id']}", flow["document"]).json["id"]
    plan = {"name": "p", "dataflowId": flow["id"], "frequencyType": "day"}
    scheduling = api.post("/schedulings", plan).json["id"]
    assert api("DELETE", f"/dataflows/{flow['id']}", headers=ANY).status == 204
    assert api.get(f"/dataflows/{draft}").status == 404
    assert api.get(f"/schedulings/{scheduling}").status == 404


def test_dataflows_are_found_by_parts_of_their_names(api):
    for name in ("Täglich 50%", "taeglich", "Other_one"):
        api.post("/dataflows", lines(name=name))
    found = api.get("/dataflows?name=50%25").json["items"]
    assert [each["name"] for each in found] == ["Täglich 50%"]
    assert [each["name"] for each in api.get("/dataflows?name=OTHER_").json["items"]] == ["Other_one"]


def test_all_that_is_wrong_is_told_in_one_go(api):
    wrong = {"name": "x", "steps": [{"id": "a", "type": "no.such"}, {"id": "b", "type": "field.add", "next": ["c"]}]}
    linted = api.post("/dataflows/lint", wrong).json
    assert not linted["canRun"]
    assert {"LB-1101", "LB-1022"} <= {each["code"] for each in linted["problems"]}
    stored = api.post("/dataflows", wrong)
    assert stored.status == 201, "it may be stored before it can run"
    assert api.get(f"/dataflows/{stored.json['id']}/lint").json["problems"]
    refused = api.post("/dataflows", {"name": "x", "steps": [{"id": "a"}, {"type": "t"}]})
    assert refused.status == 422
    assert [(each["code"], each["field"]) for each in refused.json["problems"]] == [
        ("LB-1007", "steps[0].type"),
        ("LB-1006", "steps[1].id"),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "LB-1791"),
        (b"[]", "LB-1791"),
        (b'{"name": NaN}', "LB-1791"),
        (b'{"name": "a", "steps": [], "x": "\\ud800"}', "LB-1791"),
        (b'{"name": "a", "steps": [], "x": "\\u0000"}', "LB-1791"),
        (b'{"name": "", "steps": []}', "LB-1791"),
        (json.dumps({"name": "n" * 256, "steps": []}).encode(), "LB-1791"),
        (b'{"name": "a", "steps": {}}', "LB-1004"),
        (b'{"name": "a"' + b', "a": [' * 500 + b"]" * 500 + b"}", "LB-1791"),
        ("ä".encode("latin-1"), "LB-1791"),
    ],
)
def test_what_is_no_dataflow_is_refused(api, body, code):
    refused = api.post("/dataflows", body, headers={"Content-Type": "application/json"})
    assert (refused.status, refused.code) == (422, code), refused.body


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=hostile_dataflows)
def test_random_dataflows_are_stored_and_shown_or_refused(api, document):
    made = api.post("/dataflows", document)
    assert made.status in (201, 422), made.body
    if made.status == 201:
        place = made.headers["Location"].removeprefix("/api/v1")
        assert api.get(place).json == made.json
        assert api("PUT", place, made.json["document"], headers=ANY).json["version"] == 1
        assert api.get(f"{place}/lint").status == 200
        assert api("DELETE", place, headers=ANY).status == 204


def test_the_mark_is_shown_set_and_reset(api, flow):
    place = f"/dataflows/{flow['id']}/delta"
    assert (api.get(place).json["mark"], api.get(place).json["revision"]) == (None, 0)
    set_to = api("PUT", place, {"mark": "2026-03-02T06:00:00+01:00"})
    assert (set_to.json["mark"], set_to.json["revision"], set_to.json["files"]) == ("2026-03-02T05:00:00Z", 1, 0)
    stale = api("PUT", place, {"mark": "2026-03-02T06:00:00Z"}, headers={"If-Match": '"0.x"'})
    assert (stale.status, stale.code) == (412, "LB-1793")
    assert api("DELETE", place, headers={"If-Match": set_to.headers["ETag"]}).json["mark"] is None
    for wrong in ("2026-03-02T06:00:00", "yesterday", "0001-01-01T00:00:00+14:00"):
        assert api("PUT", place, {"mark": wrong}).code == "LB-1791"


def test_far_sides_are_tested_without_sending_anything(api, tmp_path):
    (tmp_path / "in").mkdir()
    steps = [
        {"id": "in", "type": "datasource.read.local", "params": {"path": f"{tmp_path}/in"}, "next": ["out"]},
        {"id": "out", "type": "datasource.write.local", "params": {"path": f"{tmp_path}/{{{{out}}}}"}},
    ]
    flow = api.post("/dataflows", {"name": "checked", "steps": steps}).json["id"]
    found = api.post(f"/dataflows/{flow}/check", {"placeholders": {"out": "nowhere"}}).json
    assert [(each["step"], each["verdict"]) for each in found["findings"]] == [("in", "ok"), ("out", "failed")]
    assert not found["ok"]
    assert api.post(f"/dataflows/{flow}/check").status == 422, "a placeholder is open"


def unguarded(name, **more):
    return lines(name=name, landbridge={"guards": {"consent": {"action": "off"}}}, **more)


def test_nobody_but_an_admin_lets_a_dataflow_undo_opt_outs(api, service):
    editor = service.api("editor")
    refused = editor.post("/dataflows", unguarded("by an editor"))
    assert (refused.status, refused.code) == (403, "LB-8002")
    guarded = editor.post("/dataflows", lines(name="guarded")).json
    place = f"/dataflows/{guarded['id']}"
    steps = {"landbridge": {"guards": {"steps": {"write": {"consent": {"action": "off"}}}}}}
    write = {"steps": [{"id": "write", "type": "datasource.write.local", "params": {"path": "/x"}}]}
    assert editor("PUT", place, guarded["document"] | write | steps, headers=ANY).code == "LB-8002"

    allowed = api.post("/dataflows", unguarded("by an admin")).json
    place = f"/dataflows/{allowed['id']}"
    found = [each["code"] for each in editor.get(f"{place}/lint").json["problems"]]
    assert "LB-1752" in found, "everybody who lints it is warned"
    changed = editor("PUT", place, allowed["document"] | {"description": "other"}, headers=ANY)
    assert changed.status == 200, "what an admin has allowed stays allowed"

    draft = api.post(f"/dataflows?kind=draft&draftOf={guarded['id']}", unguarded("guarded")).json["id"]
    published = editor("POST", f"/dataflows/{draft}/publish", headers=ANY)
    assert published.code == "LB-8002"
    assert api("POST", f"/dataflows/{draft}/publish", headers=ANY).status == 200
