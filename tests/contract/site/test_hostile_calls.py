"""Whatever is sent to whichever method, the site answers in its own words, soon, and never fails inside."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given, settings, strategies as st

from landbridge.gigya_wire.transport import CONTROL
from landbridge.site.app import METHODS
from tests.contract.gigya.local_site import LocalSite, running_site
from tests.unit.search.queries import predicates

TIMEOUT_S = 15
MEMBERS = """
email isSubscribed tags isConsentGranted lang fields type format data profile firstName likes work
isCurrent name value hashSettings algorithm doubleOptIn a.b news.email.isSubscribed emails username
status topic level points actionID challengeID url events headers
""".split()  # noqa: SIM905 - words read better than quotes
"""Keys that methods look at in the objects that they are given."""

FIELDS = """
UID profile.email profile.likes.name data.score data.a.b data.x data created lastUpdatedTimestamp
isActive counters loginIDs.emails loginIDs.username emails.verified
preferences.terms.tos.isConsentGranted oid @timestamp errCode params.UID email token hasFullAccount
password.hash identities
""".split()  # noqa: SIM905 - words read better than quotes
"""Paths that some documents of the site have."""

ODD_TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", "null", "true", "0", "-1", "1e400", "NaN", "99999999999999999999", "\x00", "'", '"', "\\", "%"]
    ),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=8),
                st.sampled_from(MEMBERS),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
KNOWN_VALUES = st.sampled_from([
    "u1", "u1@example.com", "thing", "auto", "oid1", "upsert", "insert", "emails", "replace", "arrayPush", "_default",
    "visit", "2026-01-01T00:00:00Z", "1700000000000", "full,lite", "profile,data,subscriptions", "*",
    "SELECT * FROM accounts",
    "gigya.com/identifiers/email", "total", "last7Days", "/a/b", "https://127.0.0.1:1/hook",
])  # fmt: skip
PATHS = st.sampled_from(FIELDS)
FUNCTIONS = st.one_of(
    st.just("count(*)"),
    st.tuples(st.sampled_from(["count", "sum", "min", "max", "avg", "sum_of_squares", "variance", "std"]), PATHS).map(
        lambda pair: f"{pair[0]}({pair[1]})"
    ),
)
ITEMS = st.one_of(
    st.just("*"), PATHS, st.tuples(PATHS, st.sampled_from([" AS name", " name", " as data"])).map("".join)
)
SOURCES = st.sampled_from(["accounts", "ids", "emailAccounts", "communications", "thing", "thing", "auditLog"])


@st.composite
def queries(draw: st.DrawFn) -> str:
    """Queries of every clause, most of them well formed."""
    groups = draw(st.lists(PATHS, max_size=2))
    items = draw(st.lists(st.one_of(FUNCTIONS, st.sampled_from(groups)) if groups else ITEMS, min_size=1, max_size=3))
    if draw(st.integers(0, 9)) == 0:
        items.append(draw(FUNCTIONS))
    text = f"SELECT {', '.join(items)} FROM {draw(SOURCES)}"
    if draw(st.booleans()):
        text += f" WHERE {draw(predicates)}"
    if draw(st.integers(0, 5)) == 0:
        text += draw(st.sampled_from([" WITH counters", " FILTER counters.value > 1", " HAVING x = 1"]))
    if groups:
        text += f" GROUP BY {', '.join(groups)}"
    if draw(st.booleans()):
        text += f" ORDER BY {', '.join(draw(st.lists(PATHS, min_size=1, max_size=2)))}"
        text += draw(st.sampled_from(["", " DESC", " asc"]))
    if draw(st.integers(0, 3)) == 0:
        text += f" START {draw(st.integers(-1, 6000))}"
    if draw(st.booleans()):
        text += f" LIMIT {draw(st.integers(-1, 20000))}"
    return text


class Wire:
    """A connection that stays open, below any client library."""

    def __init__(self, site: LocalSite) -> None:
        own = site.site
        self._own = {"apiKey": own.api_key, "userKey": own.user_key, "secret": own.secret}
        self._connection = http.client.HTTPConnection(own.host, own.port, timeout=TIMEOUT_S)

    def call(self, method: str, parameters: dict[str, str]) -> dict[str, Any]:
        pairs = {**self._own, **{name: text for name, text in parameters.items() if name.lower() not in CONTROL}}
        body = "&".join(f"{_quoted(name)}={_quoted(text)}" for name, text in pairs.items())
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", f"/{method}", body, headers)
        reply = self._connection.getresponse()
        content = reply.read()
        assert reply.status == 200
        answer: dict[str, Any] = json.loads(content)
        return answer

    def close(self) -> None:
        self._connection.close()


def _quoted(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"))


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with running_site(people=30, seed=2) as site:
        site.call(
            "accounts.importFullAccount", UID="u1", profile={"email": "u1@example.com"}, data={"a": [1, {"b": "x"}]}
        )
        site.call(
            "accounts.importLiteAccount", email="lite@example.com", subscriptions={"news.email.isSubscribed": True}
        )
        site.call("accounts.registerCounters", counters=[{"class": "_c", "path": "/a"}])
        site.call("accounts.incrementCounters", UID="u1", counters=[{"class": "_c", "path": "/a", "value": 3}])
        site.call("ds.store", type="thing", oid="oid1", UID="u1", data={"x": {"y": [1, "z"]}})
        site.call("accounts.deleteAccount", UID="nobody")
        wire = Wire(site)
        yield wire
        wire.close()


def answered(wire: Wire, method: str, parameters: dict[str, str]) -> None:
    answer = wire.call(method, parameters)
    code = answer["errorCode"]
    assert code < 500_000, (method, parameters, answer)
    assert (code == 0) == (answer["statusCode"] == 200) or 200_000 <= code < 300_000


@pytest.mark.parametrize("method", ["accounts.search", "ids.search", "ds.search", "audit.search"])
@settings(max_examples=settings.default.max_examples)
@given(
    query=st.one_of(queries(), st.text(max_size=80)),
    cursor=st.booleans(),
    types=st.sampled_from(["", "lite", "full,lite"]),
)
def test_no_query_fails_inside_the_site(wire: Wire, method: str, query: str, cursor: bool, types: str) -> None:
    answered(wire, method, {"query": query, "openCursor": str(cursor), "accountTypes": types, "timeout": "10000"})


@settings(max_examples=settings.default.max_examples)
@given(queries(), st.sampled_from(["accounts.search", "ds.search", "audit.search"]))
def test_pages_end_and_hold_what_they_announce(wire: Wire, query: str, method: str) -> None:
    reply = wire.call(method, {"query": query, "openCursor": "true"})
    seen = reply.get("objectsCount", 0)
    while cursor := reply.get("nextCursorId"):
        reply = wire.call(method, {"cursorId": cursor})
        assert reply["objectsCount"] == len(reply["results"]) > 0
        seen += reply["objectsCount"]
        assert seen <= reply["totalCount"]
        if seen > 200:
            return
    assert reply["errorCode"] or seen == reply["totalCount"]


@pytest.mark.parametrize("name", sorted(METHODS))
@settings(max_examples=settings.default.max_examples // 4)
@given(data=st.data())
def test_no_parameter_fails_inside_the_site(wire: Wire, name: str, data: st.DataObject) -> None:
    known = sorted(METHODS[name].parameters - CONTROL)
    names = st.one_of(st.sampled_from(known), ODD_TEXT) if known else ODD_TEXT
    value = st.one_of(VALUES.map(_as_json), KNOWN_VALUES, ODD_TEXT)
    answered(wire, name, data.draw(st.dictionaries(names, value, max_size=6)))


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def test_the_site_still_works_after_all_that(wire: Wire) -> None:
    assert wire.call("accounts.search", {"query": "SELECT count(*) FROM accounts"})["errorCode"] == 0
    assert wire.call("accounts.importFullAccount", {"UID": "last", "importPolicy": "upsert"})["errorCode"] == 0
