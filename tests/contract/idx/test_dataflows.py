"""Dataflows and drafts through idx.*: made, read, replaced, removed."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from landbridge.jobs import db_dataflows
from tests.contract.idx.flows import MASK, export, lines


def create(client, **more):
    return client.ok("idx.createDataflow", data=export(**more))["id"]


def test_a_dataflow_is_made_read_found_and_removed(client):
    flow_id = create(client, name="a thin slice")
    assert len(flow_id) == 32
    got = client.ok("idx.getDataflow", id=flow_id)
    assert (got["name"], got["status"], got["version"], got["id"]) == ("a thin slice", "published", 1, flow_id)
    assert got["apiKey"] == client.site.api_key
    assert got["siteId"] == 1
    found = client.search(f"SELECT * FROM dataflow WHERE id = '{flow_id}'")
    assert [each["steps"] for each in found] == [got["steps"]]
    assert got["createTime"].endswith("Z")
    client.ok("idx.deleteDataflow", id=flow_id)
    assert client("idx.getDataflow", id=flow_id)["errorCode"] == 404000
    assert client("idx.deleteDataflow", id=flow_id)["errorCode"] == 404000


def test_several_dataflows_are_read_by_an_array_of_ids(client):
    ids = [create(client, name=f"one of two {number}") for number in range(2)]
    assert [each["id"] for each in client.ok("idx.getDataflow", id=ids)["result"]] == ids


def test_a_set_replaces_the_whole_dataflow_and_gives_the_new_version(client):
    flow_id = create(client, name="replaced", extra={"kept": True})
    assert client.ok("idx.getDataflow", id=flow_id)["extra"] == {"kept": True}
    reply = client.ok("idx.setDataflow", data={"id": flow_id, "name": "replaced", "steps": []})
    assert reply["version"] == 2
    got = client.ok("idx.getDataflow", id=flow_id)
    assert (got["version"], got["steps"]) == (2, [])
    assert "description" not in got
    assert "extra" not in got


def test_an_unchanged_dataflow_is_redundant_whatever_the_order_of_keys(client):
    flow_id = create(client, name="unchanged")
    shown = client.ok("idx.getDataflow", id=flow_id)
    envelope = ("callId", "errorCode", "apiVersion", "statusCode", "statusReason", "time")
    same = {key: shown[key] for key in sorted(shown, reverse=True) if key not in envelope}
    reply = client("idx.setDataflow", data=same)
    assert (reply["errorCode"], reply["errorMessage"]) == (403200, "Redundant Operation")
    assert (reply["errorDetails"], reply["statusCode"]) == ("dataflow has not changed", 403)
    assert reply["statusReason"] == "Forbidden"
    assert client.ok("idx.getDataflow", id=flow_id)["version"] == 1


def test_a_masked_secret_keeps_what_is_stored_and_another_secret_is_a_change(service, client):
    flow_id = create(client, name="masked", password="a-first-secret")
    shown = client.ok("idx.getDataflow", id=flow_id)
    assert shown["steps"][3]["params"]["password"] == MASK
    assert shown["steps"][3]["params"]["host"] == "files.example.com"
    client.ok("idx.setDataflow", data=export(id=flow_id, name="masked", password=MASK, description="changed"))
    assert password_of(service, flow_id) == "a-first-secret"
    client.ok("idx.setDataflow", data=export(id=flow_id, name="masked", password="another", description="changed"))
    assert password_of(service, flow_id) == "another"
    assert client("idx.setDataflow", data=export(id=flow_id, name="masked", password="another", description="changed"))[
        "errorCode"
    ] == 403200  # fmt: skip
    everything = json.dumps([client.search(f"SELECT * FROM {table}") for table in ("dataflow", "dataflow_version")])
    assert "a-first-secret" not in everything


@pytest.mark.parametrize("params", [{"host": "files.example.org"}, {"port": 22022}, {"username": "v"}], ids=str)
def test_a_masked_secret_does_not_follow_a_dataflow_to_another_place(service, client, params):
    flow_id = create(client, name="moved", password="a-first-secret")
    shown = client.ok("idx.getDataflow", id=flow_id)
    shown["steps"][3]["params"].update(params)
    moved = {"id": flow_id, "name": "moved", "steps": shown["steps"]}
    for method in ("idx.setDataflow", "idx.createDataflowDraft"):
        reply = client(method, data=moved)
        assert (reply["errorCode"], "LB-1770" in reply["errorDetails"]) == (400006, True), reply
    draft = client.ok("idx.createDataflowDraft", data=export(id=flow_id, name="moved", password=MASK))["id"]
    assert client("idx.setDataflowDraft", data=moved | {"id": draft})["errorCode"] == 400006
    shown["steps"][3]["params"]["password"] = "given-again"
    assert client.ok("idx.setDataflow", data=moved)["version"] == 2
    assert password_of(service, flow_id) == "given-again"


def test_the_mask_of_another_site_leaves_the_secret_missing(service, client):
    assert password_of(service, create(client, name="copied", password=MASK)) == MASK


def test_secrets_of_components_that_are_not_known_here_are_masked_by_their_names(client):
    params = {
        "accountKey": "k-1",
        "secretKey": "k-2",
        "privateKey": "k-3",
        "password": "k-4",
        "secret": "k-5",
        "x": "k-6",
    }
    steps = [{"id": "one", "type": "datasource.read.elsewhere", "params": params}]
    flow_id = client.ok("idx.createDataflow", data={"name": "elsewhere", "steps": steps})["id"]
    shown = client.ok("idx.getDataflow", id=flow_id)["steps"][0]["params"]
    assert shown == dict.fromkeys(params, MASK) | {"x": params["x"]}


def test_keys_that_the_server_owns_are_accepted_and_count_for_nothing(client):
    theirs = {
        "id": "f" * 32, "apiKey": "3_of_another_site", "siteId": 5, "version": 77, "status": "published",
        "createTime": "2020-01-01T00:00:00.000Z", "updateTime": "2020-01-01T00:00:00.000Z", "updatedByName": "X",
        "updatedByEmail": "x@example.com", "lastRuntime": "2020-01-01T00:00:00.000Z",
        "lastRunTime": "2020-01-01T00:00:00.000Z",
    }  # fmt: skip
    flow_id = create(client, name="from elsewhere", **theirs)
    got = client.ok("idx.getDataflow", id=flow_id)
    assert flow_id != theirs["id"]
    assert (got["version"], got["siteId"], got["apiKey"]) == (1, 1, client.site.api_key)
    assert "lastRuntime" not in got
    assert got["createTime"] > "2026"
    assert got["updatedByName"] == f"idx {client.site.user_key}"
    assert "updatedByEmail" not in got


def test_a_template_with_open_placeholders_is_saved_and_filled_in_later(client):
    raw = {"name": "{{dataflowName}}", "steps": [{"id": "r", "type": " {{reader}}", "params": {"host": "{{host}}"}}]}
    flow_id = client.ok("idx.createDataflow", data=raw)["id"]
    assert client.search(f"select * from dataflow where id='{flow_id}'")[0]["name"] == "{{dataflowName}}"
    filled = json.loads(json.dumps(raw).replace("{{host}}", "").replace("{{dataflowName}}", "filled"))
    assert client.ok("idx.setDataflow", data=filled | {"id": flow_id})["version"] == 2


@pytest.mark.parametrize(
    ("data", "code", "part"),
    [
        (None, 400002, "data"),
        ("", 400002, "data"),
        ("{", 400006, "data"),
        ("[]", 400006, "object"),
        ('{"steps": []}', 400002, "data.name"),
        ('{"name": "n"}', 400006, "steps"),
        ('{"name": 5, "steps": []}', 400006, "name"),
        ('{"name": "n", "steps": [{"type": "x"}]}', 400006, "id"),
        ('{"name": "n", "steps": [{"id": "a", "type": "x"}, {"id": "a", "type": "x"}]}', 400006, '"a"'),
        ('{"name": "n\\u0000", "steps": []}', 400006, "character"),
        ('{"name": "n\\ud800", "steps": []}', 400006, "character"),
        ("[" * 500 + "]" * 500, 400006, "nested"),
        ('{"name": "n", "steps": [], "x": NaN}', 400006, "NaN"),
    ],
)
@pytest.mark.parametrize("method", ["idx.createDataflow", "idx.createDataflowDraft"])
def test_a_dataflow_that_is_none_is_refused_and_says_why(client, method, data, code, part):
    reply = client(method, data=data)
    assert reply["errorCode"] == code
    assert part in reply["errorDetails"]


def test_each_problem_of_a_dataflow_is_named(client):
    reply = client("idx.createDataflow", data={"name": "n", "steps": [{"type": "x"}, 5]})
    assert [each["fieldName"] for each in reply["validationErrors"]] == ["steps[0].id", "steps[1]"]


def test_sets_at_the_same_time_each_make_a_version_of_their_own(client):
    flow_id = create(client, name="contested")

    def change(number):
        return client("idx.setDataflow", data={"id": flow_id, "name": "contested", "steps": [], "number": number})

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(change, range(16)))
    made = [reply["version"] for reply in replies if reply["errorCode"] == 0]
    assert sorted(made) == list(range(2, 2 + len(made)))
    assert {reply["errorCode"] for reply in replies} <= {0, 409000}
    assert client.ok("idx.getDataflow", id=flow_id)["version"] == 1 + len(made)


def test_numbers_of_any_size_come_back_as_they_were(client):
    flow_id = create(client, name="numbers", big=2**70, small=-1)
    status, _, body = client.send("GET", f"/idx.getDataflow?id={flow_id}&" + credentials(client))
    assert status == 200
    assert json.loads(body)["big"] == 2**70


def test_keys_of_a_dataflow_do_not_replace_those_of_the_envelope(client):
    flow_id = create(client, name="envelope", errorCode=5, time="noon", statusCode=1)
    got = client.ok("idx.getDataflow", id=flow_id)
    assert got["statusCode"] == 200
    assert client.search(f"SELECT * FROM dataflow WHERE id = '{flow_id}'")[0]["time"] == "noon"


def test_a_draft_lives_beside_its_dataflow_and_goes_with_it(service, client):
    flow_id = create(client, name="with a draft", password="of-both")
    draft = client.ok("idx.createDataflowDraft", data=export(name="with a draft", password=MASK, status="draft"))["id"]
    assert password_of(service, draft) == "of-both"
    found = client.search("SELECT * FROM dataflow_draft WHERE name = 'with a draft'")
    assert [(each["id"], each["status"], each["draftOf"]) for each in found] == [(draft, "draft", flow_id)]
    assert client.ok("idx.setDataflowDraft", data=export(id=draft, name="with a draft", x=1))["version"] == 2
    assert client("idx.setDataflow", data=export(id=draft, name="with a draft", x=2))["errorCode"] == 404000
    assert client("idx.setDataflowDraft", data=export(id=flow_id, name="with a draft", x=2))["errorCode"] == 404000
    client.ok("idx.deleteDataflow", id=flow_id)
    assert client.search("SELECT * FROM dataflow_draft WHERE name = 'with a draft'") == []


def test_a_draft_may_stand_alone(client):
    draft = client.ok("idx.createDataflowDraft", data={"name": "alone", "steps": []})["id"]
    assert "draftOf" not in client.ok("idx.getDataflow", id=draft)
    client.ok("idx.deleteDataflow", id=draft)
    assert client("idx.getDataflow", id=draft)["errorCode"] == 404000


def test_sites_do_not_see_each_other(service, client):
    flow_id = create(client, name="of the first site")
    other = service.second
    assert other("idx.getDataflow", id=flow_id)["errorCode"] == 404000
    assert other("idx.setDataflow", data=export(id=flow_id, x=1))["errorCode"] == 404000
    assert other("idx.deleteDataflow", id=flow_id)["errorCode"] == 404000
    assert other("idx.createScheduling", data={"name": "s", "dataflowId": flow_id})["errorCode"] == 400006
    assert other.search(f"SELECT * FROM dataflow WHERE id = '{flow_id}'") == []
    own = other.ok("idx.createDataflow", data=export(name="of the second site"))["id"]
    assert client("idx.getDataflow", id=own)["errorCode"] == 404000
    assert other.ok("idx.getDataflow", id=own)["siteId"] == 2
    other.ok("idx.deleteDataflow", id=own)


def test_what_the_command_line_has_stored_belongs_to_the_first_site(service, client):
    flow_id = service.state.add_flow(export(name="stored", apiKey="3_site_that_is_not_here", version=9))
    assert client.ok("idx.getDataflow", id=flow_id)["apiKey"] == client.site.api_key
    assert client("idx.setDataflow", data=export(name="stored", id=flow_id))["errorCode"] == 403200
    assert service.second("idx.getDataflow", id=flow_id)["errorCode"] == 404000


def credentials(client):
    return "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in client.credentials.items())


def password_of(service, flow_id):
    """The password with which a job would run."""
    with service.state.database.read() as tx:
        flow = service.state.documents.whole(db_dataflows.version(tx, flow_id))
    return flow.step("write").params["password"]


def test_the_application_of_a_site_cannot_let_a_dataflow_undo_opt_outs(client):
    off = {"landbridge": {"guards": {"consent": {"action": "off"}}}}
    assert client("idx.createDataflow", data=lines(**off))["errorCode"] == 403007
    flow = client.ok("idx.createDataflow", data=lines())["id"]
    assert client("idx.setDataflow", data=lines(id=flow, **off))["errorCode"] == 403007


def test_all_of_a_reply_may_be_sent_back(client):
    flow = client.ok("idx.createDataflow", data=export(name="sent back", time="its own"))["id"]
    reply = client.ok("idx.getDataflow", id=flow)
    assert client("idx.setDataflow", data=reply | {"description": "new"})["version"] == 2
    (stored,) = client.ok("idx.search", query=f"SELECT * FROM dataflow WHERE id = '{flow}'")["result"]
    assert not {"callId", "errorCode", "statusCode"} & stored.keys()
