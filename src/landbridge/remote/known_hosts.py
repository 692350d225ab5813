"""Pinned SSH host keys: an unknown or changed key is refused, and no switch turns that off.

Pins live in ``$LANDBRIDGE_HOME/known_hosts`` (``~/.landbridge/known_hosts`` by default) in the format of
OpenSSH's ``known_hosts`` (sshd manual, section SSH_KNOWN_HOSTS FILE FORMAT), so an existing file can be
copied there, hashed names and ``@revoked`` and ``@cert-authority`` lines included. A step may name its key
itself with ``hostKey``.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from landbridge.errors import ConnectionFailed, FlowError, HostKeyChanged, StorageError
from landbridge.remote import failures

DEFAULT_PORT = 22

_DIGEST = re.compile("[A-Za-z0-9+/]{43}")
"""A SHA-256 in base64 without padding."""

KEY_TYPES: Sequence[Sequence[str]] = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
)
"""The kinds of host key in use, each with the signature algorithms that make a server offer it."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What a server may identify itself with: keys, certificate authorities, or fingerprints of keys."""

    keys: tuple[asyncssh.SSHKey, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()
    revoked: tuple[asyncssh.SSHKey, ...] = ()
    fingerprints: frozenset[str] = field(default_factory=frozenset)

    def __bool__(self) -> bool:
        return bool(self.keys or self.authorities or self.fingerprints)

    @property
    def expected(self) -> str:
        """The pinned fingerprints, for a message."""
        shown = sorted({*self.fingerprints, *(fingerprint(key) for key in (*self.keys, *self.authorities))})
        return ", ".join(shown)


def fingerprint(key: asyncssh.SSHKey) -> str:
    """The fingerprint of a key as OpenSSH prints it: ``SHA256:`` and 43 characters of base64."""
    return str(key.get_fingerprint())


def known_hosts_file() -> Path:
    """The file that holds the pins."""
    home = os.environ.get("LANDBRIDGE_HOME")
    return (Path(home) if home else Path.home() / ".landbridge") / "known_hosts"


def host_label(host: str, port: int) -> str:
    """A server's name in messages and commands: the port is left out when it is 22."""
    if port == DEFAULT_PORT:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def pins_for(host: str, port: int, *, host_key: str | None = None) -> Pins:
    """What is pinned for a server: ``host_key`` of the step where it is given, the pin file otherwise.

    Args:
        host: Name or address.
        port: TCP port. A pin is for one port; that of port 22 does not serve another.
        host_key: ``SHA256:…`` fingerprint or public key line (``ssh-ed25519 AAAA…``).

    Raises:
        FlowError: LB-1302, ``host_key`` can be read neither as a fingerprint nor as a key.
        StorageError: LB-7103, the pin file cannot be read.
    """
    if host_key:
        return _step_pin(host_key)
    path = known_hosts_file()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Pins()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, f"cannot be read: {failures.reason_of(error)}", hint="Let this user read it.") from None
    try:
        pinned = asyncssh.import_known_hosts(text)
    except ValueError as error:
        raise _unusable(path, f"is damaged: {error}", hint="Correct the line, or pin the keys again.") from None
    # The name is matched together with its port, as it is written in the file: given apart, a port without a
    # pin would fall back on the pin of the host's port 22.
    keys, authorities, revoked, *_ = pinned.match(_file_name(host, port), "", None)
    return Pins(keys=tuple(keys), authorities=tuple(authorities), revoked=tuple(revoked))


async def offered_keys(host: str, port: int = DEFAULT_PORT, *, timeout_s: float = 20) -> list[asyncssh.SSHKey]:
    """All host keys that a server offers, one connection for each kind of key. Nothing is sent to the server.

    Raises:
        ConnectionFailed: LB-2101 when it cannot be reached, LB-2107 when it does not speak SSH.
    """
    found = []
    refusal: asyncssh.Error | None = None
    for algorithms in KEY_TYPES:
        try:
            async with asyncio.timeout(timeout_s):
                key = await asyncssh.get_server_host_key(host, port, server_host_key_algs=list(algorithms), config=None)
        except (OSError, TimeoutError) as error:
            raise failures.unreachable(host, port, error, timeout_s=timeout_s) from None
        except asyncssh.Error as error:
            refusal = error  # no key of this kind: some servers say so, others just close the connection
        else:
            if key is not None:
                found.append(key)
    if not found:
        raise no_ssh(host, port, refusal or asyncssh.KeyExchangeFailed("it offers no host key"))
    return found


async def offered_key(host: str, port: int = DEFAULT_PORT, *, timeout_s: float = 20) -> str:
    """The fingerprint of the host key that a server prefers, for a person to compare with the announced one.

    Raises:
        ConnectionFailed: LB-2101 when it cannot be reached, LB-2107 when it does not speak SSH.
    """
    return fingerprint((await offered_keys(host, port, timeout_s=timeout_s))[0])


async def pin(host: str, port: int = DEFAULT_PORT, *, key: str, timeout_s: float = 20) -> str:
    """Pin a server's host key, replacing what was pinned for this host and port before.

    Args:
        host: Name or address, as the dataflows write it.
        port: TCP port.
        key: The key as its owner announced it: a ``SHA256:…`` fingerprint, which the server must then offer
            now, or a public key line, which needs no connection.
        timeout_s: Time for the server to offer its key.

    Returns:
        The fingerprint that was pinned.

    Raises:
        FlowError: LB-1302, ``key`` can be read neither as a fingerprint nor as a key.
        HostKeyChanged: LB-2112, the server offers other keys than the announced one.
        ConnectionFailed: LB-2101 when it cannot be reached, LB-2107 when it does not speak SSH.
        StorageError: LB-7103, the pin file cannot be written.
    """
    announced = _step_pin(key)
    if announced.keys:
        chosen = announced.keys[0]
    else:
        offered = await offered_keys(host, port, timeout_s=timeout_s)
        matching = [candidate for candidate in offered if fingerprint(candidate) in announced.fingerprints]
        if not matching:
            raise _not_the_announced(host, port, announced=announced, offered=offered)
        chosen = matching[0]
    _store(_file_name(host, port), chosen)
    return fingerprint(chosen)


def unknown_key(host: str, port: int, *, offered: str) -> HostKeyChanged:
    """The error for a server whose host key is not pinned (LB-2102)."""
    label = host_label(host, port)
    return HostKeyChanged(
        "LB-2102",
        f"the host key of {label} is not pinned; it offers {offered}. Nothing was sent",
        hint="Compare it with the one that the server's owner announced, then pin it:  "
        f"landbridge connections pin {label} --fingerprint {offered}",
    )


def changed_key(host: str, port: int, *, expected: str, offered: str) -> HostKeyChanged:
    """The error for a server whose host key is not the pinned one (LB-2103)."""
    label = host_label(host, port)
    return HostKeyChanged(
        "LB-2103",
        f"the host key of {label} has changed: expected {expected}, offered {offered}. Nothing was sent",
        hint="If its owner announced the change, pin the new key:  "
        f"landbridge connections pin {label} --fingerprint {offered.partition(',')[0]}",
    )


def _not_the_announced(host: str, port: int, *, announced: Pins, offered: Sequence[asyncssh.SSHKey]) -> HostKeyChanged:
    """The error for a server that does not have the key that is to be pinned (LB-2112).

    It does not tell how to pin what is offered: who was told a fingerprint should believe its owner, not the server.
    """
    label = host_label(host, port)
    return HostKeyChanged(
        "LB-2112",
        f"{label} does not offer the key {announced.expected}, but {', '.join(map(fingerprint, offered))}. "
        "Nothing was pinned",
        hint="Compare the fingerprint with what the server's owner told you. If it is right, then what answers is "
        "another machine: do not trust it, and ask the owner.",
    )


def no_ssh(host: str, port: int, error: Exception) -> ConnectionFailed:
    """The error for a server that does not speak SSH as we do (LB-2107)."""
    return ConnectionFailed(
        "LB-2107",
        f"{host_label(host, port)} answers, but no SSH session could be agreed on: {error}",
        hint="Check that the port is that of the SFTP service.",
    )


def _step_pin(value: str) -> Pins:
    text = value.strip()
    if text.upper().startswith("SHA256:"):
        digest = text[7:].rstrip("=")
        if not _DIGEST.fullmatch(digest):
            raise FlowError(
                "LB-1302",
                "the fingerprint is not whole: behind SHA256: stand 43 letters, digits, + and /",
                hint="Copy it whole, as `ssh-keygen -lf` prints it.",
            )
        return Pins(fingerprints=frozenset({"SHA256:" + digest}))
    try:
        return Pins(keys=(asyncssh.import_public_key(text),))
    except asyncssh.KeyImportError:
        raise FlowError(
            "LB-1302",
            "the host key can be read neither as a fingerprint nor as a public key",
            hint="Write it as SHA256:… or as one line like: ssh-ed25519 AAAAC3Nza…",
        ) from None


def _file_name(host: str, port: int) -> str:
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


def _store(name: str, key: asyncssh.SSHKey) -> None:
    path = known_hosts_file()
    line = f"{name} {' '.join(key.export_public_key('openssh').decode('ascii').split()[:2])}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = [old for old in _lines(path) if not _is_pin_of(old, name)]
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text("".join(kept) + line, encoding="utf-8")
        draft.chmod(0o600)
        draft.replace(path)
    except OSError as error:
        reason = failures.reason_of(error)
        raise _unusable(path, f"cannot be written: {reason}", hint="Let this user write to its folder.") from None


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line + "\n" for line in path.read_text(encoding="utf-8").splitlines()]


def _is_pin_of(line: str, name: str) -> bool:
    """Whether a line pins exactly this server; lines for several names or patterns are left alone."""
    fields = line.split()
    return bool(fields) and fields[0] == name


def _unusable(path: Path, what: str, *, hint: str) -> StorageError:
    return StorageError("LB-7103", f'the file of pinned host keys "{path}" {what}', hint=hint)
