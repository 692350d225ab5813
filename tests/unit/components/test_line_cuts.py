"""Files cut into parts: the parts give the records of the whole, or the file is not cut."""

import json

import pytest
from hypothesis import given, settings, strategies as st

from landbridge.components.base import FileStart
from tests.steps import make, rejects


def parts(parser, content, wanted, *, chunk=7):
    """The parts of a file with what the parser needs to know of them; None where it cannot be cut."""
    looking = parser.line_cuts(wanted)
    if looking is None:
        return None
    for at in range(0, len(content), chunk):
        if not looking.feed(content[at : at + chunk]):
            return None
    cuts = looking.finish()
    if cuts is None:
        return None
    cuts = [cut for cut in cuts if cut.offset < len(content)]
    ends = [*(cut.offset for cut in cuts), len(content)]
    first = [(FileStart("f"), content[: ends[0]])]
    return first + [
        (FileStart("f", lines_left_out=cut.lines), cut.header + content[cut.offset : end])
        for cut, end in zip(cuts, ends[1:], strict=True)
    ]


def records(component, params, pieces):
    """Records and rejects of pieces, each read by a parser of its own."""
    rows, bad = [], []
    for start, content in pieces:
        parser = make(component, params)
        for batch in parser.parse(start, iter([content])):
            rows += batch.to_objects()
        bad += rejects(parser)
    return rows, [(reject["text"], reject["code"]) for reject in bad], [reject["line"] for reject in bad]


CELL = st.one_of(
    st.sampled_from(["", "a", "ü", "a,b", 'a"b', '""', "two\nlines", "\r\n", '"', '",', "\n"]), st.text(max_size=4)
)
QUOTED = CELL.map(lambda text: '"' + text.replace('"', '""') + '"')
PLAIN = st.sampled_from(["", "a", "bc", "1", "ü", " ", 'a"b', '5" pipe'])


@given(
    rows=st.lists(st.lists(QUOTED | PLAIN, min_size=1, max_size=4), max_size=12),
    wanted=st.lists(st.integers(1, 200), max_size=4, unique=True).map(sorted),
    end=st.sampled_from(["\n", "\r\n"]),
    chunk=st.sampled_from([1, 7, 1000]),
    header=st.sampled_from(["a,b", '"a\nx",b', "a"]),
)
@settings(max_examples=settings.default.max_examples * 3)
def test_parts_of_a_dsv_file_give_the_records_of_the_whole(rows, wanted, end, chunk, header):
    content = end.join([header, *(",".join(cells) for cells in rows), ""]).encode("utf-8", "surrogatepass")
    pieces = parts(make("file.parse.dsv"), content, wanted, chunk=chunk)
    if pieces is not None:
        assert b"".join(piece for _, piece in pieces).count(header.encode()) >= len(pieces)
        assert (
            records("file.parse.dsv", {}, pieces)[:2] == records("file.parse.dsv", {}, [(FileStart("f"), content)])[:2]
        )


@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from("abc"), st.text(max_size=5) | st.integers(0, 9), max_size=3), max_size=12
    ),
    wanted=st.lists(st.integers(1, 120), max_size=4, unique=True).map(sorted),
    chunk=st.sampled_from([1, 7, 1000]),
)
@settings(max_examples=settings.default.max_examples * 3)
def test_parts_of_json_lines_give_the_records_of_the_whole(rows, wanted, chunk):
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    pieces = parts(make("file.parse.json"), content, wanted, chunk=chunk)
    if rows:
        assert pieces is not None
        assert records("file.parse.json", {}, pieces)[0] == rows


def test_a_well_formed_file_is_cut_near_where_it_is_wanted():
    content = b"id,note\n" + b"".join(b'%d,"two\nlines, ""quoted"""\n' % number for number in range(100))
    pieces = parts(make("file.parse.dsv"), content, [1000, 2000])
    assert [len(piece) for _, piece in pieces] == pytest.approx([1000, 1000, len(content) - 2000], abs=50)
    lines = [piece.count(b"\n") - 1 for _, piece in pieces]
    assert [start.lines_left_out for start, _ in pieces] == [0, lines[0], lines[0] + lines[1]]


@pytest.mark.parametrize(
    ("content", "params"),
    [
        (b'a,b\n5" pipe,1\n' + b"x,y\n" * 50, {}),
        (b'a,b\n"open,1\n' + b"x,y\n" * 50, {}),
        (b"a,b\rx,y\r" * 50, {}),
        ("a,b\n".encode("utf-16") * 50, {}),
        (b"a,b\nx,y\n" * 50, {"fileCharset": "latin-1"}),
        (b"a,b\nx,y\n" * 50, {"fileCharset": "auto-detect"}),
        (b"a,b\nx,y\n" * 50, {"escapeCharacter": "\\"}),
    ],
)
def test_a_dsv_file_is_left_whole_where_a_cut_cannot_be_proven(content, params):
    assert parts(make("file.parse.dsv", params), content, [20, 40]) is None


@pytest.mark.parametrize("content", [b'[{"a":1},\n{"a":2}]', b'{"a":\n1}\n{"a":2}\n', b'\n{"a":1}\n', b""])
def test_json_is_left_whole_unless_each_line_is_an_object(content):
    assert not parts(make("file.parse.json"), content * (1 if b"[" in content else 20), [10]) or not content


def test_a_broken_line_in_a_later_part_has_its_number_in_the_file():
    lines = [b'{"n":%d}\n' % number for number in range(100)]
    parser = make("file.parse.json")
    pieces = parts(parser, b"".join(lines), [400])
    lines[80] = b"[broken}\n"
    (first, head), (second, _) = pieces
    rest = b"".join(lines)[len(head) :]
    _, bad, numbers = records("file.parse.json", {}, [(first, head), (second, rest)])
    assert (bad, numbers) == ([("[broken}", "LB-4102")], [81])
