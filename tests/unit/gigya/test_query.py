"""Select lists and queries; every literal is read back by a real parser of the language."""

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from landbridge.components import registry
from landbridge.components.datasource.gigya_query import build, known_columns, literal, parse_select
from landbridge.search import parse
from landbridge.search.query import Compare, Literal

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(TEXTS)
def test_any_text_becomes_a_literal_that_means_the_same(text):
    query = parse(build(["UID"], "accounts", conditions=[f"data.x = {literal(text)}"]))
    assert isinstance(query.where, Compare)
    assert isinstance(query.where.literal, Literal)
    assert query.where.literal.text == text


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (5, "5"), (2.5, "2.5"), ('a"b\\', '"a\\"b\\\\"')])
def test_other_values_stand_bare(value, text):
    assert literal(value) == text


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("UID", ["UID"]),
        (" UID ,profile.email as mail", ["UID", "profile.email AS mail"]),
        ("UID uid", ["UID AS uid"]),
        ("*", ["*"]),
        ("data.a-b", ["data.a-b"]),
    ],
)
def test_a_select_list_is_read(text, items):
    assert [str(item) for item in parse_select(text)] == items


@pytest.mark.parametrize("text", ["", "a,,b", "count(*)", "a b c", "a; DROP", "a as 'b'", "a, "])
def test_what_is_no_select_list_is_refused(text):
    with pytest.raises(ValueError, match="is not a field"):
        parse_select(text)


@pytest.mark.parametrize(
    ("component", "params"),
    [
        ("datasource.read.gigya.account", {}),
        ("datasource.read.gigya.comment", {}),
        ("datasource.read.gigya.ds", {"from": "purchases"}),
        ("datasource.lookup.gigya.account", {"lookupFields": [{"sourceField": "a", "gigyaField": "a"}]}),
    ],
)
def test_a_step_refuses_what_is_no_select_list(component, params):
    check = registry.get(component).Params.model_validate
    check({**params, "select": "UID, profile.email as mail"})
    with pytest.raises(ValidationError, match="is not a field"):
        check({**params, "select": "a; b"})


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("UID, profile.email as mail, data.x.y as z", ["UID", "profile.mail", "data.x.z"]),
        ("UID, UID", ["UID"]),
        ("UID, profile", None),
        ("subscriptions", None),
        ("UID, *", None),
    ],
)
def test_columns_are_known_where_only_single_values_are_selected(text, columns):
    assert known_columns(parse_select(text)) == columns


def test_several_conditions_all_hold_and_a_single_one_keeps_its_clauses():
    assert build(["*"], "x", conditions=["a = 1 OR b = 2", None, " ", "c > 3"], order_by="c", limit=5) == (
        "SELECT * FROM x WHERE (a = 1 OR b = 2) AND (c > 3) ORDER BY c LIMIT 5"
    )
    assert build(["*"], "x", conditions=["a = 1 ORDER BY a"]) == "SELECT * FROM x WHERE a = 1 ORDER BY a"
    assert build(["*"], "x") == "SELECT * FROM x"
