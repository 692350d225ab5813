"""How files of the emulated Connect are compressed and encrypted."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from typing import Any, Final

from landbridge.sandbox.responsys.definitions import Packing

try:
    import pysequoia
except ModuleNotFoundError:
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True

_ENDINGS: Final = {"none": "", "gzip": ".gz", "zip": ".zip"}
_ENCRYPTED: Final = ".gpg"


class Unpackable(Exception):
    """The content is not what the job's definition says."""


def packed(name: str, content: bytes, packing: Packing) -> tuple[str, bytes]:
    """The file as it is left for others: its name with the endings of compression and encryption, and its content."""
    if packing.compression == "gzip":
        content = gzip.compress(content, compresslevel=1, mtime=0)
    elif packing.compression == "zip":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as entries:
            entries.writestr(name, content)
        content = archive.getvalue()
    name += _ENDINGS[packing.compression]
    if not packing.public_key:
        return name, content
    openpgp = _openpgp()
    certificate = openpgp.Cert.from_bytes(packing.public_key.encode())
    return name + _ENCRYPTED, bytes(openpgp.encrypt(content, recipients=[certificate], armor=False))


def unpacked(content: bytes, packing: Packing) -> bytes:
    """What is in a file that somebody has left.

    Raises:
        Unpackable: It is not encrypted for the job's key, not compressed as the job expects, or cut off.
    """
    if packing.private_key:
        openpgp = _openpgp()
        try:
            decryptor = openpgp.Tsk.from_bytes(packing.private_key.encode()).decryptor(None)
            content = bytes(openpgp.decrypt(content, decryptor=decryptor).bytes)
        except RuntimeError:
            raise Unpackable("the file cannot be decrypted") from None
    try:
        if packing.compression == "gzip":
            return gzip.decompress(content)
        if packing.compression == "zip":
            with zipfile.ZipFile(io.BytesIO(content)) as entries:
                return entries.read(entries.namelist()[0])
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, IndexError):
        raise Unpackable(f"the file is not a complete {packing.compression} file") from None
    return content


def _openpgp() -> Any:
    """The library of the extra "pgp"; asked for only by jobs that encrypt."""
    if not _IS_INSTALLED:
        raise Unpackable('jobs with PGP need the extra "pgp" to be installed')
    return pysequoia
