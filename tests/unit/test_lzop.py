"""The lzop format, as a law: what is encoded is decoded, and nothing else is."""

import random

from hypothesis import given, strategies as st

from landbridge.components.file import lzop
from landbridge.components.file.codec import Source
from landbridge.errors import DataError

CHANCE = random.Random(8)
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=50),
        st.builds(CHANCE.randbytes, st.integers(0, 400_000)),
        st.builds(lambda size: b"UID,email\n" * size, st.integers(0, 60_000)),
    ),
    max_size=5,
)


def encode(pieces):
    positions = []
    return b"".join(lzop.encode(pieces, modified=None, positions=positions)), positions


@given(PIECES, st.integers(1, 300_000))
def test_what_is_encoded_is_decoded_however_it_is_cut(pieces, size):
    packed, _ = encode(pieces)
    chunks = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(lzop.decode(Source(chunks), name="x")) == b"".join(pieces)


@given(PIECES)
def test_a_reader_can_begin_at_every_position_of_the_index(pieces):
    packed, positions = encode(pieces)
    header = packed[: positions[0]] if positions else packed[:-4]
    whole = b"".join(pieces)
    for number, position in enumerate(positions):
        rest = b"".join(lzop.decode(Source([header + packed[position:]]), name="x"))
        assert rest == whole[number * lzop.BLOCK_BYTES :]


HEADER = encode([])[0][:-4]


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda tail: HEADER + tail)))
def test_any_other_bytes_are_an_error_of_the_data(content):
    try:
        decoded = b"".join(lzop.decode(Source([content]), name="x"))
    except DataError:
        return
    assert content.startswith(HEADER + bytes(4))
    assert decoded == b""


@given(st.binary(max_size=3000), st.data())
def test_a_changed_byte_never_changes_the_content(content, data):
    packed = bytearray(encode([content])[0])
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = b"".join(lzop.decode(Source([bytes(packed)]), name="x"))
    except DataError:
        return
    assert decoded == content
