"""Dotted paths: ``profile.firstName``, ``data.x[0]``, ``'literal.dot'``.

A path is a tuple of keys and array indexes. Its written form joins them with dots; a key that would be misread is put
in single quotes, with quotes doubled, as IdentitySync writes a literal dotted name (``'profile.gender'``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

from landbridge.errors import FlowError

Path: TypeAlias = tuple[str | int, ...]
"""Keys and array indexes from the record's root to a value."""

_QUOTED = re.compile(r"'((?:[^']|'')*)'")
_INDEX = re.compile(r"\[(\d+)\]")
_PLAIN = re.compile(r"(?!')[^.\[]+")
_SAFE = re.compile(r"[^.\[\]'\s](?:[^.\[\]]*[^.\[\]\s])?")


@lru_cache(maxsize=65536)
def parse(text: str) -> Path:
    """Read a written path.

    Raises:
        FlowError: LB-1201 where ``text`` is not a path, naming the position.
    """
    keys: list[str | int] = []
    at = 0
    while True:
        match = _QUOTED.match(text, at) or _PLAIN.match(text, at)
        if match is None:
            raise _malformed(text, at)
        keys.append(match[1].replace("''", "'") if match.re is _QUOTED else match[0])
        at = match.end()
        while match := _INDEX.match(text, at):
            keys.append(int(match[1]))
            at = match.end()
        if at == len(text):
            return tuple(keys)
        if text[at] != ".":
            raise _malformed(text, at)
        at += 1


@lru_cache(maxsize=65536)
def write(path: Path) -> str:
    """The written form of ``path``; ``parse`` gives the same path back."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if _SAFE.fullmatch(key) else _quote(key))
    return text


def _quote(key: str) -> str:
    return "'" + key.replace("'", "''") + "'"


def _malformed(text: str, at: int) -> FlowError:
    return FlowError(
        "LB-1201",
        f'"{text}" is not a field path: unexpected {text[at : at + 1] or "end"!r} at position {at + 1}',
        hint="Write keys joined by dots, array elements as [0], and a key that holds a dot in single quotes.",
    )
