"""Counters ("signals"): registerCounters, incrementCounters, getCounters."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from landbridge.gigya_wire.replies import ApiError, Payload, invalid, missing
from landbridge.site.accounts import decode, encode
from landbridge.site.calls import Call, Method, method
from landbridge.site.repository import Repository
from landbridge.site.store_session import Session

_REGISTERED: Final = "registered_counter"
_KIND: Final = "counters"
_CLASS: Final = re.compile(r"_?\w{1,100}")
_PATH: Final = re.compile(r"/?(?:[\w-]{1,100}(?:/[\w-]{1,100})?)?")


async def register_counters(repository: Repository, call: Call) -> Payload:
    """accounts.registerCounters."""
    counters = _counters(call)

    def register(session: Session) -> Payload:
        for counter in counters:
            name = _name(counter)
            session.put_document(_REGISTERED, name, encode({"class": counter["class"], "path": _path(counter)}))
        return {}

    return await repository.write(call, register)


async def unregister_counters(repository: Repository, call: Call) -> Payload:
    """accounts.unregisterCounters."""
    counters = _counters(call)

    def unregister(session: Session) -> Payload:
        for counter in counters:
            if not session.delete_document(_REGISTERED, _name(counter)):
                raise _not_registered(counter)
        return {}

    return await repository.write(call, unregister)


async def get_registered_counters(repository: Repository, call: Call) -> Payload:
    """accounts.getRegisteredCounters."""
    del call
    found = await repository.store.read(lambda session: session.documents(_REGISTERED))
    return {"counters": [decode(text) for _, text in found]}


async def increment_counters(repository: Repository, call: Call) -> Payload:
    """accounts.incrementCounters: a counter counts calls and sums their values, in total and per period."""
    uid = call.parameters.required("UID")
    counters = _counters(call)

    def increment(session: Session) -> Payload:
        if session.account(uid) is None:
            raise ApiError(403005, "Unauthorized user")
        text = session.document(_KIND, uid)
        state: dict[str, Any] = decode(text) if text else {}
        for counter in counters:
            if session.document(_REGISTERED, _name(counter)) is None:
                raise _not_registered(counter)
            value, count = _number(counter, "value", 0), _number(counter, "count", 1)
            for period in _periods_of(call.now_ms):
                _add(state, counter, period, value=value, count=count, now_ms=call.now_ms)
        session.put_document(_KIND, uid, encode(state))
        return {}

    return await repository.write(call, increment)


async def get_counters(repository: Repository, call: Call) -> Payload:
    """accounts.getCounters."""
    uid = call.parameters.required("UID")
    wanted = call.parameters.json("counters")
    if wanted is not None and not (isinstance(wanted, list) and all(isinstance(each, dict) for each in wanted)):
        raise invalid("counters", "is not an array of objects")

    def get(session: Session) -> Payload:
        if session.account(uid) is None:
            raise ApiError(403005, "Unauthorized user")
        text = session.document(_KIND, uid)
        state: dict[str, Any] = decode(text) if text else {}
        records = [*state.values(), *_last_week(state, call.now_ms)]
        if wanted is None:
            return {"counters": [record for record in records if record["period"] == "total"]}
        return {"counters": [record for each in wanted for record in records if _is_wanted(record, each)]}

    return await repository.store.look_up(get)


def _counters(call: Call) -> list[dict[str, Any]]:
    given = call.parameters.json("counters")
    if given is None:
        raise missing("counters")
    counters = given if isinstance(given, list) else [given]
    for counter in counters:
        if not isinstance(counter, dict) or not _CLASS.fullmatch(str(counter.get("class", ""))):
            raise invalid("counters", "a counter has no class of letters, digits and underscores")
        if not _PATH.fullmatch(str(counter.get("path", "/"))):
            raise invalid("counters", "a path has more than two levels")
    return counters


def _number(counter: dict[str, Any], name: str, default: int) -> int | float:
    value = counter.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid("counters", f"{name} is not a number")
    return value


def _path(counter: dict[str, Any]) -> str:
    return "/" + str(counter.get("path", "/")).strip("/")


def _name(counter: dict[str, Any]) -> str:
    return f"{counter['class']}:{_path(counter)}"


def _not_registered(counter: dict[str, Any]) -> ApiError:
    return ApiError(409011, f"Counter {_name(counter)} is not registered")


def _periods_of(now_ms: int) -> tuple[str, str, str]:
    day = datetime.fromtimestamp(now_ms / 1000, UTC)
    return "total", day.strftime("%y%m"), day.strftime("%y%m%d")


def _add(
    state: dict[str, Any], counter: dict[str, Any], period: str, *, value: float, count: float, now_ms: int
) -> None:
    key = f"{_name(counter)}:{period}"
    record = state.setdefault(
        key, {"class": counter["class"], "path": _path(counter), "period": period, "count": 0, "value": 0}
    )
    record["count"] += count
    record["value"] += value
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    record |= {"lastUpdated": moment.strftime("%Y-%m-%d %H:%M:%SZ"), "lastUpdatedTimestamp": now_ms}


def _last_week(state: dict[str, Any], now_ms: int) -> list[dict[str, Any]]:
    today = datetime.fromtimestamp(now_ms / 1000, UTC)
    days = {(today - timedelta(days=back)).strftime("%y%m%d") for back in range(7)}
    weeks: dict[tuple[str, str], dict[str, Any]] = {}
    for record in state.values():
        if record["period"] in days:
            week = weeks.setdefault(
                (record["class"], record["path"]), {**record, "period": "last7Days", "count": 0, "value": 0}
            )
            week["count"] += record["count"]
            week["value"] += record["value"]
            week["lastUpdatedTimestamp"] = max(week["lastUpdatedTimestamp"], record["lastUpdatedTimestamp"])
    return list(weeks.values())


def _is_wanted(record: dict[str, Any], wanted: dict[str, Any]) -> bool:
    same = record["class"] == wanted.get("class", record["class"])
    in_place: bool = record["path"] == _path({**record, **wanted})
    return same and in_place and bool(record["period"] == wanted.get("period", "total"))


METHODS: Final[tuple[Method, ...]] = (
    method("accounts.registerCounters", register_counters, "counters"),
    method("accounts.unregisterCounters", unregister_counters, "counters"),
    method("accounts.getRegisteredCounters", get_registered_counters),
    method("accounts.incrementCounters", increment_counters, "UID counters"),
    method("accounts.getCounters", get_counters, "UID counters"),
)
