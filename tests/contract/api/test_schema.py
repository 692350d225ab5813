"""Whatever fits the description is answered as described, and what does not fit it is no fault of the service."""

import json

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from landbridge.server import api as landbridge_api
from landbridge.server.api.openapi import document
from tests.contract.idx.flows import export

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SETTINGS = settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)
LEFT_OUT = {
    "followAll": "it has no end",
    "followJob": "its end is that of the job",
    "showOfferedHostKey": "it asks whatever server is named",
    "pinHostKey": "as the above",
    "logIn": "too many wrong logins are refused for a while",
    "setUp": "as the above",
}
VERBS = {"get", "post", "put", "patch", "delete"}
TIMEOUT_S = 30


def described():
    app = FastAPI()
    app.include_router(landbridge_api.router())
    return document(app)


DOCUMENT = described()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {
    operation.definition.raw["operationId"]: operation
    for operation in (each.ok() for each in SCHEMA.get_all_operations())
}


@pytest.fixture(scope="module")
def real(service, tmp_path_factory):
    """Ids of things that exist, by the path that shows them."""
    api = service.api()
    flow = api.post("/dataflows", export(name="described")).json["id"]
    job = api.post(f"/dataflows/{flow}/jobs").json["id"]
    connection = {"name": "described", "type": "sftp", "params": {"host": "127.0.0.1", "username": "u"}}
    api.post("/connections", connection)
    rule = api.post("/alert-rules", {"settings": {"to": ["a@example.com"]}}).json["id"]
    scheduling = {"name": "s", "dataflowId": flow, "frequencyType": "day", "enabled": False}
    return {
        "dataflows": flow,
        "jobs": job,
        "connections": "described",
        "alert-rules": rule,
        "schedulings": api.post("/schedulings", scheduling).json["id"],
        "templates": api.get("/templates").json["items"][0]["name"],
        "components": "field.add",
        "sites": api.get("/sites").json["items"][0]["apiKey"],
    }


def test_every_operation_is_named_and_described():
    operations = [each for path in DOCUMENT["paths"].values() for verb, each in path.items() if verb in VERBS]
    ids = [each["operationId"] for each in operations]
    assert len(ids) == len(set(ids)) > 60
    assert all(each["summary"] and each["tags"] for each in operations)
    assert not LEFT_OUT.keys() - set(ids), "these are not there any more"
    assert json.dumps(DOCUMENT).count("HTTPValidationError") == 0


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - LEFT_OUT.keys()))
def test_an_operation_answers_as_described(service, real, name):
    operation = OPERATIONS[name]
    kind = operation.path.removeprefix("/api/v1/").partition("/")[0]
    token = service.api().token

    @SETTINGS
    @given(case=operation.as_strategy(), exists=st.booleans())
    def asked(case, exists):
        if exists and case.path_parameters and kind in real and case.method != "DELETE":
            first = next(iter(case.path_parameters))
            case.path_parameters[first] = real[kind]
            case.headers["If-Match"] = "*"
        headers = {"Authorization": f"Bearer {token}", "Host": service.process.url.removeprefix("http://")}
        reply = case.call(base_url=service.process.url, headers=headers, timeout=TIMEOUT_S)
        case.validate_response(reply, checks=CHECKS)

    asked()


def test_the_service_is_well_after_all_that(service):
    assert service.api().get("/readyz", root="").status == 200
    assert "Traceback" not in service.log()
