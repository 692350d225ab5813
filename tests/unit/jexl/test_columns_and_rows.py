"""Whole columns give exactly what single records give, for any expression and any records."""

from hypothesis import event, given, settings, strategies as st

from landbridge.components.field.evaluate import Rule, value_of
from landbridge.components.jexl.columnar import Columns, NotColumnar
from landbridge.components.jexl.nodes import variables
from landbridge.components.jexl.syntax import parse
from landbridge.records import Batch, columns as col

TEXTS = st.sampled_from(
    ["", "a", "A b", " x ", "true", "false", "1", "12", "-3", "1.5", "é", "ß", "日本", "a.b", "\n", "\u2028"]
)
NUMBERS = st.sampled_from([0, 1, -1, 12, 18, 2**53, -(2**62)])
DECIMALS = st.sampled_from([0.0, 1.5, -2.25, 1e300])
KINDS = {"s": TEXTS, "t": TEXTS, "n": NUMBERS, "m": NUMBERS, "d": DECIMALS, "b": st.booleans(), "c": st.booleans()}
ANY = st.one_of(TEXTS, NUMBERS, DECIMALS, st.booleans(), st.none(), st.lists(NUMBERS, max_size=2))

records = st.lists(
    st.fixed_dictionaries(
        {},
        optional={**KINDS, "o": st.fixed_dictionaries({}, optional={"s": TEXTS, "n": NUMBERS}), "any": ANY},
    ),
    min_size=1,
    max_size=6,
)

literals = st.one_of(
    TEXTS.map(lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    NUMBERS.map(str),
    DECIMALS.map(repr),
    st.sampled_from(["true", "false", "null"]),
)
fields = st.sampled_from([*KINDS, "o.s", "o.n", "missing", "o", "any", "o_s"])
OPERATORS = ["==", "!=", "<", ">", "<=", ">=", "&&", "||", "+", "-", "*", "/", "%", "=^", "!^", "=$", "!$", "??", "?:"]
METHODS = [
    "trim()", "toLowerCase()", "toUpperCase()", "length()", "contains('a')", "startsWith('1')", "endsWith('b')",
    "replace('a', 'ff')", "isEmpty()", "substring(0)", "toString()", "size()",
]  # fmt: skip


def larger(inner):
    return st.one_of(
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(lambda parts: f"({' '.join(parts)})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        st.tuples(st.sampled_from(["not", "empty", "size", "!", "-"]), inner).map(
            lambda parts: f"{parts[0]} ({parts[1]})"
        ),
        st.tuples(fields, st.sampled_from(METHODS)).map(".".join),
        st.tuples(inner, st.sampled_from(METHODS)).map(lambda parts: f"({parts[0]}).{parts[1]}"),
    )


expressions = st.recursive(st.one_of(fields, literals), larger, max_leaves=6)


def shown(column):
    """Values with their types: true is not 1 and 1 is not 1.0."""
    return [(type(value), value) for value in col.to_values(column)]


@settings(max_examples=settings.default.max_examples * 3)
@given(expressions, records)
def test_columns_and_rows_agree(expression, rows):
    batch = Batch.from_objects(rows)
    rule = Rule("result", expression)
    node = parse(expression)
    paths = {path: value_of(batch, path) for path in variables(node)}
    try:
        by_column = Columns(paths, batch.num_rows).evaluate(node)
    except NotColumnar:
        event("row by row")
        return
    event("by column")
    by_row, failures = rule._by_row(paths, batch.num_rows)
    assert failures == {}
    assert shown(by_column) == shown(by_row)


@given(expressions, records)
def test_any_expression_gives_a_record_or_a_reason_for_each_record(expression, rows):
    batch = Batch.from_objects(rows)
    results, failures = Rule("result", expression).results(batch)
    assert len(results) == len(rows)
    assert all(text for text in failures.values())


def test_common_expressions_run_by_column():
    batch = Batch.from_objects([{"a": "x", "n": 1, "b": True}, {"a": "", "n": 2}, {}])
    for expression in (
        "b eq 'true' ? 'Yes' : 'No'",
        "a eq '' || a eq null ? '#N/A' : a",
        "n >= 2 && not empty a",
        "a.trim().toLowerCase() =^ 'x'",
        "n ?: 'none'",
    ):
        node = parse(expression)
        Columns({path: value_of(batch, path) for path in variables(node)}, 3).evaluate(node)
