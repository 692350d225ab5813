"""file.compress.lzo and file.uncompress.lzo, against the lzop program."""

import random
import struct
import subprocess

import pytest

from landbridge.components.base import FileStart
from landbridge.components.file import lzo
from landbridge.errors import DataError, FlowError
from tests.contract.codecs.contract import CodecContract, Services, csv_like, cut, files, make
from tests.servers.process import find_program


def lzop(content, *options):
    """``content`` as the lzop program packs it."""
    command = [find_program("lzop"), *options, "-c"]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


class TestLzo(CodecContract):
    shrink, expand, suffix = "file.compress.lzo", "file.uncompress.lzo", ".lzo"

    def open_with_system_tool(self, path, folder):
        subprocess.run([find_program("lzop"), "-qt", path], check=True)
        return subprocess.run([find_program("lzop"), "-dc", path], capture_output=True, check=True).stdout

    @pytest.mark.parametrize("level", range(1, 10))
    def test_every_level_of_lzop_is_read(self, level):
        content = csv_like(700_000)
        ((_, back, _),) = self.expanded(lzop(content, f"-{level}"))
        assert back == content

    @pytest.mark.parametrize(
        "options",
        [("-F",), ("-C",), ("-CC",), ("--crc32",), ("--crc32", "-CC"), ("--crc32", "-F")],
        ids=" ".join,
    )
    def test_every_checksum_of_lzop_is_read_and_checked(self, options):
        content = csv_like(300_000) + random.Random(4).randbytes(600_000)  # packed and stored blocks
        packed = lzop(content, *options)
        ((_, back, _),) = self.expanded(packed)
        assert back == content
        with pytest.raises(DataError):
            self.expanded(packed[: len(packed) // 2])

    def test_a_header_with_a_name_and_a_time_is_read(self, tmp_path):
        path = tmp_path / "users ä.csv"
        path.write_bytes(b"content")
        subprocess.run([find_program("lzop"), "-N", path], check=True)
        ((_, back, _),) = self.expanded((tmp_path / "users ä.csv.lzo").read_bytes())
        assert back == b"content"

    def test_concatenated_files_are_read_as_one(self):
        for size in (1, 1 << 20):
            ((_, back, _),) = self.expanded(lzop(b"one") + lzop(b"two"), size=size)
            assert back == b"onetwo"

    def test_garbage_after_the_end_is_ignored_with_a_warning(self):
        services = Services()
        ((_, back, _),) = self.expanded(lzop(b"one") + b"garbage", services=services)
        assert back == b"one"
        assert services.lines == [("warning", '"users.csv.lzo": 7 bytes after the end of the LZO data are ignored')]

    def test_a_filter_is_refused_by_name(self):
        with pytest.raises(DataError) as caught:
            self.expanded(lzop(csv_like(1000), "--filter=1"))
        assert caught.value.code == "LB-4406"
        assert "filter" in caught.value.message

    @pytest.mark.parametrize("content", [b"", b"x", csv_like(2_000_000), random.Random(6).randbytes(700_000)])
    def test_the_index_lists_the_position_of_every_block(self, content):
        step = make(self.shrink, {"createIndexFile": True})
        (start, packed, _), (index_start, index, _) = files(step.transform(FileStart("users.csv"), cut(content, 999)))
        assert (start.name, index_start.name) == ("users.csv.lzo", "users.csv.lzo.index")
        positions = [position for (position,) in struct.iter_unpack(">Q", index)]
        assert positions == list(block_positions(packed))
        assert len(positions) == -(-len(content) // (256 * 1024))

    def test_without_the_option_there_is_no_index(self):
        assert len(files(make(self.shrink).transform(FileStart("a"), iter([b"x"])))) == 1

    def test_a_missing_library_names_the_extra(self, monkeypatch):
        monkeypatch.setattr(lzo, "_IS_INSTALLED", False)
        with pytest.raises(FlowError) as caught:
            make(self.shrink)
        assert caught.value.code == "LB-1401"
        assert 'pip install "landbridge[lzo]"' in caught.value.hint


def block_positions(packed):
    """Where the blocks begin, found as hadoop-lzo's indexer finds them: from length to length."""
    at = 9 + 2 + 2 + 2 + 1 + 1 + 4 + 4 + 4 + 4
    at += 1 + packed[at] + 4
    while length := int.from_bytes(packed[at : at + 4], "big"):
        yield at
        packed_length = int.from_bytes(packed[at + 4 : at + 8], "big")
        assert packed_length <= length
        at += 8 + 4 + packed_length
    assert at + 4 == len(packed)
