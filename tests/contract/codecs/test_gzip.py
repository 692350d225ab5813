"""file.compress.gzip and file.uncompress.gzip."""

import gzip
import subprocess
from typing import ClassVar

import pytest

from landbridge.errors import DataError
from tests.contract.codecs.contract import CodecContract, Services, csv_like
from tests.servers.process import find_program


class TestGzip(CodecContract):
    shrink, expand, suffix = "file.compress.gzip", "file.uncompress.gzip", ".gz"

    def open_with_system_tool(self, path, folder):
        return subprocess.run([find_program("gzip"), "-dc", path], capture_output=True, check=True).stdout

    @pytest.mark.parametrize("level", range(4))
    def test_every_level_can_be_opened(self, level):
        self.shrink_params = {"level": level}
        content = csv_like(500_000)
        assert gzip.decompress(self.shrunk(content)[1]) == content

    def test_the_header_holds_neither_time_nor_name(self):
        assert self.shrunk(b"x")[1][:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

    def test_concatenated_files_are_read_as_one(self):
        parts = [csv_like(100_000), b"", b"end"]
        joined = b"".join(map(gzip.compress, parts))
        for size in (1, 10, 1 << 20):
            ((_, back, _),) = self.expanded(joined, size=size)
            assert back == b"".join(parts)

    def test_a_second_member_that_ends_too_early_is_an_error(self):
        whole = gzip.compress(b"first") + gzip.compress(csv_like(1000))
        for length in range(len(gzip.compress(b"first")) + 1, len(whole)):
            with pytest.raises(DataError):
                self.expanded(whole[:length])

    def test_garbage_after_the_end_is_ignored_with_a_warning(self):
        services = Services()
        ((_, back, _),) = self.expanded(gzip.compress(b"content") + b"garbage", services=services)
        assert back == b"content"
        assert services.lines == [("warning", '"users.csv.gz": 7 bytes after the end of the gzip data are ignored')]

    def test_zeros_after_the_end_are_ignored_without_a_word(self):
        services = Services()
        ((_, back, _),) = self.expanded(gzip.compress(b"content") + bytes(512), services=services)
        assert back == b"content"
        assert not services.lines

    def test_files_of_the_system_tool_are_read(self, tmp_path):
        path = tmp_path / "users.csv"
        path.write_bytes(csv_like(700_000))
        subprocess.run([find_program("gzip"), "-9", path], check=True)
        ((_, back, _),) = self.expanded((tmp_path / "users.csv.gz").read_bytes())
        assert back == csv_like(700_000)

    def test_a_name_without_the_suffix_stays(self):
        ((start, _, _),) = self.expanded(gzip.compress(b"x"), name="export")
        assert start.name == "export"


class TestThreadedGzip(CodecContract):
    shrink, expand, suffix = "file.compress.gzip", "file.uncompress.gzip", ".gz"
    shrink_params: ClassVar[dict] = {"threads": 2}
    open_with_system_tool = TestGzip.open_with_system_tool
