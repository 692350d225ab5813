"""Dates as texts: from one pattern to another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from landbridge.dataflow.java_time import compile_format, compile_parse

Convert = Callable[[str], str]

_UNIX_MS: Final = "unixms"
_ISO: Final = "iso"


@cache
def reformat(source: str, target: str, *, source_zone: str = "UTC", target_zone: str = "UTC") -> Convert:
    """A function that rewrites a date from one pattern to another.

    Args:
        source: Pattern of the value, or ``unix`` (seconds), ``unixms``, ``iso`` (ISO 8601).
        target: Pattern of the result, or one of the same words.
        source_zone: IANA name of the zone of a value that names none.
        target_zone: IANA name of the zone of the result.

    Raises:
        FlowError: A pattern is malformed.
        ValueError: There is no such zone. The function itself raises ValueError or FlowError where a value does not
            fit.
    """
    read = _reader(source, _zone(source_zone))
    write = _writer(target)
    zone = _zone(target_zone)
    return lambda text: write(read(text.strip()).astimezone(zone))


def _reader(pattern: str, zone: ZoneInfo) -> Callable[[str], datetime]:
    if pattern == _ISO:
        return lambda text: _in_zone(datetime.fromisoformat(text), zone)
    if pattern == _UNIX_MS:
        return lambda text: datetime.fromtimestamp(int(text) / 1000, ZoneInfo("UTC"))
    parse = compile_parse(pattern)
    if any(letter in pattern for letter in "zZX") or pattern == "unix":
        return parse
    return lambda text: parse(text).replace(tzinfo=zone)


def _writer(pattern: str) -> Callable[[datetime], str]:
    if pattern == _ISO:
        return lambda moment: moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if pattern == _UNIX_MS:
        return lambda moment: str(round(moment.timestamp() * 1000))
    return compile_format(pattern)


def _in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f'unknown time zone "{name}"; write it as Europe/Zurich') from None
