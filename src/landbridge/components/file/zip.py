"""file.compress.zip and file.uncompress.zip: ZIP archives, written and read as streams."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath

import stream_unzip
import stream_zip
from isal import isal_zlib

from landbridge.components.base import CHUNK_BYTES, FileEnd, FileEvent, FileStart, FileTransform
from landbridge.components.file.codec import blocks, damaged, foreign, joined, truncated
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.errors import DataError, FlowError

SUFFIX = ".zip"

_FILE_MODE = 0o100644
_RAW_DEFLATE = -15  # zlib's notation for "window of 32 KiB, no header"
_FIRST_ENTRY = b"PK\x03\x04"
_END_RECORD = b"PK\x05\x06"
_END_RECORD_BYTES = 22
_LONGEST_COMMENT = 0xFFFF
_MAC_METADATA = "__MACOSX/"
_DRIVE = re.compile(r"[A-Za-z]:")
_EARLIEST, _LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
_RATIO_FREE_BYTES = 100_000_000
"""Expanded bytes from which on ``maxRatio`` counts: small files may be all blanks."""


@component("file.compress.zip", title="Compress with ZIP")
class CompressZip(FileTransform):
    """Put each file into a ZIP archive of its own, named like the file with ``.zip`` appended.

    The entry has the file's name without its folder. Its time is the file's, or the job's start, in UTC.
    """

    class Params(ComponentParams):
        """Parameters of file.compress.zip; IdentitySync has none."""

        password: str | None = Param(
            "Encrypts the entry with AES-256, which needs 7-Zip, WinZip or a recent library to open.",
            default=None,
            secret=True,
            example="correct horse battery staple",
        )
        level: int = Param("Effort from 0 (quickest) to 3 (smallest file).", default=1, ge=0, le=3, example=1)
        zip64: bool = Param(
            "Write the Zip64 form, which has no size limit. Without it a file may have 4 GiB, and old "
            "programs (Windows XP, Java 6) can open it.",
            default=True,
            example=True,
        )

    params: Params

    def transform(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[FileEvent]:
        """Yield the archive.

        Raises:
            FlowError: LB-1402, the file is larger than 4 GiB and ``zip64`` is off.
        """
        level = self.params.level
        modified = min(max(file.modified or self.services.started, _EARLIEST), _LATEST).astimezone(UTC)
        method = stream_zip.ZIP_64 if self.params.zip64 else stream_zip.ZIP_32
        entry = (PurePosixPath(file.name).name, modified, _FILE_MODE, method, blocks(chunks))
        yield file.renamed(file.name + SUFFIX)
        try:
            yield from stream_zip.stream_zip(
                [entry],
                chunk_size=CHUNK_BYTES,
                get_compressobj=lambda: isal_zlib.compressobj(  # type: ignore[arg-type, return-value]
                    level, isal_zlib.DEFLATED, _RAW_DEFLATE
                ),
                password=_password_bytes(self.params.password),  # type: ignore[arg-type]
            )
        except stream_zip.ZipOverflowError:
            raise FlowError(
                "LB-1402",
                f'"{file.name}" is larger than 4 GiB, the most that a ZIP archive without Zip64 can hold',
                hint="Switch zip64 on, or write smaller files with the formatter's maxFileSize.",
            ) from None
        yield FileEnd()


@component("file.uncompress.zip", title="Expand ZIP")
class UncompressZip(FileTransform):
    """Yield every file in a ZIP archive, under the name (with folders) that it has there.

    Folders themselves and the metadata that a Mac adds are skipped. An archive whose entries point outside of
    it, have the same name, expand beyond all measure or are very many is refused.
    """

    class Params(ComponentParams):
        """Parameters of file.uncompress.zip; IdentitySync has none."""

        password: str | None = Param(
            "Opens encrypted entries (AES or the old ZipCrypto).",
            default=None,
            secret=True,
            example="correct horse battery staple",
        )
        max_ratio: int = Param(
            "How many times its own size an archive may expand to, once 100 MB have come out of it. Exports "
            "reach 5 to 50; an archive made to fill disks reaches 1000.",
            default=250,
            ge=1,
            example=250,
        )
        max_files: int = Param("How many files an archive may hold.", default=10_000, ge=1, example=100)

    params: Params

    def transform(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[FileEvent]:
        """Yield the archive's files.

        Raises:
            DataError: LB-4401 damaged, LB-4402 ends too early, LB-4403 not a ZIP archive, LB-4404 an unsafe
                name, LB-4405 expands too far, LB-4406 made in a way that cannot be read as a stream.
            FlowError: LB-1403, the password is missing or wrong.
        """
        archive = _Archive(blocks(chunks))
        folder = file.name.rpartition("/")[0]
        entries = stream_unzip.stream_unzip(
            archive.content(),
            password=_password_bytes(self.params.password),
            chunk_size=CHUNK_BYTES,
        )
        names: set[str] = set()
        try:
            for raw_name, _, content in entries:
                archive.entries += 1
                bounded = self._bounded(content, archive, file.name)
                name = _safe_name(raw_name, archive=file.name)
                if name is None:
                    deque(bounded, maxlen=0)
                    continue
                self._check_new(name, names, file.name)
                names.add(name)
                # What the sender says of the number of records is about the first file of the archive.
                told = file.records if len(names) == 1 else None
                inner = f"{folder}/{name}" if folder else name
                yield FileStart(inner, modified=file.modified, records=told)
                yield from joined(bounded)
                yield FileEnd()
            archive.check_end(file.name)
        except stream_unzip.UnzipError as error:
            raise _explained(error, file.name, archive) from None

    def _check_new(self, name: str, names: set[str], archive: str) -> None:
        if len(names) == self.params.max_files:
            raise _too_far(archive, f"holds more than {self.params.max_files} files", "maxFiles")
        if name in names:
            raise DataError(
                "LB-4404",
                f'"{archive}" holds two files named "{name}", of which one would replace the other',
                hint="Ask the sender which of them is meant.",
            )

    def _bounded(self, content: Iterator[bytes], archive: _Archive, name: str) -> Iterator[bytes]:
        for chunk in content:
            archive.expanded += len(chunk)
            ratio = archive.expanded / archive.size
            if archive.expanded > _RATIO_FREE_BYTES and ratio > self.params.max_ratio:
                raise _too_far(name, f"expands to more than {self.params.max_ratio} times its size", "maxRatio")
            yield chunk


class _Archive:
    """Watches an archive as it is read, so that its end can be checked and its expansion be limited."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._tail = b""
        self.head = b""
        self.size = 0
        self.entries = 0
        self.expanded = 0

    def content(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.head = self.head or chunk[: len(_END_RECORD)]
            self.size += len(chunk)
            self._tail = (self._tail + chunk)[-_END_RECORD_BYTES - _LONGEST_COMMENT :]
            yield chunk

    def check_end(self, name: str) -> None:
        """Compare the end record, which the stream reader does not look at, with what was read."""
        at = self._tail.rfind(_END_RECORD)
        record = self._tail[at : at + _END_RECORD_BYTES]
        if at < 0 or len(record) < _END_RECORD_BYTES:
            raise truncated(name, offset=self.size, kind="a ZIP archive")
        listed = int.from_bytes(record[10:12], "little")
        if listed not in {self.entries & 0xFFFF, 0xFFFF}:
            cause = f"its directory lists {listed} entries, but it holds {self.entries}"
            raise damaged(name, offset=self.size, cause=cause)


def _password_bytes(password: str | None) -> bytes | None:
    # As text it would be taken for Latin-1, which has no letters beyond western Europe's.
    return password.encode() if password else None


def _safe_name(raw: bytes, *, archive: str) -> str | None:
    """The entry's name with ``/`` between folders; None for what is not a file of the sender's."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = raw.decode("cp437")  # the format's original encoding; every byte has a character in it
    name = name.replace("\\", "/")
    if name.endswith("/") or name.startswith(_MAC_METADATA):
        return None
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or _DRIVE.match(name) or not name.isprintable():
        raise DataError(
            "LB-4404",
            f'"{archive}" holds an entry whose name points outside of it or cannot be a file name: {name!r}',
            hint="Such an archive can overwrite files of the receiver. Ask the sender how it came about.",
        )
    return "/".join(parts)


def _too_far(name: str, what: str, param: str) -> DataError:
    return DataError(
        "LB-4405",
        f'"{name}" {what}; such an archive may be made to fill disks',
        hint=f"If it is what you expect, raise {param} of this step.",
    )


def _explained(error: stream_unzip.UnzipError, name: str, archive: _Archive) -> DataError | FlowError:
    kind = "a ZIP archive"
    if not any(signature.startswith(archive.head) for signature in (_FIRST_ENTRY, _END_RECORD)):
        return foreign(name, kind=kind)
    if isinstance(error, stream_unzip.TruncatedDataError):
        return truncated(name, offset=archive.size, kind=kind)
    if isinstance(error, stream_unzip.MissingPasswordError):
        return FlowError("LB-1403", f'"{name}" is encrypted', hint="Set the password of this step.")
    if isinstance(error, stream_unzip.IncorrectPasswordError):
        return FlowError("LB-1403", f'the password does not open "{name}"', hint="Ask the sender for the password.")
    if isinstance(error, stream_unzip.UnsupportedFeatureError):
        return DataError(
            "LB-4406",
            f'"{name}" is made in a way that cannot be read as a stream ({_words(error)})',
            hint="Ask for an archive with plain deflate compression, or for gzip.",
        )
    return damaged(name, offset=archive.size, cause=_words(error))


def _words(error: Exception) -> str:
    """The name of the library's exception as words: its exceptions carry no text."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower()
