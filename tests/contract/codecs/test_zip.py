"""file.compress.zip and file.uncompress.zip."""

import hashlib
import hmac
import io
import struct
import subprocess
import zipfile
import zlib
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from landbridge.components.base import CHUNK_BYTES, FileStart
from landbridge.errors import DataError, FlowError
from tests.contract.codecs.contract import CodecContract, csv_like, cut, files, make
from tests.servers.process import find_program


def archive(entries, compression=zipfile.ZIP_DEFLATED):
    """A ZIP archive as Python's own module writes it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as writer:
        for name, content in entries:
            writer.writestr(name, content)
    return target.getvalue()


class TestZip(CodecContract):
    shrink, expand, suffix = "file.compress.zip", "file.uncompress.zip", ".zip"
    damage_may_show_as = (DataError, FlowError)  # a flipped flag can make an entry look encrypted

    def open_with_system_tool(self, path, folder):
        with zipfile.ZipFile(path) as reader:
            assert reader.namelist() == ["users.csv"]
            return reader.read("users.csv")

    def test_the_name_gets_the_suffix_and_loses_it_again(self):
        start, packed = self.shrunk(b"x", name="out/users.csv")
        assert start.name == "out/users.csv.zip"
        ((back, _, _),) = self.expanded(packed, name=start.name)
        assert back.name == "out/users.csv"

    def test_the_entry_has_the_time_of_the_file_or_of_the_job(self):
        for modified, expected in (
            (None, (2026, 3, 2, 4, 30, 0)),
            (datetime(2025, 6, 1, 10, 20, 30, tzinfo=UTC), (2025, 6, 1, 10, 20, 30)),
            (datetime(1970, 1, 1, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
            (datetime(2107, 1, 1, tzinfo=UTC), (2038, 1, 1, 0, 0, 0)),
        ):
            events = make(self.shrink).transform(FileStart("a", modified=modified), iter([b"x"]))
            ((_, packed, _),) = files(events)
            assert zipfile.ZipFile(io.BytesIO(packed)).infolist()[0].date_time == expected

    @pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2])
    def test_several_entries_are_several_files(self, compression):
        entries = [("a.csv", b"1"), ("sub/b.csv", csv_like(2_000_000)), ("c.csv", b"")]
        found = self.expanded(archive(entries, compression), name="in/all.zip")
        assert [(start.name, content) for start, content, _ in found] == [
            (f"in/{name}", content) for name, content in entries
        ]

    def test_folders_and_the_metadata_of_a_mac_are_skipped(self):
        entries = [("sub/", b""), ("sub/a.csv", b"1"), ("__MACOSX/sub/._a.csv", b"junk")]
        assert [start.name for start, _, _ in self.expanded(archive(entries))] == ["sub/a.csv"]

    def test_an_archive_without_files_yields_no_file(self):
        assert self.expanded(archive([])) == []

    @pytest.mark.parametrize(
        "name",
        [
            "../a.csv",
            "a/../../b.csv",
            "/etc/passwd",
            "..\\a.csv",
            "C:\\a.csv",
            "c:a.csv",
            "a\nb.csv",
            "..",
            ".",
        ],
    )
    def test_a_name_that_points_out_of_the_archive_is_refused(self, name):
        with pytest.raises(DataError) as caught:
            self.expanded(archive([("ok.csv", b"1"), (name, b"2")]))
        assert caught.value.code == "LB-4404"

    def test_names_of_windows_and_of_old_programs_are_understood(self):
        plain = archive([("sub?a.csv", b"1"), ("e?.csv", b"2")])
        changed = plain.replace(b"sub?a.csv", b"sub\\a.csv").replace(b"e?.csv", b"e\x82.csv")
        assert [start.name for start, _, _ in self.expanded(changed)] == ["sub/a.csv", "eé.csv"]

    def test_two_files_of_one_name_are_refused(self):
        with pytest.warns(UserWarning, match="Duplicate name"):
            double = archive([("a.csv", b"1"), ("a.csv", b"2")])
        with pytest.raises(DataError, match="two files named"):
            self.expanded(double)

    def test_an_archive_that_expands_beyond_all_measure_is_refused(self):
        bomb = archive([("a.csv", bytes(150_000_000))])
        with pytest.raises(DataError) as caught:
            self.expanded(bomb)
        assert caught.value.code == "LB-4405"
        assert "maxRatio" in caught.value.hint
        step = make(self.expand, {"maxRatio": 2000})
        size = 0
        for event in step.transform(FileStart("a.zip"), cut(bomb, CHUNK_BYTES)):
            size += len(event) if isinstance(event, bytes) else 0
        assert size == 150_000_000

    def test_too_many_files_are_refused(self):
        entries = [(f"{number}.csv", b"") for number in range(4)]
        step = make(self.expand, {"maxFiles": 3})
        with pytest.raises(DataError) as caught:
            files(step.transform(FileStart("a.zip"), iter([archive(entries)])))
        assert caught.value.code == "LB-4405"
        assert (
            len(files(make(self.expand, {"maxFiles": 4}).transform(FileStart("a.zip"), iter([archive(entries)])))) == 4
        )

    def test_a_directory_that_lists_other_entries_is_found(self):
        content = archive([("a.csv", b"1"), ("b.csv", b"2")])
        at = content.rfind(b"PK\x05\x06")
        changed = content[: at + 8] + struct.pack("<HH", 1, 1) + content[at + 12 :]
        with pytest.raises(DataError, match="lists 1 entries, but it holds 2"):
            self.expanded(changed)

    def test_a_comment_at_the_end_is_no_matter(self):
        target = io.BytesIO(archive([("a.csv", b"1")]))
        with zipfile.ZipFile(target, "a") as writer:
            writer.comment = b"c" * 65_000
        assert len(self.expanded(target.getvalue())) == 1

    def test_without_zip64_old_programs_can_read_it(self):
        step = make(self.shrink, {"zip64": False})
        ((_, packed, _),) = files(step.transform(FileStart("a.csv"), iter([csv_like(50_000)])))
        assert packed[4:6] == b"\x14\x00"  # version 2.0
        assert zipfile.ZipFile(io.BytesIO(packed)).read("a.csv") == csv_like(50_000)

    def test_archives_of_the_zip_program_are_read(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(csv_like(3_000_000))
        (tmp_path / "b.csv").write_bytes(b"")
        subprocess.run([find_program("zip"), "-q", "all.zip", "a.csv", "b.csv"], cwd=tmp_path, check=True)
        found = self.expanded((tmp_path / "all.zip").read_bytes())
        assert [(start.name, len(content)) for start, content, _ in found] == [
            ("a.csv", 3_000_000),
            ("b.csv", 0),
        ]

    def test_an_archive_streamed_without_compression_cannot_be_read_and_says_so(self):
        class Pipe(io.BytesIO):
            def seekable(self):
                return False

            def tell(self):
                raise io.UnsupportedOperation

        target = Pipe()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as writer:
            writer.writestr("a.csv", b"abc")
        with pytest.raises(DataError) as caught:
            self.expanded(target.getvalue())
        assert caught.value.code == "LB-4406"

    def test_the_old_encryption_of_the_zip_program_is_read(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(csv_like(10_000))
        subprocess.run([find_program("zip"), "-q", "-P", "pass word", "x.zip", "a.csv"], cwd=tmp_path, check=True)
        packed = (tmp_path / "x.zip").read_bytes()
        step = make(self.expand, {"password": "pass word"})
        ((_, back, _),) = files(step.transform(FileStart("x.zip"), iter([packed])))
        assert back == csv_like(10_000)


# The ZIP libraries leave the hash function of the key derivation, which the format fixes, to a default.
@pytest.mark.filterwarnings("ignore:PBKDF2 without 'hmac_hash_module':DeprecationWarning")
class TestEncryptedZip(CodecContract):
    shrink, expand, suffix = "file.compress.zip", "file.uncompress.zip", ".zip"
    shrink_params: ClassVar[dict] = {"password": "correct horse"}
    expand_params: ClassVar[dict] = shrink_params
    is_deterministic = False
    damage_may_show_as = (DataError, FlowError)

    def open_with_system_tool(self, path, folder):
        """No program on a plain machine opens AES archives, so this follows WinZip's AE-2 specification."""
        archived = path.read_bytes()
        with zipfile.ZipFile(path) as reader:
            (entry,) = reader.infolist()
        name_length, extra_length = struct.unpack_from("<HH", archived, 26)
        begin = 30 + name_length + extra_length
        data = archived[begin : begin + entry.compress_size]
        salt, check, secret, seal = data[:16], data[16:18], data[18:-10], data[-10:]
        keys = hashlib.pbkdf2_hmac("sha1", b"correct horse", salt, 1000, 66)
        assert keys[64:] == check
        assert hmac.digest(keys[32:64], secret, "sha1")[:10] == seal
        counters = np.zeros((len(secret) // 16 + 1, 2), "<u8")
        counters[:, 0] = np.arange(1, len(counters) + 1)
        encryptor = Cipher(algorithms.AES256(keys[:32]), modes.ECB()).encryptor()
        stream = np.frombuffer(encryptor.update(counters.tobytes()), "u1")[: len(secret)]
        return zlib.decompress((np.frombuffer(secret, "u1") ^ stream).tobytes(), -15)

    @pytest.mark.parametrize("password", ["wrong", ""])
    def test_a_wrong_or_missing_password_is_said(self, password):
        _, packed = self.shrunk(b"secret")
        step = make(self.expand, {"password": password})
        with pytest.raises(FlowError) as caught:
            files(step.transform(FileStart("a.zip"), iter([packed])))
        assert caught.value.code == "LB-1403"
        assert "correct" not in str(caught.value)

    def test_letters_from_everywhere_may_be_in_the_password(self):
        password = {"password": "Łódź-пароль-密码"}
        ((_, packed, _),) = files(make(self.shrink, password).transform(FileStart("a"), iter([b"content"])))
        assert files(make(self.expand, password).transform(FileStart("a.zip"), iter([packed])))[0][1] == b"content"
