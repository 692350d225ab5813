"""The emulated Responsys, asked by plain requests as the vendor documents them."""

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from tests.contract.sandbox.running import running_sandbox

ROOT = "/rest/api/v1.3"
MEMBERS = f"{ROOT}/lists/Customers/members"
RULE = {
    "optinValue": "I",
    "optoutValue": "O",
    "insertOnNoMatch": True,
    "updateOnMatch": "REPLACE_ALL",
    "matchColumnName1": "CUSTOMER_ID_",
    "matchOperator": "NONE",
}


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox("responsys") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox):
    one_sandbox.do(lambda own: own["responsys"].members.records.clear())
    yield one_sandbox
    one_sandbox.calm("responsys")


def send(url, body, headers, method):
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture
def log_in(sandbox):
    connection = sandbox.connection("responsys")

    def call(**change):
        form = {"user_name": connection["username"], "password": connection["password"], "auth_type": "password"}
        body = urllib.parse.urlencode({**form, **change}).encode()
        return send(f"{connection['url']}{ROOT}/auth/token", body, {}, "POST")

    return call


@pytest.fixture
def ask(log_in):
    _, reply = log_in()

    def call(path, body=None, *, method="POST", token=reply["authToken"]):
        headers = {"Authorization": token, "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        return send(f"{reply['endPoint']}{path}", content, headers, method)

    return call


def merged(ask, names, *rows, **rule):
    body = {"recordData": {"fieldNames": names, "records": list(rows)}, "mergeRule": {**RULE, **rule}}
    status, reply = ask(MEMBERS, body)
    assert status == 200, reply
    return [row[0] for row in reply["recordData"]["records"]]


def member(ask, uid, fields="all"):
    status, reply = ask(f"{MEMBERS}?qa=c&id={uid}&fs={fields}", method="GET")
    return dict(zip(reply["recordData"]["fieldNames"], reply["recordData"]["records"][0], strict=True)) if (
        status == 200
    ) else reply["errorCode"]  # fmt: skip


def test_a_token_opens_the_api_at_the_address_that_comes_with_it(log_in, ask):
    status, reply = log_in()
    assert status == 200
    assert not reply["endPoint"].endswith("/")
    assert ask(f"{ROOT}/lists", method="GET", token=reply["authToken"])[0] == 200
    status, refused = ask(f"{ROOT}/lists", method="GET", token=f"Bearer {reply['authToken']}")
    assert (status, refused["errorCode"], refused["errorDetails"]) == (401, "TOKEN_EXPIRED", [])
    assert log_in(password="wrong")[1]["errorCode"] == "INVALID_USER_NAME_PASSWORD"


def test_results_line_up_with_the_records_and_a_bad_one_fails_alone(ask):
    results = merged(ask, ["CUSTOMER_ID_", "EMAIL_ADDRESS_"], ["u1", "a@example.com"], ["u2", "bad"], ["u3", None])
    assert [text.startswith("MERGEFAILED") for text in results] == [False, True, False]
    assert member(ask, "u1")["RIID_"] == results[0]
    assert member(ask, "u2") == "RECORD_NOT_FOUND"


@pytest.mark.parametrize(("rule", "status"), [({}, "O"), ({"defaultPermissionStatus": "OPTIN"}, "I")])
def test_new_members_without_a_status_are_opted_out_unless_the_call_says_otherwise(ask, rule, status):
    merged(ask, ["CUSTOMER_ID_"], ["u1"], **rule)
    assert member(ask, "u1")["EMAIL_PERMISSION_STATUS_"] == status
    merged(ask, ["CUSTOMER_ID_", "CITY_"], ["u1", "Oslo"], defaultPermissionStatus="OPTIN")
    assert member(ask, "u1")["EMAIL_PERMISSION_STATUS_"] == status, "a member that is there keeps the status"


def test_what_a_merge_does_is_in_its_rule(ask):
    assert merged(ask, ["CUSTOMER_ID_"], ["u1"], insertOnNoMatch=False)[0].startswith("MERGEFAILED")
    merged(ask, ["CUSTOMER_ID_", "CITY_"], ["u1", "Oslo"])
    merged(ask, ["CUSTOMER_ID_", "CITY_"], ["u1", "Bern"], updateOnMatch="NO_UPDATE")
    assert member(ask, "u1", "CITY_") == {"CITY_": "Oslo"}


@pytest.mark.parametrize(
    ("names", "records", "code"),
    [
        (["CUSTOMER_ID_"], [["u"]] * 201, "RECIPIENT_LIMIT_EXCEEDED"),
        (["CUSTOMER_ID_", "NONSENSE"], [["u", "x"]], "INVALID_FIELD_NAME"),
        (["CUSTOMER_ID_"], [["u", "x"]], "INVALID_REQUEST_CONTENT"),
    ],
)
def test_a_call_of_another_form_is_refused_as_a_whole(ask, names, records, code):
    body = {"recordData": {"fieldNames": names, "records": records}, "mergeRule": RULE}
    status, reply = ask(MEMBERS, body)
    assert (status, reply["errorCode"]) == (400, code)


def test_many_are_read_and_deleted_by_their_keys(ask):
    merged(ask, ["CUSTOMER_ID_", "EMAIL_ADDRESS_"], *([f"u{n}", f"u{n}@example.com"] for n in range(3)))
    body = {"fieldList": ["EMAIL_ADDRESS_", "CUSTOMER_ID_"], "queryAttribute": "c", "ids": ["u0", "u9"]}
    assert ask(f"{MEMBERS}?action=get", body)[1]["recordData"]["records"] == [["u0@example.com", "u0"]]
    by_address = {**body, "queryAttribute": "e", "ids": ["U1@example.com"]}
    assert ask(f"{MEMBERS}?action=get", by_address)[1]["recordData"]["records"] == [["u1@example.com", "u1"]]
    assert ask(f"{MEMBERS}?action=get", {**body, "ids": ["u9"]})[1]["errorCode"] == "RECORD_NOT_FOUND"
    _, reply = ask(f"{MEMBERS}?action=delete", {"queryAttribute": "c", "ids": ["u0", "u9"]})
    assert [row[0].startswith("DELETEFAILED") for row in reply["recordData"]["records"]] == [False, True]
    assert ask(f"{MEMBERS}/count", method="GET")[1] == {"count": 2}


def test_an_extension_table_is_matched_by_a_name_without_underscore(ask, sandbox):
    [riid] = merged(ask, ["CUSTOMER_ID_"], ["u1"])
    path = f"{ROOT}/lists/Customers/listExtensions/Preferences/members"
    data = {"fieldNames": ["CUSTOMER_ID_", "COLOR"], "records": [["u1", "red"], ["u2", "blue"]]}
    body = {"recordData": data, "insertOnNoMatch": True, "updateOnMatch": "REPLACE_ALL"}
    assert ask(path, {**body, "matchColumnName1": "CUSTOMER_ID_"})[1]["errorCode"] == "INVALID_PARAMETER"
    rows = ask(path, {**body, "matchColumnName1": "CUSTOMER_ID"})[1]["recordData"]["records"]
    assert (rows[0], rows[1][0].startswith("MERGEFAILED")) == ([riid], True)
    assert sandbox.rows("responsys", "extension Preferences") == [{"RIID_": riid, "COLOR": "red"}]


def test_rows_of_a_supplemental_table_have_its_key(ask, sandbox):
    path = f"{ROOT}/folders/Landbridge/suppData/Likes/members"
    data = {"fieldNames": ["CUSTOMER_ID_", "NAME", "RANK"], "records": [["u1", "tea", "1"], ["u1", "tea", "2"]]}
    assert ask(path, {"recordData": data})[0] == 200
    assert [row["RANK"] for row in sandbox.rows("responsys", "supplemental Likes")] == ["2"]
    gone = f"{path}?qa=CUSTOMER_ID_&id=u1&qa=NAME&id=tea"
    assert [ask(gone, method="DELETE")[0] for _ in range(2)] == [200, 404]


@pytest.mark.parametrize("status", [400, 429])
def test_a_limit_that_is_reached_is_told_by_its_code(sandbox, ask, status):
    sandbox.switch("responsys", limit_status=status)
    sandbox.fail("rate_limit", times=1)
    answered, reply = ask(f"{ROOT}/lists", method="GET")
    assert (answered, reply["errorCode"]) == (status, "API_LIMIT_EXCEEDED")
