"""What every pair of file codecs must keep to. A pair passes by being listed in a class of its own."""

import json
import random
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from landbridge.components.base import CHUNK_BYTES, FileEnd, FileStart
from landbridge.components.registry import get
from landbridge.errors import DataError

STREAM_SCRIPT = Path(__file__).with_name("stream_memory.py")
STREAM_MB = 200
LARGEST_GROWTH_MB = 80
MANY = 20_000_000


def children():
    """The processes that this thread has started; those of earlier tests may still be there."""
    return set(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split())


@dataclass
class Services:
    """What a running step gets from the engine."""

    spool_dir: Path = Path("/nonexistent")
    step_id: str = "codec"
    job_id: str = "job-1"
    started: datetime = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)
    lines: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[tuple[dict, str]] = field(default_factory=list)

    def log(self, level, message):
        self.lines.append((level, message))

    def reject(self, records, errors):
        self.rejected += zip(records.to_objects(), [error.code for error in errors], strict=True)


def make(component_id, params=None, services=None):
    """A component as the engine makes it from a dataflow."""
    kind = get(component_id)
    return kind(kind.Params.model_validate(params or {}), services or Services())


def files(events):
    """The files of an event stream: start, content and end of each, with the protocol checked on the way."""
    found, parts, start = [], [], None
    for event in events:
        if isinstance(event, FileStart):
            assert start is None, "a file begins within another"
            start, parts = event, []
        elif isinstance(event, FileEnd):
            assert start is not None, "a file ends that has not begun"
            found.append((start, b"".join(parts), event))
            start = None
        else:
            assert isinstance(event, bytes)
            assert start is not None, "content outside of a file"
            assert event, "an empty piece of content"
            assert len(event) <= 8 * CHUNK_BYTES, "a piece of content too large to hand on"
            parts.append(event)
    assert start is None, "a file does not end"
    return found


def cut(content, size):
    return (content[at : at + size] for at in range(0, len(content), size))


def csv_like(size):
    """Text that compresses about as well as an export of accounts."""
    chance = random.Random(5)
    block = "".join(
        f"{chance.randbytes(16).hex()},user{number}@example.com,{chance.choice('mfu')},true,2026-01-02\n"
        for number in range(2000)
    ).encode()
    return (block * (size // len(block) + 1))[:size]


CONTENTS = {
    "nothing": b"",
    "one byte": b"x",
    "zeros": bytes(300_000),
    "incompressible": random.Random(3).randbytes(3_000_000),
    "a line": b"UID,email\n1,a@example.com\n",
    "exactly two blocks": csv_like(2 * CHUNK_BYTES),
    "20 MB": csv_like(MANY),
}


class CodecContract:
    """Inherit, set the attributes, and the pair is under contract."""

    shrink: ClassVar[str]
    """Id of the component that compresses or encrypts."""
    expand: ClassVar[str]
    """Id of the component that does the reverse."""
    suffix: ClassVar[str]
    shrink_params: ClassVar[dict] = {}
    expand_params: ClassVar[dict] = {}
    is_deterministic: ClassVar[bool] = True
    damage_may_show_as: ClassVar[tuple[type[Exception], ...]] = (DataError,)
    sample: ClassVar[bytes] = csv_like(3_000)

    def open_with_system_tool(self, path, folder):
        """The content of the file ``path`` according to a program that is not ours."""
        raise NotImplementedError

    def shrunk(self, content, name="users.csv", size=CHUNK_BYTES):
        """The first file that becomes of ``content``."""
        step = make(self.shrink, self.shrink_params)
        return files(step.transform(FileStart(name), cut(content, size)))[0][:2]

    def expanded(self, content, name=None, size=CHUNK_BYTES, services=None):
        step = make(self.expand, self.expand_params, services)
        name = "users.csv" + self.suffix if name is None else name
        return files(step.transform(FileStart(name), cut(content, size)))

    @pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
    def test_content_comes_back_as_it_went_in(self, content):
        _, packed = self.shrunk(content)
        ((_, back, _),) = self.expanded(packed)
        assert back == content

    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_it_does_not_matter_into_how_many_pieces_a_file_is_cut(self, size):
        content = csv_like(60_000)
        _, packed = self.shrunk(content, size=size)
        ((_, back, _),) = self.expanded(packed, size=size)
        assert back == content
        if self.is_deterministic:
            assert packed == self.shrunk(content)[1]

    def test_what_the_sender_says_of_the_number_of_records_stays_known(self):
        content = csv_like(1_000)
        shrink, expand = make(self.shrink, self.shrink_params), make(self.expand, self.expand_params)
        start, packed, _ = files(shrink.transform(FileStart("users.csv", records=7), cut(content, CHUNK_BYTES)))[0]
        back = files(expand.transform(start, cut(packed, CHUNK_BYTES)))[0][0]
        assert (start.records, back.records) == (7, 7)

    def test_equal_content_gives_equal_files(self):
        content = csv_like(3 * CHUNK_BYTES)
        assert (self.shrunk(content)[1] == self.shrunk(content, size=999)[1]) == self.is_deterministic

    def test_the_name_gets_the_suffix_and_loses_it_again(self):
        start, packed = self.shrunk(b"x", name="out/users.csv")
        assert start.name == "out/users.csv" + self.suffix
        ((back, _, _),) = self.expanded(packed, name=start.name)
        assert back.name == "out/users.csv"

    def test_the_suffix_is_known_in_capitals_too(self):
        ((back, _, _),) = self.expanded(self.shrunk(b"x", name="users.csv")[1], name="users.csv" + self.suffix.upper())
        assert back.name == "users.csv"

    def test_the_time_of_the_file_is_kept(self):
        modified = datetime(2025, 6, 1, tzinfo=UTC)
        events = make(self.shrink, self.shrink_params).transform(FileStart("a", modified=modified), iter([b"x"]))
        ((start, packed, _), *_) = files(events)
        assert start.modified == modified
        events = make(self.expand, self.expand_params).transform(
            FileStart(start.name, modified=modified), iter([packed])
        )
        assert files(events)[0][0].modified == modified

    def test_one_step_serves_several_files(self):
        step = make(self.shrink, self.shrink_params)
        reverse = make(self.expand, self.expand_params)
        for content in (b"first", b"", b"third"):
            ((start, packed, _), *_) = files(step.transform(FileStart("a"), iter([content])))
            assert [back for _, back, _ in files(reverse.transform(start, iter([packed])))] == [content]

    def cuts(self, packed):
        """Where to cut a file off: near both ends everywhere, and at some places between."""
        return sorted({*range(min(40, len(packed))), *range(0, len(packed), 97), *range(len(packed) - 40, len(packed))})

    def test_a_file_that_ends_too_early_is_an_error_and_never_a_shorter_file(self):
        _, packed = self.shrunk(self.sample)
        for length in self.cuts(packed):
            with pytest.raises(DataError) as caught:
                self.expanded(packed[:length])
            assert caught.value.code in {"LB-4401", "LB-4402"}, length
            assert f'"users.csv{self.suffix}"' in caught.value.message

    def test_a_large_file_that_ends_too_early_is_an_error(self):
        _, packed = self.shrunk(CONTENTS["20 MB"])
        with pytest.raises(DataError):
            self.expanded(packed[: len(packed) // 2])

    def flips(self, packed):
        """Which bytes to change."""
        return range(0, len(packed), 11)

    def test_a_changed_byte_is_found_or_harmless(self):
        _, packed = self.shrunk(self.sample)
        found = 0
        for at in self.flips(packed):
            changed = bytearray(packed)
            changed[at] ^= 0x15
            try:
                contents = [content for _, content, _ in self.expanded(bytes(changed))]
            except self.damage_may_show_as:
                found += 1
            else:
                assert contents == [self.sample], at
        assert found > len(self.flips(packed)) // 2

    @pytest.mark.parametrize("content", [b"UID,email\n1,a@example.com\n" * 50, b"\n", b"<html>404</html>", bytes(500)])
    def test_a_file_of_another_kind_is_refused_with_a_hint(self, content):
        with pytest.raises(DataError) as caught:
            self.expanded(content)
        assert caught.value.code == "LB-4403"
        assert f'"users.csv{self.suffix}" is not a' in caught.value.message
        assert caught.value.hint

    def test_an_empty_file_is_refused(self):
        with pytest.raises(DataError) as caught:
            self.expanded(b"")
        assert caught.value.code == "LB-4402"

    def test_an_error_of_the_step_before_passes_through(self):
        def broken():
            yield csv_like(CHUNK_BYTES)
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            files(make(self.shrink, self.shrink_params).transform(FileStart("a"), broken()))

    @pytest.mark.parametrize("after", [1, 2])
    def test_a_step_that_is_stopped_leaves_no_thread_and_no_process(self, after):
        content = random.Random(1).randbytes(4 * CHUNK_BYTES)
        threads, processes = set(threading.enumerate()), children()
        events = make(self.shrink, self.shrink_params).transform(FileStart("a"), cut(content, 1000))
        for _ in range(after):
            next(events)
        events.close()
        assert set(threading.enumerate()) <= threads
        assert children() <= processes

    def test_memory_stays_flat_whatever_the_size(self):
        task = {"shrink": [self.shrink, self.shrink_params], "expand": [self.expand, self.expand_params]}
        command = [sys.executable, str(STREAM_SCRIPT), json.dumps(task), str(STREAM_MB)]
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=100)
        assert not done.stderr, done.stderr
        measured = json.loads(done.stdout)
        assert measured["bytes"] == STREAM_MB * 1_000_000
        assert measured["growth_mb"] < LARGEST_GROWTH_MB

    @pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
    def test_another_program_opens_the_file(self, content, tmp_path):
        start, packed = self.shrunk(content, name="users.csv")
        path = tmp_path / start.name
        path.write_bytes(packed)
        assert self.open_with_system_tool(path, tmp_path) == content
