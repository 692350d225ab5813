"""file.format.aam."""

import pytest

from landbridge.records import Batch
from tests.contract.codecs.contract import Services, files, make

STARTED = 1772425800
"""2026-03-02 04:30 UTC, when the job of ``Services`` starts."""


def aam(*batches, services=None, **params):
    step = make("file.format.aam", {"dpid": "478", **params}, services or Services())
    return files(step.format(Batch.from_objects(batch) for batch in batches))


def lines(*records, **params):
    return b"".join(content for _, content, _ in aam(records, **params)).decode().splitlines()


def test_a_line_is_the_id_a_tab_and_quoted_pairs():
    assert lines({"UID": "59767559", "gender": "female", "luxury_shopper": "yes", "age": 32}) == [
        '59767559\t"gender"="female","luxury_shopper"="yes","age"="32"'
    ]


def test_an_array_repeats_its_key():
    assert lines({"UID": "1", "d_city": ["New York", "San Francisco"], "x": True}) == [
        '1\t"d_city"="New York","d_city"="San Francisco","x"="true"'
    ]


def test_what_would_break_a_line_becomes_a_blank():
    assert lines({"UID": "1", 'a"b\tc': 'x"y\nz', "colon": "a:b,c;d=e^f"}) == [
        '1\t"a b c"="x y z","colon"="a:b,c;d=e^f"'
    ]


@pytest.mark.parametrize("uid", ["a:b", "a%3Ab", "a%3ab", "a\tb", "", None])
def test_an_id_that_adobe_does_not_take_is_a_reject(uid):
    services = Services()
    assert lines({"UID": uid, "x": "1"}, {"UID": "ok", "x": "2"}, services=services) == ['ok\t"x"="2"']
    assert services.rejected == [({"UID": uid, "x": "1"}, "LB-4421")]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({}, f"ftp_dpm_478_{STARTED}.sync"),
        ({"dpid": 478}, f"ftp_dpm_478_{STARTED}.sync"),
        ({"fileType": "overwrite"}, f"ftp_dpm_478_{STARTED}.overwrite"),
        ({"dpid": "20914", "targetDpid": "21"}, f"ftp_dpm_20914_21_{STARTED}.sync"),
        ({"maxFileSize": 1000}, f"ftp_dpm_478_{STARTED}.sync.1"),
    ],
)
def test_the_file_has_the_name_that_adobe_asks_for(params, name):
    ((start, content, end),) = aam([{"UID": "1"}], **params)
    assert (start.name, content, end.records) == (name, b"1\t\n", 1)


def test_parts_are_numbered_from_one():
    found = aam([{"UID": str(number), "x": "y" * 50} for number in range(100, 150)], maxFileSize=0.002)
    assert [start.name for start, _, _ in found] == [f"ftp_dpm_478_{STARTED}.sync.{part}" for part in (1, 2)]
    assert all(len(content) <= 2000 for _, content, _ in found)


def test_without_records_there_is_a_file_only_on_demand():
    assert aam() == []
    assert [content for _, content, _ in aam(createEmptyFile=True)] == [b""]


def test_values_that_are_objects_are_counted():
    services = Services()
    assert lines({"UID": "1", "x": [{"y": 1}]}, services=services) == ["1\t"]
    assert services.lines == [("warning", "1 values were left out: they are objects")]


@pytest.mark.parametrize("params", [{"dpid": "my source"}, {"dpid": ""}, {"dpid": "478", "fileType": "delete"}])
def test_wrong_parameters_are_refused(params):
    with pytest.raises(ValueError, match="validation error"):
        make("file.format.aam", params)
