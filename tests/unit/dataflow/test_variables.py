"""What a job fills into parameters, and what it refuses to run with."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from landbridge.dataflow import Dataflow, DataflowError, EnvironmentSecrets, JobValues, resolve
from landbridge.dataflow.variables import decode_script, refers, steps_with_time_in_where
from tests.unit.dataflow.small_catalogue import export_flow, step

NOW = datetime(2026, 3, 31, 5, 4, 3, 250_000, tzinfo=UTC)
EPOCH_MS = 1774933443250


def flow_with(component="file.format.dsv", **params):
    return Dataflow.load(json.dumps({"name": "My flow", "steps": [step("a", component, **params)]}))


def filled(dataflow, /, *, environ=(), api_key="", **placeholders):
    job = JobValues(now=NOW, job_id="job7", api_key=api_key, placeholders=placeholders)
    return resolve(dataflow, job=job, source=EnvironmentSecrets(dict(environ)))


def fill(text, *, key="fileName", environ=(), api_key="", **placeholders):
    return filled(flow_with(**{key: text}), environ=environ, api_key=api_key, **placeholders).flow.steps[0].params[key]


def problem(text, *, key="fileName", **placeholders):
    with pytest.raises(DataflowError) as caught:
        fill(text, key=key, **placeholders)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("x_${now}.csv", "x_20260331050403.csv"),
        ("${now:YYMMdd_HHmm}.csv", "260331_0504.csv"),
        ("${ now }", "20260331050403"),
        ("${now-1h}", "20260331040403"),
        ("${now-1M}", "20260228050403"),
        ("${now+1y:yyyy-MM}", "2027-03"),
        ("${now-2w:yyyyMMdd}", "20260317"),
        ("${now+1D:dd}", "01"),
        ("${now-90m:HHmm}", "0334"),
        ("${now-4s:ss}", "59"),
        ("${now:unix}", str(EPOCH_MS // 1000)),
        ("${now-1d:unix}", str(EPOCH_MS // 1000 - 86400)),
        ("${now:HH:mm}", "05:04"),
        ("${jobId}/${dataflowName}.csv", "job7/My flow.csv"),
        ("no token, $5, {x}, {{", "no token, $5, {x}, {{"),
    ],
)
def test_a_token_becomes_its_value(text, result):
    assert fill(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("lastUpdated > ${now-1h}", f"lastUpdated > {EPOCH_MS - 3_600_000}"),
        ("lastUpdated > ${now}", f"lastUpdated > {EPOCH_MS}"),
        ("data.day = '${now-1d:yyyy-MM-dd}'", "data.day = '2026-03-30'"),
    ],
)
def test_a_bare_time_in_a_condition_is_in_milliseconds(text, result):
    assert fill(text, key="where") == result


def test_a_leap_day_is_moved_to_the_end_of_its_month():
    job = JobValues(now=datetime(2024, 2, 29, tzinfo=UTC), job_id="j")
    flow = resolve(flow_with(fileName="${now+1y:yyyy-MM-dd}"), job=job, source=EnvironmentSecrets({})).flow
    assert flow.steps[0].params == {"fileName": "2025-02-28"}


def test_all_times_are_utc_whatever_the_zone_of_the_job():
    job = JobValues(now=NOW.astimezone(timezone(timedelta(hours=9))), job_id="j")
    flow = resolve(flow_with(fileName="${now}"), job=job, source=EnvironmentSecrets({})).flow
    assert flow.steps[0].params == {"fileName": "20260331050403"}


def test_tokens_are_filled_at_any_depth_and_other_values_stay():
    flow = flow_with("field.add", fields=[{"field": "x", "value": "${jobId}"}], port=22, on=True, none=None)
    assert filled(flow).flow.steps[0].params == {
        "fields": [{"field": "x", "value": "job7"}],
        "port": 22,
        "on": True,
        "none": None,
    }


def test_the_rest_of_the_dataflow_stays_as_it_is():
    flow = Dataflow.load(json.dumps(export_flow()))
    result = filled(flow, environ={"LANDBRIDGE_SECRET_FILES": "hush"}).flow
    expected = export_flow()
    expected["steps"][0]["params"]["password"] = "hush"
    expected["steps"][1]["params"]["fileName"] = "users_20260331.csv"
    assert json.loads(result.dump()) == expected


def test_the_api_key_comes_from_the_job_or_the_dataflow():
    assert fill("${apiKey}", api_key="3_abc") == "3_abc"
    owned = Dataflow.load('{"apiKey": "3_own", "steps": [{"id": "a", "type": "t", "params": {"x": "${apiKey}"}}]}')
    assert filled(owned).flow.steps[0].params == {"x": "3_own"}
    found = problem("${apiKey}")
    assert found.code == "LB-1047"
    assert '"apiKey"' in found.hint


def test_a_slash_in_the_dataflows_name_makes_no_folder():
    flow = Dataflow.load(
        '{"name": "a/b", "steps": [{"id": "a", "type": "t", "params": {"fileName": "${dataflowName}"}}]}'
    )
    assert filled(flow).flow.steps[0].params == {"fileName": "a_b"}


def test_placeholders_are_filled():
    assert fill("{{ folder }}/{{name}}-${jobId}", folder="out", name="a") == "out/a-job7"
    assert fill("${now-{{days}}d:yyyyMMdd}", days="2") == "20260329"
    assert fill("[[LIST_ID]]", LIST_ID="5") == "5"
    assert fill("[[:alpha:]]+[[OTHER]]") == "[[:alpha:]]+[[OTHER]]"


@given(
    value=st.lists(
        st.sampled_from(
            ["${env:X}", "${secret:X}", "<$X$>", "{{other}}", "${jobId}", "${now}", "$", "{", "}", "<$", "a"]
        )
    ).map("".join)
)
@pytest.mark.parametrize("text", ["{{v}}", "a${jobId}{{v}}{{v}}", "${{{v}}", "<${{v}}$", "{env:{{v}}}", "[[V]]"])
def test_what_looks_like_a_reference_in_the_value_of_a_placeholder_stays_as_it_is(text, value):
    environ = {"X": "hush", "LANDBRIDGE_SECRET_X": "hush"}
    try:
        found = fill(text, environ=environ, v=value, V=value, other="other")
    except DataflowError:
        return  # the dataflow itself holds a reference that is none
    assert "hush" not in found
    assert value in found


def test_a_value_is_no_part_of_a_reference_that_the_dataflow_does_not_make():
    environ = {"X": "hush", "OTHER": "allowed"}
    assert fill("${env:{{v}}}", environ=environ, v="OTHER") == "allowed"
    assert problem("${{{v}}}", environ=environ, v="env:X").code == "LB-1040"
    assert fill("${{{v}}", environ=environ, v="env:X}") == "${env:X}"


def test_who_runs_a_dataflow_of_their_own_may_give_references_as_values():
    values = JobValues(now=NOW, job_id="job7", placeholders={"v": "${env:X}-${jobId}"}, values_may_refer=True)
    flow = resolve(flow_with(fileName="{{v}}"), job=values, source=EnvironmentSecrets({"X": "mine"})).flow
    assert flow.steps[0].params == {"fileName": "mine-job7"}


@pytest.mark.parametrize(
    ("value", "does"),
    [
        ("${env:X}", True),
        ("a <$x$> b", True),
        ("{{x}}", True),
        ("${now-1d}", True),
        ("${now-1z}", True),
        ("${ jobId }", True),
        ("${name}", False),
        ("`${r.total}`", False),
        ("$1 {x} [[A]] <$", False),
        ("", False),
    ],
)
def test_a_value_is_known_to_hold_a_reference(value, does):
    assert refers(value) is does


def test_an_unfilled_placeholder_is_told_with_its_place_and_how_to_set_it():
    found = problem("{{hostnam}}", key="host", hostname="h")
    assert (found.code, found.step, found.field) == ("LB-1042", "a", "steps[0].params.host")
    assert "{{hostnam}}" in found.message
    assert "--set hostnam=value" in found.hint
    assert "hostname" in found.hint


def test_all_unfilled_placeholders_are_told_at_once():
    with pytest.raises(DataflowError) as caught:
        fill("{{a}}{{b}}")
    assert [found.message.partition("}}")[0][-1] for found in caught.value.problems] == ["a", "b"]


def test_the_name_gets_its_placeholder_but_need_not():
    flow = Dataflow.load('{"name": "{{flow}}", "description": "{{other}}", "steps": []}')
    result = filled(flow, flow="Import").flow
    assert (result.name, result.description) == ("Import", "{{other}}")


def encoded(script):
    return base64.b64encode(script.encode()).decode()


def test_placeholders_in_a_script_are_filled_inside_its_base64():
    script = "function process(r) { r.ü = `${x}{{token}}`; if (r) {{ r.y = 1 }} return r }"
    result = fill(encoded(script), key="script", token="hush")
    assert decode_script(result) == script.replace("{{token}}", "hush")


@pytest.mark.parametrize("script", [encoded("a {{b}} c").rstrip("="), "Zm9v\nYmFy", "%%%", encoded("{{x}}") + "A"])
def test_a_script_without_values_to_fill_stays_to_the_letter(script):
    assert fill(script, key="script", other="1") == script


def test_a_script_in_plain_text_gets_its_placeholders_too():
    assert fill("return '{{x}}';", key="script", x="1") == "return '1';"


@given(st.text())
def test_a_script_is_decoded_with_missing_padding_and_line_breaks(text):
    script = encoded(text)
    assert decode_script(script) == text
    assert decode_script(script.rstrip("=")) == text
    assert decode_script("\n".join(script)) == text


def test_a_script_with_one_letter_too_many_is_decoded():
    assert decode_script(encoded("abc") + "C=") == "abc"
    assert decode_script("not base64!") is None


def test_secrets_are_filled_and_collected_for_redaction():
    environ = {
        "LANDBRIDGE_SECRET_SFTP_PASSWORD": "s3cret",
        "HOST": "files",
        "KEY": "k3y",
        "LANDBRIDGE_SECRET_AWS": "aws",
    }
    flow = flow_with(
        host="${env:HOST}", password="${secret:sftp-password}", secretKey="${env:KEY}", accessKey="<$AWS$>"
    )
    result = filled(flow, environ=environ)
    assert result.flow.steps[0].params == {
        "host": "files",
        "password": "s3cret",
        "secretKey": "k3y",
        "accessKey": "aws",
    }
    assert result.secrets == {"s3cret", "k3y", "aws"}
    assert "s3cret" not in repr(result)


def test_a_secret_is_never_read_as_a_token_itself():
    environ = {"LANDBRIDGE_SECRET_A": "${jobId}<$B$>{{c}}"}
    assert fill("${secret:A}", environ=environ) == "${jobId}<$B$>{{c}}"


def test_a_missing_secret_is_told_with_all_places_that_were_looked_at():
    found = problem("${secret:sftp-password}", key="password")
    assert found.code == "LB-1043"
    assert "LANDBRIDGE_SECRET_SFTP_PASSWORD" in found.hint
    assert "the environment variable HOST" in problem("${env:HOST}").hint
    assert problem("<$AWSSecret$>").code == "LB-1043"


@pytest.mark.parametrize("key", ["password", "path", "fileName"])
@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("${env:ZP}", "ZP"),
        ("${secret:zp}", "LANDBRIDGE_SECRET_ZP"),
        ("<$zp$>", "LANDBRIDGE_SECRET_ZP"),
        ("a-${env:ZP}", "ZP"),
    ],
)
def test_a_reference_to_something_empty_is_an_error(key, text, variable):
    with pytest.raises(DataflowError) as caught:
        fill(text, key=key, environ={variable: ""})
    assert caught.value.code == "LB-1043"
    assert "is set, but empty" in caught.value.message
    assert variable in caught.value.hint


def test_an_environment_variable_is_a_secret_where_its_name_or_the_parameters_says_so():
    flow = flow_with(path="${env:FOLDER}", k="${env:API_TOKEN}", password="${env:X}", note="${secret:n}")
    environ = {"FOLDER": "/data", "API_TOKEN": "t0ken", "X": "x-value", "LANDBRIDGE_SECRET_N": "n-value"}
    assert filled(flow, environ=environ).secrets == {"t0ken", "x-value", "n-value"}


def test_a_placeholder_without_a_value_names_what_was_given_in_its_place():
    assert problem("{{target}}", tarpet="x").hint == 'Set it with --set target=value; "tarpet" was given.'
    assert problem("{{target}}", other="x").hint == "Set it with --set target=value."


def test_the_mask_of_an_exported_secret_is_refused_and_a_reference_proposed():
    found = problem("********", key="password")
    assert found.code == "LB-1044"
    assert "${secret:a-password}" in found.hint


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("${nwo}", "LB-1040", '"now"'),
        ("${jobid}", "LB-1040", '"jobId"'),
        ("${secrets:x}", "LB-1040", "secret:NAME"),
        ("${}", "LB-1040", "The variables are"),
        ("${secret:}", "LB-1040", "secret:NAME"),
        ("${now-1x}", "LB-1041", "years"),
        ("${now-h}", "LB-1041", "${now-1h}"),
        ("${now:yyyyTHH}", "LB-1041", "'T'"),
        ("${now-9999y}", "LB-1041", ""),
        ("${now+999999999w}", "LB-1041", ""),
    ],
)
def test_a_wrong_variable_is_refused_with_a_hint(text, code, words):
    found = problem(text)
    assert found.code == code
    assert words in found.hint
    assert found.message.startswith("fileName: ")


def test_a_named_group_in_a_replacement_is_no_variable():
    assert fill("${first} ${jobId}", key="replacement") == "${first} job7"
    assert problem("${now:T}", key="replacement").code == "LB-1041"


def test_steps_that_count_from_now_in_a_condition_are_listed():
    flow = Dataflow.load(
        json.dumps(
            {
                "steps": [
                    step("a", "t", where="x > ${now-1h}"),
                    step("b", "t", where="x > 5", fileName="${now}"),
                ]
            }
        )
    )
    assert steps_with_time_in_where(flow) == ("a",)
