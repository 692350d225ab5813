"""Whatever is sent, the answer is an envelope with a code of the client's, and the log shows no fault."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from landbridge.server.idx import METHODS
from tests.contract.idx.flows import lines

CODES = {0, 400001, 400002, 400006, 400093, 400096, 403200, 404000}
SETTINGS = settings(
    max_examples=settings.default.max_examples * 3, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
flow_keys = st.sampled_from(["id", "name", "description", "steps", "apiKey", "siteId", "version", "status", "draftOf"])
step = st.dictionaries(st.sampled_from(["id", "type", "params", "next", "error", "x"]), json_values, max_size=5)
dataflows = st.dictionaries(flow_keys, json_values, max_size=6).map(lambda found: {**lines(), **found}) | st.builds(
    lambda steps: {"name": "random", "steps": steps}, st.lists(step, max_size=3)
)
scheduling_keys = st.sampled_from(
    [
        *("id", "name", "dataflowId", "dataFlowId", "frequencyType", "frequencyInterval", "daysOfWeek"),
        *("nextJobStartTime", "logLevel", "limit", "fullExtract", "enabled", "successEmails", "landbridge", "jobId"),
    ]
)
WORDS = """select * from dataflow scheduling idx_job_status script where order by id name = 'x' limit 5 start ( ) not
    and or in like contains regex('a+') is null count(*) group , < > trace steps.params.x 1e999 \""""
words = st.sampled_from(WORDS.split())
queries = st.lists(words, max_size=14).map(" ".join) | st.builds(
    lambda table, rest: f"SELECT * FROM {table} {' '.join(rest)}",
    st.sampled_from(["dataflow", "dataflow_draft", "dataflow_version", "scheduling", "idx_job_status", "script"]),
    st.lists(words, max_size=8),
)
texts = st.text(max_size=30).filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))


def check(client, method, parameters):
    reply = client.form(method, client.credentials | parameters)
    assert reply["errorCode"] in CODES, (reply, parameters)
    assert reply["statusCode"] == (reply["errorCode"] or 200000) // 1000
    assert "Traceback" not in json.dumps(reply)
    return reply


@pytest.fixture(scope="module")
def flow(service):
    return service.client.ok("idx.createDataflow", data=lines(name="hostile"))["id"]


@pytest.fixture(scope="module", autouse=True)
def quiet(service):
    yield
    log = service.log()
    assert "Traceback" not in log
    assert "ERROR landbridge.idx" not in log
    assert service.state.database.url


@SETTINGS
@given(data=st.data(), method=st.sampled_from(sorted(METHODS)))
def test_random_parameters_of_every_method(client, data, method):
    names = st.sampled_from([*METHODS[method].parameters, "format", "callback", "context", "httpstatuscodes0", "x"])
    check(client, method, data.draw(st.dictionaries(names, texts, max_size=4)))


@SETTINGS
@given(document=dataflows, draft=st.booleans())
def test_random_dataflows_are_stored_and_shown_or_refused(client, document, draft):
    text = json.dumps(document)
    reply = check(client, "idx.createDataflowDraft" if draft else "idx.createDataflow", {"data": text})
    if "id" in reply:
        flow_id = reply["id"]
        check(client, "idx.setDataflow", {"data": json.dumps({**document, "id": flow_id})})
        assert check(client, "idx.getDataflow", {"id": flow_id})["name"] == document["name"]
        check(client, "idx.search", {"query": f"SELECT * FROM dataflow_version WHERE id = '{flow_id}'"})
        assert check(client, "idx.deleteDataflow", {"id": flow_id})["errorCode"] == 0


@SETTINGS
@given(document=st.dictionaries(scheduling_keys, json_values | texts, max_size=6))
def test_random_schedulings_are_stored_and_shown_or_refused(client, flow, document):
    sent = {"dataflowId": flow, **document, "enabled": False}
    reply = check(client, "idx.createScheduling", {"data": json.dumps(sent)})
    if "id" in reply:
        made = reply["id"]
        assert check(client, "idx.getScheduling", {"id": made})["dataflowId"] == flow
        check(client, "idx.setScheduling", {"data": json.dumps({"id": made, **document, "enabled": False})})
        assert check(client, "idx.deleteScheduling", {"id": made})["errorCode"] == 0


@SETTINGS
@given(query=queries, cursor=st.booleans())
def test_random_queries(client, query, cursor):
    reply = check(client, "idx.search", {"query": query, "openCursor": str(cursor)})
    if reply["errorCode"] == 0:
        assert len(reply.get("result", [])) == reply["resultCount"]


@SETTINGS
@given(body=st.binary(max_size=200), kind=st.sampled_from(["", "application/x-www-form-urlencoded", "application/json",
       "multipart/form-data; boundary=x", "multipart/form-data", "text/plain"]))  # fmt: skip
def test_random_bodies(client, body, kind):
    with contextlib.suppress(ConnectionError):
        status, _, reply = client.send("POST", "/idx.search", body, {"Content-Type": kind} if kind else {})
        assert status == 200
        assert json.loads(reply)["errorCode"] in CODES
