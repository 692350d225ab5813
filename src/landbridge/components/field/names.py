"""Which fields a record has, and in which order: names only, no value changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from landbridge.components.base import Transform
from landbridge.components.field.params import FieldList, FieldPairs
from landbridge.components.params import Param
from landbridge.components.registry import component
from landbridge.records import Batch, columns as col
from landbridge.records.needs import Needs
from landbridge.records.path import Path, parse, write


@component("field.copy", title="Copy fields")
class Copy(Transform):
    """Copy values or whole objects to other fields. A field that a record lacks is passed over."""

    Params = FieldPairs
    params: FieldPairs

    def apply(self, batch: Batch) -> Batch:
        """Copy in the order of the pairs."""
        for pair in self.params.fields:
            batch = batch.copy(*pair.paths)
        return batch

    def needs(self, after: Needs) -> Needs:
        """Sources are needed where their targets are."""
        return _before_moves(after, self.params)

    def columns(self, before: Sequence[str] | None) -> Sequence[str] | None:
        """Adds the targets at the end."""
        return before and list(dict.fromkeys([*before, *(write(pair.paths[1]) for pair in self.params.fields)]))


@component("field.rename", title="Rename fields")
class Rename(Transform):
    """Move values or whole objects to other names.

    A field that a record lacks is passed over. Within the same object the field keeps its place, otherwise it goes to
    the end. An object that loses its last member remains as an empty one; `field.remove` drops it.
    """

    Params = FieldPairs
    params: FieldPairs

    def apply(self, batch: Batch) -> Batch:
        """Rename in the order of the pairs."""
        for pair in self.params.fields:
            batch = batch.rename(*pair.paths)
        return batch

    def needs(self, after: Needs) -> Needs:
        """Sources are needed where their targets are."""
        return _before_moves(after, self.params)

    def columns(self, before: Sequence[str] | None) -> Sequence[str] | None:
        """Follows the same rules as the records."""
        if before is None:
            return None
        names = list(before)
        for pair in self.params.fields:
            source, target = pair.paths
            old, new = write(source), write(target)
            if old not in names:
                continue
            if source[:-1] == target[:-1]:
                names[names.index(old)] = new
            else:
                names.remove(old)
                names.append(new)
        return list(dict.fromkeys(names))


@component("field.remove", title="Remove fields")
class Remove(Transform):
    """Drop fields and everything below them."""

    Params = FieldList
    params: FieldList

    def apply(self, batch: Batch) -> Batch:
        """Drop the fields."""
        return batch.remove(*self.params.paths)

    def needs(self, after: Needs) -> Needs:
        """A whole object or field that it removes is not needed.

        A field within an object is: without it an object that becomes empty would look like one that is absent.
        """
        return after.without(path for path in self.params.paths if len(path) == 1)

    def columns(self, before: Sequence[str] | None) -> Sequence[str] | None:
        """Leaves out the fields and what is below them."""
        if before is None:
            return None
        gone = self.params.paths
        return [name for name in before if not any(parse(name)[: len(path)] == path for path in gone)]


@component("field.select", title="Keep fields")
class Select(Transform):
    """Keep only these fields, in this order."""

    Params = FieldList
    params: FieldList

    def apply(self, batch: Batch) -> Batch:
        """Keep the fields."""
        return batch.select(self.params.paths)

    def needs(self, after: Needs) -> Needs:
        """Nothing else is needed."""
        return after.restricted_to(self.params.paths)

    def columns(self, before: Sequence[str] | None) -> Sequence[str] | None:
        """Exactly the fields: a file keeps its columns even when no record fills one of them."""
        del before
        return [write(path) for path in self.params.paths]


@component("field.move", title="Reorder fields")
class Move(Transform):
    """Put fields right after another one, which sets the order of the columns in a file."""

    class Params(FieldList):
        """See the fields."""

        after: str = Param("The field after which they go; empty for the beginning.", default="", example="UID")

    params: Params

    def apply(self, batch: Batch) -> Batch:
        """Change the order of the columns only."""
        return batch.reorder(self._ordered(batch.names))

    def needs(self, after: Needs) -> Needs:
        """The same fields."""
        return after

    def columns(self, before: Sequence[str] | None) -> Sequence[str] | None:
        """The same names in the new order."""
        return before and self._ordered(before)

    def _ordered(self, names: Sequence[str]) -> list[str]:
        moved = [name for path in self.params.paths for name in names if parse(name)[: len(path)] == path]
        others = [name for name in names if name not in moved]
        anchor = parse(self.params.after.strip()) if self.params.after.strip() else None
        if anchor is None:
            return [*moved, *others]
        last = max((at for at, name in enumerate(others) if parse(name)[: len(anchor)] == anchor), default=None)
        end = len(others) if last is None else last + 1
        return [*others[:end], *moved, *others[end:]]


@component("field.flatten", title="Flatten objects")
class Flatten(Transform):
    """Move the members of nested objects to the top level.

    A member takes its own name (`profile.city` becomes `city`); deeper members are joined by the separator
    (`profile.work.title` becomes `work_title`). Where that name is taken already, the whole path is used
    (`profile_city`), so that nothing is overwritten. Arrays stay as they are.
    """

    class Params(FieldList):
        """See the fields."""

        naming: Literal["name", "path"] = Param(
            "Name members by their own name or by their whole path.", default="name"
        )
        separator: str = Param("Text between the parts of a name.", default="_")

    params: Params

    def apply(self, batch: Batch) -> Batch:
        """Rename every leaf below the fields."""
        for path in self.params.paths:
            for name in batch.names:
                leaf = parse(name)
                if len(leaf) > len(path) and leaf[: len(path)] == path:
                    batch = batch.rename(leaf, self._target(batch, leaf, len(path)))
            emptied = [
                name for name in batch.names if parse(name)[: len(path)] == path and _is_emptied(batch.column(name))
            ]
            batch = batch.without_columns(emptied)
        return batch

    def _target(self, batch: Batch, leaf: Path, depth: int) -> Path:
        whole = self.params.separator.join(map(str, leaf))
        short = self.params.separator.join(map(str, leaf[depth:]))
        taken = {parse(name)[0] for name in batch.names}
        return (whole if self.params.naming == "path" or short in taken else short,)


def _is_emptied(column: pa.Array) -> bool:
    """Whether nothing but empty objects is left."""
    return col.is_json(column) and bool(pc.all(pc.equal(column.storage, "{}"), min_count=0).as_py())


def _before_moves(after: Needs, params: FieldPairs) -> Needs:
    for pair in reversed(params.fields):
        after = after.before_move(*pair.paths)
    return after
