"""accounts.search, ds.search and audit.search: one way of searching, three places to search in."""

from __future__ import annotations

import hmac
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from landbridge.gigya_wire.authentication import check_access
from landbridge.gigya_wire.keys import hmac_sha1
from landbridge.gigya_wire.replies import ApiError, Payload, invalid, missing
from landbridge.gigya_wire.requests import Parameters
from landbridge.search import Query, QueryError, parse, project
from landbridge.search.evaluate import aggregate, ordered, paths_read
from landbridge.search.query import (
    Aggregate,
    And,
    Call as FunctionCall,
    Compare,
    Comparison,
    Condition,
    Contains,
    Field,
    Matches,
    Not,
    OneOf,
    Or,
)
from landbridge.search.sql import rebuilt
from landbridge.site.calls import Access, Call, Method, method
from landbridge.site.repository import Repository
from landbridge.site.snapshot import Snapshot
from landbridge.site.store_session import Session, Source

DEFAULT_LIMIT: Final = 300
MAX_LIMIT: Final = 10_000
MAX_WITHOUT_CURSOR: Final = 5000
MAX_START: Final = 5000
DEFAULT_TIMEOUT_MS: Final = 20_000
MAX_TIMEOUT_MS: Final = 60_000

_DECODER: Final = msgspec.json.Decoder()
_NOT_IN_RESULTS: Final = frozenset(("password", "internal", "customIdentifiers", "communications"))
_ACCOUNT_TYPES: Final = {
    frozenset(("full",)): Source.ACCOUNTS,
    frozenset(("lite",)): Source.LITE_ACCOUNTS,
    frozenset(("full", "lite")): Source.ALL_ACCOUNTS,
}


@dataclass(frozen=True, slots=True)
class Place:
    """What a query's FROM stands for."""

    source: Source
    kind: str = ""
    is_encrypted: Callable[[str], bool] = lambda _path: False


async def search_accounts(repository: Repository, call: Call) -> Payload:
    """accounts.search, also known as ids.search."""

    def place(query: Query) -> Place:
        match query.source:
            case "accounts" | "ids":
                return Place(_account_source(call), is_encrypted=_encrypted(repository))
            case "emailAccounts":
                return Place(Source.EMAIL_ACCOUNTS, is_encrypted=_encrypted(repository))
            case "communications":
                return Place(Source.COMMUNICATIONS)
            case unknown:
                raise invalid("query", f"there is no table {unknown}; search accounts or emailAccounts")

    return await _search(repository, call, place)


async def search_objects(repository: Repository, call: Call) -> Payload:
    """ds.search."""
    known = set(repository.object_schemas) | set(await repository.store.read(Session.object_types))

    def place(query: Query) -> Place:
        if query.source not in known:
            raise invalid("query", f"there is no data store type {query.source}")
        return Place(Source.OBJECTS, query.source)

    return await _search(repository, call, place)


async def search_audit(repository: Repository, call: Call) -> Payload:
    """audit.search; only ``*`` and ``count(*)`` can be selected."""

    def place(query: Query) -> Place:
        if query.source != "auditLog":
            raise invalid("query", f"there is no table {query.source}; search auditLog")
        if not query.selects_all and not _counts_all(query):
            raise invalid("query", "only * can be selected from auditLog")
        return Place(Source.AUDIT)

    return await _search(repository, call, place)


async def _search(repository: Repository, call: Call, place: Callable[[Query], Place]) -> Payload:
    parameters = call.parameters
    text, cursor = _query_text(parameters), parameters.text("cursorId")
    if not call.caller.is_application:
        _check_signature(repository, call, text)
    if text is not None and cursor is not None:
        raise invalid("cursorId", "cannot be used together with query")
    asked_ms = parameters.integer("timeout")
    timeout_ms = DEFAULT_TIMEOUT_MS if asked_ms is None else min(max(asked_ms, 1), MAX_TIMEOUT_MS)
    if cursor is not None:
        name, snapshot, position = repository.cursors.find(cursor)
        return await repository.store.read(
            lambda session: _page(repository, session, name, snapshot, position), timeout_s=timeout_ms / 1000
        )
    if text is None:
        raise missing("query")
    try:
        query = parse(text)
    except QueryError as error:
        at = f" at position {error.position}" if error.position is not None else ""
        raise invalid("query", f"{error.reason}{at}") from error
    where = place(query)
    with_cursor = parameters.boolean("openCursor") is True
    _check(query, where, with_cursor=with_cursor, encrypted=repository.switches.encrypted_fields)
    if repository.switches.encrypted_fields:
        query = replace(query, where=_as_a_whole(query.where, where.is_encrypted))
    before = repository.written_before_ms(call.now_ms)
    if with_cursor:
        return await _open(repository, query, where, before, timeout_ms / 1000)
    run = _groups if query.is_aggregate else _records
    return await repository.store.read(lambda session: run(session, query, where, before), timeout_s=timeout_ms / 1000)


def _query_text(parameters: Parameters) -> str | None:
    query, restricted = parameters.text("query"), parameters.text("restrictedQuery")
    if query is not None and restricted is not None:
        # The vendor does not say which of them counts, and the wrong one would find too much.
        raise invalid("restrictedQuery", "cannot be used together with query")
    return query if restricted is None else restricted


def _check_signature(repository: Repository, call: Call, query: str | None) -> None:
    """Let a client search by a query that a server has signed, as the vendor's page on searching has it.

    Raises:
        ApiError: 403007 without a signature or with a cursor, 403002 after ``expTime``, 403003 where it is wrong.
    """
    parameters = call.parameters
    given, expires = parameters.text("querySig"), parameters.integer("expTime")
    check_access(call.caller, allowed=given is not None, method=call.method)
    with_cursor = parameters.boolean("openCursor") is True or parameters.text("cursorId") is not None
    if query is None or given is None or expires is None or with_cursor:
        raise ApiError(403007, "A search without credentials needs query, querySig and expTime, and has no cursor")
    if call.now_ms > expires:
        raise ApiError(403002, "The query's signature has expired")
    keys = (repository.credentials.partner_secret, repository.credentials.secret)
    signatures = [hmac_sha1(key, f"{query}_{expires}").encode() for key in keys]
    if not any(hmac.compare_digest(known, given.encode("utf-8", "surrogatepass")) for known in signatures):
        raise ApiError(403003, "The query's signature is wrong")


def _check(query: Query, place: Place, *, with_cursor: bool, encrypted: bool) -> None:
    start = query.start or 0
    if start > MAX_START:
        raise invalid("query", f"START is more than {MAX_START}")
    if with_cursor and (query.start is not None or query.is_aggregate):
        raise invalid("openCursor", "cannot be used with START, GROUP BY or functions")
    if query.group_by and any(isinstance(item, Field) and item.path not in query.group_by for item in query.select):
        raise invalid("query", "a selected field is neither in a function nor in GROUP BY")
    if query.is_aggregate and not query.group_by and any(isinstance(item, Field) for item in query.select):
        raise invalid("query", "fields and functions can be selected together with GROUP BY only")
    if encrypted:
        _refuse_encrypted(query, place.is_encrypted)


def _refuse_encrypted(query: Query, is_encrypted: Callable[[str], bool]) -> None:
    for key in query.order_by:
        if is_encrypted(".".join(key.path)):
            raise invalid("query", f"{'.'.join(key.path)} is encrypted and cannot be ordered by")
    for condition in _predicates(query.where):
        path = ".".join(condition.path)
        ranged = isinstance(condition, Compare) and condition.operator is not Comparison.EQUAL
        if (ranged or isinstance(condition, Matches)) and is_encrypted(path):
            raise invalid("query", f"{path} is encrypted and can only be compared by = and !=")


def _predicates(condition: Condition | None) -> Iterator[Any]:
    match condition:
        case None:
            return
        case Not(inner):
            yield from _predicates(inner)
        case And(parts) | Or(parts):
            for part in parts:
                yield from _predicates(part)
        case _:
            yield condition


def _as_a_whole(condition: Condition | None, is_encrypted: Callable[[str], bool]) -> Condition | None:
    # CONTAINS on an encrypted field finds the whole value only.
    match condition:
        case Not(inner):
            changed = _as_a_whole(inner, is_encrypted)
            return Not(changed) if changed is not None else None
        case And(parts):
            return And(tuple(part for each in parts if (part := _as_a_whole(each, is_encrypted)) is not None))
        case Or(parts):
            return Or(tuple(part for each in parts if (part := _as_a_whole(each, is_encrypted)) is not None))
        case Contains(path, literal) if is_encrypted(".".join(path)):
            return OneOf(path, (literal,))
        case _:
            return condition


async def _open(repository: Repository, query: Query, place: Place, before: int | None, timeout_s: float) -> Payload:
    size = min(query.limit if query.limit is not None else DEFAULT_LIMIT, MAX_LIMIT)
    if size == 0:
        raise invalid("query", "LIMIT 0 cannot be used with openCursor")

    def opened(session: Session) -> tuple[Snapshot, list[dict[str, Any]] | msgspec.Raw, int, int]:
        ids = session.find(place.source, query.where, query.order_by, kind=place.kind, written_before_ms=before)
        snapshot = Snapshot(query, place.source, ids, size)
        return snapshot, *_results_from(session, snapshot, 0)

    snapshot, results, count, position = await repository.store.read(opened, timeout_s=timeout_s)
    payload: Payload = {"results": results, "objectsCount": count, "totalCount": len(snapshot.ids)}
    if position < len(snapshot.ids) or (repository.switches.empty_last_page and count):
        payload["nextCursorId"] = f"{repository.cursors.keep(snapshot)}_{position}"
    return payload


def _page(repository: Repository, session: Session, name: str, snapshot: Snapshot, position: int) -> Payload:
    results, count, following = _results_from(session, snapshot, position)
    payload: Payload = {"results": results, "objectsCount": count, "totalCount": len(snapshot.ids)}
    if following < len(snapshot.ids) or (repository.switches.empty_last_page and count):
        payload["nextCursorId"] = f"{name}_{following}"
    return payload


def _results_from(session: Session, snapshot: Snapshot, position: int) -> tuple[Any, int, int]:
    """A page's results, their number, and the position of the next page.

    Records that were deleted since the search was opened are made up for, because clients take a short page for the
    last one.
    """
    documents: list[Any] = []
    while len(documents) < snapshot.page_size and position < len(snapshot.ids):
        wanted = snapshot.ids[position : position + snapshot.page_size - len(documents)]
        documents += _documents(session, snapshot.query, snapshot.source, wanted)
        position += len(wanted)
    return _results(snapshot.query, documents), len(documents), position


def _records(session: Session, query: Query, place: Place, before: int | None) -> Payload:
    limit = min(query.limit if query.limit is not None else DEFAULT_LIMIT, MAX_WITHOUT_CURSOR)
    total = session.count(place.source, query.where, kind=place.kind, written_before_ms=before)
    ids: Sequence[int] = array("q")
    if limit and total:
        ids = session.find(
            place.source, query.where, query.order_by, kind=place.kind, written_before_ms=before,
            start=query.start or 0, limit=limit,
        )  # fmt: skip
    documents = _documents(session, query, place.source, ids)
    return {"results": _results(query, documents), "objectsCount": len(documents), "totalCount": total}


def _groups(session: Session, query: Query, place: Place, before: int | None) -> Payload:
    if _counts_all(query) and not query.group_by:
        total = session.count(place.source, query.where, kind=place.kind, written_before_ms=before)
        name = query.select[0].name if isinstance(query.select[0], FunctionCall) else ""
        return {"results": [{name: total}], "objectsCount": 1, "totalCount": total}
    paths = paths_read(query)
    few = len(paths) == len(query.group_by)
    found = 0

    def records() -> Iterator[tuple[dict[str, Any], int]]:
        nonlocal found
        for parts, times in session.groups(
            place.source, query.where, paths, few=few, kind=place.kind, written_before_ms=before
        ):
            found += times
            yield rebuilt(paths, parts), times

    groups = ordered(query.order_by, aggregate(query, records()))
    start, limit = query.start or 0, min(query.limit if query.limit is not None else DEFAULT_LIMIT, MAX_WITHOUT_CURSOR)
    page = groups[start : start + limit]
    return {"results": page, "objectsCount": len(page), "totalCount": len(groups) if query.group_by else found}


def _documents(session: Session, query: Query, source: Source, ids: Sequence[int]) -> list[Any]:
    """The documents of a page: texts where all is selected, else objects."""
    if not len(ids):
        return []
    if query.selects_all and "counters" not in query.with_objects:
        return list(session.fetch(source, ids))
    asks_extra = source is Source.ACCOUNTS and any(
        isinstance(item, Field) and item.path and item.path[0] in _NOT_IN_RESULTS for item in query.select
    )
    if asks_extra:
        objects = [
            _DECODER.decode(extra) | _DECODER.decode(document) for document, extra in session.fetch_with_extra(ids)
        ]
    else:
        objects = [_DECODER.decode(document) for document in session.fetch(source, ids)]
    if "counters" in query.with_objects:
        for record in objects:
            if text := session.document("counters", record.get("UID", "")):
                record["counters"] = list(_DECODER.decode(text).values())
    return objects


def _results(query: Query, documents: list[Any]) -> Any:
    if documents and isinstance(documents[0], bytes):
        return msgspec.Raw(b"[" + b",".join(documents) + b"]")
    return [project(query, document) for document in documents]


def _counts_all(query: Query) -> bool:
    return (
        len(query.select) == 1
        and isinstance(call := query.select[0], FunctionCall)
        and (call.function is Aggregate.COUNT and call.path is None)
    )


def _account_source(call: Call) -> Source:
    types = frozenset(call.parameters.names("accountTypes")) or frozenset(("full",))
    source = _ACCOUNT_TYPES.get(types)
    if source is None:
        raise invalid("accountTypes", "is neither full nor lite nor both")
    return source


def _encrypted(repository: Repository) -> Callable[[str], bool]:
    profile, data = repository.schemas["profileSchema"], repository.schemas["dataSchema"]

    def is_encrypted(path: str) -> bool:
        section, _, name = path.partition(".")
        schema = {"profile": profile, "data": data}.get(section)
        return schema is not None and schema.is_encrypted(name)

    return is_encrypted


_PARAMETERS: Final = "query cursorId openCursor timeout accountTypes restrictedQuery querySig expTime"

METHODS: Final[tuple[Method, ...]] = (
    method("accounts.search", search_accounts, _PARAMETERS, access=Access.USER, is_search=True),
    method("ds.search", search_objects, _PARAMETERS, access=Access.USER, is_search=True),
    method("audit.search", search_audit, _PARAMETERS, is_search=True),
)
