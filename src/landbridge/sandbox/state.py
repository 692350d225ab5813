"""What a vendor's sandbox remembers: collections of JSON objects, in memory or in a journal that survives a restart.

The journal has one JSON line for each change. It is read at the start and then written anew without what was replaced,
so it stays about as large as the data. A process that is killed loses nothing that was written before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

_DELETED: Final = None


class Collection(MutableMapping[str, dict[str, Any]]):
    """JSON objects by key, in the order of their first writing.

    An object is replaced as a whole: change a copy and put it back, or the journal does not know of it.
    """

    def __init__(self, name: str, state: State) -> None:
        self._name = name
        self._state = state
        self._objects: dict[str, dict[str, Any]] = {}

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._objects[key]

    def __setitem__(self, key: str, value: Mapping[str, Any]) -> None:
        self._objects[key] = dict(value)
        self._state.record(self._name, key, self._objects[key])

    def __delitem__(self, key: str) -> None:
        del self._objects[key]
        self._state.record(self._name, key, _DELETED)

    def __iter__(self) -> Iterator[str]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def clear(self) -> None:
        """Remove all objects."""
        for key in list(self._objects):
            del self[key]

    def restore(self, key: str, value: dict[str, Any] | None) -> None:
        """Take over a line of the journal."""
        if value is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = value


class State:
    """The collections of one vendor.

    Args:
        file: The journal; None keeps everything in memory only.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._journal: TextIO | None = None
        self._collections: dict[str, Collection] = {}

    def collection(self, name: str) -> Collection:
        """The collection of this name; it is made when first asked for."""
        return self._collections.setdefault(name, Collection(name, self))

    def open(self) -> None:
        """Read the journal and go on with it.

        Raises:
            OSError: The file cannot be read or written.
            ValueError: A line of it, other than the last, cannot be read.
        """
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            self._read(self._file.read_bytes())
        fresh = self._file.with_suffix(".new")
        with fresh.open("wb") as compact:
            for name, objects in self._collections.items():
                for key, value in objects.items():
                    compact.write(msgspec.json.encode([name, key, value]) + b"\n")
        fresh.replace(self._file)
        self._journal = self._file.open("a", encoding="utf-8", buffering=1)

    def close(self) -> None:
        """Close the journal; safe to call twice."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def record(self, name: str, key: str, value: dict[str, Any] | None) -> None:
        """Write a change to the journal."""
        if self._journal is not None:
            self._journal.write(msgspec.json.encode([name, key, value]).decode() + "\n")

    def _read(self, text: bytes) -> None:
        lines = text.split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                name, key, value = msgspec.json.decode(line, type=tuple[str, str, dict[str, Any] | None])
            except msgspec.DecodeError as error:
                if number == len(lines):
                    return  # the process was killed while it wrote the last line
                raise ValueError(f"line {number} cannot be read: {error}") from None
            self.collection(name).restore(key, value)
