"""The compiled SQL and the evaluator find the same records in the same order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec
from hypothesis import example, given, strategies as st

from landbridge.search import parse, search
from landbridge.search.sql import Column, ColumnType, Layout, Side, order_by, where
from landbridge.search.sqlite import SqliteDialect, register_functions
from tests.unit.search.queries import conditions, orders, records

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


def test_thousands_of_conditions_do_not_exceed_the_databases_depth() -> None:
    rows = [{"UID": "red"}, {"UID": "blue"}]
    text = "SELECT * FROM records WHERE " + " OR ".join(["UID = 'none'"] * 3000) + " OR UID = 'blue'"
    assert found_by_sql(text, rows, INDEXED) == [2]


def test_values_of_a_query_never_stand_in_the_sql() -> None:
    condition = where(parse('SELECT * FROM t WHERE a.b = "\'; DROP TABLE records; --"').where, PLAIN, SqliteDialect())
    assert "DROP" not in condition.text
