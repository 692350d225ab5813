"""Templates and their forms: what is asked, what is refused, what the dataflow becomes, and that all of them lint."""

import itertools
import json
from dataclasses import replace

import pytest

from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow import Dataflow
from landbridge.dataflow.lint import lint
from landbridge.dataflow.problems import errors_of
from landbridge.errors import FlowError
from landbridge.templates import load, names
from landbridge.templates.filling import filled
from landbridge.templates.forms import Form, is_one_of

WITH_FORM = [name for name in names() if load(name).form]
WORDS = {"type", "title", "description", "enum", "enumTitles", "default", "examples", "secret", "showWhen", "items"}
WORDS |= {"pattern", "minimum", "maximum"}


def form(**properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return Form.load(json.dumps(schema).encode(), shared=lambda name: b"{}")


PAIRS = {
    "type": "array",
    "items": {"type": "object", "properties": {"sourceField": {"type": "string"}, "targetField": {"type": "string"}}},
}


def variants(name):
    """All combinations of the choices of a form, one field varied at a time."""
    template = load(name)
    base = template.form.examples()
    yield base
    for field in template.form.fields:
        for choice in field.choices or ((True, False) if field.type == "boolean" else ()):
            yield {**base, field.name: choice}


@pytest.mark.parametrize("name", names())
def test_a_template_without_a_form_lints_as_it_is(name):
    if name not in WITH_FORM:
        assert errors_of(lint(load(name).flow, InstalledComponents())) == []


@pytest.mark.parametrize("name", WITH_FORM)
def test_a_filled_template_lints_for_every_choice_without_a_warning(name):
    for given in variants(name):
        made = load(name).fill(given)
        problems = lint(made.flow, InstalledComponents())
        assert [problem.message for problem in problems] == [], given
        text = made.flow.dump()
        assert "{{" not in text
        assert '"when"' not in text
        assert '"branchWhen"' not in text


def graphs(name):
    """What leads where, for all combinations of the values on which steps depend."""
    template = load(name)
    conditions = [step.get(key, {}) for step in template.flow.as_json()["steps"] for key in ("when", "branchWhen")]
    used = {field for condition in conditions for field in condition}
    fields = [field for field in template.form.fields if field.name in used]
    choices = [
        field.choices
        or ((True, False) if field.type == "boolean" else (field.schema.get("default", field.example), ""))
        for field in fields
    ]
    for values in itertools.product(*choices):
        chosen = {field.name: value for field, value in zip(fields, values, strict=True)}
        yield chosen, template.fill(template.form.examples() | chosen).flow


def other_choices(field):
    return (True, False) if field.type == "boolean" else (field.schema.get("default", field.example), "")


@pytest.mark.parametrize("name", WITH_FORM)
def test_no_record_reaches_a_step_on_two_ways(name):
    """Where a step that is left out had a neighbour, a way past that neighbour would carry every record twice."""
    catalogue = InstalledComponents()
    takes = {step.type: catalogue.describe(step.type).inputs for step in load(name).flow.steps}
    for chosen, flow in graphs(name):
        next_of = {step.id: step.next for step in flow.steps}
        takers = {step.id for step in flow.steps if takes[step.type] == "records"}
        for step in flow.steps:
            met = set()
            for each in (id_ for id_ in step.next if id_ in takers):
                behind = reached(each, next_of)
                assert not set(step.next) & behind - {each}, f"{chosen}: a way past {each}, from {step.id}"
                again = met & behind & takers
                assert not again, f"{chosen}: what {step.id} hands on reaches {sorted(again)} twice"
                met |= behind


def reached(start, next_of):
    found, waiting = set(), [start]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += next_of[each]
    return found


@pytest.mark.parametrize("name", WITH_FORM)
def test_a_form_can_be_rendered_and_understood(name):
    schema = load(name).form.schema
    assert schema["title"]
    assert schema["description"]
    assert set(schema["required"]) <= set(schema["properties"])
    for field in load(name).form.fields:
        assert field.label, field.name
        assert field.help.endswith("."), f"{field.name} needs a sentence of help"
        assert set(field.schema) <= WORDS, field.name
        assert set(field.shown_when) <= {other.name for other in load(name).form.fields}
        if field.choices and "enumTitles" in field.schema:
            assert len(field.schema["enumTitles"]) == len(field.choices)
        if field.required and "default" not in field.schema:
            assert field.example is not None, f"{field.name} needs an example"
        if "default" in field.schema:
            assert field.read(field.schema["default"]) == field.schema["default"]


@pytest.mark.parametrize("name", WITH_FORM)
def test_every_field_of_a_form_matters(name):
    """A field that no placeholder and no condition names would be asked for in vain."""
    template = load(name)
    text = template.flow.dump() + json.dumps(template.form.schema.get("scheduling", {}))
    used = {field.name for field in template.form.fields if f"{{{{{field.name}" in text or f'"{field.name}":' in text}
    shown = {other for field in template.form.fields for other in field.shown_when}
    assert {field.name for field in template.form.fields} <= used | shown


def test_texts_of_a_command_line_are_read_in_the_type_of_the_field():
    asked = form(
        flag={"type": "boolean"},
        count={"type": "integer", "minimum": 1},
        words={"type": "array", "items": {"type": "string"}},
        fields=PAIRS,
    )
    given = {"flag": "yes", "count": "3", "words": "a, b", "fields": "UID=ID, profile.email=EMAIL"}
    pairs = [{"sourceField": "UID", "targetField": "ID"}, {"sourceField": "profile.email", "targetField": "EMAIL"}]
    assert asked.read(given) == {"flag": True, "count": 3, "words": ["a", "b"], "fields": pairs}
    assert asked.read({**given, "fields": json.dumps(pairs)})["fields"] == pairs


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        ({"type": "boolean"}, "perhaps", "true or false"),
        ({"type": "integer", "minimum": 1}, "0", "too small"),
        ({"type": "integer"}, "x", "whole number"),
        ({"type": "string", "enum": ["a", "b"]}, "c", "a, b"),
        ({"type": "string", "pattern": "^[0-9]+$"}, "x", "expected form"),
        (PAIRS, "UID", "SOURCE=TARGET"),
        ({"type": "string", "secret": True}, "hunter2", r"\$\{secret:name\}"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_reason(schema, value, told):
    with pytest.raises(FlowError, match=told) as error:
        form(x=schema).read({"x": value})
    assert error.value.code == "LB-1524"
    assert "hunter2" not in str(error.value)


def test_all_problems_of_a_form_are_told_at_once():
    asked = form(first={"type": "string", "title": "First"}, second={"type": "integer"})
    with pytest.raises(FlowError) as error:
        asked.read({"second": "x", "thrid": 1})
    assert all(word in str(error.value) for word in ("first (First) is missing", "second", "thrid"))


def test_one_of_several_fields_may_be_enough():
    either = b'{"properties":{"a":{},"b":{}},"anyOf":[{"required":["a"]},{"required":["b"]}]}'
    asked = Form.load(either, shared=bytes)
    assert asked.read({"b": "x"}) == {"a": "", "b": "x"}
    with pytest.raises(FlowError, match="give a or b"):
        asked.read({})


def test_a_field_is_asked_for_only_when_it_is_shown():
    asked = form(how={"type": "string", "enum": ["a", "b"]}, more={"type": "string", "showWhen": {"how": ["b"]}})
    assert asked.read({"how": "a", "more": "x"}) == {"how": "a"}
    with pytest.raises(FlowError, match="more"):
        asked.read({"how": "b"})


@pytest.mark.parametrize(("said", "is_shown"), [("preferences.x", True), ("data.x", False), ("", False), (None, False)])
def test_a_condition_may_name_how_a_text_begins(said, is_shown):
    more = {"type": "string", "showWhen": {"where": ["preferences.*", "all"]}}
    asked = form(where={"type": "string"}, more=more)
    asked = replace(asked, fields=tuple(replace(field, required=False) for field in asked.fields))
    assert ("more" in asked.read({"where": said})) is is_shown
    assert is_one_of("x", ["*"])
    assert not is_one_of("", ["*"])


@pytest.mark.parametrize("name", WITH_FORM)
def test_a_field_depends_on_fields_before_it_only(name):
    before = set()
    for field in load(name).form.fields:
        assert set(field.shown_when) <= before, field.name
        before.add(field.name)


def flow(*steps):
    return Dataflow.load(json.dumps({"name": "t", "steps": steps}))


def test_values_keep_their_types_lists_are_spliced_and_empty_ones_are_left_out():
    asked = form(n={"type": "integer"}, fields=PAIRS, empty={"type": "string"})
    template = flow(
        {
            "id": "a",
            "type": "x",
            "params": {
                "number": "{{n}}",
                "text": "n is {{n}}",
                "gone": "{{empty}}",
                "pairs": [{"sourceField": "k", "targetField": "K"}, "{{fields}}"],
                "names": ["K", "{{fields|targets}}", "{{empty}}"],
                "select": "k, {{fields|sources}}, {{empty}}",
                "later": "{{host}}",
                "chosen": {"when": {"n": [5]}, "value": "{{n}}"},
                "not chosen": {"when": {"n": [6]}, "value": "x"},
            },
        }
    )
    pairs = [{"sourceField": "a.b", "targetField": "AB"}]
    made = filled(template, asked, {"n": 5, "fields": pairs, "empty": ""}).flow.steps[0].params
    assert made == {
        "number": 5,
        "text": "n is 5",
        "pairs": [{"sourceField": "k", "targetField": "K"}, *pairs],
        "names": ["K", "AB"],
        "select": "k, a.b",
        "later": "{{host}}",
        "chosen": 5,
    }


def test_a_step_that_is_left_out_is_stepped_over():
    asked = form(zip={"type": "boolean"})
    template = flow(
        {"id": "a", "type": "x", "next": ["b", "d"]},
        {"id": "b", "type": "x", "when": {"zip": [True]}, "next": ["c"]},
        {"id": "c", "type": "x", "when": {"zip": [True]}, "next": ["d"], "error": ["a"]},
        {"id": "d", "type": "x"},
    )
    without = filled(template, asked, {"zip": False}).flow
    assert [(step.id, step.next) for step in without.steps] == [("a", ("d",)), ("d", ())]
    whole = filled(template, asked, {"zip": True}).flow
    assert [step.id for step in whole.steps] == ["a", "b", "c", "d"]
    assert "when" not in whole.dump()


@pytest.mark.parametrize(("given", "steps"), [("x", ["a", "b"]), ("", ["a"])])
def test_a_step_may_depend_on_whether_a_field_is_given_at_all(given, steps):
    template = flow({"id": "a", "type": "x", "next": ["b"]}, {"id": "b", "type": "x", "when": {"f": "*"}})
    made = filled(template, form(f={"type": "string"}), {"f": given}).flow
    assert [step.id for step in made.steps] == steps


def test_a_branch_that_is_left_out_leads_nowhere():
    asked = form(count={"type": "boolean"})
    template = flow(
        {"id": "a", "type": "x", "next": ["b", "c"]},
        {"id": "b", "type": "x", "next": ["d"]},
        {"id": "c", "type": "x", "branchWhen": {"count": [True]}, "next": ["d"]},
        {"id": "d", "type": "x"},
    )
    without = filled(template, asked, {"count": False}).flow
    assert [(step.id, step.next) for step in without.steps] == [("a", ("b",)), ("b", ("d",)), ("d", ())]
    whole = filled(template, asked, {"count": True}).flow
    assert [(step.id, step.next) for step in whole.steps][:3] == [("a", ("b", "c")), ("b", ("d",)), ("c", ("d",))]
    assert "branchWhen" not in whole.dump()


@pytest.mark.parametrize(
    ("field", "purpose"),
    [
        ("data.subscribed", "data.subscribed"),
        ("subscriptions.news.email.isSubscribed", "subscriptions.news.email"),
        ("preferences.privacy.marketing.isConsentGranted", "preferences.privacy.marketing"),
    ],
)
def test_a_consent_is_named_as_guards_name_it(field, purpose):
    made = filled(
        flow({"id": "a", "type": "x", "params": {"p": "{{f|purpose}}"}}), form(f={"type": "string"}), {"f": field}
    )
    assert made.flow.steps[0].params == {"p": purpose}


def test_the_scheduling_of_a_form_is_filled_too():
    asked = Form.load(b'{"properties":{"x":{"type":"string"}},"scheduling":{"name":"{{x}} daily"}}', shared=bytes)
    assert filled(flow({"id": "a", "type": "x"}), asked, {"x": "Mail"}).scheduling == {"name": "Mail daily"}


def test_an_unknown_template_is_an_error_that_lists_the_known_ones():
    with pytest.raises(FlowError, match="silverpop-outbound"):
        load("silverpop")
