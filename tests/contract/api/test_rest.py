"""Alerts, templates, components, workers, retention, sites; and problems wherever they come from."""

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

from landbridge.errors import CODES
from landbridge.jobs import db_alerts
from tests.contract.idx.flows import lines
from tests.servers.landbridge_service import State

ANY = {"If-Match": "*"}


def test_a_rule_is_created_changed_and_removed(api):
    made = api.post("/alert-rules", {"settings": {"to": ["ops@example.com"], "kinds": ["failure"]}})
    assert (made.status, made.json["channel"], made.json["secret"]) == (201, "email", None)
    place = made.headers["Location"].removeprefix("/api/v1")
    tag = made.headers["ETag"]
    assert api.get(place).headers["ETag"] == tag
    wanted = {"settings": {"to": ["ops@example.com"], "repeat": "every"}, "enabled": False}
    changed = api("PUT", place, wanted, headers={"If-Match": tag})
    assert (changed.json["enabled"], changed.json["settings"]["repeat"]) == (False, "every")
    assert api("PUT", place, wanted, headers={"If-Match": tag}).status == 412
    webhook = {"settings": {"url": "https://example.com/hook"}}
    assert api("PUT", place, webhook, headers=ANY).code == "LB-1791", "a rule keeps its channel"
    assert made.json["id"] in [each["id"] for each in api.get("/alert-rules").json["items"]]
    assert api("DELETE", place, headers={"If-Match": changed.headers["ETag"]}).status == 204
    assert api.get(place).code == "LB-1742"


def test_the_secret_of_a_webhook_is_shown_once(api, service):
    made = api.post("/alert-rules", {"settings": {"url": "https://example.com/hook"}}).json
    assert len(made["secret"]) > 30
    with service.state.database.read() as tx:
        rule = db_alerts.rule(tx, made["id"])
    assert service.state.documents.vault.unseal(rule.sealed) == {"secret": made["secret"]}
    assert "secret" not in api.get(f"/alert-rules/{made['id']}").json
    own = api.post("/alert-rules", {"settings": {"url": "https://example.com/hook"}, "secret": "s" * 20}).json
    assert own["secret"] is None


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"settings": {}}, "LB-1743"),
        ({"settings": {"to": ["nobody"]}}, "LB-1743"),
        ({"settings": {"to": ["a@example.com"], "url": "https://example.com"}}, "LB-1743"),
        ({"settings": {"url": "http://example.com"}}, "LB-1303"),
        ({"settings": {"to": ["a@example.com"]}, "dataflowId": "nobody"}, "LB-1701"),
        ({"settings": {"to": ["a@example.com"], "kinds": []}}, "LB-1791"),
        ({}, "LB-1791"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(api, wanted, code):
    refused = api.post("/alert-rules", wanted)
    assert (refused.status, refused.code) == (422, code)


def test_alerts_are_listed_newest_first(api, service):
    flow = api.post("/dataflows", lines(name="alerted")).json["id"]
    with service.state.database.write() as tx:
        for number in range(3):
            db_alerts.add(
                tx, kind="failure", message=f"m{number}", details={"to": ["a@b.c"]}, dataflow_id=flow, open=number == 1
            )
    first = api.get(f"/alerts?dataflowId={flow}&limit=2").json
    rest = api.get(f"/alerts?dataflowId={flow}&limit=2&after={first['next']}").json
    assert [each["message"] for each in (*first["items"], *rest["items"])] == ["m2", "m1", "m0"]
    assert [each["message"] for each in api.get(f"/alerts?dataflowId={flow}&open=true").json["items"]] == ["m1"]
    assert "a@b.c" not in str(first)


def test_a_template_becomes_a_dataflow_that_can_be_stored(api):
    names = [each["name"] for each in api.get("/templates").json["items"] if each["hasForm"]]
    template = api.get(f"/templates/{names[0]}").json
    assert template["form"]["properties"]
    from landbridge.templates import load

    filled = api.post(f"/templates/{names[0]}/fill", load(names[0]).form.examples())
    assert filled.status == 200, filled.body
    assert api.post("/dataflows", filled.json["document"]).status == 201
    empty = api.post(f"/templates/{names[0]}/fill", {"nothing": 1})
    assert (empty.status, empty.code) == (422, "LB-1524")
    assert api.get("/templates/nothing").status == 404


def test_components_come_with_the_schema_of_their_parameters(api):
    listed = {each["id"]: each for each in api.get("/components").json["items"]}
    assert (listed["field.rename"]["kind"], listed["field.rename"]["inputs"]) == ("transform", "records")
    shown = api.get("/components/datasource.write.sftp").json
    assert "host" in shown["params"]["properties"]
    assert api.get("/components/no.such").code == "LB-1101"


def test_retention_is_for_admins(service):
    assert service.api("editor").get("/retention").status == 403
    admin = service.api()
    kept = admin.get("/retention").json
    assert admin("PUT", "/retention", kept | {"traces": 31}, headers=ANY).json["traces"] == 31
    assert admin.get("/retention").json["traces"] == 31
    assert admin("PUT", "/retention", kept | {"traces": -1}, headers=ANY).code == "LB-1791"
    assert admin("PUT", "/retention", {"traces": 1}, headers=ANY).code == "LB-1791", "all of it is set"


@pytest.mark.parametrize("place", ["/limits", "/retention"])
def test_who_changes_a_setting_says_which_state_they_have_seen(api, place):
    shown = api.get(place)
    tag = shown.headers["ETag"]
    missing = api("PUT", place, shown.json)
    assert (missing.status, missing.code) == (428, "LB-1792")
    changed = api("PUT", place, shown.json, headers={"If-Match": tag})
    assert (changed.status, changed.json) == (200, shown.json)
    assert changed.headers["ETag"] != tag
    late = api("PUT", place, shown.json, headers={"If-Match": tag})
    assert (late.status, late.code) == (412, "LB-1793")
    again = api("PUT", place, shown.json, headers={"If-Match": changed.headers["ETag"]})
    assert again.status == 200
    known = api.get(place, headers={"If-None-Match": again.headers["ETag"]})
    assert (known.status, known.body) == (304, b"")


def test_workers_are_listed(api):
    [worker] = api.get("/workers").json["items"]
    assert (worker["slots"], worker["status"]) == (2, "active")


def test_sites_and_their_credentials_are_for_admins(service):
    for path in ("/sites", "/sites/x/credentials"):
        assert service.api("editor").get(path).status == 403
    admin = service.api()
    made = admin.post("/sites", {"name": "Third"}).json
    place = f"/sites/{made['apiKey']}/credentials"
    before = admin.get(place).json
    assert before["privateKey"].startswith("-----BEGIN")
    assert admin.post(place).json["secret"] != before["secret"]
    assert (admin.post("/sites", {"apiKey": made["apiKey"]}).status, admin.post("/sites", {"apiKey": "x"}).code) == (
        409,
        "LB-1781",
    )
    unknown = admin.get("/sites/4_nobodynobody/credentials")
    assert (unknown.status, unknown.code) == (404, "LB-1781")


def test_the_root_names_all_addresses(api):
    root = api.get("").json
    for name, link in root["links"].items():
        assert api.get(link.removeprefix("/api/v1"), read=name != "events").status == 200, name


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "LB-1795"),
        ("DELETE", "/jobs", 405, "LB-1796"),
        ("GET", "/jobs/nobody", 404, "LB-1705"),
        ("GET", "/jobs?status=lost", 422, "LB-1791"),
        ("GET", "/jobs/%00", 400, "LB-1791"),
        ("GET", "/jobs?dataflowId=%00", 400, "LB-1791"),
        ("GET", "/rejects/x", 422, "LB-1791"),
        ("GET", f"/rejects/{2**63}", 422, "LB-1791"),
        ("GET", f"/dataflows/x/versions/{2**63}", 422, "LB-1791"),
        ("GET", f"/jobs/{'x' * 256}", 422, "LB-1791"),
        ("GET", "/jobs?since=2026-01-01T00:00:00", 422, "LB-1791"),
        ("GET", "/dataflows/a%2Fb", 404, "LB-1795"),
    ],
)
def test_every_failure_is_a_problem_with_a_code(api, method, path, status, code):
    reply = api(method, path)
    assert (reply.status, reply.code) == (status, code), reply.body
    problem = reply.json
    assert (problem["status"], problem["title"]) == (status, CODES[code])
    assert problem["detail"]
    assert (status == 405) == ("Allow" in reply.headers)


def test_a_body_of_another_type_is_no_request(api):
    refused = api.post("/dataflows", b"name=x", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (refused.status, refused.code) == (422, "LB-1791")
    assert "name=x" not in refused.body.decode()


def test_a_fault_of_the_program_tells_a_call_id_and_nothing_else(tmp_path):
    """A row that no version of landbridge writes."""
    import os

    from landbridge.jobs.db_tables import job
    from tests.contract.api.caller import Api
    from tests.servers.landbridge_service import Process

    environ = {**os.environ, "LANDBRIDGE_HOME": str(tmp_path / "home")}
    arguments = ["serve", "--data", str(tmp_path / "data"), "--port", "0", "--grace", "0", "--log-format", "json"]
    process = Process(arguments, environ, tmp_path / "log")
    state = State(tmp_path / "data", tmp_path / "data")
    try:
        api = Api(process.url, token=state.token("admin"))
        flow = api.post("/dataflows", lines()).json["id"]
        made = api.post(f"/dataflows/{flow}/jobs").json["id"]
        api.post(f"/jobs/{made}/cancel")
        with state.database.write() as tx:
            tx.execute(job.update().where(job.c.id == made).values(status="private words"))
        reply = api.get(f"/jobs/{made}")
        assert (reply.status, reply.code) == (500, "LB-9003")
        assert "private words" not in reply.body.decode()
        call_id = reply.json["callId"]
        (state.database, tmp_path / "data" / "landbridge.db")
        vault = api.post("/connections", {"name": "c", "type": "sftp", "params": {}, "secrets": {"password": "p" * 9}})
        assert vault.status == 201
        from landbridge.jobs.db_tables import connection

        with state.database.write() as tx:
            tx.execute(connection.update().values(sealed=base64.b64encode(b"another key")))
        sealed = api.get("/connections/c")
        assert (sealed.status, sealed.code) == (503, "LB-7505")
        assert "key" not in sealed.json["detail"].replace("its key", "")
    finally:
        state.close()
        process.stop()
    import json

    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    [fault] = [line for line in log if call_id in line["message"]]
    assert (fault["level"], fault["code"], fault["logger"]) == ("error", "LB-9003", "landbridge.api")
    assert "ValueError" in fault["exception"]
    assert any(line.get("code") == "LB-7505" for line in log)


def test_of_many_changes_of_one_state_one_wins(api):
    flow = api.post("/dataflows", lines(name="contested")).json["id"]
    api.post("/connections", {"name": "contested", "type": "sftp", "params": {"host": "h"}})
    plan = {"name": "contested", "dataflowId": flow, "frequencyType": "day", "enabled": False}
    scheduling = api.post("/schedulings", plan).json["id"]
    rule = api.post("/alert-rules", {"settings": {"to": ["a@example.com"]}}).json["id"]
    changes = {
        f"/dataflows/{flow}": lambda number: lines(name=f"contested {number}"),
        "/connections/contested": lambda number: {"params": {"host": f"h{number}"}},
        f"/schedulings/{scheduling}": lambda number: plan | {"name": f"contested {number}"},
        f"/alert-rules/{rule}": lambda number: {"settings": {"to": [f"a{number}@example.com"]}},
        "/limits": lambda number: {"overall": 100 + number, "perSite": 50, "perAccount": 50},
        "/retention": lambda number: api.get("/retention").json | {"jobs": 100 + number},
    }
    for place, change in changes.items():
        headers = {"If-Match": api.get(place).headers["ETag"]}
        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(api, "PUT", place, change(number), headers=headers) for number in range(6)]
        statuses = sorted(each.result().status for each in asked)
        assert statuses == [200, 412, 412, 412, 412, 412], place
