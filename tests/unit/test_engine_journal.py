"""What a job keeps on disk: frames, segments, rejects, and writers that go on where a process has stopped."""

import json
import os

import anyio
import anyio.lowlevel
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from landbridge.components.base import RecordError, RecordWriter
from landbridge.engine.frames import Frames
from landbridge.engine.journal import Journal, WriterJournal
from landbridge.engine.rejects import RejectFile
from landbridge.engine.repeats import Repeats
from landbridge.engine.segment import SegmentWriter, from_bytes, read_segment, to_bytes
from landbridge.engine.stations import Station
from landbridge.engine.units import Supply
from landbridge.errors import LandbridgeError, StorageError
from landbridge.records import Batch
from tests.steps import services
from tests.unit.test_engine import plan_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=4), max_size=6)


@given(values=st.lists(st.binary(max_size=40), max_size=8), torn=st.integers(1, 60))
def test_frames_lose_only_the_value_that_was_being_appended(tmp_path_factory, values, torn):
    path = tmp_path_factory.mktemp("frames") / "f"
    frames = Frames(path)
    ends = [0]
    for value in values:
        frames.append(value)
        ends.append(path.stat().st_size)
    frames.close()
    left = max(0, path.stat().st_size - torn)
    os.truncate(path, left)
    again = Frames(path)
    whole = sum(end <= left for end in ends) - 1
    assert list(again) == values[:whole]
    again.append(b"next")
    assert again[len(again) - 1] == b"next"
    again.close()


def test_frames_notice_a_changed_byte(tmp_path):
    frames = Frames(tmp_path / "f")
    frames.append(b"first", b"second")
    frames.close()
    content = bytearray((tmp_path / "f").read_bytes())
    content[-1] ^= 1
    (tmp_path / "f").write_bytes(content)
    again = Frames(tmp_path / "f")
    assert list(again) == [b"first"]
    again.close()


@given(batches=st.lists(ROWS, max_size=4))
def test_a_segment_gives_back_what_was_put_in(tmp_path_factory, batches):
    path = tmp_path_factory.mktemp("segment") / "s.arrow"
    with SegmentWriter(path) as segment:
        for rows in batches:
            segment.add(Batch.from_objects(rows))
        segment.complete()
    found = [row for batch in read_segment(path) for row in batch.to_objects()]
    assert found == [row for rows in batches for row in Batch.from_objects(rows).to_objects()]


@given(rows=ROWS)
def test_a_batch_survives_as_bytes(rows):
    batch = Batch.from_objects(rows)
    assert from_bytes(to_bytes(batch)).to_objects() == batch.to_objects()


def test_columns_that_only_mark_empty_objects_keep_their_mark(tmp_path):
    batch = Batch.from_objects([{"a": {"b": 1}, "c": 1}]).remove(("a", "b"))
    path = tmp_path / "s.arrow"
    with SegmentWriter(path) as segment:
        segment.add(batch)
        segment.complete()
    [found] = read_segment(path)
    assert list(found.leaves) == list(batch.leaves) == ["c"]
    assert found.to_objects() == [{"a": {}, "c": 1}]


def test_a_segment_that_is_not_complete_leaves_nothing(tmp_path):
    with SegmentWriter(tmp_path / "s.arrow") as segment:
        segment.add(Batch.from_objects([{"n": n} for n in range(5000)]))
    assert list(tmp_path.iterdir()) == []


def test_a_segment_stops_at_its_limit(tmp_path):
    batch = Batch({"n": pa.array(range(1024), pa.int64())}, 1024)
    with SegmentWriter(tmp_path / "s.arrow", max_bytes=10_000) as segment:
        segment.add(batch)
        with pytest.raises(StorageError) as caught:
            segment.add(batch)
    assert caught.value.code == "LB-7004"


def test_rejects_of_steps_that_begin_again_are_forgotten(tmp_path):
    path = tmp_path / "r.jsonl"
    file = RejectFile(path, job="j")
    file.add("a", [{"code": "1", "message": "m", "record": {"n": 1}}])
    file.add("b", [{"code": "1", "message": "m", "record": {"n": 2}}])
    with path.open("ab") as torn:
        torn.write(b'{"job":"j","step":"b","numb')
    again = RejectFile(path, job="j")
    again.forget({"a"})
    again.add("a", [{"code": "1", "message": "m", "record": {"n": 3}}])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["step"], row["number"], row["record"]["n"]) for row in rows] == [("b", 2, 2), ("a", 3, 3)]
    again.forget({"a", "b"})
    assert not path.exists()


@given(texts=st.lists(st.sampled_from("abcdefgh") | st.none(), max_size=40))
def test_repeated_identifiers_are_counted_in_any_number_of_passes(tmp_path_factory, texts):
    repeats = Repeats(tmp_path_factory.getbasetemp(), pass_bytes=64)
    repeats.add(texts[:7])
    repeats.add(texts[7:])
    known = [text for text in texts if text is not None]
    assert repeats.count() == len(known) - len(set(known))
    repeats.close()


class Recorder(RecordWriter):
    """Keeps what it writes; refuses multiples of seven; dies at a number."""

    unit_records = 10
    written: list
    dies_at = None
    harmless = True

    async def write(self, batch):
        await anyio.lowlevel.checkpoint()
        rows = batch.to_objects()
        self.written += [row["n"] for row in rows]
        if any(row["n"] == self.dies_at for row in rows):
            raise LandbridgeError("LB-9999", "the process ends here")
        bad = [at for at, row in enumerate(rows) if row["n"] % 7 == 0]
        if not bad:
            return batch
        self.services.reject(batch.take(bad), [RecordError("X", "a seven")] * len(bad))
        return batch.take([at for at in range(len(rows)) if at not in bad])

    @property
    def idempotent(self):
        return self.harmless


def deliver(folder, writer, *, rows=None):
    """Gather ``rows`` and write; gives the numbers that go on, and the rejects."""

    class Out:
        senders = 1

    async def run():
        journal = WriterJournal(folder).open()
        station = Station(step=None, component=writer, services=writer.services, outs=[Out()])
        supply = Supply(station, writer, folder=folder, journal=journal)
        gone_on = []

        async def forward(_, batch):
            gone_on.extend(row["n"] for row in batch.to_objects())

        try:
            if supply.gathered is None:
                await supply.add(Batch.from_objects(rows))
                await supply.complete(tally={}, counts={})
            await supply.write(forward)
        finally:
            journal.close()
        return gone_on

    gone_on = anyio.run(run)
    return gone_on, [json.loads(bytes(reject["record"]))["n"] for reject in writer.services.take_rejects()]


def recorder(**attributes):
    writer = Recorder(None, services())
    writer.written = []
    for name, value in attributes.items():
        setattr(type(writer), name, value)
    return writer


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("harmless", [True, False])
def test_a_writer_goes_on_at_the_first_unit_that_is_not_done(tmp_path, in_flight, harmless):
    rows = [{"n": n} for n in range(100)]
    first = recorder(dies_at=45, units_in_flight=in_flight, harmless=harmless)
    with pytest.raises(LandbridgeError):
        deliver(tmp_path, first, rows=rows)
    second = recorder(dies_at=None, units_in_flight=in_flight, harmless=harmless)
    gone_on, rejected = deliver(tmp_path, second)
    assert sorted(gone_on + rejected) == list(range(100))
    assert gone_on == sorted(gone_on)
    twice = set(first.written) & set(second.written)
    if harmless:
        assert set(range(40, 50)) <= twice
        assert len(twice) <= 10 * in_flight
        assert rejected == [n for n in range(100) if n % 7 == 0]
    else:
        assert twice == set(), "what may have been written is never written again"
        assert set(range(40, 50)) <= set(rejected)
    third = recorder(dies_at=None, units_in_flight=in_flight, harmless=harmless)
    assert deliver(tmp_path, third) == (gone_on, rejected)
    assert third.written == []


def test_a_writer_that_keeps_an_outcome_to_itself_ends_the_job(tmp_path):
    class Silent(Recorder):
        async def write(self, batch):
            return batch.slice(0, 3)

    writer = Silent(None, services())
    with pytest.raises(LandbridgeError) as caught:
        deliver(tmp_path, writer, rows=[{"n": n} for n in range(5)])
    assert caught.value.code == "LB-6003"


def test_a_journal_is_for_one_process_and_one_dataflow(tmp_path):
    plan = plan_of({"a": Recorder, "b": Recorder}, [("a", "b")])
    journal = Journal(tmp_path / "j")
    journal.open(plan)
    with pytest.raises(StorageError) as caught:
        Journal(tmp_path / "j").open(plan)
    assert caught.value.code == "LB-7005"
    journal.close()
    with pytest.raises(StorageError) as caught:
        Journal(tmp_path / "j").open(plan_of({"a": Recorder, "c": Recorder}, [("a", "c")]))
    assert caught.value.code == "LB-7006"
    again = Journal(tmp_path / "j")
    again.open(plan)
    again.close()
    assert (tmp_path / "j").stat().st_mode & 0o077 == 0
