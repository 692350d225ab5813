"""What conditions, projections and functions mean."""

from __future__ import annotations

import time
from typing import Any

import pytest

from landbridge.search import matches, parse, project, search
from landbridge.search.patterns import matcher, regex

ANNA = {
    "UID": "u1",
    "isActive": True,
    "profile": {
        "firstName": "Anna",
        "age": 31,
        "bio": "likes dark_red wine, ski-ing and New York",
        "likes": [{"name": "Opera", "category": "Music"}, {"name": "Tennis"}],
    },
    "data": {"score": 4.5, "interests": ["ski", "books, used"], "note": None, "big": 2**70},
}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("profile.firstName = 'Anna'", True),
        ("profile.firstName = 'anna'", False),
        ("profile.age > 30 AND profile.age < '32'", True),
        ("profile.age = 31.0", True),
        ("isActive = true", True),
        ("isActive = 'true'", True),
        ("isActive = 1", False),
        ("profile.likes.name = 'Tennis'", True),
        ("profile.likes.name contains 'Opera'", True),
        ("profile.likes.name in ('Chess', 'Opera')", True),
        ("profile.likes.category != 'Music'", False),
        ("data.missing != 'x'", True),
        ("data.missing = 'x'", False),
        ("data.note IS NULL", True),
        ("data.interests IS NOT NULL", True),
        ("profile IS NOT NULL", True),
        ("profile.bio CONTAINS 'red'", True),
        ("profile.bio CONTAINS 'wine'", True),
        ("profile.bio CONTAINS 'win'", False),
        ("profile.bio CONTAINS 'ski'", True),
        ("profile.bio CONTAINS 'New York'", True),
        ("profile.bio NOT CONTAINS 'york'", True),
        ("data.interests CONTAINS 'books'", True),
        ("profile.firstName = regex('A.*')", True),
        ("profile.firstName = regex('A')", False),
        ("profile.firstName = regex('An{2}(a|b)')", True),
        ("profile.firstName LIKE 'An%'", True),
        ("profile.firstName LIKE 'A_na'", True),
        ("data.big > 1e20", True),
    ],
)
def test_a_condition_holds_or_not(condition: str, holds: bool) -> None:
    assert matches(parse(f"SELECT * FROM accounts WHERE {condition}").where, ANNA) is holds


@pytest.mark.parametrize(
    ("select", "result"),
    [
        ("UID", {"UID": "u1"}),
        ("UID AS _UID", {"_UID": "u1"}),
        ("profile.firstName AS contactName", {"profile": {"contactName": "Anna"}}),
        ("profile.firstName, profile.age", {"profile": {"firstName": "Anna", "age": 31}}),
        ("profile.likes.name", {"profile": {"likes": [{"name": "Opera"}, {"name": "Tennis"}]}}),
        (
            "profile.likes.category, profile.likes.name",
            {"profile": {"likes": [{"category": "Music", "name": "Opera"}, {"name": "Tennis"}]}},
        ),
        ("data.interests, data.missing, nothing.at.all", {"data": {"interests": ["ski", "books, used"]}}),
        ("data.note", {"data": {"note": None}}),
    ],
)
def test_a_selection_keeps_the_nesting_of_the_record(select: str, result: dict[str, Any]) -> None:
    assert project(parse(f"SELECT {select} FROM accounts"), ANNA) == result


def test_a_selection_leaves_the_record_as_it_is() -> None:
    project(parse("SELECT profile, profile.age AS years FROM accounts"), ANNA)
    assert "years" not in ANNA["profile"]  # type: ignore[operator]


PEOPLE = [
    {"city": "Bern", "points": 10},
    {"city": "Wien", "points": 1},
    {"city": "Bern", "points": 20},
    {"points": "many"},
]


@pytest.mark.parametrize(
    ("select", "result"),
    [
        ("count(*)", {"count(*)": 4}),
        ("count(city)", {"count(city)": 3}),
        ("sum(points) AS total", {"total": 31}),
        ("min(points), max(city)", {"min(points)": 1, "max(city)": "Wien"}),
        ("avg(points)", {"avg(points)": 31 / 3}),
        ("sum_of_squares(points)", {"sum_of_squares(points)": 501.0}),
    ],
)
def test_functions_run_over_what_matches(select: str, result: dict[str, Any]) -> None:
    found = search(parse(f"SELECT {select} FROM people"), PEOPLE)
    assert found.records == (result,)
    assert found.total == 4


def test_variance_and_deviation_are_those_of_the_whole_population() -> None:
    (row,) = search(
        parse("SELECT variance(x), std(x) FROM t"), [{"x": value} for value in (2, 4, 4, 4, 5, 5, 7, 9)]
    ).records
    assert row == {"variance(x)": 4.0, "std(x)": 2.0}


def test_groups_are_counted() -> None:
    found = search(parse("SELECT city, count(*) FROM people GROUP BY city ORDER BY city"), PEOPLE)
    assert found.records == ({"city": "Bern", "count(*)": 2}, {"city": "Wien", "count(*)": 1}, {"count(*)": 1})
    assert found.total == 3


def test_functions_over_nothing_count_to_zero() -> None:
    assert search(parse("SELECT count(*) FROM people"), []).records == ({"count(*)": 0},)


def test_pages_are_cut_by_start_and_limit() -> None:
    found = search(parse("SELECT points FROM people ORDER BY points DESC START 1 LIMIT 2"), PEOPLE)
    assert found.records == ({"points": 20}, {"points": 10})
    assert found.total == 4


def test_with_counters_and_filter_keep_the_counters_that_fit() -> None:
    record = {"counters": [{"class": "_views", "value": 3}, {"class": "_likes", "value": 9}]}
    query = parse("SELECT counters FROM accounts FILTER counters.class = '_likes' WITH counters")
    assert project(query, record) == {"counters": [{"class": "_likes", "value": 9}]}


def test_a_pattern_of_exponential_time_is_matched_in_linear_time() -> None:
    began = time.process_time()
    assert not matcher(regex("(a+)+b"))("a" * 5000)
    assert not matcher(regex(".*.*.*.*.*x"))("a" * 5000)
    assert time.process_time() - began < 2
