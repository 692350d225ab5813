"""Which fields the steps behind a reader need, so that it does not build what will be dropped anyway."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from landbridge.records.path import Path


@dataclass(frozen=True, slots=True)
class Needs:
    """A set of fields, told by rules. In doubt a field is needed.

    Attributes:
        dropped: Fields that are not needed, with everything below them, unless ``kept`` says otherwise.
        kept: Fields that are needed, with everything below them.
        only: Nothing but ``kept`` is needed.
    """

    dropped: frozenset[Path] = frozenset()
    kept: frozenset[Path] = frozenset()
    only: bool = False

    def covers(self, path: Path) -> bool:
        """Whether anything at, above or below ``path`` is needed."""
        if any(_related(path, kept) for kept in self.kept):
            return True
        return not self.only and not any(_within(path, dropped) for dropped in self.dropped)

    def members(self, path: Path) -> frozenset[str] | None:
        """The keys right below ``path`` at or below which something is needed; None where any key may be."""
        if any(_within(path, kept) for kept in self.kept):
            return None
        if self.only or any(_within(path, dropped) for dropped in self.dropped):
            below = (kept[len(path)] for kept in self.kept if _within(kept, path))
            return frozenset(key for key in below if isinstance(key, str))
        return None

    def without(self, removed: Iterable[Path]) -> Needs:
        """The needs before a step that removes these fields."""
        gone = frozenset(removed)
        kept = frozenset(path for path in self.kept if not any(_within(path, other) for other in gone))
        return Needs(self.dropped | gone, kept, only=self.only)

    def adding(self, path: Path) -> Needs:
        """The needs of a step that itself reads ``path``."""
        return Needs(self.dropped, self.kept | {path}, only=self.only)

    def before_move(self, source: Path, target: Path) -> Needs:
        """The needs before a step that moves or copies ``source`` to ``target``."""
        return self.adding(source) if self.covers(target) else self

    def restricted_to(self, fields: Iterable[Path]) -> Needs:
        """The needs before a step that keeps only these fields."""
        return Needs(kept=frozenset(path for path in fields if self.covers(path)), only=True)

    def union(self, other: Needs) -> Needs:
        """What one of two branches needs."""
        kept = self.kept | other.kept
        if self.only and other.only:
            return Needs(kept=kept, only=True)
        if self.only or other.only:
            return Needs((other if self.only else self).dropped, kept)
        mine = {path for path in self.dropped if not other.covers(path)}
        theirs = {path for path in other.dropped if not self.covers(path)}
        return Needs(frozenset(mine | theirs), kept)


ALL = Needs()
"""Every field."""


def _within(path: Path, other: Path) -> bool:
    return path[: len(other)] == other


def _related(path: Path, other: Path) -> bool:
    return _within(path, other) or _within(other, path)
