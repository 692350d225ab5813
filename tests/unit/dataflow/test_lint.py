"""Lint: every problem in one go, nothing invented, never an exception."""

import base64
import json

import pytest
from hypothesis import given, settings, strategies as st

from landbridge.components.params import ComponentParams, Param
from landbridge.dataflow import CODES, ComponentInfo, Dataflow, Step, format_text, problems as codes
from landbridge.dataflow.lint import check_resolved, lint
from landbridge.dataflow.parameters import check_params, secret_values
from landbridge.engine.lint import lint_file
from landbridge.errors import FlowError
from tests.unit.dataflow.small_catalogue import DsvParams, SmallCatalogue, export_flow, step
from tests.unit.dataflow.test_model import JSON

READER = "datasource.read.gigya.account"
WRITER = "datasource.write.gigya.account"
SFTP = {"host": "files.example.com", "username": "me", "password": "${secret:files}"}

FILE_WRITER = step("w", "datasource.write.sftp", **SFTP)


def check(*steps, **keys):
    return lint(json.dumps({"name": "f", "steps": steps} | keys), SmallCatalogue())


def sftp_export(**params):
    """The problems of an export whose SFTP parameters are as given."""
    sftp = {key: value for key, value in (SFTP | params).items() if value is not ...}
    return check(
        step("r", READER, ["csv"]),
        step("csv", "file.format.dsv", ["sftp"], fileName="x.csv"),
        step("sftp", "datasource.write.sftp", **sftp),
    )


def brief(found):
    return [(one.severity, one.code, one.field.removeprefix("steps[2].params.")) for one in found]


PLAUSIBLE = st.sampled_from(
    [
        *("a", "b", "", "********", "{{x}}", "[[X]]", "${now}", "${now-1h:}", "${}", "${secret:a}", "<$A$>"),
        *SmallCatalogue().ids(),
    ]
)
VALUES = PLAUSIBLE | JSON
STEPS = st.fixed_dictionaries(
    {},
    optional={
        "id": VALUES,
        "type": VALUES,
        "next": VALUES | st.lists(VALUES, max_size=3),
        "error": VALUES | st.lists(VALUES, max_size=3),
        "params": JSON
        | st.dictionaries(
            st.sampled_from(["host", "port", "fields", "where", "script", "fileName", "password", "sortOrder"]),
            VALUES | st.lists(st.dictionaries(st.sampled_from(["sourceField", "targetField"]), VALUES), max_size=2),
        ),
    },
)


@given(st.fixed_dictionaries({"steps": st.lists(STEPS, max_size=5) | JSON}, optional={"name": VALUES}) | JSON)
@settings(max_examples=settings.default.max_examples * 3)
def test_lint_never_raises_on_json(document):
    for one in lint(json.dumps(document), SmallCatalogue()):
        assert one.code in CODES
        assert json.loads(json.dumps(one.as_json())) == one.as_json()


@given(st.text() | st.binary())
@settings(deadline=None)
def test_lint_never_raises_on_text(text):
    lint(text, SmallCatalogue())


def open_params(**params):
    steps = (step("r", READER, ["o"]), step("o", "field.open", ["w"], **params), step("w", WRITER))
    return [(one.code, one.field.removeprefix("steps[1].params"), one.message) for one in check(*steps)]


def test_a_model_that_takes_any_key_gets_no_warnings_for_unknown_ones():
    assert open_params(anything=1, colour="blue") == []


def test_a_fault_in_an_object_is_told_with_its_place_in_the_object():
    assert open_params(pair={"sourceField": "a", "to": "b"}) == [
        (codes.UNKNOWN_PARAM, ".pair.to", "field.open knows no parameter to; it has no effect"),
        (codes.MISSING_PARAM, ".pair.targetField", "pair.targetField is missing"),
    ]
    assert open_params(pair={"sourceField": "{{x}}", "targetField": "b"})[0][0] == codes.UNFILLED_PLACEHOLDER


def test_whatever_a_parameter_model_raises_is_a_problem():
    assert open_params(colour="wrong") == [(codes.WRONG_PARAM, ".colour", "colour: this is not a colour")]
    assert open_params(colour="green") == [(codes.WRONG_PARAM, ".colour", 'colour should be "red" or "blue"')]
    assert open_params(colour="house error") == [("LB-1999", "", "not this one")]
    assert open_params(colour="bug") == [
        (codes.COMPONENT_NOT_LOADED, "", "the parameters cannot be checked: RuntimeError")
    ]


def test_a_list_of_parameters_that_is_filled_in_later_is_not_judged():
    steps = (
        step("r", READER, ["m"]),
        step("m", "field.rename", ["w"], fields="{{fields}}"),
        step("w", WRITER),
    )
    assert [one.code for one in check(*steps)] == [codes.UNFILLED_PLACEHOLDER]
    assert open_params(pair={"sourceField": {"deep": "{{x}}"}, "targetField": "b"}) == [
        (
            codes.UNFILLED_PLACEHOLDER,
            ".pair.sourceField.deep",
            'pair.sourceField.deep holds the placeholder "x", which has no value yet',
        )
    ]


def resolved(**params):
    flow = export_flow()
    flow["steps"][0]["params"] = {key: value for key, value in (SFTP | params).items() if value is not ...}
    found = check_resolved(Dataflow.load(json.dumps(flow)), SmallCatalogue())
    return [(one.severity, one.code, one.field.removeprefix("steps[0].params")) for one in found]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, []),
        ({"password": "${jobId} {{x}} ********"}, []),
        ({"host": "."}, []),
        ({"host": ""}, [("error", codes.PARAM_NOT_SET, ".host")]),
        ({"host": "..."}, [("error", codes.PARAM_NOT_SET, ".host")]),
        ({"host": ...}, [("error", codes.MISSING_PARAM, ".host")]),
        ({"password": ""}, [("error", codes.WRONG_PARAM, "")]),
        ({"port": "{{port}}"}, [("error", codes.WRONG_PARAM, ".port")]),
        ({"unknown": 1}, []),
    ],
)
def test_right_before_a_job_every_value_is_final(params, found):
    assert resolved(**params) == found


def test_right_before_a_job_the_graph_is_checked_too():
    flow = Dataflow.load(json.dumps({"steps": [step("r", READER, ["x"]), step("y", "field.nothing")]}))
    assert [one.code for one in check_resolved(flow, SmallCatalogue())] == ["LB-1022", "LB-1101"]
    assert [one.severity for one in check_resolved(Dataflow("f"), SmallCatalogue())] == ["error"]


def test_no_finding_before_a_job_holds_a_secret():
    flow = export_flow()
    flow["steps"][0]["params"] = {
        "host": ["hunter2"],
        "port": "hunter2",
        "username": {"x": "hunter2"},
        "password": 5,
    }
    found = check_resolved(Dataflow.load(json.dumps(flow)), SmallCatalogue())
    assert len(found) == 4
    assert "hunter2" not in format_text(found)


def test_the_values_of_secret_parameters_are_collected_for_redaction():
    flow = Dataflow.load(json.dumps({"steps": [step("s", "x", host="h", password="hunter2", privateKey="")]}))
    catalogue = SmallCatalogue()
    assert secret_values(flow.steps[0], catalogue.describe("datasource.write.sftp")) == {"hunter2"}
    assert secret_values(flow.steps[0], catalogue.describe("file.empty")) == frozenset()


def test_a_file_is_checked_or_told_that_it_cannot_be_read(tmp_path):
    path = tmp_path / "flow.json"
    assert [one.code for one in lint_file(path, SmallCatalogue())] == [codes.NOT_READABLE]
    path.write_text('{"steps": [}')
    (found,) = lint_file(path, SmallCatalogue())
    assert found.message.startswith(f"{path}, line 1, column 12")
    path.write_text(json.dumps(export_flow()))
    assert lint_file(path, SmallCatalogue()) == []
    assert [one.code for one in lint_file("\0", SmallCatalogue())] == [codes.NOT_READABLE]


def test_a_good_flow_has_no_problems_as_text_and_as_object():
    text = json.dumps(export_flow())
    assert lint(text, SmallCatalogue()) == []
    assert lint(Dataflow.load(text), SmallCatalogue()) == []


def test_an_empty_draft_is_exactly_one_warning():
    assert brief(check()) == [("warning", codes.NO_STEPS, "steps")]


def test_text_that_is_no_json_is_one_error():
    assert [one.code for one in lint("{", SmallCatalogue())] == [codes.NOT_JSON]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"port": "22"}, []),
        ({"port": "many"}, [("error", codes.WRONG_PARAM, "port")]),
        ({"port": 0}, [("error", codes.WRONG_PARAM, "port")]),
        ({"port": ""}, []),
        ({"port": "{{port}}"}, [("warning", codes.UNFILLED_PLACEHOLDER, "port")]),
        ({"port": "${env:PORT}"}, []),
        ({"port": "[[PORT]]"}, [("warning", codes.UNFILLED_PLACEHOLDER, "port")]),
        ({"sortOrder": []}, [("error", codes.WRONG_PARAM, "sortOrder")]),
        ({"host": ...}, [("error", codes.MISSING_PARAM, "host")]),
        ({"host": ""}, [("warning", codes.PARAM_NOT_SET, "host")]),
        ({"host": "..."}, [("warning", codes.PARAM_NOT_SET, "host")]),
        ({"host": None}, [("warning", codes.PARAM_NOT_SET, "host")]),
        ({"host": 5}, [("error", codes.WRONG_PARAM, "host")]),
        ({"remotePth": "x"}, [("warning", codes.UNKNOWN_PARAM, "remotePth")]),
        ({"remoteDir": "x"}, []),
        ({"remote_path": "x"}, []),
        ({"password": ...}, [("error", codes.WRONG_PARAM, "steps[2].params")]),
        ({"password": ""}, [("warning", codes.PARAM_NOT_SET, "steps[2].params")]),
        ({"password": "********"}, [("warning", codes.MASKED_VALUE, "password")]),
        ({"password": "{{pw}}"}, [("warning", codes.UNFILLED_PLACEHOLDER, "password")]),
        ({"password": "<$PW$>"}, []),
        ({"password": "hunter2"}, [("warning", codes.PLAIN_CREDENTIAL, "password")]),
        ({"remotePath": "${nwo}"}, [("error", codes.UNKNOWN_VARIABLE, "remotePath")]),
        ({"remotePath": "${now:T}"}, [("error", codes.BAD_TIME, "remotePath")]),
        ({"remotePath": "${now-1d:yyyy}"}, []),
    ],
)
def test_each_fault_of_a_parameter_is_told_once_at_its_place(params, found):
    assert brief(sftp_export(**params)) == found


def test_no_message_holds_a_secret():
    found = sftp_export(password="hunter2-hunter2", privateKey=["hunter2-hunter2"], port="hunter2")
    assert len(found) >= 3
    assert "hunter2" not in format_text(found)


def test_an_unknown_parameter_is_told_with_the_closest_name():
    (found,) = sftp_export(remotePth="x")
    assert found.hint == 'Did you mean "remotePath"?'


def test_a_wrong_value_is_told_with_what_the_parameter_is_for():
    (found,) = sftp_export(host=5)
    assert found.message == "host should be a text"
    assert found.hint == "The server's name. Example: files.example.com"


def rename(*fields):
    steps = (
        step("r", READER, ["m"]),
        step("m", "field.rename", ["w"], fields=list(fields)),
        step("w", WRITER),
    )
    return [(one.code, one.field, one.message) for one in check(*steps)]


def test_a_fault_inside_a_list_is_told_with_its_place_in_the_list():
    good = {"sourceField": "a", "targetField": "b"}
    place = "steps[1].params.fields[1]"
    assert rename(good, {"sourceField": "a", "targetFeild": "b"}) == [
        (
            codes.UNKNOWN_PARAM,
            f"{place}.targetFeild",
            "field.rename knows no parameter targetFeild; it has no effect",
        ),
        (codes.MISSING_PARAM, f"{place}.targetField", "fields[1].targetField is missing"),
    ]
    assert [entry[:2] for entry in rename(good, {"sourceField": "{{x}}", "targetField": 7})] == [
        (codes.WRONG_PARAM, f"{place}.targetField"),
        (codes.UNFILLED_PLACEHOLDER, f"{place}.sourceField"),
    ]


def test_secrets_of_an_unknown_component_are_found_by_their_names():
    found = check(step("a", "datasource.read.nothing", ["w"], apiSecret="s3cret", host="h"), step("w", WRITER))
    assert [one.code for one in found] == [codes.UNKNOWN_COMPONENT, codes.PLAIN_CREDENTIAL]


def test_placeholders_in_a_script_are_warnings_and_its_code_is_none():
    script = base64.b64encode(b"if (a) {{ b = `${c}` }} log('{{level}}')").decode()
    steps = (step("r", READER, ["s"]), step("s", "record.evaluate", ["w"], script=script), step("w", WRITER))
    assert [(one.code, "level" in one.message) for one in check(*steps)] == [(codes.UNFILLED_PLACEHOLDER, True)]


def test_a_named_group_in_a_replacement_is_no_variable():
    fields = [{"field": "*", "regex": "(?<a>.)", "replacement": "${a}"}]
    steps = (step("r", READER, ["s"]), step("s", "field.replace", ["w"], fields=fields), step("w", WRITER))
    assert check(*steps) == []


def test_variables_where_nothing_replaces_them_are_warnings():
    found = check(
        step("r", READER, ["w_${now}"], **{"${jobId}": 1}),
        step("w_${now}", WRITER),
        name="${now}",
        description="<$A$>",
    )
    places = [one.field for one in found if one.code == codes.VARIABLE_OUT_OF_PLACE]
    assert places == ["name", "description", "steps[0].next", "steps[0].params", "steps[1].id"]


def test_a_variable_as_the_name_of_a_nested_parameter_is_a_warning():
    found = check(step("a", "file.empty", ["w"], fileName="x", more=[{"inner": {"{{x}}": 1}}]), FILE_WRITER)
    assert brief(found) == [("warning", codes.VARIABLE_OUT_OF_PLACE, "steps[0].params")]


def test_a_secret_as_a_file_name_is_a_warning():
    found = check(step("a", "file.empty", ["w"], fileName="${secret:x}.ok"), FILE_WRITER)
    assert brief(found) == [("warning", codes.VARIABLE_OUT_OF_PLACE, "steps[0].params.fileName")]


def test_a_path_that_ends_without_a_writer_is_a_warning():
    found = check(step("r", READER, ["csv"]), step("csv", "file.format.dsv", fileName="x.csv"))
    assert [(one.severity, one.code, one.step) for one in found] == [("warning", codes.ENDS_WITHOUT_WRITER, "csv")]
    assert "its files go nowhere" in found[0].message


@pytest.mark.parametrize("way", [["change"], ["change", "more"]])
def test_a_way_past_a_step_on_which_records_go_a_second_time_is_a_warning(way):
    first, *others = way
    steps = [step("r", READER, ["w", first])]
    steps += [step(each, "field.rename", [after], fields=[]) for each, after in zip(way, [*others, "w"], strict=True)]
    found = [one for one in check(*steps, step("w", WRITER)) if one.code == codes.WAY_PAST]
    assert [(one.severity, one.step, one.field) for one in found] == [("warning", "r", "steps[0].next")]
    assert '"w" gets every record twice' in found[0].message


def test_a_plain_file_beside_a_packed_one_and_two_ways_to_two_writers_are_fine():
    steps = (
        step("r", READER, ["csv", "w1", "w2"]),
        step("csv", "file.format.dsv", ["gzip", "w"], fileName="x"),
        step("gzip", "file.compress.gzip", ["w"]),
        step("w1", WRITER),
        step("w2", WRITER),
    )
    assert [one for one in check(*steps, FILE_WRITER) if one.code == codes.WAY_PAST] == []


@pytest.mark.parametrize("name", ["x.csv", "x_${now:yyyyMMdd}.csv", "{{name}}"])
def test_two_files_of_one_name_for_one_writer_are_a_warning(name):
    steps = (
        step("r", READER, ["one", "two"]),
        step("one", "file.format.dsv", ["w"], fileName=name),
        step("two", "file.format.dsv", ["w"], fileName=name),
    )
    found = [one for one in check(*steps, FILE_WRITER) if one.code == codes.SAME_FILE_NAME]
    assert [(one.severity, one.step, one.field) for one in found] == [("warning", "two", "steps[2].params.fileName")]
    assert '"one" and "two"' in found[0].message


def test_files_that_only_begin_with_the_same_name_or_go_to_two_writers_are_fine():
    apart = (
        step("r", READER, ["one", "two"]),
        step("one", "file.format.dsv", ["gzip"], fileName="x"),
        step("gzip", "file.compress.gzip", ["w"]),
        step("two", "file.format.dsv", ["w"], fileName="x"),
    )
    assert check(*apart, FILE_WRITER) == []
    elsewhere = (
        step("r", READER, ["one", "two"]),
        step("one", "file.format.dsv", ["w"], fileName="x"),
        step("two", "file.format.dsv", ["v"], fileName="x"),
    )
    assert check(*elsewhere, FILE_WRITER, FILE_WRITER | {"id": "v"}) == []


def test_names_that_become_the_same_when_they_are_filled_in_are_a_warning_before_a_job():
    flow = Dataflow.load(
        json.dumps(
            {
                "name": "f",
                "steps": [
                    step("r", READER, ["one", "two"]),
                    step("one", "file.format.dsv", ["w"], fileName="x.csv"),
                    step("two", "file.format.dsv", ["w"], fileName="x.csv "),
                    FILE_WRITER | {"params": SFTP | {"password": "s3cret"}},
                ],
            }
        )
    )
    assert [one.code for one in check_resolved(flow, SmallCatalogue())] == [codes.SAME_FILE_NAME]


@pytest.mark.parametrize(("slip", "meant"), [("nxt", "next"), ("parms", "params"), ("typ", "type"), ("nexts", "next")])
def test_a_key_that_is_almost_one_of_the_language_is_a_warning(slip, meant):
    wanted = {"id": "r", "type": READER, "params": {}, "next": ["w"]}
    wanted[slip] = wanted.pop(meant)
    found = [one for one in check(wanted, step("w", WRITER)) if one.code == codes.MISSPELT_KEY]
    assert [(one.field, one.hint) for one in found] == [(f"steps[0].{slip}", f'Did you mean "{meant}"?')]


@pytest.mark.parametrize("key", ["text", "comment", "ui", "position", "label"])
def test_a_key_of_another_program_is_kept_without_a_word(key):
    assert check({"id": "r", "type": READER, "next": ["w"], key: 1}, step("w", WRITER)) == []


def test_steps_misspelt_are_told_with_the_missing_steps():
    found = lint('{"name": "f", "stpes": []}', SmallCatalogue())
    assert [one.code for one in found] == [codes.MISSPELT_KEY, codes.STEPS_NOT_A_LIST]


def test_next_as_a_text_is_one_problem():
    found = check(step("r", READER) | {"next": "w"}, step("w", WRITER))
    assert [one.code for one in found] == [codes.WRONG_TYPE]


def test_a_placeholder_in_lower_case_brackets_is_told_to_be_none():
    found = check(step("a", "file.empty", ["w"], fileName="[[target]]"), FILE_WRITER)
    assert brief(found) == [("warning", codes.VARIABLE_OUT_OF_PLACE, "steps[0].params.fileName")]
    assert found[0].hint == "Placeholders are written {{target}}, or [[TARGET]] in capitals."
    assert check(step("a", "file.empty", ["w"], fileName="x", fileNameRegex="[[abc]]"), FILE_WRITER) == []


def test_one_slip_in_a_step_gives_one_problem_and_no_followers():
    assert [one.code for one in check({"type": READER, "next": ["w"]}, step("w", WRITER))] == [codes.STEP_WITHOUT_ID]
    assert [one.code for one in check({"id": "r", "next": ["w"]}, step("w", WRITER))] == [codes.STEP_WITHOUT_TYPE]
    assert [one.code for one in check(step("r", READER, ["x"]), step("w", WRITER))] == [codes.UNKNOWN_TARGET]


def test_problems_come_in_the_order_of_the_steps():
    found = check(
        step("r", READER, ["m"], wehre="x"),
        step("m", "field.rename", ["csv"]),
        step("csv", "file.format.dsv", ["sftp"], fileName="${nwo}"),
        step("sftp", "datasource.write.sftp", **SFTP | {"port": "x"}),
        name=5,
    )
    assert [one.field.partition(".")[0] for one in found] == [
        "name",
        "steps[0]",
        "steps[1]",
        "steps[2]",
        "steps[3]",
    ]


def test_a_circle_stands_with_its_first_step():
    found = check(
        step("r", READER, ["a"], wehre="x"),
        step("a", "field.rename", ["b"]),
        step("b", "record.evaluate", ["a"]),
        step("w", WRITER, next_=1),
    )
    assert [one.code for one in found] == [codes.UNKNOWN_PARAM, codes.CYCLE, codes.MISSING_PARAM]


@pytest.mark.parametrize(
    ("failure", "code"), [(FlowError("LB-1999", "needs lzo"), "LB-1999"), (RuntimeError(), "LB-1074")]
)
def test_a_component_that_cannot_be_loaded_is_a_problem_and_no_exception(failure, code):
    catalogue = SmallCatalogue().with_failing("field.rename", failure)
    assert [one.code for one in lint(json.dumps(export_flow()), catalogue)] == [code]


def test_an_example_in_a_hint_is_json():
    class Params(ComponentParams):
        pair: dict[str, bool] = Param("A pair.", example={"a": True})

    (found,) = check_params(
        Step("s", "t", params={"pair": 5}),
        ComponentInfo("t", "T", "transform", "records", "records", has_error_edge=True, params_model=Params),
        place="params",
    )
    assert (found.message, found.hint) == ("pair should be an object", 'A pair. Example: {"a": true}')


def test_the_title_of_a_parameter_in_the_schema_is_its_name_in_words():
    schema = DsvParams.model_json_schema(by_alias=True)
    assert schema["properties"]["columnSeparator"]["title"] == "Column separator"


def test_the_text_form_has_a_line_for_each_problem_and_counts_them():
    text = format_text(sftp_export(port="many", remotePth="x"))
    assert text.splitlines()[-1] == "1 error, 1 warning"
    assert 'error    LB-1073  step "sftp": port should be a whole number' in text
    assert format_text([]) == "no problems"


def test_every_code_has_one_line_and_stands_in_the_range_of_dataflows():
    defined = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, str)}
    assert defined == set(CODES)
    assert all(code.startswith("LB-1") and meaning.endswith(".") for code, meaning in CODES.items())
