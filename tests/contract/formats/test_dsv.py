"""Delimiter-separated text: what we write is rectangular, and is read back exactly, by us and by others."""

import csv
import io
import re
from unittest.mock import patch

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings, strategies as st

from landbridge.components.file import dsv_blocks
from landbridge.components.file.dsv_blocks import Blocks
from landbridge.errors import DataError
from tests.steps import batched, lines, make, parsed, rejects, written

TEXTS = st.text(st.sampled_from("ab ,;\"\\\n\r\t'=é0|€"), max_size=6)
ROWS = st.lists(st.dictionaries(st.sampled_from(["A", "B", "C", "d.e"]), TEXTS, min_size=1), min_size=1, max_size=6)
DIALECTS = st.fixed_dictionaries(
    {},
    optional={
        "columnSeparator": st.sampled_from([",", ";", "|", "\\t"]),
        "quoteFields": st.booleans(),
        "escapeCharacter": st.just("\\"),
        "lineEnd": st.sampled_from(["\n", "\r\n"]),
    },
)


def write(rows, spool_dir, **params):
    files = written(make("file.format.dsv", {"fileName": "f.csv", **params}, spool_dir=spool_dir), *batched(rows, 2))
    assert len(files) == 1
    assert files[0][2] == len(rows)
    return files[0][1]


def reading(params):
    return {key: value for key, value in params.items() if key in ("columnSeparator", "escapeCharacter")}


@given(ROWS, DIALECTS, st.integers(1, 50))
def test_what_we_write_we_read_back(tmp_path_factory, rows, dialect, chunk):
    content = write(rows, tmp_path_factory.getbasetemp(), **dialect)
    parser = make("file.parse.dsv", reading(dialect))
    got = parsed(parser, content, chunk=chunk)
    assert got == rows
    assert rejects(parser) == []


@given(ROWS)
def test_pythons_csv_reads_the_same(tmp_path_factory, rows):
    content = write(rows, tmp_path_factory.getbasetemp()).decode()
    got = list(csv.DictReader(io.StringIO(content, newline="")))
    header = dict.fromkeys(key for row in rows for key in row)
    assert got == [{key: row.get(key, "") for key in header} for row in rows]


@given(ROWS)
def test_pythons_csv_reads_the_backslash_dialect(tmp_path_factory, rows):
    content = write(rows, tmp_path_factory.getbasetemp(), escapeCharacter="\\").decode()
    got = list(csv.DictReader(io.StringIO(content, newline=""), doublequote=False, escapechar="\\"))
    header = dict.fromkeys(key for row in rows for key in row)
    assert got == [{key: row.get(key, "") for key in header} for row in rows]


@given(ROWS)
def test_arrow_reads_the_same(tmp_path_factory, rows):
    content = write(rows, tmp_path_factory.getbasetemp(), quoteFields=True)
    header = list(dict.fromkeys(key for row in rows for key in row))
    table = pyarrow.csv.read_csv(
        io.BytesIO(content),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    assert table.to_pylist() == [{key: row.get(key) for key in header} for row in rows]


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=1, max_size=8), st.integers(1, 30))
def test_what_pythons_csv_writes_we_read(rows, chunk):
    target = io.StringIO(newline="")
    csv.writer(target).writerows([["A", "B"], *rows])
    parser = make("file.parse.dsv", {"emptyCells": "empty"})
    assert parsed(parser, target.getvalue().encode(), chunk=chunk) == [
        dict(zip("AB", row, strict=True)) for row in rows
    ]


def test_a_field_that_shows_up_in_the_last_record_is_in_the_header(tmp_path):
    rows = [{"A": str(number)} for number in range(50_000)] + [{"A": "last", "LATE": "yes"}]
    (_, content, records) = written(
        make("file.format.dsv", {"fileName": "f.csv"}, spool_dir=tmp_path), *batched(rows, 10_000)
    )[0]
    table = list(csv.DictReader(io.StringIO(content.decode())))
    assert records == len(table) == len(rows)
    assert table[0] == {"A": "0", "LATE": ""}
    assert table[-1] == {"A": "last", "LATE": "yes"}
    assert list(tmp_path.iterdir()) == []


def test_absent_empty_and_null_are_told_apart_as_far_as_the_format_can(tmp_path):
    content = write([{"A": "", "B": "x"}, {"B": "y"}, {"A": None, "B": "z"}], tmp_path)
    assert content == lines("A,B", '"",x', ",y", ",z")
    assert parsed(make("file.parse.dsv"), content) == [{"A": "", "B": "x"}, {"B": "y"}, {"B": "z"}]


def test_nested_objects_become_dotted_columns_and_arrays_json(tmp_path):
    content = write([{"p": {"a": 1, "b": {"c": True}}, "list": [1, "x"], "e": {}, "f": 1.0}], tmp_path)
    assert content == lines("p.a,p.b.c,list,f", '1,true,"[1,""x""]",1.0')


def test_dots_in_a_header_are_part_of_the_name():
    assert parsed(make("file.parse.dsv"), lines("profile.name,a", "x,1")) == [{"profile.name": "x", "a": "1"}]


def test_leading_zeros_and_blanks_are_kept():
    assert parsed(make("file.parse.dsv"), lines("A,B", "007, x ")) == [{"A": "007", "B": " x "}]


def test_numbers_are_made_of_the_columns_that_hold_them_and_of_no_other():
    parser = make("file.parse.dsv", {"numberColumns": ["score", "missing"]})
    assert parsed(parser, b"score,zip\n42,42\nx,007\n,1\n") == [
        {"score": 42, "zip": "42"},
        {"score": "x", "zip": "007"},
        {"zip": "1"},
    ]


def test_types_are_inferred_when_asked_for_and_only_where_json_would_write_them_so():
    parser = make("file.parse.dsv", {"inferTypes": True})
    got = parsed(parser, lines("A,B,C,D,E", "1,1.5,true,007,1", "-2,2e3,false,8,x", "3,,,+1,true"))
    assert got == [
        {"A": 1, "B": 1.5, "C": True, "D": "007", "E": 1},
        {"A": -2, "B": 2000.0, "C": False, "D": 8, "E": "x"},
        {"A": 3, "D": "+1", "E": True},
    ]


@pytest.mark.parametrize("charset", ["utf-16", "utf-8-sig", "utf-16-le", "iso-8859-1", "cp1252"])
def test_other_character_sets_are_read(charset):
    content = "Näme;Ort\r\nZoë;Málaga\r\n".encode(charset)
    parser = make("file.parse.dsv", {"columnSeparator": ";", "fileCharset": charset.removesuffix("-sig")})
    assert parsed(parser, content, chunk=3) == [{"Näme": "Zoë", "Ort": "Málaga"}]


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_character_set_is_detected(charset):
    text = "Name,City\n" + "Zoë Müller,Málaga\nJosé Núñez,A Coruña\n" * 50
    got = parsed(make("file.parse.dsv", {"fileCharset": "auto-detect"}), text.encode(charset))
    assert got[:2] == [{"Name": "Zoë Müller", "City": "Málaga"}, {"Name": "José Núñez", "City": "A Coruña"}]


def test_a_record_without_a_form_in_the_character_set_is_a_reject(tmp_path):
    formatter = make("file.format.dsv", {"fileName": "f.csv", "fileCharset": "latin-1"}, spool_dir=tmp_path)
    assert written(formatter, [{"A": "Zoë"}, {"A": "東"}])[0][1:] == ("A\nZoë\n".encode("latin-1"), 1)
    assert [reject["code"] for reject in rejects(formatter)] == ["LB-4201"]


def test_a_record_is_a_reject_once_though_a_late_column_has_the_file_written_again(tmp_path):
    formatter = make("file.format.dsv", {"fileName": "f.csv", "fileCharset": "latin-1"}, spool_dir=tmp_path)
    files = written(formatter, [{"A": "東"}, *({"A": str(n)} for n in range(25_000))], [{"A": "京", "late": "x"}])
    assert [reject["text"] for reject in rejects(formatter)] == ["東\n", "京,x\n"]
    assert files[-1][1].startswith(b"A,late\n0,\n1,\n")


def test_no_byte_order_mark_is_written_unless_asked_for(tmp_path):
    assert write([{"A": "x"}], tmp_path) == b"A\nx\n"
    assert write([{"A": "x"}], tmp_path, byteOrderMark=True) == b"\xef\xbb\xbfA\nx\n"


def test_a_malformed_line_is_a_reject_with_its_line_number_and_the_rest_is_read():
    parser = make("file.parse.dsv")
    content = lines("A,B", '1,"two\nlines"', "only one", "2,b", "3,b,too many", "4,d")
    assert [row["A"] for row in parsed(parser, content)] == ["1", "2", "4"]
    found = rejects(parser)
    assert [(reject["line"], reject["text"]) for reject in found] == [(4, "only one"), (6, "3,b,too many")]
    assert {reject["file"] for reject in found} == {"file"}


def test_a_line_that_is_not_text_is_a_reject_and_the_rest_is_read():
    parser = make("file.parse.dsv")
    assert parsed(parser, b"A,B\n1,a\n2,\xff\xfe\n3,c\n") == [{"A": "1", "B": "a"}, {"A": "3", "B": "c"}]
    assert [(reject["line"], reject["code"]) for reject in rejects(parser)] == [(3, "LB-4304")]


@pytest.mark.parametrize(
    "text", [b"1,\xff,x\n2,b\n", b'1,"\xff\n more"\n2,b\n', b'"1\n,\xff\n2,b\n', b"2,b\n1,\xff", b'2,b\n"\xff,"",1']
)
def test_a_line_that_is_neither_text_nor_of_the_right_length_is_a_reject(text):
    parser = make("file.parse.dsv")
    assert parsed(parser, b"A,B\n" + text) == [{"A": "2", "B": "b"}]
    assert len(rejects(parser)) >= 1


def test_a_file_in_which_no_line_is_text_gives_no_records():
    parser = make("file.parse.dsv")
    assert parsed(parser, b"A,B\n\xff,1\n\xfe,2\n") == []
    assert [(reject["line"], reject["code"]) for reject in rejects(parser)] == [(2, "LB-4304"), (3, "LB-4304")]


@pytest.mark.parametrize(
    ("content", "code"),
    [(b'"A,B\n1,2\n3,4\n', "LB-4301"), (b'"A\n' + b"1,2\n" * 300_000, "LB-4301"), (b"A,\xfc\n1,2\n", "LB-4306")],
)
def test_a_header_that_cannot_be_read_ends_the_job(content, code):
    with pytest.raises(DataError) as raised:
        parsed(make("file.parse.dsv"), content)
    assert raised.value.code == code


def test_a_quoted_value_without_end_is_a_reject_of_its_line_only():
    parser = make("file.parse.dsv")
    assert parsed(parser, lines("A,B", "1,a", '2,"never closed', "3,c", "4,d")) == [
        {"A": "1", "B": "a"},
        {"A": "3", "B": "c"},
        {"A": "4", "B": "d"},
    ]
    assert [(reject["line"], reject["code"]) for reject in rejects(parser)] == [(3, "LB-4305")]


def test_a_quote_within_a_value_is_an_ordinary_character():
    parser = make("file.parse.dsv")
    assert parsed(parser, lines("A,B", '5" pipe,x', "2,y")) == [{"A": '5" pipe', "B": "x"}, {"A": "2", "B": "y"}]
    assert rejects(parser) == []


def test_a_column_that_is_named_twice_is_an_error():
    with pytest.raises(DataError, match='"A" twice'):
        parsed(make("file.parse.dsv"), lines("A,B,A", "1,2,3"))


@pytest.mark.parametrize("content", [b"", b"\n", b"A,B\n", b"A,B", b"\xef\xbb\xbf"])
def test_a_file_without_records_gives_none(content):
    parser = make("file.parse.dsv")
    assert parsed(parser, content) == []
    assert rejects(parser) == []


def test_blocks_are_cut_between_records_whatever_they_hold():
    rows = [{"A": str(number), "B": 'a "quoted"\nvalue, with all' * (number % 3)} for number in range(150_000)]
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, ["A", "B"])
    writer.writeheader()
    writer.writerows(rows)
    got = parsed(make("file.parse.dsv", {"emptyCells": "empty"}), target.getvalue().encode(), chunk=100_000)
    assert got == rows


def test_stray_quotes_in_a_large_file_neither_lose_nor_merge_records():
    rows = [f'{number},5" pipe' if number % 7 == 0 else f'{number},"two\nlines"' for number in range(300_000)]
    parser = make("file.parse.dsv")
    got = parsed(parser, lines("A,B", *rows), chunk=1 << 20)
    assert [row["A"] for row in got] == [str(number) for number in range(300_000)]
    assert rejects(parser) == []


def test_parts_are_numbered_before_the_extension_and_each_has_the_header(tmp_path):
    rows = [{"A": "x" * 100} for _ in range(100)]
    formatter = make("file.format.dsv", {"fileName": "out/f.csv", "maxFileSize": 0.003}, spool_dir=tmp_path)
    files = written(formatter, *batched(rows, 30))
    assert [name for name, _, _ in files] == ["out/f.csv", "out/f_2.csv", "out/f_3.csv", "out/f_4.csv"]
    assert all(len(content) <= 3000 and content.startswith(b"A\n") for _, content, _ in files)
    assert sum(records for _, _, records in files) == 100


def test_an_empty_file_is_written_only_when_asked_for(tmp_path):
    assert written(make("file.format.dsv", {"fileName": "f.csv"}, spool_dir=tmp_path)) == []
    formatter = make("file.format.dsv", {"fileName": "f.csv", "createEmptyFile": True}, spool_dir=tmp_path)
    assert written(formatter) == [("f.csv", b"", 0)]


def test_formulas_are_defused_when_asked_for_and_numbers_left_alone(tmp_path):
    content = write([{"A": "=1+1", "B": "-5", "C": "@x"}], tmp_path, defuseFormulas=True)
    assert content == lines("A,B,C", "'=1+1,-5,'@x")


def test_the_columns_can_be_fixed(tmp_path):
    content = write([{"A": "1", "B": "2", "X": "3"}], tmp_path, columns=["B", "Z", "A"])
    assert content == lines("B,Z,A", "2,,1")


def test_the_file_name_is_added_when_asked_for():
    parser = make("file.parse.dsv", {"addFilename": True})
    assert parsed(parser, lines("A", "1"), name="in.csv") == [{"A": "1", "filename": "in.csv"}]


PIECES = st.sampled_from([b"a", b"1", b",", b'"', b"\n", b"\r\n", b"\xff", b"\xc3\xa4"])


@given(st.lists(PIECES, max_size=40).map(b"".join))
@settings(max_examples=settings.default.max_examples * 3, deadline=None)
def test_no_text_makes_the_parser_hang_or_fail_and_where_its_quotes_are_closed_the_cut_is_of_no_effect(text):
    parser = make("file.parse.dsv", {"columns": ["A", "B"]})
    whole = parsed(parser, text)
    seen = sorted(reject["text"] for reject in rejects(parser))
    with patch.object(dsv_blocks, "BLOCK_BYTES", 8):
        cut = parsed(parser, text, chunk=3)
    found = sorted(reject["text"] for reject in rejects(parser))
    if all_quotes_closed(text):
        assert (cut, found) == (whole, seen)


def all_quotes_closed(text):
    records = Blocks(iter(()), separator=",", escape=None).records(text)
    return all(re.fullmatch(rb'(?:(?:"(?:[^"]|"")*"|[^",\r\n]*)(?:,|\r?\n|\Z))*', record) for record in records)
