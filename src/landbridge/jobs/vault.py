"""Seals what must not lie open in the database: secrets, and records of people.

The key is 32 random bytes in URL-safe base64. Several keys, separated by commas, make a rotation: the first one seals,
all of them open.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from landbridge.errors import StorageError

KEY_VARIABLE: Final = "LANDBRIDGE_KEY"
"""The environment variable with the key; without it the key is a file in the data folder."""

FILE_NAME: Final = "key"

_HINT: Final = (
    f"Put the file {FILE_NAME} of the old data folder back (or the {KEY_VARIABLE} of then). "
    "Without it the secrets must be entered anew, in an empty database."
)


class Vault:
    """Seals and opens with the keys of an installation.

    Args:
        keys: The keys. None: there is none yet; one is made when something is sealed.
        folder: The data folder, where it is made.
    """

    def __init__(self, keys: str | None, *, folder: Path | None = None) -> None:
        self._folder = folder
        self._making = threading.Lock()
        self._fernet = None if keys is None else _fernet(keys)

    @classmethod
    def open(cls, folder: Path, environ: Mapping[str, str] | None = None) -> Self:
        """The vault of a data folder. Where a database is at hand, ``key_check`` also tells whether it is its key.

        Raises:
            StorageError: LB-7504, the key cannot be read or used.
        """
        environ = os.environ if environ is None else environ
        return cls(environ.get(KEY_VARIABLE) or _key_of(folder), folder=folder)

    @property
    def has_key(self) -> bool:
        """Whether there is a key already, perhaps made by somebody else meanwhile."""
        return self._known() is not None

    def make_key(self) -> MultiFernet:
        """See to it that there is a key.

        Raises:
            StorageError: LB-7504, it cannot be written.
        """
        with self._making:
            if self._fernet is None:
                if self._folder is None:
                    raise missing_key()
                self._fernet = _fernet(_made_key(self._folder))
            return self._fernet

    def seal(self, value: Any) -> bytes:
        """A JSON value, encrypted.

        Raises:
            StorageError: LB-7504, there is no key, and none can be made.
        """
        return (self._fernet or self.make_key()).encrypt(msgspec.json.encode(value))

    def unseal(self, sealed: bytes) -> Any:
        """What ``seal`` was given.

        Raises:
            StorageError: LB-7505, it was sealed by another key, or is damaged.
        """
        keys = self._known()
        if keys is None:
            raise missing_key(self._folder)
        try:
            return msgspec.json.decode(keys.decrypt(sealed))
        except InvalidToken:
            raise _other_key() from None

    def reseal(self, sealed: bytes) -> bytes:
        """The same, sealed by the first key.

        Raises:
            StorageError: LB-7505, it was sealed by another key, or is damaged.
        """
        keys = self._known()
        if keys is None:
            raise missing_key(self._folder)
        try:
            return keys.rotate(sealed)
        except InvalidToken:
            raise _other_key() from None

    def _known(self) -> MultiFernet | None:
        if self._fernet is None and self._folder is not None and (keys := _key_of(self._folder)) is not None:
            self._fernet = _fernet(keys)
        return self._fernet


def put_new_key_first(folder: Path) -> None:
    """Put a new key before those of the key file, which still open what they have sealed.

    Raises:
        StorageError: LB-7504, the file cannot be read or written.
    """
    old = _made_key(folder)
    _write(folder, f"{Fernet.generate_key().decode()},{old}")


def keep_first_key(folder: Path) -> None:
    """Remove all keys but the first from the key file: nothing is sealed by them any more.

    Raises:
        StorageError: LB-7504, the file cannot be read or written.
    """
    _write(folder, _made_key(folder).partition(",")[0])


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


def missing_key(folder: Path | None = None) -> StorageError:
    """The error for a database whose secrets nobody here can open."""
    return StorageError(
        "LB-7505",
        "the database holds sealed secrets, and the key that opens them is missing"
        + (f": there is no file {folder / FILE_NAME}, and no {KEY_VARIABLE}" if folder else ""),
        hint=_HINT,
    )


def wrong_key(folder: Path) -> StorageError:
    """The error for a key that is another database's."""
    return StorageError(
        "LB-7505",
        f"what the database holds was sealed by another key than that of {folder / FILE_NAME} or {KEY_VARIABLE}",
        hint=_HINT,
    )


def _other_key() -> StorageError:
    return StorageError("LB-7505", "a stored secret was sealed by another key", hint=_HINT)


def _fernet(keys: str) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
    except ValueError:
        raise StorageError(
            "LB-7504",
            f"the key in {KEY_VARIABLE} or in the data folder is not a key",
            hint="A key is 32 random bytes in URL-safe base64: 44 characters, the last one is =.",
        ) from None


def _unusable(file: Path, reason: str) -> StorageError:
    return StorageError("LB-7504", f"the key {file} cannot be read or written: {reason}")


def _key_of(folder: Path) -> str | None:
    """The keys of the key file; None where there is no such file."""
    file = folder / FILE_NAME
    try:
        return file.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise _unusable(file, reason or "") from error


def _made_key(folder: Path) -> str:
    """The keys of the key file, which is made where there is none."""
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
