"""Seals what must not lie open in the database: secrets, and records of people.

The key is 32 random bytes in URL-safe base64. Several keys, separated by commas, make a rotation: the first one seals,
all of them open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from landbridge.errors import StorageError

KEY_VARIABLE: Final = "LANDBRIDGE_KEY"
"""The environment variable with the key; without it the key is a file in the data folder."""

FILE_NAME: Final = "key"


class Vault:
    """Seals and opens with the keys of an installation."""

    def __init__(self, keys: str) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
        except ValueError:
            raise StorageError(
                "LB-7504",
                f"the key in {KEY_VARIABLE} or in the data folder is not a key",
                hint="A key is 32 random bytes in URL-safe base64: 44 characters, the last one is =.",
            ) from None

    @classmethod
    def open(cls, folder: Path, environ: Mapping[str, str] | None = None) -> Self:
        """The vault of a data folder; its key is made when there is none.

        Raises:
            StorageError: LB-7504, the key cannot be read, written or used.
        """
        environ = os.environ if environ is None else environ
        return cls(environ.get(KEY_VARIABLE) or _key_of(folder))

    def seal(self, value: Any) -> bytes:
        """A JSON value, encrypted."""
        return self._fernet.encrypt(msgspec.json.encode(value))

    def unseal(self, sealed: bytes) -> Any:
        """What ``seal`` was given.

        Raises:
            StorageError: LB-7505, it was sealed by another key, or is damaged.
        """
        try:
            return msgspec.json.decode(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise _other_key() from None

    def reseal(self, sealed: bytes) -> bytes:
        """The same, sealed by the first key.

        Raises:
            StorageError: LB-7505, it was sealed by another key, or is damaged.
        """
        try:
            return self._fernet.rotate(sealed)
        except InvalidToken:
            raise _other_key() from None


def put_new_key_first(folder: Path) -> None:
    """Put a new key before those of the key file, which still open what they have sealed.

    Raises:
        StorageError: LB-7504, the file cannot be read or written.
    """
    old = _key_of(folder)
    _write(folder, f"{Fernet.generate_key().decode()},{old}")


def keep_first_key(folder: Path) -> None:
    """Remove all keys but the first from the key file: nothing is sealed by them any more.

    Raises:
        StorageError: LB-7504, the file cannot be read or written.
    """
    _write(folder, _key_of(folder).partition(",")[0])


def _write(folder: Path, keys: str) -> None:
    file, new = folder / FILE_NAME, folder / f"{FILE_NAME}.{os.getpid()}"
    try:
        new.unlink(missing_ok=True)
        _write_new(new, keys.strip())
        new.replace(file)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unusable(file, error.strerror or "") from error


def _write_new(file: Path, keys: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as output:
        output.write(f"{keys}\n")
        output.flush()
        os.fsync(output.fileno())


def _other_key() -> StorageError:
    return StorageError(
        "LB-7505",
        "a stored secret was sealed by another key",
        hint=f"Give the key of then in {KEY_VARIABLE}, or as the file {FILE_NAME} of the data folder.",
    )


def _unusable(file: Path, reason: str) -> StorageError:
    return StorageError("LB-7504", f"the key {file} cannot be read or written: {reason}")


def _key_of(folder: Path) -> str:
    file = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = folder / f"{FILE_NAME}.{os.getpid()}"
        new.unlink(missing_ok=True)
        if not file.exists():
            _write_new(new, Fernet.generate_key().decode())
            try:
                os.link(new, file)  # of two processes the first one's key counts
            except FileExistsError:
                pass
            finally:
                new.unlink()
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise _unusable(file, reason or "") from error
