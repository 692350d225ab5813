"""JSON text to columns without walking dictionaries.

A Struct class is generated from the fields seen so far, with unknown fields forbidden. While the text fits it, msgspec
fills slots instead of dictionaries, and a column is one ``attrgetter`` over the rows. Text that does not fit (a new
field, another type) is decoded once more into plain objects, and the class is widened for the next text.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import partial
from itertools import repeat
from operator import attrgetter, is_
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from landbridge.records import columns as col, path as paths
from landbridge.records.batch import Batch, Empties, Lazy
from landbridge.records.json_batch import JsonBatch
from landbridge.records.needs import ALL, Needs
from landbridge.records.objects import ABSENT, JsonObject
from landbridge.records.path import Path

MAX_MEMBERS: Final = 400
"""A nested object in which more different keys than this were seen stays whole: it is a map, not a structure."""

_NO_RAW: Final = msgspec.Raw(b"")
_SAMPLE_ROWS: Final = 100
_EXACT_BLOCKS: Final = 16
"""After a text with explicit nulls so many more are taken to have some, before the quick way is tried again."""

_UNNAMEABLE: Final = frozenset(map(chr, range(32))) | {'"', "\\"}
_UNTYPED: Final = type(None)
_SCALARS: Final = (str, bool, int, float)


class _Node:
    """What is known of one object: each member is a nested node, a scalar type, or ``Raw`` for all else."""

    def __init__(self) -> None:
        self.members: dict[str, _Node | type] = {}

    def has_slots(self) -> bool:
        """Whether msgspec can name a slot after every member."""
        return not any(map(_UNNAMEABLE.intersection, self.members))

    def learn(self, row: JsonObject) -> None:
        """Widen to fit ``row``."""
        for key, value in row.items():
            known = self.members.get(key, _UNTYPED)
            if known is msgspec.Raw or (value is None and key in self.members):
                continue
            if known is _UNTYPED:
                known = self.members[key] = _fitting(value)
            if isinstance(known, _Node) and isinstance(value, dict):
                known.learn(value)
                if len(known.members) > MAX_MEMBERS or not known.has_slots():
                    self.members[key] = msgspec.Raw
            elif known is not type(value):
                self.members[key] = float if {known, type(value)} == {int, float} else msgspec.Raw


def _fitting(value: Any) -> _Node | type:
    if isinstance(value, dict):
        return _Node()
    return type(value) if value is None or type(value) in _SCALARS else msgspec.Raw


class Shredder:
    """Turns texts of one stream into batches, learning the stream's fields as it goes. Not for several threads.

    Args:
        needs: Fields to make columns of; others may be left out. Fixed once a text has been read.
        as_text: Keep the records as text and make columns only when they are asked for, then from any thread.
    """

    def __init__(self, needs: Needs = ALL, *, as_text: bool = False) -> None:
        self.needs = needs
        self.as_text = as_text
        self._late = threading.Lock()
        self._root = _Node()
        self._layouts: dict[bool, _Layout] = {}
        self._exact_blocks = 0

    def lines(self, text: bytes) -> Batch:
        """A batch of the JSON objects that stand in ``text``, one a line.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError: A line is not a JSON object; nothing is read.
        """
        return self._shred(text, as_lines=True)

    def array(self, text: bytes) -> Batch:
        """A batch of the elements of the JSON array ``text``.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError: ``text`` is not an array of objects; nothing is read.
        """
        return self._shred(text, as_lines=False)

    def _shred(self, text: bytes, *, as_lines: bool) -> Batch:
        kept = self._kept(text, as_lines=as_lines) if self.as_text else None
        return self._columns(text, as_lines=as_lines) if kept is None else kept

    def _kept(self, text: bytes, *, as_lines: bool) -> Batch | None:
        """The records as text; None where not each of them is a line of its own that surely can be read."""
        texts = col.texts_of(_decode(_RAWS, text, as_lines=as_lines))
        if texts is None or not pc.all(pc.starts_with(texts, "{"), min_count=0).as_py():
            return None
        if b"\\u" in text and _HALF_CHARACTER.search(text):
            return None
        return None if b"\n" in text and col.has_any(texts, b"\n") else JsonBatch(texts, self._shred_late)

    def _shred_late(self, text: bytes) -> Batch:
        with self._late:
            return self._columns(text, as_lines=False)

    def _columns(self, text: bytes, *, as_lines: bool) -> Batch:
        if not self._root.members and as_lines:
            self._learn(_decode(_OBJECTS, b"\n".join(text.split(b"\n", _SAMPLE_ROWS)[:_SAMPLE_ROWS]), as_lines=True))
        if self._root.members and self._root.has_slots():
            batch = self._fitting_batch(text, as_lines=as_lines)
            if batch is not None:
                return batch
        rows = _decode(_OBJECTS, text, as_lines=as_lines)
        self._learn(rows)
        if not self._root.has_slots():
            return Batch.from_objects(rows)
        return self._layout(exact=True).batch(text, as_lines=as_lines)

    def _fitting_batch(self, text: bytes, *, as_lines: bool) -> Batch | None:
        """The batch, where the text fits what is known: without explicit nulls first, or with them."""
        for exact in (False, True):
            if not exact and self._exact_blocks:
                self._exact_blocks -= 1
                continue
            try:
                batch = self._layout(exact=exact).batch(text, as_lines=as_lines)
            except msgspec.ValidationError:
                continue  # a null, a field or a type that was not seen before, or not an object at all
            if exact and not self._exact_blocks:
                self._exact_blocks = _EXACT_BLOCKS
            return batch
        return None

    def _learn(self, rows: list[JsonObject]) -> None:
        for row in rows:
            self._root.learn(row)
        self._layouts.clear()

    def _layout(self, *, exact: bool) -> _Layout:
        if exact not in self._layouts:
            self._layouts[exact] = _Layout(self._root, self.needs, exact=exact)
        return self._layouts[exact]


_OBJECTS: Final = (msgspec.json.Decoder(JsonObject), msgspec.json.Decoder(list[JsonObject]))
_RAWS: Final = (msgspec.json.Decoder(msgspec.Raw), msgspec.json.Decoder(list[msgspec.Raw]))
_HALF_CHARACTER: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escape that needs a partner to be a character; whether it has one only decoding tells."""


def _decode(decoders: tuple[Any, Any], text: bytes, *, as_lines: bool) -> list[Any]:
    one, many = decoders
    rows: list[Any] = one.decode_lines(text) if as_lines else many.decode(text)
    return rows


class _Layout:
    """A generated class for one state of knowledge, and how its slots become columns.

    Args:
        root: The fields that are known.
        needs: The fields to make slots for.
        exact: Accept explicit nulls, at some cost; otherwise they do not fit.
    """

    def __init__(self, root: _Node, needs: Needs, *, exact: bool) -> None:
        self._exact = exact
        self._needs = needs
        self._absent = ABSENT if exact else None
        self._slots = self._slots_of(root, ())
        self._absent_objects: dict[str, Any] = {}
        record = self._struct(root, ())
        self._decoders = (msgspec.json.Decoder(record), msgspec.json.Decoder(list[record]))  # type: ignore[valid-type]

    def batch(self, text: bytes, *, as_lines: bool) -> Batch:
        """Decode ``text``; ValidationError where it does not fit the class."""
        rows = _decode(self._decoders, text, as_lines=as_lines)
        columns: dict[str, pa.Array | Lazy] = {}
        self._collect(_Level(lambda: rows, whole=True), self._slots, (), columns)
        return Batch(columns, len(rows))

    def _slots_of(self, node: _Node, path: Path) -> _Slots:
        """Member keys, which may be any text, to attribute names and what they hold; needed members only."""
        needed = ((key, member) for key, member in node.members.items() if self._needs.covers((*path, key)))
        return {key: (f"f{number}", member) for number, (key, member) in enumerate(needed)}

    def _struct(self, node: _Node, path: Path) -> type[msgspec.Struct]:
        fields: list[tuple[str, Any, Any]] = []
        slots = self._slots_of(node, path)
        for key, (slot, member) in slots.items():
            if isinstance(member, _Node):
                nested = self._struct(member, (*path, key))
                # Without nulls about, an absent object can be an empty one, and no row needs a check.
                absent = ABSENT if self._exact else nested()
                self._absent_objects[paths.write((*path, key))] = absent
                fields.append((slot, nested | None | msgspec.UnsetType if self._exact else nested, absent))
            elif member is msgspec.Raw:
                fields.append((slot, msgspec.Raw, _NO_RAW))
            else:
                kind = _KINDS.get(member, member)
                fields.append((slot, kind | None | msgspec.UnsetType if self._exact else kind, self._absent))
        keys = {slot: key for key, (slot, _) in slots.items()}
        wanted = self._needs.members(path)
        may_grow = wanted is None or not wanted <= node.members.keys()
        if may_grow:
            # A field that was not seen before may be needed, so none may pass unnoticed: the others get slots as well.
            spare = [key for key in node.members if key not in slots]
            fields += [(f"spare{number}", msgspec.Raw, _NO_RAW) for number in range(len(spare))]
            keys |= {f"spare{number}": key for number, key in enumerate(spare)}
        return msgspec.defstruct("Record", fields, rename=keys, forbid_unknown_fields=may_grow, frozen=True, gc=False)

    def _collect(self, level: _Level, slots: _Slots, path: Path, into: dict[str, pa.Array | Lazy]) -> None:
        for key, (slot, member) in slots.items():
            name = paths.write((*path, key))
            if isinstance(member, _Node):
                fetch = partial(level.objects_at, slot) if self._exact else partial(level.values, slot)
                nested = _Level(fetch, whole=not self._exact)
                into[name] = Empties(partial(_markers, nested, self._absent_objects[name]))
                self._collect(nested, self._slots_of(member, (*path, key)), (*path, key), into)
            elif member is msgspec.Raw:
                into[name] = Lazy(partial(level.raw, slot))
            elif self._exact:
                into[name] = Lazy(partial(level.exact, slot, self._absent))
            else:
                into[name] = Lazy(partial(level.typed, slot, _ARROW[member]))


_KINDS: Final[dict[type, Any]] = {float: int | float, _UNTYPED: str}
"""What a slot accepts besides nulls, where it is not the type itself; a member that was always null may be a text."""

_ARROW: Final = {_UNTYPED: pa.string(), str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
_Slots = dict[str, tuple[str, "_Node | type"]]


class _Level:
    """The objects of one nesting level in every row, fetched when the first of their columns is asked for.

    Args:
        fetch: Gives the objects.
        whole: Every row has an object here, if need be one without members.
    """

    def __init__(self, fetch: Callable[[], list[Any]], *, whole: bool) -> None:
        self._fetch = fetch
        self._whole = whole
        self._rows: list[Any] | None = None

    @property
    def rows(self) -> list[Any]:
        """One generated object a row; with exact slots ABSENT or None where there is no object."""
        if self._rows is None:
            self._rows = self._fetch()
        return self._rows

    def values(self, slot: str) -> list[Any]:
        """The values of one slot."""
        return list(map(attrgetter(slot), self.rows))

    def objects_at(self, slot: str) -> list[Any]:
        """The values of one slot, where this level itself may be missing in some rows."""
        return [getattr(row, slot, ABSENT) for row in self.rows]

    def typed(self, slot: str, arrow_type: pa.DataType) -> pa.Array:
        """A column whose values are all of one type."""
        values = self.values(slot)
        try:
            # Arrow would make 1.0 of an integer among numbers with a fraction.
            if arrow_type != pa.float64() or int not in set(map(type, values)):
                return pa.array(values, arrow_type)
        except OverflowError:
            pass  # an integer beyond 64 bits
        return col.from_values([ABSENT if value is None else value for value in values])

    def exact(self, slot: str, absent: Any) -> pa.Array:
        """A column of any values, with ``absent`` in the rows without one."""
        values = self.objects_at(slot)
        return col.from_values(values if absent is ABSENT else [ABSENT if value is None else value for value in values])

    def raw(self, slot: str) -> pa.Array:
        """A column of JSON text."""
        raws = self.values(slot) if self._whole else [getattr(row, slot, _NO_RAW) for row in self.rows]
        texts = pa.array(list(map(bytes, raws)), pa.binary()).cast(pa.string())
        if col.has_any(texts, b"\n\r\t"):
            texts = col.map_values(texts, _on_one_line)
        return col.json_array(pc.if_else(pc.equal(texts, col.literal("")), col.NO_TEXT, texts))


def _on_one_line(text: str) -> str:
    return msgspec.json.format(text, indent=-1) if text else text


def _markers(level: _Level, absent: Any) -> pa.Array:
    """``{}`` and ``null`` in the rows where an object is empty or an explicit null."""
    rows = level.rows
    if absent is not ABSENT and rows.count(absent) == sum(map(is_, rows, repeat(absent))):
        return col.json_array(pa.nulls(len(rows), pa.string()))
    return col.json_array([None if value is absent else _marker(value) for value in rows])


def _marker(value: Any) -> str | None:
    if value is None:
        return "null"
    return "{}" if value is not ABSENT and value == type(value)() else None
