"""Paths in plain JSON objects: the meaning of every field operation, one record at a time.

Columns are a faster way to do the same (see ``batch``); where a path runs through an array, or into an object that is
kept whole, the batch falls back to these functions.

*Through an array*: a key that meets an array is looked up in each of its elements, and the result is an array of the
members found. A key of digits, or an index, takes one element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from landbridge.records.path import Path

JsonObject = dict[Any, Any]


ABSENT: Final = UNSET
"""No value at all, as opposed to an explicit null."""


def get(value: Any, path: Path) -> Any:
    """The value at ``path`` below ``value``, or ABSENT."""
    for at, key in enumerate(path):
        if isinstance(value, dict):
            value = value.get(key, ABSENT)
            if value is ABSENT:
                return ABSENT
        elif isinstance(value, list):
            index = _index(key)
            if index is None:
                found = [item for element in value if (item := get(element, path[at:])) is not ABSENT]
                return found or ABSENT
            if index >= len(value):
                return ABSENT
            value = value[index]
        else:
            return ABSENT
    return value


def put(value: Any, path: Path, new: Any) -> Any:
    """``value`` with ``new`` at ``path``; ``value`` itself is changed where it can be.

    Missing objects on the way are made, and anything else that stands in the way is replaced by an object. A key that
    meets an array sets the member of each element that is an object. An index at the end of an array appends, index 0
    makes an array, and any other index without an element changes nothing.
    """
    if not path:
        return new
    key = path[0]
    if isinstance(value, list):
        index = _index(key)
        if index is None:
            return [put(element, path, new) if isinstance(element, dict) else element for element in value]
        if index < len(value):
            value[index] = put(value[index], path[1:], new)
        elif index == len(value):
            value.append(put(ABSENT, path[1:], new))
        return value
    if isinstance(key, int):
        return [put(ABSENT, path[1:], new)] if key == 0 else value
    if not isinstance(value, dict):
        value = {}
    member = put(value.get(key, ABSENT), path[1:], new)
    if member is not ABSENT:
        value[key] = member
    return value


def remove(value: Any, path: Path) -> None:
    """Remove what stands at ``path``; the objects above it stay, even when they are then empty."""
    key = path[0]
    if isinstance(value, dict):
        if len(path) == 1:
            value.pop(key, None)
        elif key in value:
            remove(value[key], path[1:])
    elif isinstance(value, list):
        index = _index(key)
        if index is None:
            for element in value:
                remove(element, path)
        elif index < len(value):
            if len(path) == 1:
                del value[index]
            else:
                remove(value[index], path[1:])


def change(value: Any, path: Path, new: Callable[[Any], Any]) -> None:
    """Replace each value at ``path`` by ``new(value)``; through an array, that of every element."""
    key = path[0]
    if isinstance(value, dict):
        if key not in value:
            return
        if len(path) == 1:
            value[key] = new(value[key])
        else:
            change(value[key], path[1:], new)
    elif isinstance(value, list):
        index = _index(key)
        if index is None:
            for element in value:
                change(element, path, new)
        elif index < len(value):
            if len(path) == 1:
                value[index] = new(value[index])
            else:
                change(value[index], path[1:], new)


def _index(key: str | int) -> int | None:
    if isinstance(key, int):
        return key
    return int(key) if key.isdecimal() else None


def prune(value: Any, path: Path) -> None:
    """Remove what stands at ``path``, and the objects around it that are empty without it."""
    remove(value, path)
    for end in range(len(path) - 1, 0, -1):
        if get(value, path[:end]) == {}:
            remove(value, path[:end])
