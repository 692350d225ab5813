"""What expressions mean, value by value."""

import pytest

from landbridge.components.field.evaluate import FieldEvaluate, Rule
from landbridge.components.jexl import values
from landbridge.records import Batch
from tests.unit.jexl.expressions import Witness, evaluate, failure, value


@pytest.mark.parametrize(
    ("expression", "record", "result"),
    [
        # literals
        ("'it\\'s'", {}, "it's"),
        ('"a\\n\\u00e9"', {}, "a\né"),
        ("12", {}, 12),
        ("12L", {}, 12),
        ("1.5e2", {}, 150.0),
        ("[1, 'a', null]", {}, [1, "a", None]),
        ("null", {}, None),
        # names
        ("data.subscribed", {"data": {"subscribed": "x"}}, "x"),
        ("data.subscribed", {"data.subscribed": "x"}, "x"),
        ("data_subscribed", {"data.subscribed": "x"}, "x"),
        ("data_subscribed", {"data": {"subscribed": "x"}}, "x"),
        ("data_subscribed", {"data_subscribed": "y", "data.subscribed": "x"}, "y"),
        ("data_a", {"data.a": "literal", "data": {"a": "nested"}}, "literal"),
        ("data.a", {"data.a": "literal", "data": {"a": "nested"}}, "nested"),
        ("a['b c'].d", {"a": {"b c": {"d": 1}}}, 1),
        ("a.'b c'.d", {"a": {"b c": {"d": 1}}}, 1),
        ("a[1].b", {"a": [{"b": 1}, {"b": 2}]}, 2),
        ("a[n].b", {"a": [{"b": 1}, {"b": 2}], "n": 1}, 2),
        ("a[k]", {"a": {"x": 7}, "k": "x"}, 7),
        ("a[7]", {"a": [1]}, "absent"),
        ("order", {"order": 1}, 1),
        ("a.size", {"a": {"size": 3}}, 3),
        ("missing", {}, "absent"),
        ("missing.too.deep", {"missing": 3}, "absent"),
        ("größe", {"größe": 1}, 1),
        # comparison
        ("a == 'true'", {"a": True}, True),
        ("a == 'Yes'", {"a": True}, True),
        ("a eq 'false'", {"a": False}, True),
        ("a eq ''", {"a": False}, True),
        ("a == 1", {"a": "1"}, True),
        ("a == 1", {"a": "x"}, False),
        ("a == 1.0", {"a": 1}, True),
        ("a != null", {}, False),
        ("a eq null", {"a": None}, True),
        ("null eq null", {}, True),
        ("a == ''", {}, False),
        ("a lt 10", {"a": "9"}, True),
        ("a < '10'", {"a": "9"}, False),
        ("a <= b", {}, True),
        ("a < 1", {}, False),
        ("a ge 18", {"a": 18.0}, True),
        ("a == b", {"a": [1, {"x": 2}], "b": [1.0, {"x": 2}]}, True),
        # patterns and parts
        ("a =~ '[a-z]+'", {"a": "abc"}, True),
        ("a =~ '[a-z]+'", {"a": "abc1"}, False),
        ("a !~ '[a-z]+'", {"a": "abc1"}, True),
        ("a =~ '\\\\p{Alpha}+'", {"a": "abc"}, True),
        ("a =~ ['x', 'y']", {"a": "y"}, True),
        ("'y' =~ a", {"a": {"y": 1}}, True),
        ("a =^ 'ab'", {"a": "abc"}, True),
        ("a !^ 'ab'", {"a": "abc"}, False),
        ("a =$ 'bc'", {"a": "abc"}, True),
        ("a !$ 'bc'", {}, True),
        # logic
        ("a || b", {"a": "false", "b": "x"}, True),
        ("a or b and not c", {"a": 0, "b": 1, "c": ""}, True),
        ("!a", {}, True),
        ("not (a && b)", {"a": 1, "b": 0}, True),
        ("a ? 'y' : 'n'", {"a": 0.0}, "n"),
        ("a ? 1 : b ? 2 : 3", {"b": True}, 2),
        ("a ?: 'none'", {"a": ""}, "none"),
        ("a ?: 'none'", {"a": "x"}, "x"),
        ("a ?? 'none'", {"a": ""}, ""),
        ("a ?? 'none'", {"a": None}, "none"),
        # empty and size
        ("empty a", {}, True),
        ("empty(a)", {"a": "x"}, False),
        ("empty a", {"a": 0}, True),
        ("empty a", {"a": False}, False),
        ("empty profile", {"profile": {}}, True),
        ("empty profile", {"profile": {"a": 1}}, False),
        ("size(a)", {"a": "héé"}, 3),
        ("size a", {"a": [1, 2]}, 2),
        ("size(profile)", {"profile": {"a": 1, "b": 2}}, 2),
        ("size(a)", {}, 0),
        # arithmetic
        ("1 + 2 * 3 - 4", {}, 3),
        ("7 / 2", {}, 3),
        ("-7 / 2", {}, -3),
        ("-7 % 3", {}, -1),
        ("7 div 2.0", {}, 3.5),
        ("7 mod 0", {}, 0.0),
        ("a / 0", {"a": 1}, 0.0),
        ("a + b", {"a": "x", "b": "y"}, "xy"),
        ("a + 1", {"a": "5"}, 6),
        ("a + 1", {"a": "x"}, "x1"),
        ("a + 1", {"a": "1.5"}, "1.51"),
        ("a + 1.0", {"a": "1.5"}, 2.5),
        ("a + b", {}, 0),
        ("a + 'x'", {}, "x"),
        ("a + 'x'", {"a": True}, "truex"),
        ("'n=' + a", {"a": 1.5}, "n=1.5"),
        ("a * 2", {"a": 2**62}, 2**63),
        ("a - 1", {"a": True}, 0),
        ("-a", {"a": "3"}, -3),
        ("-a", {"a": True}, False),
        # methods
        ("a.trim().toLowerCase()", {"a": " ÄB\t"}, "äb"),
        ("a.toUpperCase()", {"a": "straße"}, "STRASSE"),
        ("a.substring(1)", {"a": "abc"}, "bc"),
        ("a.substring(1, 2)", {"a": "abc"}, "b"),
        ("a.replace('.', '')", {"a": "1.2.3"}, "123"),
        ("a.replaceAll('[0-9]+', '<$0>')", {"a": "a1b22"}, "a<1>b<22>"),
        ("a.replaceFirst('[0-9]', '')", {"a": "a1b2"}, "ab2"),
        ("a.contains('b')", {"a": "abc"}, True),
        ("a.startsWith('b')", {"a": "abc"}, False),
        ("a.length() > 2", {"a": "abc"}, True),
        ("a.split(';')[0]", {"a": "x;y"}, "x"),
        ("a.split(';')", {"a": "x;;y;;"}, ["x", "", "y"]),
        ("a.split('')", {"a": "xyz"}, ["x", "y", "z"]),
        ("a.indexOf('c')", {"a": "abc"}, 2),
        ("a.charAt(1)", {"a": "abc"}, "b"),
        ("a.equalsIgnoreCase('ABC')", {"a": "abc"}, True),
        ("a.equals('1')", {"a": 1}, False),
        ("a.toString() + '!'", {"a": 1}, "1!"),
        ("a.contains(2)", {"a": [1, 2]}, True),
        ("a.get(0)", {"a": [1, 2]}, 1),
        ("a.containsKey('x')", {"a": {"x": 1}}, True),
        ("a.trim()", {}, "absent"),
        ("a.trim()", {"a": None}, None),
    ],
)
def test_an_expression_has_the_value_that_jexl_gives_it(expression, record, result):
    found = value(expression, **record)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("expression", "record", "why"),
    [
        ("a.trim()", {"a": 5}, "a number has no trim()"),
        ("a > 5", {"a": "x"}, "a text is not a number"),
        ("a - 1", {"a": "x"}, "a text is not a number"),
        ("a.substring(9)", {"a": "x"}, "outside of the text"),
        ("a =~ b", {"a": "x", "b": "("}, "not a regular expression"),
        ("size(a)", {"a": 3}, "a number has no size"),
        ("a < b", {"a": [1], "b": [2]}, "cannot be compared"),
        ("a.contains(b)", {"a": "x"}, "is given null"),
        ("a * a * a * a", {"a": 1e300}, "too large"),
    ],
)
def test_a_record_without_a_value_is_rejected_with_the_reason(expression, record, why):
    message = failure(expression, **record)
    assert why in message
    assert message.startswith('the expression for "result" has no value: ')


def test_a_text_that_doubles_again_and_again_is_stopped():
    records = [{"a": "x" * (1 << 20)}]
    made, rejected = evaluate(records, a="[a + a, a + a]", b="a[0] + a[1]", c="b + b + b + b + b + b + b")
    assert made == []
    assert "too long" in rejected[0][1].message


def test_regular_expressions_from_records_do_not_pile_up():
    rows = [{"a": "x1", "b": f"x{number}"} for number in range(2_000)]
    results, _ = Rule("c", "a =~ b").results(Batch.from_objects(rows))
    assert sum(results.to_pylist()) == 1
    assert values._pattern.cache_info().currsize < len(rows) / 2


def test_a_failed_record_leaves_the_others_alone():
    made, rejected = evaluate([{"a": "1"}, {"a": "x"}, {"a": "3"}], b="a * 2")
    assert made == [{"a": "1", "b": 2}, {"a": "3", "b": 6}]
    assert [record for record, _ in rejected] == [{"a": "x"}]


def test_expressions_see_what_the_ones_before_have_set():
    made, _ = evaluate([{"a": 1}], b="a + 1", c="b + 1", a="c + 1")
    assert made == [{"a": 4, "b": 2, "c": 3}]


def test_a_missing_field_sets_nothing_and_null_sets_null():
    made, _ = evaluate([{"a": 1, "b": 2}], a="missing", b="null")
    assert made == [{"a": 1, "b": None}]


def test_a_dotted_target_makes_a_nested_field():
    made, _ = evaluate([{"data": {"x": 1}}], data__y="data.x + 1")
    assert made == [{"data": {"x": 1, "y": 2}}]


@pytest.mark.parametrize(
    ("field", "expression", "records", "results"),
    [
        (
            "Handicap__pc",
            "Handicap__pc eq '' || Handicap__pc eq null ? '#N/A' : Handicap__pc",
            [{"Handicap__pc": ""}, {"Handicap__pc": None}, {}, {"Handicap__pc": 5}, {"Handicap__pc": "7"}],
            ["#N/A", "#N/A", "#N/A", 5, "7"],
        ),
        (
            "Subscribed",
            "Subscribed eq 'true' ? 'Yes' : 'No'",
            [{"Subscribed": True}, {"Subscribed": "true"}, {"Subscribed": False}, {"Subscribed": "x"}, {}],
            ["Yes", "Yes", "No", "No", "No"],
        ),
        (
            "subscribed",
            "data_subscribed eq 'unsubscribed' ? 'false' : 'true'",
            [{"data.subscribed": "unsubscribed"}, {"data": {"subscribed": "active"}}, {}],
            ["false", "true", "true"],
        ),
        (
            "status",
            "status eq 'subscribed' ? true : false",
            [{"status": "subscribed"}, {"status": "cleaned"}, {}],
            [True, False, False],
        ),
        (
            "subscribed",
            "data.subscribed eq 'Yes' ? 'true' : 'false'",
            [{"data": {"subscribed": "Yes"}}, {"data": {"subscribed": "No"}}, {}],
            ["true", "false", "false"],
        ),
    ],
)
def test_the_expressions_of_common_dataflows_give_what_reading_them_says(field, expression, records, results):

    params = FieldEvaluate.Params.model_validate({"fields": [{"field": field, "expression": expression}]})
    for batch in ([record] for record in records):
        (made,) = FieldEvaluate(params, Witness()).apply(Batch.from_objects(batch)).to_objects()
        assert made[field] == results[records.index(batch[0])]
    made = FieldEvaluate(params, Witness()).apply(Batch.from_objects(records)).to_objects()
    assert [record[field] for record in made] == results
