"""The text of a script, and what is known of records before they cross into it."""

import base64

import pytest

from landbridge.components.record import _has_big_integers, _own_error, _pieces
from landbridge.components.script.source import text_of
from landbridge.records import Batch

CODE = "function process(record) { return record; } // é"


def encoded(code):
    return base64.b64encode(code.encode()).decode()


@pytest.mark.parametrize(
    "written",
    [
        CODE,
        encoded(CODE),
        encoded(CODE).rstrip("="),
        encoded("\ufeff" + CODE),
        "\n".join(encoded(CODE)[at : at + 20] for at in range(0, 100, 20)),
    ],
)
def test_a_script_is_its_text_or_its_base64(written):
    assert text_of(written) == CODE


def test_base64_of_an_illegal_length_loses_its_last_character_only():
    code = CODE + " " * (-len(CODE.encode()) % 3)
    assert len(encoded(code)) % 4 == 0
    assert "=" not in encoded(code)
    assert text_of(encoded(code) + "C") == code
    assert text_of(encoded(code) + "C=") == code


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"a": 2**53 - 1}, False),
        ({"a": 2**53}, True),
        ({"a": -(2**53)}, True),
        ({"a": 2**70}, True),
        ({"a": "9007199254740993"}, False),
        ({"a": [9007199254740993]}, True),
        ({"a": {"b": [{"c": 2**60}]}}, True),
        ({"a": 1e300}, False),
        ({"a": None, "b": True}, False),
        ({}, False),
    ],
)
def test_large_whole_numbers_are_found_without_looking_at_texts(record, expected):
    assert _has_big_integers(Batch.from_objects([record])) is expected


@pytest.mark.parametrize(
    ("details", "code", "message"),
    [
        ({"errorCode": 1, "errorMessage": "m"}, 1, "m"),
        ({"errorCode": True, "errorMessage": 5}, "LB-4604", "the script refused the record"),
        ("text", "LB-4604", "text"),
        (None, "LB-4604", "the script refused the record"),
        ([1], "LB-4604", "the script refused the record"),
    ],
)
def test_what_a_script_says_of_a_record_is_taken_over_where_it_can_be(details, code, message):
    error = _own_error({"_errorDetails": details})
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 5000])
@pytest.mark.parametrize("at_least", [1, 2])
def test_pieces_hold_all_records_in_order(rows, at_least):
    batch = Batch.from_objects([{"n": n, "text": "x" * 1000} for n in range(rows)])
    pieces = list(_pieces(batch, at_least=at_least))
    assert [record["n"] for piece in pieces for record in piece.to_objects()] == list(range(rows))
    assert len(pieces) <= max(at_least, 21)
    assert all(sum(column.nbytes for column in piece.columns.values()) < 300 << 10 for piece in pieces)
