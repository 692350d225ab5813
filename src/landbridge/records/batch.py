"""Batch: some thousand records as Arrow columns, one per leaf path.

Columns are named by the written path of their leaf (``profile.firstName``), so renaming a field is a change of names
and removing ``profile`` drops the columns below it. In each row at most one of a path and its descendants has a
value. An object that is too wide or irregular to shred stays whole in one ``json`` column, as arrays do; operations
whose path runs into such a column work on the plain objects of just the columns concerned.

Columns may be lazy: a field that no step asks for is never converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial, reduce
from itertools import chain, takewhile
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from landbridge.records import columns as col, objects, path as paths
from landbridge.records.objects import ABSENT, JsonObject
from landbridge.records.path import Path

Build = Callable[[], pa.Array]
_OBJECT = msgspec.json.Decoder(JsonObject)


class Lazy:
    """A column that is built when it is first asked for."""

    __slots__ = ("_build",)

    def __init__(self, build: Build) -> None:
        self._build = build

    def array(self) -> pa.Array:
        """Build the column."""
        return self._build()


class Empties(Lazy):
    """A lazy column that holds nothing but ``{}`` and ``null``: no longer path leads into it."""

    __slots__ = ()


class Batch:
    """Records as columns. Immutable: every operation gives a new batch that shares the untouched columns.

    Args:
        columns: Arrow arrays (or Lazy) by written path, in field order.
        num_rows: Number of records.
    """

    __slots__ = ("_columns", "num_rows")

    def __init__(self, columns: Mapping[str, pa.Array | Lazy], num_rows: int) -> None:
        self._columns: dict[str, pa.Array | Lazy] = dict(columns)
        self.num_rows = num_rows

    # -- reading ---------------------------------------------------------------------------------------------------

    @classmethod
    def from_objects(cls, rows: Sequence[JsonObject]) -> Batch:
        """Shred plain objects. Meant for small numbers of records; files are read by ``Shredder``."""
        leaves: dict[Path, list[Any]] = {}
        for number, row in enumerate(rows):
            for path, value in _leaves(row, ()):
                values = leaves.setdefault(path, [])
                values.extend([ABSENT] * (number - len(values)))
                values.append(value)
        built = {}
        for path, values in leaves.items():
            values.extend([ABSENT] * (len(rows) - len(values)))
            built[paths.write(path)] = col.from_values(values)
        return cls(built, len(rows))

    @property
    def names(self) -> tuple[str, ...]:
        """Written paths of the columns in field order. A column may turn out to be absent in every row."""
        return tuple(self._columns)

    def column(self, name: str) -> pa.Array:
        """The column with the written path ``name``; KeyError where there is none."""
        column = self._columns[name]
        if not isinstance(column, Lazy):
            return column
        built = column.array()
        # What a column means must not depend on whether it was looked at.
        self._columns[name] = Empties(partial(_same, built)) if isinstance(column, Empties) else built
        return built

    @property
    def columns(self) -> dict[str, pa.Array]:
        """All columns that have a value in some row, by written path in field order."""
        built = {name: self.column(name) for name in self._columns}
        return {name: column for name, column in built.items() if not col.is_absent(column)}

    def built(self) -> Batch:
        """The same records with every column built, so that nothing is kept of the text they came from.

        Where all columns will be asked for it is quicker to build them at once than in another thread later.
        """
        built: dict[str, pa.Array | Lazy] = {}
        for name, lazy in self._columns.items():
            column = self.column(name)
            if not isinstance(lazy, Empties):
                built[name] = column
            elif not col.is_absent(column):
                built[name] = Empties(partial(_same, column))
        return Batch(built, self.num_rows)

    @property
    def markers(self) -> frozenset[str]:
        """The columns that hold nothing but ``{}`` and ``null``."""
        return frozenset(name for name, column in self._columns.items() if isinstance(column, Empties))

    @property
    def leaves(self) -> dict[str, pa.Array]:
        """As ``columns``, without those that only mark empty objects."""
        own = {name: self.column(name) for name, column in self._columns.items() if not isinstance(column, Empties)}
        return {name: column for name, column in own.items() if not col.is_absent(column)}

    def get(self, path: Path) -> pa.Array:
        """The values at ``path`` in every row: a leaf, objects assembled as JSON, members of an array's elements."""
        name = paths.write(path)
        below = self._below(path)
        above = self._above(path)
        if not below and not above:
            return self.column(name) if name in self._columns else pa.nulls(self.num_rows, pa.string())
        rows = self._only([name, *below, *above]).to_objects()
        return col.from_values([objects.get(row, path) for row in rows])

    def json_texts(self) -> pa.Array:
        """The JSON text of every record, as a string array."""
        texts = _object_texts(_tree(self.columns), self.num_rows)
        return pc.fill_null(texts, "{}")

    def to_objects(self) -> list[JsonObject]:
        """The records as plain objects."""
        lines = col.join(self.json_texts(), "\n")
        found: list[JsonObject] = _OBJECT.decode_lines(col.bytes_of(lines))
        return found

    @property
    def nbytes(self) -> int:
        """Approximate memory of the columns built so far, in bytes."""
        return sum(column.nbytes for column in self._columns.values() if not isinstance(column, Lazy))

    # -- rows ------------------------------------------------------------------------------------------------------

    def slice(self, start: int, length: int | None = None) -> Batch:
        """``length`` records from ``start`` on."""
        stop = self.num_rows if length is None else min(self.num_rows, start + length)
        start = min(start, stop)
        return self._map(lambda column: column.slice(start, stop - start), stop - start)

    def filter(self, mask: pa.Array) -> Batch:
        """The records whose row in the boolean array ``mask`` is true."""
        kept = pc.sum(mask).as_py() or 0
        return self if kept == self.num_rows else self._map(lambda column: column.filter(mask), kept)

    def take(self, rows: Sequence[int] | pa.Array) -> Batch:
        """The records with these row numbers, in this order."""
        index = rows if isinstance(rows, pa.Array) else pa.array(rows, pa.int64())
        return self._map(lambda column: column.take(index), len(index))

    @classmethod
    def concat(cls, batches: Sequence[Batch]) -> Batch:
        """One batch of the records of several."""
        names = dict.fromkeys(chain.from_iterable(batch.names for batch in batches))
        total = sum(batch.num_rows for batch in batches)

        def joined(name: str) -> pa.Array:
            parts = [
                batch.column(name) if name in batch._columns else pa.nulls(batch.num_rows, pa.string())
                for batch in batches
            ]
            return pa.concat_arrays(col.unify(parts))

        return cls({name: joined(name) for name in names}, total)

    # -- fields ----------------------------------------------------------------------------------------------------

    def put(self, path: Path, values: pa.Array) -> Batch:
        """Set ``path`` in every row where ``values`` has one; what stood there or below is replaced."""
        if self._opaque(path):
            new = col.to_values(values)
            return self._through_objects(self._around(path), lambda row, number: _put_if(row, path, new[number]))
        name = paths.write(path)
        near = [*self._below(path), *self._ancestors(path)]
        if near:
            rows_set = col.valid(values)
            kept = {
                other: col.blank(self.column(other), rows_set) if other in near else column
                for other, column in self._columns.items()
            }
        else:
            kept = dict(self._columns)
        if name in kept and values.null_count:
            values = col.choose(col.valid(values), values, self.column(name))
        kept[name] = values
        return Batch(kept, self.num_rows)

    def with_columns(self, columns: Mapping[str, pa.Array]) -> Batch:
        """The batch with other values in columns that it has, by written path."""
        return Batch({**self._columns, **columns}, self.num_rows)

    def without_columns(self, names: Iterable[str]) -> Batch:
        """The batch without these columns; unlike ``remove``, no empty object stays."""
        gone = set(names)
        return Batch({name: column for name, column in self._columns.items() if name not in gone}, self.num_rows)

    def change_within(self, path: Path, change: Callable[[Any], Any]) -> Batch:
        """Apply ``change`` to each value that ``path`` reaches inside arrays and whole objects, and only to those."""
        above = self._above(path)
        if not above:
            return self
        return self._through_objects(above, lambda row, _: objects.change(row, path, change))

    def remove(self, *removed: Path) -> Batch:
        """Drop fields and everything below them; the objects above them stay, if need be empty."""
        batch = self
        for path in removed:
            above = batch._above(path)
            if above:
                batch = batch._through_objects(above, partial(_remove, path))
            gone = {paths.write(path), *batch._below(path)} & batch._columns.keys()
            if gone:
                left = {name: column for name, column in batch._columns.items() if name not in gone}
                batch = Batch(left, batch.num_rows)._with_emptied(batch, [(path, gone)])
        return batch

    def rename(self, source: Path, target: Path) -> Batch:
        """Move a value or a whole object. A row without the source keeps what it has at the target."""
        if source == target:
            return self
        if _nested(source, target) or self._tangled(source, target):
            names = self._around(source, target)
            return self._through_objects(names, lambda row, _: _move(row, source, target))
        moved = {name: paths.write(target + paths.parse(name)[len(source) :]) for name in self._at_or_below(source)}
        if not moved:
            return self
        if source[:-1] == target[:-1]:
            renamed = {moved.get(name, name): column for name, column in self._columns.items()}
        else:
            renamed = {name: column for name, column in self._columns.items() if name not in moved}
            renamed.update({new: self._columns[old] for old, new in moved.items()})
        return Batch(renamed, self.num_rows)._filled(target, moved.values())._with_emptied(self, [(source, set(moved))])

    def copy(self, source: Path, target: Path) -> Batch:
        """Copy a value or a whole object. A row without the source keeps what it has at the target."""
        if source == target:
            return self
        if _nested(source, target) or self._tangled(source, target):
            names = self._around(source, target)
            return self._through_objects(names, lambda row, _: _put_if(row, target, deepcopy(objects.get(row, source))))
        copied = {
            paths.write(target + paths.parse(name)[len(source) :]): self._columns[name]
            for name in self._at_or_below(source)
        }
        return Batch({**self._columns, **copied}, self.num_rows)._filled(target, copied)

    def select(self, kept: Sequence[Path]) -> Batch:
        """Only these fields, in this order."""
        batch = Batch({}, self.num_rows)
        for path in kept:
            if self._above(path) or batch._around(path):
                batch = batch.put(path, self.get(path))
            else:
                found = {name: self._columns[name] for name in self._at_or_below(path)}
                batch = Batch({**batch._columns, **found}, self.num_rows)
        return batch

    def reorder(self, names: Iterable[str]) -> Batch:
        """The same columns; those in ``names`` first, in that order."""
        first = {name: self._columns[name] for name in names if name in self._columns}
        return Batch({**first, **self._columns}, self.num_rows)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _below(self, path: Path) -> list[str]:
        return [name for name in self._columns if _is_prefix(path, paths.parse(name))]

    def _at_or_below(self, path: Path) -> list[str]:
        name = paths.write(path)
        return [other for other in self._columns if other == name or _is_prefix(path, paths.parse(other))]

    def _ancestors(self, path: Path) -> list[str]:
        return [name for end in range(1, len(path)) if (name := paths.write(path[:end])) in self._columns]

    def _above(self, path: Path) -> list[str]:
        """Columns on the way to ``path`` that hold arrays or whole objects."""
        return [
            name
            for name in self._ancestors(path)
            if not isinstance(self._columns[name], Empties) and _holds_values(self.column(name))
        ]

    def _opaque(self, path: Path) -> bool:
        return bool(self._above(path)) or any(isinstance(key, int) for key in path)

    def _tangled(self, source: Path, target: Path) -> bool:
        """Whether moving ``source`` to ``target`` is more than a change of names."""
        if self._opaque(source) or self._opaque(target):
            return True
        in_the_way = [name for name in self._ancestors(target) if not isinstance(self._columns[name], Empties)]
        return bool(self._at_or_below(target) or in_the_way) and bool(self._at_or_below(source))

    def _around(self, *touched: Path) -> list[str]:
        """All columns that an operation on these paths can change."""
        stems = [tuple(takewhile(lambda key: isinstance(key, str), path)) for path in touched]
        found = chain.from_iterable((*self._ancestors(path), *self._at_or_below(path)) for path in stems)
        return list(dict.fromkeys(found))

    def _only(self, names: Iterable[str]) -> Batch:
        return Batch({name: self._columns[name] for name in names if name in self._columns}, self.num_rows)

    def _map(self, change: Callable[[pa.Array], pa.Array], num_rows: int) -> Batch:
        def later(name: str) -> Build:
            return lambda: change(self.column(name))

        return Batch({name: Lazy(later(name)) for name in self._columns}, num_rows)

    def _through_objects(self, names: Sequence[str], change: Callable[[JsonObject, int], None]) -> Batch:
        """Apply ``change`` to the plain objects of the columns ``names``; the other columns stay untouched."""
        rows = self._only(names).to_objects()
        for number, row in enumerate(rows):
            change(row, number)
        changed = Batch.from_objects(rows)._columns
        gone = set(names) - changed.keys()
        kept = {name: column for name, column in self._columns.items() if name not in gone}
        return Batch({**kept, **changed}, self.num_rows)

    def _filled(self, target: Path, names: Iterable[str]) -> Batch:
        """Take the ``{}`` above ``target`` from the rows in which one of the columns ``names`` has a value."""
        above = self._ancestors(target)
        if not above:
            return self
        new = self._only(names)

        def without(name: str) -> pa.Array:
            filled = _any_valid([new.column(column) for column in new.names], self.num_rows)
            return col.blank(self.column(name), filled)

        return Batch({**self._columns, **{name: Empties(partial(without, name)) for name in above}}, self.num_rows)

    def _with_emptied(self, before: Batch, moved: Sequence[tuple[Path, set[str]]]) -> Batch:
        """Add ``{}`` where the last member of an object has gone; lazily, as most flows drop the parent next."""
        added: dict[str, Lazy] = {}
        for path, names in moved:
            if len(path) > 1:
                parent = path[:-1]
                name = paths.write(parent)
                added[name] = Empties(partial(self._emptied, before, parent, names, name))
        return Batch({**self._columns, **added}, self.num_rows) if added else self

    def _emptied(self, before: Batch, parent: Path, gone: set[str], name: str) -> pa.Array:
        had = _any_valid([before.column(column) for column in gone], self.num_rows)
        remaining = [self.column(column) for column in self._below(parent) if column not in gone]
        own = self.column(name) if name in self._columns else None
        if own is not None:
            remaining.append(own)
        has = _any_valid(remaining, self.num_rows)
        empty = pc.and_not(had, has)
        marker = col.json_array(pc.if_else(empty, col.literal("{}"), col.NO_TEXT))
        return marker if own is None else col.choose(empty, marker, own)


def _same(column: pa.Array) -> pa.Array:
    return column


def _is_prefix(path: Path, other: Path) -> bool:
    return len(other) > len(path) and other[: len(path)] == path


def _nested(one: Path, other: Path) -> bool:
    return _is_prefix(one, other) or _is_prefix(other, one)


def _holds_values(column: pa.Array) -> bool:
    """Whether a column holds arrays or non-empty objects, into which a longer path leads."""
    if not col.is_json(column):
        return False
    return bool(pc.any(pc.match_substring_regex(column.storage, r'^(\[|\{.*")')).as_py())


def _any_valid(arrays: Sequence[pa.Array], length: int) -> pa.Array:
    return reduce(pc.or_, map(col.valid, arrays), pa.repeat(pa.scalar(value=False), length))


def _leaves(value: JsonObject, path: Path) -> Iterator[tuple[Path, Any]]:
    for key, member in value.items():
        if isinstance(member, dict) and member:
            yield from _leaves(member, (*path, key))
        else:
            yield (*path, key), member


def _remove(path: Path, row: JsonObject, _: int) -> None:
    objects.remove(row, path)


def _put_if(row: JsonObject, path: Path, value: Any) -> None:
    if value is not ABSENT:
        objects.put(row, path, value)


def _move(row: JsonObject, source: Path, target: Path) -> None:
    value = objects.get(row, source)
    if value is not ABSENT:
        objects.remove(row, source)
        objects.put(row, target, value)


def _tree(columns: Mapping[str, pa.Array]) -> dict[str | None, Any]:
    """Nest columns by path; a column that shares its path with an object is kept under the key None."""
    tree: dict[str | None, Any] = {}
    for name, column in columns.items():
        node = tree
        for key in paths.parse(name):
            node = node.setdefault(str(key), {})
        node[None] = column
    return tree


def _object_texts(node: Mapping[str | None, Any], length: int) -> pa.Array:
    """JSON texts of the objects of one tree node; null where an object would be empty."""
    parts: list[pa.Array | str] = []
    literal = ""
    never_empty = False
    for key, member in node.items():
        if key is None:
            continue
        text, quote = _member_texts(member, length)
        label = f"{col.encode(key)}:{quote}"
        if text.null_count:
            parts += [literal, col.join(f",{label}", text, quote)]
            literal = ""
        else:
            never_empty = never_empty or not parts
            parts += [literal + ("," if parts else "{") + label, text]
            literal = quote
    if not parts:
        return pa.nulls(length, pa.string())
    joined = col.join(*parts, literal + "}", absent="")
    if never_empty:
        return joined
    texts = pc.binary_replace_slice(joined, 0, 1, "{")
    return pc.if_else(pc.equal(joined, col.literal("}")), col.NO_TEXT, texts)


def _member_texts(member: Mapping[str | None, Any], length: int) -> tuple[pa.Array, str]:
    """JSON texts of one member, its own values or the object assembled from the columns below it, and their quote."""
    if None not in member:
        return _object_texts(member, length), ""
    own = member[None]
    if len(member) == 1 and pa.types.is_string(own.type):
        return col.escaped_json(own), '"'
    text = col.json_text(own)
    return (text if len(member) == 1 else pc.coalesce(_object_texts(member, length), text)), ""
