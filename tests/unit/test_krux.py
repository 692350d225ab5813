"""file.format.krux."""

import re

import pytest
from hypothesis import given, strategies as st

from landbridge.errors import FlowError
from landbridge.records import Batch
from tests.contract.codecs.contract import Services, files, make


def krux(*records, services=None, **params):
    """The files for one batch per record, or per list of records."""
    batches = [Batch.from_objects(part if isinstance(part, list) else [part]) for part in records]
    step = make("file.format.krux", {"fileName": "krux.csv", **params}, services or Services())
    return files(step.format(iter(batches)))


def lines(*records, **params):
    found = krux(*records, **params)
    return b"".join(content for _, content, _ in found).decode().split("\n")[:-1]


def test_the_vendor_example_comes_out_as_the_vendor_writes_it():
    records = [
        {"id": "User1234", "gender": "male", "age": "18-24", "interest": "fishing"},
        {"id": "User2345", "gender": "female"},
        {"id": "User3456", "age": "35-44"},
        {"id": "User4567", "gender": "male", "interest": ["fishing", "boating"]},
    ]
    assert lines(records) == [
        "User1234^gender:male;age:18-24;interest:fishing",
        "User2345^gender:female",
        "User3456^age:35-44",
        "User4567^gender:male;interest:fishing,boating",
    ]


def test_the_records_of_the_public_dataflow_need_no_parameters():
    assert lines({"id": "a", "g_gender": "f", "g_age": 31, "likes": [{"name": "Ski", "id": "7"}, {"name": "Go"}]}) == [
        "a^g_gender:f;g_age:31;likes:Ski,Go"
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "x:true"),
        (1.5, "x:1.5"),
        (2**70, f"x:{2**70}"),
        ("2026-01-02T03:04:05Z", "x:2026-01-02T03 04 05Z"),
        ("a^b;c:d,e\nf\tg\x7fh", "x:a b c d e f g h"),
        ("ä€😀", "x:ä€😀"),
        (["a,b", None, "", 7, False], "x:a b,7,false"),
        ([], ""),
        ({}, ""),
        (None, ""),
        ("", ""),
        ({"y": 1}, "x.y:1"),
    ],
)
def test_values_are_written_so_that_the_line_stays_readable(value, written):
    assert lines({"id": "a", "x": value}) == [f"a^{written}"]


def test_names_are_cleaned_like_values():
    assert lines({"id": "a", "b:c;d": "1", "e.f": "2"}) == ["a^b c d:1;e.f:2"]


@pytest.mark.parametrize(
    "value", ["x" * 255, ["ok", "x" * 255], [["nested"]], [{"other": 1}]], ids=lambda v: str(v)[:9]
)
def test_a_value_that_the_format_cannot_carry_is_left_out_and_counted(value):
    services = Services()
    assert lines([{"id": "a", "x": value, "y": 1}, {"id": "b", "x": "x" * 254}], services=services) == [
        "a^y:1",
        "b^x:" + "x" * 254,
    ]
    assert services.lines == [("warning", "1 values were left out: they are longer than 254 characters or objects")]


@pytest.mark.parametrize("record", [{}, {"id": None}, {"id": ""}, {"id": "a^b"}, {"id": "a\nb"}], ids=str)
def test_a_record_without_a_usable_id_is_a_reject(record):
    services = Services()
    record = {**record, "x": "1"}
    assert lines([record, {"id": "ok", "x": "2"}], services=services) == ["ok^x:2"]
    assert services.rejected == [(record, "LB-4421")]
    assert not krux(record)


def test_the_id_may_be_another_field_and_a_number():
    assert lines({"id": "x", "profile": {"key": 7, "age": 3}}, idField="profile.key") == ["7^id:x;profile.age:3"]
    with pytest.raises(FlowError):
        krux({}, idField="a..b")


def test_the_number_of_records_goes_with_the_file():
    ((start, content, end),) = krux([{"id": "a"}, {"id": "b"}, {}], {"id": "c"})
    assert (start.name, content, end.records) == ("krux.csv", b"a^\nb^\nc^\n", 3)


def test_without_records_there_is_a_file_only_on_demand():
    assert krux() == []
    ((start, content, end),) = krux(createEmptyFile=True)
    assert (start.name, content, end.records) == ("krux.csv", b"", 0)


def test_files_are_split_at_the_size_limit():
    found = krux([{"id": str(number), "x": "y" * 20} for number in range(100, 200)], maxFileSize=0.001)
    assert len(found) > 1
    assert all(len(content) <= 1000 for _, content, _ in found)
    assert sum(end.records for _, _, end in found) == 100


SCALARS = st.one_of(st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=6), st.none())
RECORDS = st.dictionaries(
    st.text(st.characters(codec="ascii"), min_size=1, max_size=3).filter(lambda key: key != "id"),
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3)),
    max_size=4,
)


def reference(record, *, unsafe="^;:,"):
    """The attributes of a line, by walking through one plain record."""

    def clean(text):
        return re.sub(rf"[{re.escape(unsafe)}\x00-\x1f\x7f]", " ", text)

    def texts(value):
        if isinstance(value, list):
            return [text for member in value for text in texts(member)]
        if value is None or value == "":
            return []
        return [str(value).lower() if isinstance(value, bool) else clean(str(value))]

    return {(clean(name), ",".join(texts(value))) for name, value in record.items() if texts(value)}


@given(st.lists(RECORDS, max_size=4))
def test_a_line_holds_exactly_the_attributes_of_its_record(records):
    records = [{"id": f"u{number}", **record} for number, record in enumerate(records)]
    written = lines(records)
    assert len(written) == len(records)
    for record, line in zip(records, written, strict=True):
        user, _, attributes = line.partition("^")
        assert user == record.pop("id")
        found = [tuple(pair.split(":")) for pair in attributes.split(";")] if attributes else []
        assert set(found) == reference(record)
