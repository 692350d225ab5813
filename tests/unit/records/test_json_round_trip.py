"""Shredding is a speed-up, never a meaning."""

import msgspec
from hypothesis import given, settings, strategies as st

from landbridge.records import Batch
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
@settings(max_examples=100)
def test_a_stream_of_objects_comes_back_as_it_went_in(pages):
    shredder = Shredder()
    for page in pages:
        lines = b"\n".join(map(msgspec.json.encode, page))
        assert same(shredder.lines(lines).to_objects(), page)
        assert same(shredder.array(msgspec.json.encode(page)).to_objects(), page)
        assert same(Batch.from_objects(page).to_objects(), page)
