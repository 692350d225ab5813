"""Shredding is a speed-up, never a meaning."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from landbridge.records import Batch
from landbridge.records.json_batch import JsonBatch
from landbridge.records.shred import Shredder

KEYS = st.one_of(st.sampled_from(["a", "b", "c", "a.b", "0", "'q'", "", " x ", "ü[1]"]), st.text(max_size=4))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
RECORDS = st.dictionaries(KEYS, VALUES, max_size=6)


def same(one, other):
    """Equal as JSON: True is not 1, and 1.0 is not 1."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_stream_of_objects_comes_back_as_it_went_in(pages):
    shredder = Shredder()
    for page in pages:
        lines = b"\n".join(map(msgspec.json.encode, page))
        assert same(shredder.lines(lines).to_objects(), page)
        assert same(shredder.array(msgspec.json.encode(page)).to_objects(), page)
        assert same(Batch.from_objects(page).to_objects(), page)


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=5), min_size=1, max_size=4), st.booleans())
def test_records_kept_as_text_are_the_same_as_those_in_columns(pages, pretty):
    shredder = Shredder(as_text=True)
    batches = []
    for page in pages:
        text = msgspec.json.encode(page)
        batch = shredder.array(msgspec.json.format(text, indent=2) if pretty else text)
        assert same(batch.to_objects(), page)
        assert not any("\n" in line for line in batch.json_texts().to_pylist())
        assert same(batch.slice(1, 2).to_objects(), page[1:3])
        assert same(batch.take([len(page) - 1, 0]).to_objects(), [page[-1], page[0]])
        assert same(Batch(batch.columns, len(page)).to_objects(), page)
        assert same(batch.slice(1, 2).to_objects(), page[1:3])
        batches.append(batch)
    assert same(JsonBatch.concat(batches).to_objects(), [row for page in pages for row in page])


@pytest.mark.parametrize("text", [b'[{"a": 1}, 2]', b"[[]]", b'[{"a": 1}', b'[{"a": "\xff"}]', b'[{"a": "\\ud800"}]'])
def test_what_is_no_record_is_refused_as_text_as_it_is_in_columns(text):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        Shredder().array(text)
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        Shredder(as_text=True).array(text)


def test_records_kept_as_text_make_no_columns_until_a_field_is_asked_for():
    batch = Shredder(as_text=True).lines(b'{"a": 1, "b": {"c": [1, 2]}}\n{"a": 2}\n')
    assert batch.json_texts().to_pylist() == ['{"a": 1, "b": {"c": [1, 2]}}', '{"a": 2}']
    assert batch.remove(("b",)).json_texts().to_pylist() == ['{"a":1}', '{"a":2}']
