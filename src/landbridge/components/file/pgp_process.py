"""A process of its own for one OpenPGP file: standard input in, standard output out, memory flat.

pysequoia works on named files only and holds Python's global lock from the first byte to the last: within the
main process a large file would stop everything else. Here it reads and writes pipes by their device names.
It is started by file name, so that it loads nothing but pysequoia.

The task comes first on standard input: its length in four bytes, then JSON.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LENGTH_BYTES = 4
REFUSED = 3
"""Exit status when OpenPGP refuses the task; the reason is the last line on standard error."""

_INPUT, _OUTPUT = "/dev/stdin", "/dev/stdout"


def task_bytes(task: dict[str, Any]) -> bytes:
    """The form in which a task is sent."""
    text = json.dumps(task).encode()
    return len(text).to_bytes(LENGTH_BYTES, "big") + text


def encryption(certificate: bytes, *, armor: bool) -> dict[str, Any]:
    """The task to encrypt for the holder of ``certificate``."""
    return {"do": "encrypt", "key": base64.b64encode(certificate).decode(), "armor": armor}


def decryption(key: bytes, *, passphrase: str | None) -> dict[str, Any]:
    """The task to decrypt with the secret key ``key``."""
    return {"do": "decrypt", "key": base64.b64encode(key).decode(), "passphrase": passphrase}


class RefusedError(Exception):
    """OpenPGP refuses what it is given; the text says why."""


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what pysequoia raises into RefusedError.

    It raises RuntimeError with a backtrace below the first line, and lets panics of its Rust parts through,
    which some cut-off messages cause.

    Raises:
        RefusedError: pysequoia could not do what was asked for.
    """
    try:
        yield
    except RuntimeError as error:
        raise RefusedError(str(error).partition("\n")[0].strip()) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RefusedError("OpenPGP cannot handle it") from None


def main() -> int:
    """Do the one task; the exit status."""
    import pysequoia  # noqa: PLC0415 - the starting process imports this module without the library

    task = json.loads(_read(int.from_bytes(_read(LENGTH_BYTES), "big")))
    key = base64.b64decode(task["key"])
    try:
        with refusals():
            if task["do"] == "encrypt":
                certificate = pysequoia.Cert.from_bytes(key)
                pysequoia.encrypt_file(_INPUT, _OUTPUT, recipients=[certificate], armor=task["armor"])
            else:
                decryptor = pysequoia.Tsk.from_bytes(key).decryptor(task["passphrase"])
                pysequoia.decrypt_file(_INPUT, _OUTPUT, decryptor=decryptor)
    except RefusedError as error:
        sys.stderr.write(f"\n{error}")
        return REFUSED
    return 0


def _read(count: int) -> bytes:
    """Exactly ``count`` bytes of standard input, past Python's buffer: what follows is for pysequoia."""
    part = b""
    while len(part) < count and (more := os.read(0, count - len(part))):
        part += more
    return part


if __name__ == "__main__":
    sys.exit(main())
