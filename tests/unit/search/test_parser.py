"""The grammar: what it accepts, what it makes of it, and where it says no."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, strategies as st

from landbridge.search import QueryError, parse
from landbridge.search.patterns import matcher
from landbridge.search.query import (
    Aggregate,
    And,
    Call,
    Compare,
    Comparison,
    Contains,
    Field,
    Literal,
    Matches,
    Not,
    OneOf,
    Or,
    Order,
    Present,
    Query,
)
from tests.unit.search.queries import conditions, orders

FULL = """
select UID, profile.firstName As contactName, count(*), sum(data.points) total
FROM accounts where profile.age >= 18 and (isActive = TRUE or data.x in (1, "two", 'three')) FILTER counters.value > 1
with counters group by profile.city, profile.country order By created desc, UID START 5 LIMIT 10
"""


def test_every_clause_of_a_query_is_read() -> None:
    assert parse(FULL) == Query(
        select=(
            Field(("UID",)),
            Field(("profile", "firstName"), "contactName"),
            Call(Aggregate.COUNT, None),
            Call(Aggregate.SUM, ("data", "points"), "total"),
        ),
        source="accounts",
        where=And(
            (
                Compare(("profile", "age"), Comparison.GREATER_OR_EQUAL, Literal("18", 18)),
                Or(
                    (
                        Compare(("isActive",), Comparison.EQUAL, Literal("true", boolean=True)),
                        OneOf(("data", "x"), (Literal("1", 1), Literal("two"), Literal("three"))),
                    )
                ),
            )
        ),
        filter=Compare(("counters", "value"), Comparison.GREATER, Literal("1", 1)),
        with_objects=("counters",),
        group_by=(("profile", "city"), ("profile", "country")),
        order_by=(Order(("created",), descending=True), Order(("UID",))),
        start=5,
        limit=10,
    )


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM accounts WHERE lastUpdatedTimestamp > 1600000000000 ORDER BY lastUpdatedTimestamp ASC LIMIT 300",
        "SELECT * FROM accounts WHERE lastUpdatedTimestamp >= 1 ORDER BY lastUpdatedTimestamp LIMIT 10000",
        "SELECT * FROM emailAccounts WHERE hasLiteAccount=true AND hasFullAccount=false",
        "SELECT * FROM emailAccounts WHERE subscriptions.news.email.lastUpdatedSubscriptionState > '2020-01-01'",
        "SELECT counters FROM accounts WITH counters",
        'SELECT * FROM auditLog WHERE endpoint = "accounts.deleteAccount" AND errCode = "0" ORDER BY @timestamp',
        "SELECT * FROM auditLog WHERE @timestamp >= '2026-01-01T00:00:00.000Z' AND endpoint LIKE 'accounts.%'",
        "SELECT * FROM idx_job_status WHERE dataflowId='0f' order By updateTime desc LIMIT 5",
        'select UID,profile.likes.name from accounts where profile.likes.name contains "X"\n and data.a is not null',
        "SELECT * FROM accounts WHERE profile.zip = regex('[0-9]{4,5}')",
        "SELECT UID, profile FROM accounts WHERE data.news-letter = true;",
        "SELECT from, order FROM select WHERE limit.start = 1",
        "SELECT from.x FROM accounts WHERE not.a = 1 AND in = 2 ORDER BY by LIMIT 1",
    ],
)
def test_queries_of_known_clients_are_read(text: str) -> None:
    assert parse(text).source


def test_a_missing_comma_makes_the_second_name_an_alias() -> None:
    assert parse("SELECT UID profile.email FROM accounts").select == (Field(("UID",), "profile.email"),)


def test_and_binds_tighter_than_or() -> None:
    where = parse("SELECT * FROM a WHERE x=1 OR y=1 AND z=1").where
    assert isinstance(where, Or)
    assert isinstance(where.conditions[1], And)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r'"a\"b"', 'a"b'),
        (r"'it\'s'", "it's"),
        ('"it\'s"', "it's"),
        (r'"\\"', "\\"),
        (r'"\d"', r"\d"),
        ('"é 東"', "é 東"),
        (r'"\u00e9"', "é"),
        ('"two\nlines"', "two\nlines"),
    ],
)
def test_texts_are_unescaped(written: str, meant: str) -> None:
    where = parse(f"SELECT * FROM a WHERE x = {written}").where
    assert isinstance(where, Compare)
    assert where.literal.text == meant


@pytest.mark.parametrize(
    ("condition", "meant"),
    [
        ("x is null", Not(Present(("x",)))),
        ("x = null", Not(Present(("x",)))),
        ("x <> NULL", Present(("x",))),
        ("x != 1", Not(Compare(("x",), Comparison.EQUAL, Literal("1", 1)))),
        ("not x contains 'a'", Not(Contains(("x",), Literal("a")))),
        ("x NOT CONTAINS 'a'", Not(Contains(("x",), Literal("a")))),
        ("x like 'a%'", Matches(("x",), "a.*")),
        ("x = '5'", Compare(("x",), Comparison.EQUAL, Literal("5", 5))),
        ("x = 'TRUE'", Compare(("x",), Comparison.EQUAL, Literal("TRUE", None, boolean=True))),
    ],
)
def test_conditions_have_one_form(condition: str, meant: object) -> None:
    assert parse(f"SELECT * FROM a WHERE {condition}").where == meant


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 1, "too early"),
        ("SELECT", 7, "too early"),
        ("UPDATE accounts", 1, "unexpected"),
        ("SELECT * FROM accounts LIMIT 5 WHERE a = 1", 32, "unexpected"),
        ("SELECT * FROM accounts HAVING x = 1", 24, "unexpected"),
        ("SELECT * FROM accounts WHERE a = 'open", 34, "not closed"),
        ("SELECT * FROM accounts WHERE a ~ 1", 32, "unexpected character"),
        ("SELECT * FROM accounts LIMIT -1", 30, "whole number"),
        ("SELECT * FROM accounts LIMIT 1.5", 30, "whole number"),
        ("SELECT sum(*) FROM accounts", 8, "needs a field"),
        ("SELECT * FROM a WHERE x > null", 25, "null"),
        ("SELECT * FROM a WHERE x > regex('a')", 25, "regex"),
        ("SELECT * FROM a WHERE x = 1e999", 27, "too large"),
        ("SELECT * FROM a WHERE x = regex('(')", None, "malformed"),
        ("SELECT * FROM a WHERE x = regex('a**')", None, "cannot be repeated"),
        ("SELECT * FROM a WITH x WHERE y = 1 WITH z", None, "twice"),
        ("SELECT * FROM a WHERE " + "(" * 100 + "x = 1" + ")" * 100, None, "nested"),
        ("SELECT * FROM a WHERE " + "NOT " * 5000 + "x = 1", None, "nested"),
    ],
)
def test_what_is_no_query_is_refused_with_its_position(text: str, position: int | None, reason: str) -> None:
    with pytest.raises(QueryError) as refused:
        parse(text)
    assert reason in str(refused.value)
    assert refused.value.position == position
    assert refused.value.code == "LB-1801"


@given(st.text(max_size=60))
def test_arbitrary_text_is_a_query_or_a_clear_error(text: str) -> None:
    try:
        query = parse(text)
    except QueryError:
        return
    assert isinstance(query, Query)


WORDS = (
    "SELECT", "FROM", "WHERE", "accounts", "*", ",", "(", ")", "'", '"', "=", "!", "!=", "AND", "NOT", "IN", "LIKE",
    "regex(", "count(", "null", "1", "x.y", "x", "ORDER BY", "LIMIT", "START", "WITH", "\\", "'a'", "\ud800", "\x00",
)  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_words_in_any_order_are_a_query_or_a_clear_error(text: str) -> None:
    test_arbitrary_text_is_a_query_or_a_clear_error.hypothesis.inner_test(text)


@given(st.text(max_size=20))
def test_any_regular_expression_is_accepted_or_refused(pattern: str) -> None:
    escaped = pattern.replace("\\", "\\\\").replace("'", "\\'")
    try:
        where = parse(f"SELECT * FROM a WHERE x = regex('{escaped}')").where
    except QueryError:
        return
    assert isinstance(where, Matches)
    assert matcher(where.pattern)(pattern) in (True, False)


@given(conditions, orders)
def test_whatever_the_language_offers_is_accepted(condition: str, order: str) -> None:
    assert parse(f"SELECT * FROM t WHERE {condition}{order}").where is not None


def test_hostile_texts_are_refused_quickly() -> None:
    began = time.process_time()
    for text in (
        '"' + '\\"' * 200_000,
        "((((" * 100_000,
        "SELECT * FROM a WHERE x = '" + "a" * 900_000,
        "x" * 2_000_000,
    ):
        with pytest.raises(QueryError):
            parse(text)
    assert time.process_time() - began < 5
