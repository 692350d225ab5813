"""JSON: arrays, lines and what partners make of them, streamed in both directions."""

import json

import pytest
from hypothesis import given, strategies as st

from landbridge.errors import DataError
from tests.steps import batched, make, parsed, rejects, written

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), min_size=1, max_size=6)


@given(RECORDS, st.sampled_from(["array", "lines"]), st.integers(1, 40))
def test_what_we_write_we_read_back(rows, layout, chunk):
    [(_, content, records)] = written(make("file.format.json", {"fileName": "f", "layout": layout}), *batched(rows, 2))
    assert records == len(rows)
    if layout == "array":
        assert json.loads(content) == rows
    assert parsed(make("file.parse.json"), content, chunk=chunk) == rows


@given(RECORDS, st.sampled_from([None, 2]), st.integers(1, 40))
def test_arrays_are_read_however_they_are_indented(rows, indent, chunk):
    content = ("\ufeff " + json.dumps(rows, indent=indent) + "\n\n").encode()
    parser = make("file.parse.json")
    assert parsed(parser, content, chunk=chunk) == rows
    assert rejects(parser) == []


@given(RECORDS, st.integers(1, 40))
def test_objects_over_several_lines_are_read(rows, chunk):
    content = "\n".join(json.dumps(row, indent=2) for row in rows).encode()
    assert parsed(make("file.parse.json"), content, chunk=chunk) == rows


def test_a_large_array_is_cut_between_its_elements_even_when_texts_hold_brackets():
    rows = [{"n": number, "text": "}, {" * (number % 5), "list": [{"a": "]"}, {"b": "{"}]} for number in range(120_000)]
    got = parsed(make("file.parse.json"), json.dumps(rows).encode(), chunk=1 << 20)
    assert got == rows


def test_a_wrapped_array_is_written_and_read():
    formatter = make("file.format.json", {"fileName": "f.json", "wrapField": "results"})
    [(_, content, _)] = written(formatter, [{"a": 1}])
    assert json.loads(content) == {"results": [{"a": 1}]}
    assert parsed(make("file.parse.json", {"wrapField": "results"}), content, chunk=3) == [{"a": 1}]


def test_a_bad_line_is_a_reject_with_its_number_and_the_rest_is_read():
    parser = make("file.parse.json")
    content = b'{"a": 1}\n{"a": }\n\n[1]\n{"a": "\xff"}\n' + b"[" * 5000 + b'\n{"a": 2}'
    assert parsed(parser, content) == [{"a": 1}, {"a": 2}]
    assert [(reject["line"], reject["code"]) for reject in rejects(parser)] == [
        (2, "LB-4102"),
        (4, "LB-4102"),
        (5, "LB-4102"),
        (6, "LB-4102"),
    ]


def test_an_element_that_is_no_object_is_a_reject():
    parser = make("file.parse.json")
    assert parsed(parser, b'[{"a": 1}, 7, {"a": 2}]') == [{"a": 1}, {"a": 2}]
    assert [reject["text"] for reject in rejects(parser)] == ["7"]


@pytest.mark.parametrize(
    "content", [b'[{"a": 1}', b'[{"a": 1},', b"[", b'{\n"a": 1,\n"b": [2', b'[{"a": 1}] x', b"[1 2]"]
)
def test_a_damaged_file_is_an_error_and_not_a_short_result(content):
    with pytest.raises(DataError):
        parsed(make("file.parse.json"), content)


@pytest.mark.parametrize("content", [b"", b"  \n", b"[]", b"[ \n ]", b"\xef\xbb\xbf"])
def test_a_file_without_records_gives_none(content):
    parser = make("file.parse.json")
    assert parsed(parser, content) == []
    assert rejects(parser) == []


def test_parts_are_whole_arrays():
    rows = [{"a": "x" * 100} for _ in range(100)]
    formatter = make("file.format.json", {"fileName": "f.json", "maxFileSize": 0.003})
    files = written(formatter, *batched(rows, 40))
    assert [name for name, _, _ in files] == ["f.json", "f_2.json", "f_3.json", "f_4.json"]
    assert [row for _, content, _ in files for row in json.loads(content)] == rows
    assert all(len(content) <= 3000 for _, content, _ in files)


def test_an_empty_file_is_written_only_when_asked_for():
    assert written(make("file.format.json", {"fileName": "f.json"})) == []
    [(_, content, records)] = written(make("file.format.json", {"fileName": "f.json", "createEmptyFile": True}))
    assert (json.loads(content), records) == ([], 0)


def test_the_file_name_is_added_when_asked_for():
    parser = make("file.parse.json", {"addFilename": True, "filenameField": "meta.file"})
    assert parsed(parser, b'{"a": 1}', name="in.json") == [{"a": 1, "meta": {"file": "in.json"}}]


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        (b"a,b\n1,2\n", "LB-4101", "invalid character"),
        (b"null", "LB-4101", "neither objects nor an array"),
        (b'[{"a": 1}] and more', "LB-4101", "trailing characters"),
        (b'{"a":\n1}\nfoo', "LB-4101", "not valid JSON"),
        (b'[{"a": 1}', "LB-4105", "cut off"),
        (b'{"a":\n1', "LB-4105", "cut off"),
    ],
)
def test_a_file_that_is_not_json_is_told_from_one_that_is_cut_off(content, code, reason):
    with pytest.raises(DataError, match=reason) as raised:
        parsed(make("file.parse.json"), content)
    assert raised.value.code == code


@pytest.mark.parametrize("rest", ["}", ',"totalCount":2}', ',"a":{"b":[1]},"c":[{"results":[3]},{}]}\n'])
@pytest.mark.parametrize("before", ["", '"a":{"results":[{"a":7}]},', '"t":"\\"results\\":[",'])
def test_an_array_under_a_key_may_stand_among_other_members(before, rest):
    parser = make("file.parse.json", {"wrapField": "results"})
    content = f'{{{before}"results":[{{"a":1}},{{"a":2}}]{rest}'.encode()
    assert parsed(parser, content, chunk=3) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("rest", ["", ',"totalCount":', ',"x":[{"a":3}'])
def test_an_object_that_is_cut_off_behind_its_array_is_no_whole_file(rest):
    with pytest.raises(DataError, match="cut off"):
        parsed(make("file.parse.json", {"wrapField": "results"}), b'{"results":[{"a":1}]' + rest.encode())
