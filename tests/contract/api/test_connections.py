"""Connections through the API: secrets go in, masks come out."""

import pytest

from landbridge.jobs import connections, db_connections
from tests.contract.idx.flows import MASK, export

ANY = {"If-Match": "*"}
SECRET = "geheim-geheim-42"
PARAMS = {"host": "127.0.0.1", "username": "u"}


def new(name, **more):
    return {"name": name, "type": "sftp", "params": PARAMS, "secrets": {"password": SECRET}, **more}


def stored(service, name):
    with service.state.database.read() as tx:
        row = db_connections.find(tx, name)
        return service.state.documents.vault.unseal(row.sealed) if row.sealed else {}


def test_a_secret_goes_in_and_only_its_mask_comes_out(api, service):
    made = api.post("/connections", new("masked"))
    assert (made.status, made.json["params"]) == (201, PARAMS | {"password": MASK})
    replies = [made, api.get("/connections"), api.get("/connections/masked")]
    replies.append(api("PUT", "/connections/masked", {"params": PARAMS}, headers=ANY))
    assert all(SECRET not in reply.body.decode() for reply in replies)
    assert SECRET not in service.log()


def test_a_change_replaces_all_and_the_mask_keeps_a_secret(api, service):
    tag = api.post("/connections", new("changed")).headers["ETag"]
    place = "/connections/changed"
    wanted = {"params": {"host": PARAMS["host"], "username": "v"}, "secrets": {"password": MASK}}
    changed = api("PUT", place, wanted, headers={"If-Match": tag})
    assert changed.json["params"] == wanted["params"] | {"password": MASK}
    assert stored(service, "changed") == {"password": SECRET}
    assert api("PUT", place, wanted, headers={"If-Match": tag}).status == 412
    elsewhere = {"params": {"host": "other.example.com"}, "secrets": {"password": MASK}}
    refused = api("PUT", place, elsewhere, headers=ANY)
    assert (refused.status, refused.code) == (422, "LB-1769"), "the secret was stored for another host"
    assert stored(service, "changed") == {"password": SECRET}
    assert api("PUT", place, {"secrets": {"password": "new-secret-42"}}, headers=ANY).json["params"] == {
        "password": MASK
    }
    assert stored(service, "changed") == {"password": "new-secret-42"}
    assert api("PUT", place, {"params": {"host": "h"}}, headers=ANY).json["params"] == {"host": "h"}
    assert stored(service, "changed") == {}
    refused = api("PUT", place, {"secrets": {"password": MASK}}, headers=ANY)
    assert (refused.status, refused.code) == (422, "LB-1765"), "there is no secret behind the mask"


def test_a_secret_does_not_follow_a_connection_to_a_place_that_is_named_only_later(api, service):
    wanted = {"type": "amazon.s3", "params": {"bucketName": "b"}, "secrets": {"secretKey": SECRET}}
    api.post("/connections", {"name": "public-cloud", **wanted})
    elsewhere = {"params": {"bucketName": "b", "endpoint": "https://elsewhere.example.com"}}
    kept = api("PUT", "/connections/public-cloud", {**elsewhere, "secrets": {"secretKey": MASK}}, headers=ANY)
    assert (kept.status, kept.code) == (422, "LB-1769")
    anew = api("PUT", "/connections/public-cloud", {**elsewhere, "secrets": {"secretKey": "another"}}, headers=ANY)
    assert (anew.status, stored(service, "public-cloud")) == (200, {"secretKey": "another"})


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (new("a b"), "LB-1762"),
        (new("x", type="telepathy"), "LB-1762"),
        (new("x", params={"nothing": "1"}), "LB-1765"),
        (new("x", params={"password": SECRET}), "LB-1765"),
        (new("x", params={"port": 22}), "LB-1791"),
        (new("x", secret={}), "LB-1791"),
    ],
)
def test_a_connection_that_cannot_be_is_refused_without_its_secret(api, wanted, code):
    refused = api.post("/connections", wanted)
    assert (refused.status, refused.code) == (422, code)
    assert SECRET not in refused.body.decode()


def test_a_name_is_taken_once(api):
    api.post("/connections", new("taken"))
    assert (api.post("/connections", new("taken")).status, api.post("/connections", new("taken")).code) == (
        409,
        "LB-1763",
    )


def test_a_connection_in_use_is_removed_by_force_only(api):
    api.post("/connections", new("used"))
    document = export(name="uses it")
    document["steps"][3]["params"] = {"connection": "used", "remotePath": "/upload"}
    api.post("/dataflows", document)
    assert api.get("/connections/used").json["usedBy"] == ["uses it"]
    refused = api("DELETE", "/connections/used", headers=ANY)
    assert (refused.status, refused.code) == (409, "LB-1766")
    assert api("DELETE", "/connections/used?force=true", headers=ANY).status == 204
    assert api.get("/connections/used").code == "LB-1761"


def test_a_test_tells_what_it_found_at_the_far_side(api, tmp_path):
    (tmp_path / "a").touch()
    api.post("/connections", new("folder", type="local", params={"path": str(tmp_path)}, secrets={}))
    found = api.post("/connections/folder/test").json
    assert [(each["what"], each["verdict"]) for each in found["findings"]] == [("folder", "ok")]
    assert (found["ok"], "1 files" in found["findings"][0]["message"]) == (True, True)
    api.post("/connections", new("nobody-there", params=PARAMS | {"port": "1"}))
    wrong = api.post("/connections/nobody-there/test", {"params": {"remotePath": "/"}}).json
    assert (wrong["ok"], wrong["findings"][0]["verdict"]) == (False, "failed")
    assert "LB-2101" in wrong["findings"][0]["message"]
    assert SECRET not in str(wrong)


def test_who_only_looks_makes_no_connections(service):
    operator = service.api("operator")
    assert operator.post("/connections", new("mine")).status == 403
    assert operator.post("/connections/masked/test").status == 403


def test_types_are_those_that_components_use(api):
    types = api.get("/connections/types").json["types"]
    assert {"sftp", "amazon.s3", "gigya"} <= set(types)
    assert api.post("/connections/nobody/test").status == 404
    assert connections.MASK == MASK
