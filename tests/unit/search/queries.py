"""Random records and queries over a small vocabulary, so that conditions often hold."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

KEYS = ("a", "b", "tags", "UID")
WORDS = (
    "red",
    "Red",
    "red wine",
    "dark_red",
    "5",
    "5.5",
    "true",
    "",
    "é",
    "x'y",
    'x"y',
    "back\\slash",
    "2020-01-01",
    "z",
)
NUMBERS = (0, 1, 5, -3, 5.5, 0.1, 1e20, 2**63, 2**53 + 1, -(2**70), 1e-7)

scalars = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(NUMBERS),
    st.integers(-9, 9),
    st.booleans(),
    st.none(),
    st.text("ab _é", max_size=3),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
records = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
paths = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(".".join)


def written(value: Any) -> str:
    """A literal of the language, in either kind of quotes."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
        return f"'{escaped}'" if len(value) % 2 else f'"{escaped}"'
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value)


literals = st.one_of(st.sampled_from(WORDS), st.sampled_from(NUMBERS), st.integers(-9, 9), st.booleans()).map(written)
patterns = st.sampled_from(
    ["red.*", "[0-9]+", "(red|blue) ?w.+", "d?r*e{1,2}d", ".*", "5\\\\.5", "[^a]+", "(a|b)*", ".*é.*"]
)
predicates = st.one_of(
    st.tuples(paths, st.sampled_from(["=", "!=", ">", ">=", "<", "<="]), literals).map(" ".join),
    st.tuples(paths, st.lists(literals, min_size=1, max_size=4)).map(lambda p: f"{p[0]} IN ({', '.join(p[1])})"),
    st.tuples(paths, st.lists(literals, min_size=1, max_size=4)).map(lambda p: f"{p[0]} NOT IN ({', '.join(p[1])})"),
    st.tuples(paths, st.sampled_from(["CONTAINS", "not contains"]), literals).map(" ".join),
    st.tuples(paths, st.sampled_from(["IS NULL", "is not null", "= null", "!= NULL"])).map(" ".join),
    st.tuples(paths, st.sampled_from(["=", "!="]), patterns).map(lambda p: f"{p[0]} {p[1]} regex('{p[2]}')"),
    st.tuples(paths, st.sampled_from(["LIKE", "NOT LIKE"]), st.sampled_from(["'red%'", '"%e_"', "'%'", "'5.5'"])).map(
        " ".join
    ),
)
conditions = st.recursive(
    predicates,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(" AND ".join),
        st.lists(inner, min_size=2, max_size=3).map(" OR ".join),
        inner.map(lambda text: f"NOT ({text})"),
        inner.map(lambda text: f"!({text})"),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=5,
)
orders = st.lists(st.tuples(paths, st.sampled_from(["", " ASC", " desc"])).map("".join), max_size=2).map(
    lambda keys: f" ORDER BY {', '.join(keys)}" if keys else ""
)
