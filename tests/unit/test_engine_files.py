"""The engine and files: their counts, their names, and the moment in which they are published."""

import threading

import anyio
import pytest

from landbridge.components.base import FileDrop, FileEnd, FileStart, FileTransform, Formatter, Parser, RecordError
from landbridge.engine import delivery
from landbridge.engine.rejects import RejectFile
from landbridge.records import Batch
from tests.unit import engine_parts as parts
from tests.unit.test_engine import run

TO_FILE = [("read", "lines"), ("lines", "keep")]


class Forgetful(Formatter):
    """Loses half of the records."""

    def format(self, batches):
        yield FileStart("x")
        yield FileEnd(sum(batch.num_rows // 2 for batch in batches))


class Endless(Formatter):
    """Does not end its file."""

    def format(self, batches):
        yield FileStart("x")
        for _ in batches:
            yield b"x"


class Choosy(Formatter):
    """Rejects multiples of ten, and tells how many rejects wait."""

    most = 0

    def format(self, batches):
        yield FileStart("x")
        count = 0
        for batch in batches:
            bad = batch.slice(0, 1)
            self.services.reject(bad, [RecordError("LB-4999", "a multiple of ten")])
            Choosy.most = max(Choosy.most, len(self.services._rejected))
            count += batch.num_rows - 1
            yield b"x"
        yield FileEnd(count)


class Doubles(parts.Transform):
    """Gives every record twice."""

    def apply(self, batch):
        return Batch.from_objects(batch.to_objects() * 2)


class Declared(Doubles):
    """The same, and says so."""

    makes_records = True


class Twice(Formatter):
    """Sends a file and its beginning once more."""

    def format(self, batches):
        count = sum(batch.num_rows for batch in batches)
        yield FileStart("x")
        yield b"1"
        yield FileEnd(count)
        yield FileStart("y")
        yield b"2"
        yield FileDrop()
        yield FileStart("x")
        yield b"3"
        yield FileEnd(count)


class Copies(FileTransform):
    """Passes files on."""

    def transform(self, file, chunks):
        yield file
        yield from chunks
        yield FileEnd()


class FirstPiece(FileTransform):
    """Wants the beginning of a file only."""

    def transform(self, file, chunks):
        yield file
        yield next(iter(chunks))
        yield FileEnd()


class Twenty(parts.Numbers):
    """Two batches."""

    count = 20


class Pieces(Formatter):
    """Two files of several pieces."""

    def format(self, batches):
        for name, batch in zip("ab", batches, strict=False):
            yield FileStart(name)
            yield from (b"1", b"2", b"3")
            yield FileEnd(batch.num_rows)


class Reads(Parser):
    """One record for each piece."""

    def parse(self, file, chunks):
        for _ in chunks:
            yield Batch.from_objects([{"n": 1}])


def test_a_formatter_that_loses_records_publishes_nothing(tmp_path):
    steps = {"read": parts.Numbers, "lines": Forgetful, "keep": parts.Keep}
    report, _ = run(tmp_path, steps, TO_FILE, store=(store := parts.MemoryStore()))
    assert (report.status, report.error["code"], report.error["step"]) == ("failed", "LB-6003", "lines")
    assert store.published == store.staged == {}


def test_what_a_formatter_rejects_is_kept_as_it_comes(tmp_path):
    steps = {"read": parts.Numbers, "lines": Choosy, "keep": parts.Keep}
    report, _ = run(tmp_path, steps, TO_FILE, store=parts.MemoryStore())
    assert (report.status, report.rejects) == ("succeeded_with_errors", 10)
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 10
    assert Choosy.most == 1


def test_a_file_without_an_end_is_told_with_its_code(tmp_path):
    steps = {"read": parts.Numbers, "lines": Endless, "keep": parts.Keep}
    report, _ = run(tmp_path, steps, TO_FILE, store=parts.MemoryStore())
    assert (report.error["code"], report.error["step"]) == ("LB-4001", "keep")
    assert report.error["hint"]


@pytest.mark.parametrize(("doubles", "status"), [(Doubles, "failed"), (Declared, "succeeded")])
def test_only_a_step_that_says_so_may_make_records(tmp_path, doubles, status):
    steps = {"read": parts.Numbers, "t": doubles, "lines": parts.Lines, "keep": parts.Keep}
    edges = [("read", "t"), ("t", "lines"), ("lines", "keep")]
    report, _ = run(tmp_path, steps, edges, store=(store := parts.MemoryStore()))
    assert report.status == status
    assert bool(store.published) == (status == "succeeded")
    if status == "failed":
        assert (report.error["code"], report.error["step"]) == ("LB-6007", "t")


def test_two_files_of_one_name_are_refused(tmp_path):
    steps = {"read": parts.Numbers, "one": parts.Lines, "two": parts.Lines, "keep": parts.Keep}
    edges = [("read", "one"), ("read", "two"), ("one", "keep"), ("two", "keep")]
    report, _ = run(tmp_path, steps, edges, store=(store := parts.MemoryStore()))
    assert (report.error["code"], report.error["step"]) == ("LB-4003", "keep")
    assert "numbers.txt" in report.error["message"]
    assert store.published == store.staged == {}


def test_what_is_dropped_is_taken_back_from_every_count_but_not_from_other_branches(tmp_path):
    class Other(parts.Lines):
        def format(self, batches):
            for event in super().format(batches):
                yield FileStart("other") if isinstance(event, FileStart) else event

    steps = {"read": parts.Numbers, "twice": Twice, "other": Other, "zip": Copies, "keep": parts.Keep}
    edges = [("read", "other"), ("read", "twice"), ("other", "zip"), ("twice", "zip"), ("zip", "keep")]
    report, _ = run(tmp_path, steps, edges, store=(store := parts.MemoryStore()))
    assert report.status == "succeeded", report.error
    copied = report.steps["zip"]
    assert (copied.records_in, copied.records_out, copied.files) == (200, 200, 2)
    assert report.steps["keep"].records_in == 200
    assert store.published.keys() == {"other", "x"}
    assert store.published["x"] == b"3"


def test_a_file_step_that_stops_early_does_not_spoil_the_next_file(tmp_path):
    steps = {"read": Twenty, "lines": Pieces, "first": FirstPiece, "keep": parts.Keep}
    edges = [("read", "lines"), ("lines", "first"), ("first", "keep")]
    report, _ = run(tmp_path, steps, edges, store=(store := parts.MemoryStore()))
    assert report.status == "succeeded", report.error
    assert store.published == {"a": b"1", "b": b"1"}


def test_a_file_that_is_dropped_while_it_is_parsed_is_told_with_a_hint(tmp_path):
    steps = {"read": parts.Numbers, "twice": Twice, "parse": Reads, "lines": parts.Lines, "keep": parts.Keep}
    edges = [("read", "twice"), ("twice", "parse"), ("parse", "lines"), ("lines", "keep")]
    report, _ = run(tmp_path, steps, edges, store=parts.MemoryStore())
    assert (report.error["code"], report.error["step"]) == ("LB-4002", "parse")
    assert report.error["hint"]


class SlowUpload(parts.MemoryUpload):
    """Takes a while to come back from giving a file its name."""

    async def publish(self):
        await super().publish()
        await anyio.sleep(0.5)


class SlowStore(parts.MemoryStore):
    """A store of such uploads."""

    upload = SlowUpload

    async def create(self, name):
        return self.upload(self, name)


@pytest.mark.parametrize("cancel_after", [0, 0.2, 0.4])
def test_a_file_that_is_published_while_the_job_is_stopped_is_in_the_report(tmp_path, cancel_after):
    class Numbered(parts.Lines):
        def format(self, batches):
            count = sum(batch.num_rows for batch in batches)
            for name in "ab":
                yield FileStart(name)
                yield FileEnd(count if name == "a" else 0)

    steps = {"read": parts.Numbers, "lines": Numbered, "keep": parts.Keep}
    store = SlowStore()
    report, _ = run(
        tmp_path, steps, TO_FILE, store=store, cancel_after=cancel_after, cancel_when=lambda: store.published
    )
    assert report.status == "stopped"
    assert [file.name for file in report.files] == list(store.published) == ["a"]
    assert report.unsure == ()
    assert store.staged == {}


def test_a_store_that_does_not_answer_does_not_hold_up_a_stopped_job_and_its_file_is_named(tmp_path, monkeypatch):
    class Silent(parts.MemoryUpload):
        async def publish(self):
            store.publishing = True
            await anyio.sleep(3600)

    class SilentStore(SlowStore):
        upload = Silent
        publishing = False

    store = SilentStore()
    monkeypatch.setattr(delivery, "GRACE_S", 0.2)
    steps = {"read": parts.Numbers, "lines": parts.Lines, "keep": parts.Keep}
    report, _ = run(tmp_path, steps, TO_FILE, store=store, cancel_after=0.1, cancel_when=lambda: store.publishing)
    assert (report.status, report.files, report.unsure) == ("stopped", (), ("numbers.txt",))
    assert (report.ended - report.started).total_seconds() < 5


@pytest.mark.parametrize("reader", [parts.Numbers, parts.Breaks, parts.Endless])
def test_components_are_closed_however_the_job_ends(tmp_path, reader):
    closed = []

    class Holds(parts.Odd):
        def close(self):
            closed.append(self)

    steps = {"read": reader, "odd": Holds, "accept": parts.Accepts}
    run(tmp_path, steps, [("read", "odd"), ("odd", "accept")], cancel_after=0.3)
    assert len(closed) == 1


def test_rejects_of_several_threads_are_whole_lines_with_numbers_of_their_own(tmp_path):
    store = RejectFile(tmp_path / "rejects.jsonl", job="j")

    def add():
        for _ in range(20):
            store.add("s", [{"code": "LB-4999", "message": "x" * 5000}] * 3)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "rejects.jsonl").read_text().splitlines()
    numbers = sorted(int(line.split('"number":')[1].split(",")[0]) for line in lines)
    assert numbers == list(range(1, 241))
