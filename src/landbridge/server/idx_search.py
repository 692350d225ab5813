"""idx.search: queries over dataflows, drafts, versions, schedulings, jobs and components, paged by cursors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from landbridge.gigya_wire.replies import Payload, invalid
from landbridge.jobs.db import Transaction
from landbridge.search import Query, QueryError, parse, project
from landbridge.search.evaluate import aggregate, compiled, ordered
from landbridge.search.query import Field
from landbridge.server.idx_calls import Call, Method, method
from landbridge.server.idx_cursors import Key, OpenSearch
from landbridge.server.idx_records import Record
from landbridge.server.idx_tables import TABLES, Table

DEFAULT_LIMIT: Final = 1000
"""How many records a query without LIMIT gives; the vendor does not publish its own number."""

MAX_LIMIT: Final = 10_000

_FETCHED_AT_ONCE: Final = 500
_KEY: Final = "\x00key"


def _search(call: Call) -> Payload:
    parameters = call.parameters
    cursor = parameters.text("cursorId")
    if cursor is not None:
        name, found, position = call.searches.find(cursor, api_key=call.site.api_key)
        with call.database.read() as tx:
            return _page(tx, call, found, position, name=name)
    query = _query(parameters.required("query"))
    table = _table(query)
    pages = bool(parameters.boolean("openCursor"))
    with call.database.read() as tx:
        if query.is_aggregate:
            if pages:
                raise invalid("openCursor", "cannot be used with functions or GROUP BY")
            return _groups(tx, call, query, table)
        keys = _keys(tx, call, query, table)
        size = _limit(query)
        start = query.start or 0
        if not pages:
            return _results(_fetched(tx, call, query, table, keys[start : start + size]), total=len(keys))
        return _page(tx, call, OpenSearch(call.site.api_key, query, keys[start:], size), 0, name=None)


def _query(text: str) -> Query:
    try:
        return parse(text)
    except QueryError as error:
        raise invalid(
            "query", error.reason if error.position is None else f"{error.reason}, at {error.position}"
        ) from None


def _table(query: Query) -> Table:
    table = TABLES.get(query.source.lower())
    if table is None:
        raise invalid("query", f"there is no such table; there are {', '.join(TABLES)}")
    if query.filter is not None or query.with_objects:
        raise invalid("query", "FILTER and WITH have no meaning here")
    return table


def _limit(query: Query) -> int:
    limit = DEFAULT_LIMIT if query.limit is None else query.limit
    if limit > MAX_LIMIT:
        raise invalid("query", f"LIMIT is higher than {MAX_LIMIT}")
    return limit


def _matching(tx: Transaction, call: Call, query: Query, table: Table) -> Iterator[tuple[Key, Record]]:
    test = compiled(query.where)
    return ((key, record) for key, record in table.scan(tx, call.site, query.where) if test(record))


def _keys(tx: Transaction, call: Call, query: Query, table: Table) -> list[Key]:
    """The keys of what a query finds, in its order; of the records only what they are ordered by is kept."""
    order = Query(tuple(Field(each.path) for each in query.order_by), query.source)
    kept: list[dict[str, Any]] = [
        (project(order, record) if order.select else {}) | {_KEY: key}
        for key, record in _matching(tx, call, query, table)
    ]
    return [each[_KEY] for each in ordered(query.order_by, kept)]


def _groups(tx: Transaction, call: Call, query: Query, table: Table) -> Payload:
    groups = aggregate(query, ((record, 1) for _, record in _matching(tx, call, query, table)))
    groups = ordered(query.order_by, groups)
    start = query.start or 0
    return _results(groups[start : start + _limit(query)], total=len(groups))


def _page(tx: Transaction, call: Call, found: OpenSearch, position: int, *, name: str | None) -> Payload:
    end = position + found.page_size
    records = _fetched(tx, call, found.query, _table(found.query), found.keys[position:end])
    payload = _results(records, total=found.size)
    if end < found.size and found.page_size:
        payload["nextCursorId"] = f"{name or call.searches.keep(found)}_{end}"
    return payload


def _fetched(tx: Transaction, call: Call, query: Query, table: Table, keys: Any) -> list[Record]:
    records: list[Record] = []
    for at in range(0, len(keys), _FETCHED_AT_ONCE):
        part = keys[at : at + _FETCHED_AT_ONCE]
        there = table.fetch(tx, call.site, part)
        records += [project(query, there[key]) for key in part if key in there]
    return records


def _results(records: list[Record], *, total: int) -> Payload:
    # Known clients rely on it: nothing found is no key ``result``, instead of an empty array.
    payload: Payload = {"resultCount": len(records), "totalCount": total}
    return payload | ({"result": records} if records else {})


METHODS: Final[tuple[Method, ...]] = (method("idx.search", _search, "query openCursor cursorId"),)
