"""Whether two outputs hold the same records: field order and quoting may differ, values and their absence may not."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

Record = dict[str, str]

_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^,"\n]*))(,|\n|\Z)')


class Different(Exception):
    """The outputs differ; the message names the first record that does."""


def check_same(one: Path, other: Path) -> int:
    """Compare all files of two folders record by record; the number of records.

    Raises:
        Different: They differ.
    """
    number = 0
    for number, (left, right) in enumerate(zip_longest(records(one), records(other)), 1):
        if left != right:
            raise Different(f"record {number} of {one.name} and {other.name} differs:\n  {left}\n  {right}")
    if not number:
        raise Different(f"{one.name} and {other.name} hold no records")
    return number


def records(folder: Path) -> Iterator[Record]:
    """The records of the files of a folder, each field as the text that tells its type and value."""
    for path in sorted(folder.iterdir()):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        yield from _from_json(content) if ".json" in path.name else _from_csv(content.decode())


def _from_json(content: bytes) -> Iterator[Record]:
    for line in content.splitlines():
        yield {name: json.dumps(value, sort_keys=True) for name, value in json.loads(line).items()}


def _from_csv(text: str) -> Iterator[Record]:
    """Like ``csv.DictReader``, but an empty cell is an absent field and a quoted empty one an empty text."""
    rows = _rows(text)
    header = [name or "" for name in next(rows, [])]
    for row in rows:
        if len(row) != len(header):
            raise Different(f"a line has {len(row)} cells instead of {len(header)}")
        yield {name: value for name, value in zip(header, row, strict=True) if value is not None}


def _rows(text: str) -> Iterator[list[str | None]]:
    row: list[str | None] = []
    at = 0
    while at < len(text):
        match = _CELL.match(text, at)
        if match is None:
            raise Different(f"the text cannot be read as CSV: {text[at : at + 40]!r}")
        quoted, plain, end = match.groups()
        row.append(quoted.replace('""', '"') if quoted is not None else plain or None)
        at = match.end()
        if end != ",":
            yield row
            row = []
