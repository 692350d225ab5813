"""file.encrypt.pgp and file.decrypt.pgp: OpenPGP messages (RFC 4880) by Sequoia."""

from __future__ import annotations

import base64
import binascii
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import IO, Any, Self

from landbridge.components.base import CHUNK_BYTES, FileEnd, FileEvent, FileStart, FileTransform, StepServices
from landbridge.components.file import pgp_process
from landbridge.components.file.codec import (
    damaged,
    foreign,
    joined,
    missing_extra,
    truncated,
    without_suffix,
)
from landbridge.components.file.pgp_process import RefusedError, refusals
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.errors import DataError, FlowError, LandbridgeError, Stalled, StorageError

try:
    import pysequoia
except ModuleNotFoundError:
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True

SUFFIX = ".pgp"
SUFFIXES = (SUFFIX, ".gpg", ".asc")

_ARMOR = b"-----BEGIN PGP"
_PRIVATE_ARMOR = b"-----BEGIN PGP PRIVATE KEY BLOCK"
_BINARY_MARK = 0x80  # the highest bit of a packet's first byte is always set
_SECRET_KEY_TAG = 5
_PATIENCE_S = 300.0
"""Seconds without any progress after which the process counts as stalled."""


class _Pgp(FileTransform):
    """Base of both directions: says so at once where the library is missing."""

    def __init__(self, params: Any, services: StepServices) -> None:
        super().__init__(params, services)
        if not _IS_INSTALLED:
            raise missing_extra(self.spec.id, extra="pgp")


@component("file.encrypt.pgp", title="Encrypt with PGP", extra="pgp")
class EncryptPgp(_Pgp):
    """Encrypt each file for the holder of a PGP key and append ``.pgp`` to its name.

    The result is an OpenPGP message that GnuPG and PGP open. It is not signed.
    """

    class Params(ComponentParams):
        """Parameters of file.encrypt.pgp."""

        public_key: str = Param(
            "The receiver's public key, ASCII-armoured, or that in base64.",
            example="-----BEGIN PGP PUBLIC KEY BLOCK-----\n…\n-----END PGP PUBLIC KEY BLOCK-----",
        )
        armor: bool = Param(
            "Write text instead of bytes: a third larger and much slower.", default=False, example=False
        )

    params: Params

    def transform(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[FileEvent]:
        """Yield the encrypted file.

        Raises:
            FlowError: LB-1411 ``publicKey`` is no public key, LB-1412 it has expired, is revoked, or not
                meant for encryption.
            StorageError: LB-7401, the process for OpenPGP could not be run.
        """
        key = _public_key(self.params.public_key)
        yield file.renamed(file.name + SUFFIX)
        process = _Process(file.name, pgp_process.encryption(key, armor=self.params.armor))
        yield from joined(process.run(chunks))
        yield FileEnd()


@component("file.decrypt.pgp", title="Decrypt PGP", extra="pgp")
class DecryptPgp(_Pgp):
    """Decrypt PGP files, binary or ASCII-armoured, and take ``.pgp``, ``.gpg`` or ``.asc`` off their names.

    Signatures are not checked.
    """

    class Params(ComponentParams):
        """Parameters of file.decrypt.pgp."""

        private_key: str = Param(
            "The private key, ASCII-armoured, or that in base64.",
            secret=True,
            example="-----BEGIN PGP PRIVATE KEY BLOCK-----\n…\n-----END PGP PRIVATE KEY BLOCK-----",
        )
        passphrase: str | None = Param(
            "The passphrase that protects the private key.",
            default=None,
            secret=True,
            example="correct horse",
        )

    params: Params

    def transform(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[FileEvent]:
        """Yield the decrypted file.

        Raises:
            FlowError: LB-1413 ``privateKey`` is no private key, LB-1412 it has expired, LB-1414 the
                passphrase is missing or wrong.
            DataError: LB-4401 damaged, LB-4402 empty, LB-4403 not a PGP message, LB-4411 encrypted for
                another key.
            StorageError: LB-7401, the process for OpenPGP could not be run.
        """
        key, passphrase = _private_key(self.params.private_key, self.params.passphrase)
        first = next((chunk for chunk in chunks if chunk), b"")
        if not first:
            raise truncated(file.name, offset=0, kind="a PGP message")
        if not first[0] & _BINARY_MARK and _ARMOR not in first:
            raise foreign(file.name, kind="a PGP message")
        yield file.renamed(without_suffix(file.name, *SUFFIXES))
        process = _Process(file.name, pgp_process.decryption(key, passphrase=passphrase))
        yield from joined(process.run(chain([first], chunks)))
        yield FileEnd()


class _Process:
    """Runs one task of ``pgp_process`` on a stream of bytes."""

    def __init__(self, name: str, task: dict[str, Any]) -> None:
        self._name = name
        self._task = task
        self._fed = 0

    def run(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what the process makes of ``chunks``; it never outlives this call."""
        command = [sys.executable, "-P", "-W", "ignore", pgp_process.__file__]
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)  # noqa: S603
        except OSError as error:
            raise self._broken(f"it cannot be started ({error.strerror})") from None
        with process, _Pipes(process) as pipes:
            try:
                yield from self._exchange(pipes, chain([pgp_process.task_bytes(self._task)], chunks))
                status = process.wait(_PATIENCE_S)
            except (TimeoutError, subprocess.TimeoutExpired):
                raise self._stalled() from None
            finally:
                process.kill()
            if status:
                raise self._failed(status, pipes.reason())

    def _exchange(self, pipes: _Pipes, source: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in source:
            self._fed += len(chunk)
            yield from pipes.feed(chunk)
            if pipes.is_refused:
                break
        yield from pipes.finish()

    def _failed(self, status: int, reason: str) -> LandbridgeError:
        if status != pgp_process.REFUSED:
            return self._broken(f"it ended with status {status}" + (f" ({reason})" if reason else ""))
        if self._task["do"] == "encrypt":
            return _unfit(reason)
        if reason.startswith("No key to decrypt"):
            return DataError(
                "LB-4411",
                f'"{self._name}" is encrypted for another key than privateKey',
                hint="Set the right privateKey, or give the sender the public key that belongs to it.",
            )
        if "Malformed Message" in reason:  # what the library says of content that it cannot expand
            reason = "unreadable content; bzip2 compression is not supported"
        return damaged(self._name, offset=self._fed, cause=f"the message is incomplete or changed ({reason})")

    def _broken(self, cause: str) -> StorageError:
        return StorageError(
            "LB-7401",
            f'the process that handles OpenPGP for "{self._name}" failed: {cause}',
            hint="Look at this machine's free memory and process limit, then run the job again.",
        )

    def _stalled(self) -> Stalled:
        return Stalled(
            "LB-6401",
            f'the process that handles OpenPGP for "{self._name}" made no progress for {_PATIENCE_S:.0f} s',
            hint="Run the job again.",
        )


class _Pipes:
    """The pipes of a process, fed and read at the same time: each holds only some kilobytes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._selector = selectors.DefaultSelector()
        self._output = _opened(process.stdout)
        self._input: IO[bytes] | None = _opened(process.stdin)
        os.set_blocking(self._input.fileno(), False)
        self._selector.register(self._output, selectors.EVENT_READ)
        self._selector.register(self._input, selectors.EVENT_WRITE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    @property
    def is_refused(self) -> bool:
        """Whether the process has stopped reading."""
        return self._input is None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Write the whole chunk; yield what comes back meanwhile.

        Raises:
            TimeoutError: Nothing moved for too long.
        """
        pending = memoryview(chunk)
        while pending and self._input:
            ready = self._ready()
            if self._input in ready:
                try:
                    pending = pending[os.write(self._input.fileno(), pending) :]
                except BrokenPipeError:
                    self._close_input()
            if self._output in ready and (part := self._read()):
                yield part

    def finish(self) -> Iterator[bytes]:
        """Close the input; yield what still comes back.

        Raises:
            TimeoutError: Nothing came for too long.
        """
        self._close_input()
        while self._ready() and (part := self._read()):
            yield part

    def reason(self) -> str:
        """The last line that the process, now ended, wrote to standard error."""
        text = _opened(self._process.stderr).read().decode(errors="replace")
        return text.strip().rpartition("\n")[2]

    def _ready(self) -> set[object]:
        ready: set[object] = {key.fileobj for key, _ in self._selector.select(_PATIENCE_S)}
        if not ready:
            raise TimeoutError
        return ready

    def _read(self) -> bytes:
        part = os.read(self._output.fileno(), CHUNK_BYTES)
        if not part:
            self._close_input()
        return part

    def _close_input(self) -> None:
        if self._input:
            self._selector.unregister(self._input)
            self._input.close()
            self._input = None


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("the process is started with three pipes")
    return pipe


def _public_key(text: str) -> bytes:
    """The key as bytes, once it is clear that files can be encrypted with it."""
    key = _key_bytes(text, "publicKey", "LB-1411")
    if _is_secret(key):
        raise FlowError(
            "LB-1411",
            "publicKey holds a private key",
            hint="Export the public one: gpg --armor --export KEY. Take the private key out of the dataflow.",
        )
    try:
        with refusals():
            certificate = pysequoia.Cert.from_bytes(key)
    except RefusedError as error:
        raise _unreadable("publicKey", "LB-1411", error) from None
    if certificate.is_revoked:
        raise _unfit("it is revoked")
    _check_expiration(certificate)
    try:
        with refusals():
            pysequoia.encrypt(b"", recipients=[certificate])
    except RefusedError as error:
        raise _unfit(str(error)) from None
    return key


def _private_key(text: str, passphrase: str | None) -> tuple[bytes, str | None]:
    """The key as bytes and the passphrase that it really needs, once it is clear that it can decrypt."""
    key = _key_bytes(text, "privateKey", "LB-1413")
    if not _is_secret(key):
        raise FlowError(
            "LB-1413",
            "privateKey does not hold a PGP private key",
            hint="Export it: gpg --armor --export-secret-keys KEY.",
        )
    try:
        with refusals():
            secret = pysequoia.Tsk.from_bytes(key)
            certificate = secret.extract_certificate()
    except RefusedError as error:
        raise _unreadable("privateKey", "LB-1413", error) from None
    _check_expiration(certificate)
    try:
        with refusals():
            secret.decryptor(passphrase)
    except RefusedError as error:
        reason = str(error)
        if "key is not encrypted" in reason:
            return key, None
        if "No suitable decryption subkey" in reason:
            raise _unfit(reason) from None
        what = "does not open privateKey" if passphrase else "is missing: privateKey is protected by one"
        raise FlowError("LB-1414", f"the passphrase {what}", hint="Set the passphrase of this step.") from None
    return key, passphrase


def _key_bytes(text: str, param: str, code: str) -> bytes:
    key = text.strip().encode()
    if not key.startswith(_ARMOR):
        try:
            key = base64.b64decode(b"".join(key.split()), validate=True)
        except binascii.Error:
            raise FlowError(
                code,
                f'{param} is neither an ASCII-armoured key ("-----BEGIN PGP …") nor base64',
                hint="Paste the whole key with its BEGIN and END lines and its line breaks.",
            ) from None
    return key


def _is_secret(key: bytes) -> bool:
    if key.lstrip().startswith(_ARMOR):
        return key.lstrip().startswith(_PRIVATE_ARMOR)
    first = key[0] if key else 0
    is_new_format = first & 0x40
    return (first & 0x3F if is_new_format else (first & 0x3C) >> 2) == _SECRET_KEY_TAG


def _check_expiration(certificate: pysequoia.Cert) -> None:
    # Sequoia encrypts for an expired key without a word.
    if certificate.expiration is not None and certificate.expiration <= datetime.now(UTC):
        raise _unfit(f"it expired on {certificate.expiration:%Y-%m-%d}")


def _unreadable(param: str, code: str, error: Exception) -> FlowError:
    return FlowError(
        code,
        f"{param} cannot be read as a PGP key: {error}",
        hint="Paste one whole key with its BEGIN and END lines and its line breaks.",
    )


def _unfit(reason: str) -> FlowError:
    return FlowError(
        "LB-1412",
        f"the PGP key cannot be used: {reason}",
        hint="Ask the key's owner for a new public key, or prolong it: gpg --quick-set-expire.",
    )
