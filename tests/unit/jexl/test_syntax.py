"""Expressions that are refused before a job starts."""

import json

import pytest
from hypothesis import given, strategies as st

from landbridge.components.catalogue import InstalledComponents
from landbridge.components.jexl.syntax import parse
from landbridge.dataflow.lint import lint
from landbridge.errors import FlowError


@pytest.mark.parametrize(
    ("expression", "place", "what"),
    [
        ("a ==", "line 1, column 5", "ends too early"),
        ("a == b == c", "line 1, column 8", '"==" is not expected'),
        ("a\n  = 1", "line 2, column 3", '"=" is not expected'),
        ("a # b", "line 1, column 3", '"#" is not expected'),
        ("(a", "line 1, column 3", "ends too early"),
        ("'a", "line 1, column 1", "is not expected"),
        ("a ? b", "line 1, column 6", "ends too early"),
        ("", "line 1, column 1", "ends too early"),
        ("a; b", "line 1, column 2", '";" is not expected'),
        ("a =~ '('", "line 1, column 3", "regular expression"),
        ("a.matches('[')", "line 1, column 3", "regular expression"),
    ],
)
def test_a_wrong_expression_is_refused_with_line_and_column(expression, place, what):
    with pytest.raises(FlowError) as caught:
        parse(expression)
    assert caught.value.code == "LB-1611"
    assert place in caught.value.message
    assert what in caught.value.message


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("upper(a)", "unknown function upper() at line 1, column 1"),
        ("a.toLowercase()", "unknown method toLowercase() at line 1, column 3"),
        ("a.getClass()", "unknown method getClass() at line 1, column 3"),
        ("b + a.substring()", "substring() takes 1 to 2 values, not 0 at line 1, column 7"),
    ],
)
def test_an_unknown_function_or_method_is_refused_with_its_place(expression, message):
    with pytest.raises(FlowError) as caught:
        parse(expression)
    assert caught.value.code == "LB-1612"
    assert message in caught.value.message


@pytest.mark.parametrize(
    "expression", ["(" * 30_000 + "a" + ")" * 30_000, "-" * 500 + "a", "!" * 15_000 + "a", "a" * 30_000]
)
def test_an_expression_without_measure_is_refused(expression):
    with pytest.raises(FlowError) as caught:
        parse(expression)
    assert caught.value.code == "LB-1613"


@given(st.text(st.sampled_from("ab. '\"()[]=!<>~^$?:&|+-*/%0123456789,#{}\\\n\tornulempty"), max_size=40))
def test_any_text_is_an_expression_or_a_clear_error(text):
    assert code_of(text) in {None, "LB-1611", "LB-1612", "LB-1613"}


def code_of(text):
    try:
        parse(text)
    except FlowError as error:
        return error.code
    return None


def steps(expression):
    return {
        "steps": [
            {"id": "r", "type": "datasource.read.local", "params": {"path": "in"}, "next": ["p"]},
            {"id": "p", "type": "file.parse.json", "next": ["e"]},
            {
                "id": "e",
                "type": "field.evaluate",
                "params": {"language": "jexl", "fields": [{"field": "X", "expression": expression}]},
                "next": ["f"],
            },
            {"id": "f", "type": "file.format.json", "params": {"fileName": "x.json"}, "next": ["w"]},
            {"id": "w", "type": "datasource.write.local", "params": {"path": "out"}},
        ]
    }


def problems(expression):
    return lint(json.dumps(steps(expression)), InstalledComponents())


def test_lint_finds_a_wrong_expression():
    (problem,) = problems("a eq")
    assert (problem.code, problem.severity, problem.step) == ("LB-1611", "error", "e")
    assert 'field "X"' in problem.message
    assert "line 1, column 5" in problem.message


def test_lint_leaves_expressions_alone_that_are_filled_in_later():
    assert [problem.code for problem in problems("{{expression}} ? 1 :")] == ["LB-1042"]
    assert problems("job eq '${jobId}'") == []
