"""file.empty and file.format.count."""

import pytest

from landbridge.components.base import FileEnd, FileStart
from landbridge.records import Batch
from tests.contract.codecs.contract import files, make

BATCHES = [
    Batch.from_objects([{"UID": "1"}, {"UID": "2"}]),
    Batch.from_objects([]),
    Batch.from_objects([{"UID": "3"}]),
]


@pytest.mark.parametrize("batches", [[], BATCHES])
def test_an_empty_file_follows_whatever_comes_before(batches):
    events = list(make("file.empty", {"fileName": "out/gigya.ok"}).format(iter(batches)))
    assert events == [FileStart("out/gigya.ok"), FileEnd()]


def test_the_marker_comes_after_the_last_record():
    seen = []

    def batches():
        for batch in BATCHES:
            seen.append(batch)
            yield batch

    next(make("file.empty", {"fileName": "gigya.ok"}).format(batches()))
    assert seen == BATCHES


def test_an_error_before_the_end_leaves_no_marker():
    def broken():
        yield BATCHES[0]
        raise ConnectionResetError

    for component_id in ("file.empty", "file.format.count"):
        events = make(component_id, {"fileName": "gigya.ok"}).format(broken())
        with pytest.raises(ConnectionResetError):
            next(events)


@pytest.mark.parametrize(
    ("batches", "params", "text"),
    [([], {}, b"0"), (BATCHES, {}, b"3"), (BATCHES, {"lineEnd": "\r\n"}, b"3\r\n")],
)
def test_the_number_of_records_is_all_that_is_in_the_file(batches, params, text):
    step = make("file.format.count", {"fileName": "users.count", **params})
    ((start, content, _),) = files(step.format(iter(batches)))
    assert (start.name, content) == ("users.count", text)


@pytest.mark.parametrize("component_id", ["file.empty", "file.format.count"])
def test_a_name_is_needed(component_id):
    with pytest.raises(ValueError, match="fileName"):
        make(component_id)


@pytest.mark.parametrize("component_id", ["file.empty", "file.format.count"])
def test_without_records_no_file_is_written_when_the_step_says_so(component_id):
    step = make(component_id, {"fileName": "users.x", "onlyWithRecords": True})
    assert list(step.format(iter([Batch.from_objects([])]))) == []
    assert len(files(step.format(iter(BATCHES)))) == 1
