"""Loading and dumping dataflows: nothing is lost, everything wrong is told at once."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from landbridge.dataflow import Dataflow, DataflowError, Step
from landbridge.dataflow.model import MAX_DEPTH
from landbridge.dataflow.problems import errors_of
from tests.unit.dataflow.small_catalogue import export_flow

TEXT = st.text(max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(SCALARS, lambda i: st.lists(i, max_size=3) | st.dictionaries(TEXT, i, max_size=3), max_leaves=8)
KEPT = ("id", "type", "params", "next", "error", "name", "description", "steps")
UNKNOWN = st.dictionaries(TEXT.filter(lambda key: key not in KEPT), JSON, max_size=3)


@st.composite
def step_objects(draw, id_):
    known = {"id": st.just(id_), "type": st.sampled_from(["file.empty", " field.remove"])}
    optional = {
        "params": st.none() | st.dictionaries(TEXT, JSON, max_size=3),
        "next": st.none() | st.lists(TEXT, max_size=2),
        "error": st.none() | st.lists(TEXT, max_size=2),
    }
    item = draw(st.fixed_dictionaries(known, optional=optional)) | draw(UNKNOWN)
    return dict(draw(st.permutations(list(item.items()))))


@st.composite
def flow_objects(draw):
    ids = draw(st.lists(TEXT.map(str.strip).filter(bool), max_size=4, unique=True))
    steps = [draw(step_objects(id_)) for id_ in ids]
    optional = {"name": st.none() | TEXT, "description": st.none() | TEXT}
    item = {"steps": steps} | draw(st.fixed_dictionaries({}, optional=optional)) | draw(UNKNOWN)
    return dict(draw(st.permutations(list(item.items()))))


def canonical(document):
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def codes_of(text):
    with pytest.raises(DataflowError) as caught:
        Dataflow.load(text)
    return [problem.code for problem in caught.value.problems]


def load_error(text):
    with pytest.raises(DataflowError) as caught:
        Dataflow.load(text, source="mine.json")
    return caught.value


def one_step(**keys):
    return json.dumps({"steps": [{"id": "a", "type": "file.empty"} | keys]})


@given(flow_objects())
def test_a_dataflow_is_dumped_as_it_was_loaded_whatever_else_it_holds(document):
    text = Dataflow.load(json.dumps(document)).dump()
    assert text == canonical(document)
    assert Dataflow.load(text).dump() == text


@given(JSON | st.text() | st.binary(max_size=40))
@settings(deadline=None)
def test_loading_anything_either_works_or_tells_problems(anything):
    text = anything if isinstance(anything, bytes) else json.dumps(anything)
    try:
        Dataflow.load(text)
    except DataflowError as failure:
        assert errors_of(failure.problems)  # noqa: PT017 - some texts are dataflows


def test_blanks_around_ids_types_and_targets_count_for_nothing_but_survive():
    text = one_step(id=" a ", type=" field.remove", next=[" b"])
    flow = Dataflow.load(text)
    assert (flow.steps[0].id, flow.steps[0].type, flow.steps[0].next) == ("a", "field.remove", ("b",))
    assert flow.dump() == canonical(json.loads(text))


@pytest.mark.parametrize("extra", [{}, {"next": None, "error": None}, {"next": [], "error": []}])
def test_absent_null_and_empty_targets_mean_the_same(extra):
    step = Dataflow.load(one_step(**extra)).steps[0]
    assert (step.next, step.error) == ((), ())


def test_a_changed_value_is_written_and_the_rest_stays():
    flow = Dataflow.load(json.dumps(export_flow() | {"version": 7}))
    steps = tuple(replace(step, params={"fileName": "x"}) if step.id == "csv" else step for step in flow.steps)
    changed = json.loads(replace(flow, name="Other", steps=steps).dump())
    expected = export_flow() | {"version": 7, "name": "Other"}
    expected["steps"][1]["params"] = {"fileName": "x"}
    assert changed == expected
    assert list(changed) == list(expected)


def test_a_parameter_changed_from_one_to_true_is_written():
    flow = Dataflow.load(one_step(params={"x": 1}))
    changed = replace(flow, steps=(replace(flow.steps[0], params={"x": True}),))
    assert '"x": true' in changed.dump()


def test_a_dataflow_made_in_code_holds_only_what_was_given():
    flow = Dataflow("Mine", steps=(Step("a", "file.empty", next=("b",)),))
    assert flow.step("a") is flow.steps[0]
    assert flow.step("b") is None
    assert json.loads(flow.dump()) == {
        "name": "Mine",
        "steps": [{"id": "a", "type": "file.empty", "next": ["b"]}],
    }


def test_half_a_surrogate_pair_survives_and_can_be_written_as_utf8():
    flow = Dataflow.load('{"name": "\\ud83d", "steps": []}')
    assert flow.dump().encode() == b'{\n  "name": "\\ud83d",\n  "steps": []\n}\n'
    assert Dataflow.load(flow.dump()).dump() == flow.dump()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_file_in_any_unicode_encoding_is_read(tmp_path, encoding):
    path = tmp_path / "flow.json"
    path.write_bytes('{"name": "Übersicht", "steps": []}'.encode(encoding))
    assert Dataflow.read(path).name == "Übersicht"


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(DataflowError, match="No such file") as caught:
        Dataflow.read(tmp_path / "none.json")
    assert caught.value.code == "LB-1002"


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ('{"steps": [],}', "line 1, column", "comma"),
        ('{\n "steps": [\n  {"id": "a",\n}]}', "line 4, column 1", "comma"),
        ("{'steps': []}", "line 1, column 2", "double quotes"),
        ('{"steps": [', "line 1, column 12", "too early"),
        ("", "line 1, column 1", "empty"),
        ('{"steps": [] // none\n}', "line 1, column 14", "comments"),
    ],
)
def test_a_slip_in_the_json_is_told_with_its_place_and_a_hint(text, place, hint):
    failure = load_error(text)
    assert failure.code == "LB-1001"
    assert f"mine.json, {place}" in failure.message
    assert hint in failure.hint


@pytest.mark.parametrize(
    "text", ['{"steps": [], "x": NaN}', '{"steps": [], "x": 1e999}', '{"steps": [], "x": ' + "9" * 5000 + "}"]
)
def test_numbers_that_json_cannot_carry_are_refused(text):
    assert codes_of(text) == ["LB-1001"]


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 100_000])
def test_json_nested_too_deep_is_refused_and_does_not_exhaust_the_stack(levels):
    assert codes_of('{"x": ' + "[" * levels + "]" * levels + "}") == ["LB-1001"]


def test_bytes_that_are_no_text_are_told_with_their_place():
    assert "byte 10" in load_error(b'{"name": "\xff", "steps": []}').message


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[]", "LB-1003", "not a list"),
        ('"x"', "LB-1003", "not a text"),
        ("{}", "LB-1004", "no steps"),
        ('{"steps": {"a": 1}}', "LB-1004", "not an object"),
        ('{"steps": [5]}', "LB-1005", "not a number"),
        ('{"steps": [{"type": "file.empty"}]}', "LB-1006", "steps[0] has no id"),
        ('{"steps": [{"id": 5, "type": "file.empty"}]}', "LB-1006", "has a number as id"),
        ('{"steps": [{"id": "a"}]}', "LB-1007", "the step has no type"),
        ('{"name": 5, "steps": []}', "LB-1009", "name must be a text"),
        (one_step(params=[1]), "LB-1009", "params must be an object"),
        (one_step(next="b"), "LB-1009", "next must be a list of step ids, not a text"),
        (one_step(next=[1]), "LB-1009", "next must be a list of step ids"),
        (one_step(error={"x": 1}), "LB-1009", "error must be a list of step ids"),
    ],
)
def test_each_fault_of_form_has_its_code_and_message(text, code, words):
    failure = load_error(text)
    assert failure.code == code
    assert words in failure.message


def test_a_target_that_is_no_list_is_shown_as_it_should_be():
    assert '"next": ["b"]' in load_error(one_step(next="b")).hint


def test_two_steps_of_one_id_are_told_with_both_places():
    step = {"id": "a", "type": "file.empty"}
    failure = load_error(json.dumps({"steps": [step, {"id": "b", "type": "x"}, step | {"id": "a "}]}))
    assert failure.code == "LB-1008"
    assert "steps[0] and steps[2]" in failure.message


def test_all_faults_are_told_in_one_go():
    text = json.dumps({"name": [], "steps": [{"id": "a"}, {"type": "x"}, 7]})
    assert codes_of(text) == ["LB-1009", "LB-1007", "LB-1006", "LB-1005"]
    failure = load_error(text)
    assert failure.code == "LB-1000"
    assert all(code in str(failure) for code in ("LB-1009", "LB-1007", "LB-1006", "LB-1005"))


def test_a_key_given_twice_and_a_misspelt_key_are_warnings():
    flow, problems = Dataflow.examine('{"Name": "x", "steps": [{"id": "a", "id": "b", "type": "t", "nexts": []}]}')
    assert flow.steps[0].id == "b"
    assert [(problem.severity, problem.code, problem.field) for problem in problems] == [
        ("warning", "LB-1010", ""),
        ("warning", "LB-1011", "Name"),
        ("warning", "LB-1011", "steps[0].nexts"),
    ]
    assert Dataflow.load(flow.dump())


def test_server_keys_are_no_misspelt_ones():
    server = {"apiKey": "k", "siteId": 1, "version": 2, "status": "draft", "lastRuntime": None, "id": "f"}
    flow, problems = Dataflow.examine(json.dumps(server | {"steps": []}))
    assert problems == []
    assert (flow.id, flow.status, flow.api_key) == ("f", "draft", "k")
