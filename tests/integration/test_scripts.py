"""Dataflows with scripts, from a file to files."""

import base64
import json

from landbridge.engine.counts import Status
from tests.integration.script_runs import body, flow, into, run, script

PEOPLE = [
    {"UID": "a", "profile": {"email": " Ann@Example.com ", "age": 31}, "data": {"subscribed": True}},
    {"UID": "b", "profile": {"email": "bob@example.com"}, "data": {"subscribed": False}},
    {"UID": "c", "profile": {"age": 5}},
]


def test_a_script_changes_records_on_their_way(tmp_path):
    code = body("if (record.profile.email) record.EMAIL = record.profile.email.trim().toLowerCase(); return record;")
    encoded = base64.b64encode(code.encode()).decode()
    steps = [script("lower", encoded, then=["all"], ECMAScriptVersion="12"), *into(tmp_path, "all")]
    report, files = run(tmp_path, flow(tmp_path, *steps), PEOPLE)
    assert report.status is Status.SUCCEEDED
    assert [record.get("EMAIL") for record in files["all"]] == ["ann@example.com", "bob@example.com", None]
    assert files["all"][0]["profile"] == PEOPLE[0]["profile"]


def test_two_scripts_with_opposite_conditions_route_each_record_to_one_branch(tmp_path):
    has_mail = "record.profile.email !== undefined"
    steps = [
        script("all", body("return record;"), then=["with", "without"], ECMAScriptVersion="12"),
        script("with", body(f"return {has_mail} ? record : null;"), then=["yes"], ECMAScriptVersion="12"),
        script("without", body(f"return {has_mail} ? null : record;"), then=["no"], ECMAScriptVersion="12"),
        *into(tmp_path, "yes"),
        *into(tmp_path, "no"),
    ]
    report, files = run(tmp_path, flow(tmp_path, *steps), PEOPLE)
    assert [record["UID"] for record in files["yes"]] == ["a", "b"]
    assert [record["UID"] for record in files["no"]] == ["c"]
    assert report.steps["with"].filtered == 1
    assert report.steps["without"].filtered == 2


def test_a_branch_that_changes_its_records_leaves_its_sibling_alone(tmp_path):
    steps = [
        script("all", body("return record;"), then=["strip", "mark", "plain"]),
        {"id": "strip", "type": "field.remove", "params": {"fields": ["profile"]}, "next": ["stripped"]},
        script("mark", body("record.profile.age = 99; delete record.UID; return record;"), then=["marked"]),
        *into(tmp_path, "stripped"),
        *into(tmp_path, "marked"),
        *into(tmp_path, "plain"),
    ]
    _, files = run(tmp_path, flow(tmp_path, *steps), PEOPLE)
    assert files["plain"] == PEOPLE
    assert [record.keys() for record in files["stripped"]] == [{"UID", "data"}, {"UID", "data"}, {"UID"}]
    assert [record["profile"]["age"] for record in files["marked"]] == [99, 99, 99]


def test_records_that_fail_or_are_refused_take_the_error_path_with_their_details(tmp_path):
    code = body(
        """
  if (record.UID === "a") throw new Error("no a");
  if (record.UID === "b") {
    record._errorDetails = { errorCode: 400006, errorMessage: "not wanted", field: "UID" };
    error.accept(record, record);
    return null;
  }
  return record;"""
    )
    steps = [script("check", code, then=["good"], error=["bad"]), *into(tmp_path, "good"), *into(tmp_path, "bad")]
    report, files = run(tmp_path, flow(tmp_path, *steps), PEOPLE)
    assert report.status is Status.SUCCEEDED_WITH_ERRORS
    assert [record["UID"] for record in files["good"]] == ["c"]
    by_uid = {record["UID"]: record for record in files["bad"]}
    assert by_uid["a"]["_errorDetails"] == {"errorCode": 4603, "errorMessage": "Error: no a (line 3, column 33)"}
    assert by_uid["a"]["profile"] == PEOPLE[0]["profile"]
    assert by_uid["b"]["_errorDetails"] == {"errorCode": 400006, "errorMessage": "not wanted", "field": "UID"}
    assert (report.steps["check"].rejected, report.steps["check"].filtered) == (2, 0)


def test_success_and_error_path_can_meet_again_and_the_next_script_sees_the_details(tmp_path):
    steps = [
        script("check", body('if (record.UID === "b") throw "out"; return record;'), then=["all"], error=["repair"]),
        script(
            "repair",
            body("record.why = record._errorDetails.errorMessage; delete record._errorDetails; return record;"),
            then=["all"],
        ),
        *into(tmp_path, "all"),
    ]
    _, files = run(tmp_path, flow(tmp_path, *steps), PEOPLE)
    why = {record["UID"]: record.get("why") for record in files["all"]}
    assert why == {"a": None, "b": "the script threw out", "c": None}


def test_the_answer_of_a_writer_is_visible_to_the_next_script(tmp_path):
    code = body("return { UID: record._response.UID, context: JSON.parse(record._response.context).stash };")
    answered = [{"UID": "x", "_response": {"UID": "y", "context": '{"stash":[1,2]}', "statusCode": 200}}]
    steps = [script("restore", code, then=["all"]), *into(tmp_path, "all")]
    _, files = run(tmp_path, flow(tmp_path, *steps), answered)
    assert files["all"] == [{"UID": "y", "context": [1, 2]}]


def test_failed_records_without_an_error_path_are_kept_and_the_job_goes_on(tmp_path):
    steps = [
        script("check", body("return record.profile.email.trim() && record;"), then=["all"]),
        *into(tmp_path, "all"),
    ]
    report, files = run(tmp_path, flow(tmp_path, *steps), PEOPLE)
    assert report.status is Status.SUCCEEDED_WITH_ERRORS
    assert len(files["all"]) == 2
    (kept,) = map(json.loads, (tmp_path / "job-1.rejects.jsonl").read_text().splitlines())
    assert kept["code"] == "LB-4603"
    assert kept["record"] == PEOPLE[2]
    assert "line 2, column 29" in kept["message"]


def test_state_lives_for_the_whole_job_and_calls_keep_the_order_of_the_records(tmp_path):
    code = """
var seen = 0, sum = 0, ordered = true;
function process(record, ctx, logger, next) {
  if (record !== null) {
    ordered = ordered && record.n === seen;
    seen += 1;
    sum += record.n;
    return null;
  }
  next.accept({ seen: seen, sum: sum, ordered: ordered });
  return { last: true };
}"""
    steps = [script("sum", code, then=["all"], notifyLastRecord=True), *into(tmp_path, "all")]
    # Several megabytes: more than one batch, and several pieces of each.
    records = [{"n": n, "text": "x" * 300} for n in range(30_000)]
    report, files = run(tmp_path, flow(tmp_path, *steps), records)
    assert files["all"] == [{"seen": 30_000, "sum": sum(range(30_000)), "ordered": True}, {"last": True}]
    assert report.status is Status.SUCCEEDED


def test_two_scripts_at_a_time_give_the_same_records_in_the_same_order(tmp_path):
    code = body("return record.n % 7 === 0 ? null : [record, { copy: record.n }];")
    records = [{"n": n, "text": "x" * 300} for n in range(20_000)]
    results = []
    for name, parallel in (("one", False), ("two", True)):
        steps = [script("copy", code, then=[name], parallel=parallel), *into(tmp_path, name)]
        _, files = run(tmp_path, flow(tmp_path, *steps), records)
        results.append(files[name])
    assert results[0] == results[1]
    assert len(results[0]) == 2 * len([n for n in range(20_000) if n % 7])


def test_a_placeholder_without_a_value_stays_and_one_with_a_value_is_filled(tmp_path):
    code = base64.b64encode(body('record.host = "{{hostname}}"; return record;').encode()).decode()
    steps = [script("host", code, then=["all"]), *into(tmp_path, "all")]
    _, files = run(tmp_path, flow(tmp_path, *steps), [{"a": 1}])
    assert files["all"] == [{"a": 1, "host": "{{hostname}}"}]
    _, files = run(tmp_path, flow(tmp_path, *steps), [{"a": 1}], hostname="example.com")
    assert files["all"] == [{"a": 1, "host": "example.com"}]


def test_the_script_knows_its_job_and_its_parameters(tmp_path):
    code = body("record.job = ctx.jobId; record.step = ctx.stepId; record.p = ctx.parameters; return record;")
    parameters = {"flow": "${dataflowName}", "n": 3}
    steps = [script("who", code, then=["all"], parameters=parameters), *into(tmp_path, "all")]
    _, files = run(tmp_path, flow(tmp_path, *steps), [{"a": 1}])
    assert files["all"] == [{"a": 1, "job": "job-1", "step": "who", "p": {"flow": "Scripts", "n": 3}}]
