"""Checks of far sides through the API: of some steps, and what is missing there is made where somebody asks for it."""

import pytest

from tests.contract.sandbox.running import running_sandbox


@pytest.fixture(scope="module")
def sandbox():
    with running_sandbox("silverpop") as sandbox:
        yield sandbox


def test_what_is_missing_at_the_far_side_is_made_only_when_asked_for(api, service, sandbox, tmp_path):
    fresh = sandbox.do(lambda s: s["silverpop"].create_database("Through the API", {}).id)
    known = sandbox.connection("silverpop")
    params = {name: known[name] for name in ("url", "clientId", "clientSecret", "refreshToken")}
    write = {"listId": fresh, "columns": ["UID:text"], "syncFields": ["UID"], **params}
    steps = [
        {"id": "in", "type": "datasource.read.local", "params": {"path": str(tmp_path)}, "next": ["parse"]},
        {"id": "parse", "type": "file.parse.json", "next": ["out"]},
        {"id": "out", "type": "datasource.write.silverpop.contact", "params": write},
    ]
    flow = api.post("/dataflows", {"name": "made there", "steps": steps}).json["id"]
    place = f"/dataflows/{flow}/check"

    def verdicts(body):
        reply = service.api("editor").post(place, body)
        assert reply.status == 200, reply.body
        assert known["clientSecret"] not in reply.body.decode()
        return [(each["step"], each["what"], each["verdict"]) for each in reply.json["findings"]]

    assert ("out", "column UID", "failed") in verdicts({"steps": ["out"]})
    assert {step for step, _, _ in verdicts({"steps": ["in"]})} == {"in"}
    assert service.api().get(f"/audit?objectId={flow}&action=dataflow.create_missing").json["items"] == []
    made = verdicts({"create": True})
    assert ("out", "column UID", "created") in made
    assert ("out", "column UID", "ok") in made
    assert len(service.api().get(f"/audit?objectId={flow}&action=dataflow.create_missing").json["items"]) == 1
    assert ("out", "column UID", "failed") not in verdicts({})
    assert service.api("operator").post(place, {"create": True}).status == 403
    unknown = service.api("editor").post(place, {"steps": ["nowhere"], "create": True})
    assert (unknown.status, unknown.code) == (422, "LB-1791")
