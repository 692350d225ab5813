"""What the site already holds of an audience, so that only changes are sent, and who left is noticed.

An account that the site says is in the audience, and that the audience does not name any more, has left it. Millions of
accounts fit: of each only two numbers of eight bytes are in memory, and its UID in a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

Fingerprints = np.ndarray[Any, np.dtype[np.int64]]

_LINES: Final = 500


class Held:
    """Accounts that the site says are in the audience.

    Args:
        file: A file of this machine for their UIDs; ``close`` removes it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._out = file.open("wb")
        self._keys: list[Fingerprints] = []
        self._values: list[Fingerprints] = []
        self._sorted: Fingerprints = np.empty(0, np.int64)
        self._order: Fingerprints = np.empty(0, np.int64)
        self._kept: Fingerprints = np.empty(0, np.int64)
        self._seen = np.empty(0, np.bool_)

    def add(self, accounts: Sequence[tuple[str, str]]) -> None:
        """Take note of accounts.

        Args:
            accounts: Each UID with what stands for the memberships that the site holds; see ``told``.
        """
        self._keys.append(_fingerprints(uid for uid, _ in accounts))
        self._values.append(_fingerprints(text for _, text in accounts))
        self._out.writelines(msgspec.json.encode(uid) + b"\n" for uid, _ in accounts)

    def complete(self) -> None:
        """All accounts are noted."""
        self._out.close()
        keys = np.concatenate([*self._keys, self._sorted])
        self._order = np.argsort(keys, kind="stable").astype(np.int64)
        self._sorted = keys[self._order]
        self._kept = np.concatenate([*self._values, self._kept])
        self._seen = np.zeros(len(keys), np.bool_)
        self._keys, self._values = [], []

    def changed(self, users: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether the site lacks these memberships; the accounts count as seen."""
        if not len(self._sorted):
            return [True] * len(users)
        keys = _fingerprints(uid for uid, _ in users)
        places = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        is_known = self._sorted[places] == keys
        rows = self._order[places]
        self._seen[rows[is_known]] = True
        is_same = is_known & (self._kept[rows] == _fingerprints(text for _, text in users))
        return [not same for same in is_same.tolist()]

    @property
    def seen(self) -> int:
        """How many of the accounts were seen."""
        return int(self._seen.sum())

    def unseen(self) -> Iterator[list[str]]:
        """UIDs of accounts that were not seen, some hundred at a time."""
        found: list[str] = []
        with self._file.open("rb") as lines:
            for line, seen in zip(lines, self._seen.tolist(), strict=True):
                if seen:
                    continue
                found.append(msgspec.json.decode(line, type=str))
                if len(found) == _LINES:
                    yield found
                    found = []
        if found:
            yield found

    def close(self) -> None:
        """Remove the file."""
        self._out.close()
        self._file.unlink(missing_ok=True)


class Once:
    """Tells what comes again. Each thing is kept as a number of eight bytes, in ever longer sorted arrays."""

    def __init__(self) -> None:
        self._parts: list[Fingerprints] = []

    def new(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text comes for the first time."""
        found = _fingerprints(texts)
        is_new = np.zeros(len(found), np.bool_)
        is_new[np.unique(found, return_index=True)[1]] = True
        for part in self._parts:
            is_new &= part[np.minimum(np.searchsorted(part, found), len(part) - 1)] != found
        fresh = np.sort(found[is_new])
        while self._parts and len(self._parts[-1]) <= len(fresh):
            fresh = np.sort(np.concatenate([self._parts.pop(), fresh]))
        if len(fresh):
            self._parts.append(fresh)
        return is_new.tolist()


def told(*memberships: Iterable[str]) -> str:
    """What stands for lists of memberships, whatever their order."""
    return msgspec.json.encode([sorted(each) for each in memberships]).decode()


def _fingerprints(texts: Iterable[str]) -> Fingerprints:
    return np.fromiter((hash(text) for text in texts), np.int64)
