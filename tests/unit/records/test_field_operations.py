"""Every operation on columns does what the same operation does to each plain object."""

import copy

import msgspec
import pytest
from hypothesis import given, strategies as st

from landbridge.errors import FlowError
from landbridge.records import Batch, columns as col, objects
from landbridge.records.objects import ABSENT
from landbridge.records.path import parse, write
from landbridge.records.shred import Shredder

KEYS = st.sampled_from(["a", "b", "c", "d.e", "0"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3), st.sampled_from([0.5, 1.0]), st.sampled_from(["", "x", '"y"'])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=10,
)
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=4)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(tuple) | st.sampled_from([("a", 0), ("a", "b", 1), ("b", 0, "a")])


def same(one, other):
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def batches(rows):
    """The same records as columns, made in each way there is."""
    text = msgspec.json.encode(rows)
    return [Batch.from_objects(rows), Shredder().array(text), Shredder(as_text=True).array(text)]


def expect(rows, operate, reference):
    wanted = copy.deepcopy(rows)
    for row in wanted:
        reference(row)
    for batch in batches(rows):
        assert same(operate(batch).to_objects(), wanted)


def move(row, source, target):
    value = objects.get(row, source)
    if value is not ABSENT and source != target:
        objects.remove(row, source)
        objects.put(row, target, copy.deepcopy(value))


def duplicate(row, source, target):
    value = copy.deepcopy(objects.get(row, source))
    if value is not ABSENT and source != target:
        objects.put(row, target, value)


@given(RECORDS, PATHS, PATHS)
def test_rename_moves_the_value_of_each_record(rows, source, target):
    expect(rows, lambda batch: batch.rename(source, target), lambda row: move(row, source, target))


@given(RECORDS, st.lists(st.tuples(PATHS, PATHS), max_size=3))
def test_renames_in_a_row_act_one_after_the_other(rows, pairs):
    def operate(batch):
        for source, target in pairs:
            batch = batch.rename(source, target)
        return batch

    def reference(row):
        for source, target in pairs:
            move(row, source, target)

    expect(rows, operate, reference)


@given(RECORDS, PATHS, PATHS)
def test_copy_leaves_the_source(rows, source, target):
    expect(rows, lambda batch: batch.copy(source, target), lambda row: duplicate(row, source, target))


@given(RECORDS, st.lists(PATHS, max_size=3))
def test_remove_drops_the_field_and_keeps_its_parents(rows, removed):
    def reference(row):
        for path in removed:
            objects.remove(row, path)

    expect(rows, lambda batch: batch.remove(*removed), reference)


@given(RECORDS, PATHS, SCALARS | st.lists(SCALARS, max_size=2))
def test_put_sets_a_constant_in_every_record(rows, path, value):
    expect(
        rows,
        lambda batch: batch.put(path, col.constant(value, batch.num_rows)),
        lambda row: objects.put(row, path, copy.deepcopy(value)),
    )


@given(RECORDS, PATHS, st.data())
def test_put_changes_only_the_rows_that_have_a_value(rows, path, data):
    values = data.draw(st.lists(st.just(ABSENT) | SCALARS, min_size=len(rows), max_size=len(rows)))
    wanted = copy.deepcopy(rows)
    for row, value in zip(wanted, values, strict=True):
        if value is not ABSENT:
            objects.put(row, path, value)
    for batch in batches(rows):
        assert same(batch.put(path, col.from_values(values)).to_objects(), wanted)


@given(RECORDS, st.lists(PATHS, max_size=3))
def test_select_keeps_only_the_named_fields(rows, kept):
    wanted = []
    for row in copy.deepcopy(rows):
        selected = {}
        for path in kept:
            value = objects.get(row, path)
            if value is not ABSENT:
                objects.put(selected, path, copy.deepcopy(value))
        wanted.append(selected)
    for batch in batches(rows):
        assert same(batch.select(kept).to_objects(), wanted)


@given(RECORDS, PATHS)
def test_get_finds_what_the_path_means_in_each_record(rows, path):
    wanted = [objects.get(row, path) for row in rows]
    for batch in batches(rows):
        found = col.to_values(batch.get(path))
        assert same([None if v is ABSENT else [v] for v in found], [None if v is ABSENT else [v] for v in wanted])


@given(RECORDS, RECORDS)
def test_concat_puts_records_one_after_the_other(first, second):
    for one, other in zip(batches(first), batches(second), strict=True):
        assert same(Batch.concat([one, other]).to_objects(), first + second)


@given(RECORDS, st.data())
def test_slice_filter_and_take_pick_records(rows, data):
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=5))
    mask = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    start = data.draw(st.integers(0, len(rows)))
    for batch in batches(rows):
        assert same(batch.take(picked).to_objects(), [rows[number] for number in picked])
        kept = col.from_values(mask)
        assert same(batch.filter(kept).to_objects(), [row for row, keep in zip(rows, mask, strict=True) if keep])
        assert same(batch.slice(start, 2).to_objects(), rows[start : start + 2])


def test_a_renamed_field_keeps_its_place_within_its_object_and_goes_to_the_end_otherwise():
    batch = Batch.from_objects([{"a": 1, "p": {"x": 2, "y": 3}, "b": 4}])
    assert batch.rename(("a",), ("A",)).names == ("A", "p.x", "p.y", "b")
    assert batch.rename(("p", "x"), ("X",)).columns.keys() == {"a", "p.y", "b", "X"}
    assert list(batch.rename(("p", "x"), ("X",)).columns) == ["a", "p.y", "b", "X"]


def test_a_wide_object_stays_whole_and_is_seen_through():
    rows = [{"map": {f"k{number}": number for number in range(500)}}]
    batch = Shredder().array(msgspec.json.encode(rows))
    assert batch.names == ("map",)
    assert batch.get(("map", "k7")).to_pylist() == [7]
    assert same(batch.rename(("map", "k7"), ("seven",)).to_objects()[0]["seven"], 7)


def test_a_lazy_column_that_nobody_asks_for_is_never_built():
    batch = Shredder().lines(b'{"a": 1, "b": {"c": [1, 2]}}\n{"a": 2}')
    assert batch.nbytes == 0
    assert batch.remove(("b",)).column("a").to_pylist() == [1, 2]


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a[", "'a", "a]b["])
def test_a_malformed_path_is_refused_with_its_position(text):
    with pytest.raises(FlowError, match="position"):
        parse(text)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4).map(tuple))
def test_a_written_path_is_read_back(path):
    assert parse(write(path)) == path
