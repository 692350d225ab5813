"""The compiled SQL and the evaluator find the same records in the same order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from landbridge.search import parse, search
from landbridge.search.evaluate import aggregate, paths_read
from landbridge.search.sql import Column, ColumnType, Layout, Side, order_by, parts, rebuilt, where
from landbridge.search.sqlite import SqliteDialect, register_functions
from tests.unit.search.queries import conditions, orders, paths, records

PLAIN = Layout("doc")
INDEXED = Layout(
    "doc",
    columns={
        ("UID",): Column("uid", ColumnType.TEXT),
        ("a",): Column("a", ColumnType.INTEGER),
        ("b", "tags"): Side("tags", key="record", value="tag"),
    },
)


@contextmanager
def database(rows: list[dict[str, Any]], layout: Layout) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        register_functions(connection)
        connection.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, doc TEXT, uid TEXT, a INTEGER)")
        connection.execute("CREATE TABLE tags (record INTEGER, tag TEXT)")
        for number, row in enumerate(rows, start=1):
            text = msgspec.json.encode(row).decode()
            columns = (row.get("UID"), row.get("a")) if layout is INDEXED else (None, None)
            connection.execute("INSERT INTO records VALUES (?, ?, ?, ?)", (number, text, *columns))
            for tag in row.get("b", {}).get("tags", ()) if layout is INDEXED else ():
                connection.execute("INSERT INTO tags VALUES (?, ?)", (number, tag))
        yield connection


def found_by_sql(text: str, rows: list[dict[str, Any]], layout: Layout) -> list[int]:
    query = parse(text)
    condition = where(query.where, layout, SqliteDialect())
    order = order_by(query.order_by, layout, SqliteDialect())
    with database(rows, layout) as connection:
        statement = f"SELECT id FROM records WHERE {condition.text} ORDER BY {order.text}"
        return [row[0] for row in connection.execute(statement, condition.parameters + order.parameters)]


def found_in_memory(text: str, rows: list[dict[str, Any]]) -> list[int]:
    decoded = [msgspec.json.decode(msgspec.json.encode(row)) for row in rows]
    numbered = [{**row, "number": number} for number, row in enumerate(decoded, start=1)]
    return [record["number"] for record in search(parse(text), numbered, default_limit=len(rows)).records]


@given(st.lists(records, max_size=5), conditions, orders)
@example([{"a": {"b": []}}, {"a": {"b": [None]}}, {"a": {"b": [[]]}}], "a.b IS NULL", "")
@example([{"a": [{"b": [{"tags": "red"}]}]}], "a.b.tags = 'red'", "")
@example([{"a": [[{"b": 1}]]}], "a.b = 1", "")
@example([{"a": 2**63}, {"a": -(2**70)}], "a = 9223372036854775808 OR a < -1e20", " ORDER BY a desc")
def test_documents_without_columns(rows: list[dict[str, Any]], condition: str, order: str) -> None:
    text = f"SELECT * FROM records WHERE {condition}{order}"
    assert found_by_sql(text, rows, PLAIN) == found_in_memory(text, rows)


typed_rows = st.fixed_dictionaries(
    {},
    optional={
        "UID": st.sampled_from(["red", "5", "true", "", "dark_red"]),
        "a": st.integers(-9, 9),
        "b": st.fixed_dictionaries({"tags": st.lists(st.sampled_from(["red", "5", "dark red"]), max_size=3)}),
    },
)


@given(st.lists(typed_rows, max_size=5), conditions, orders)
def test_documents_with_indexed_columns_and_side_tables(rows: list[dict[str, Any]], condition: str, order: str) -> None:
    text = f"SELECT * FROM records WHERE {condition}{order}"
    assert found_by_sql(text, rows, INDEXED) == found_in_memory(text, rows)


functions = st.one_of(
    st.just("count(*)"),
    st.tuples(st.sampled_from(["count", "min", "max", "sum"]), paths).map(lambda pair: f"{pair[0]}({pair[1]})"),
)


@given(st.lists(records, max_size=6), st.lists(paths, max_size=2), st.lists(functions, min_size=1, max_size=3))
@example([{"a": {"b": 1}}, {"a": {"b": 1.0}}, {"a": [{"b": 1}]}], ["a.b"], ["count(a.b)"])
@example([{"a": {"b": {"tags": [1, 2]}}}, {"a": "x"}], ["a", "a.b"], ["sum(a.b.tags)", "count(a)"])
def test_groups_of_equal_parts_count_as_their_records(
    rows: list[dict[str, Any]], groups: list[str], selected: list[str]
) -> None:
    query = parse(
        f"SELECT {', '.join([*groups, *selected])} FROM records" + (f" GROUP BY {', '.join(groups)}" if groups else "")
    )
    read = paths_read(query)
    columns = f"{parts(read, 'doc', SqliteDialect())}, " if read else ""
    grouping = f" GROUP BY {', '.join(str(number + 1) for number in range(len(read)))}" if read else ""
    with database(rows, PLAIN) as connection:
        found = connection.execute(
            f"SELECT {columns}count(*), min(id) FROM records{grouping} ORDER BY min(id)"
        ).fetchall()
    by_sql = aggregate(query, [(rebuilt(read, row[:-2]), row[-2]) for row in found])
    plain = [msgspec.json.decode(msgspec.json.encode(row)) for row in rows]
    by_records = aggregate(query, [(row, 1) for row in plain])
    assert same(by_sql, by_records)


def same(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> bool:
    """Sums of the same numbers in another order differ in their last digits."""
    return len(left) == len(right) and all(
        one.keys() == other.keys()
        and all(
            value == other[key] or (isinstance(value, float) and value == pytest.approx(other[key]))
            for key, value in one.items()
        )
        for one, other in zip(left, right, strict=True)
    )


def test_thousands_of_conditions_do_not_exceed_the_databases_depth() -> None:
    rows = [{"UID": "red"}, {"UID": "blue"}]
    text = "SELECT * FROM records WHERE " + " OR ".join(["UID = 'none'"] * 3000) + " OR UID = 'blue'"
    assert found_by_sql(text, rows, INDEXED) == [2]


def test_values_of_a_query_never_stand_in_the_sql() -> None:
    condition = where(parse('SELECT * FROM t WHERE a.b = "\'; DROP TABLE records; --"').where, PLAIN, SqliteDialect())
    assert "DROP" not in condition.text
