"""What goes wrong with a store, in one wording and with one code for all of them."""

from __future__ import annotations

import os
import re
from socket import gaierror

from landbridge.errors import AuthError, ConnectionFailed, TransientError


def reason_of(error: Exception) -> str:
    """What the machine says of an error, in words: without the number, and without an address that is told anyway."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not {error.encoding.upper()} text"
    if not isinstance(error, OSError):
        return str(error)
    if error.errno is None:  # asyncio, after it has tried several addresses
        numbers = re.findall(r"\[Errno (\d+)\]", str(error))
        return os.strerror(int(numbers[0])) if numbers else str(error)
    return os.strerror(error.errno) if error.errno > 0 and not isinstance(error, gaierror) else str(error.strerror)


def unreachable(host: str, port: int, error: Exception, *, timeout_s: float) -> ConnectionFailed:
    """The server does not answer (LB-2101)."""
    late = isinstance(error, TimeoutError)
    reason = f"no answer within {timeout_s:g} s" if late else reason_of(error)
    return ConnectionFailed(
        "LB-2101",
        f"cannot connect to {host}, port {port}: {reason}",
        hint="Check the host name, the port and the firewall between this machine and the server.",
    )


def refused_login(where: str, account: str) -> AuthError:
    """The credentials are wrong (LB-2104). ``account`` says whose, without the secret."""
    return AuthError(
        "LB-2104",
        f"{where} refused the login of {account}",
        hint="Correct the credentials. The login is not repeated, so that the account is not locked.",
    )


def missing(what: str, where: str, *, hint: str = "Check the path and the user's root folder.") -> ConnectionFailed:
    """The folder, bucket or container does not exist (LB-2201)."""
    return ConnectionFailed("LB-2201", f'"{what}" does not exist on {where}', hint=hint)


def denied(what: str, where: str) -> ConnectionFailed:
    """The account has no permission (LB-2202)."""
    return ConnectionFailed(
        "LB-2202",
        f'{where} gives no permission for "{what}"',
        hint="Ask its owner for the right to list, read and write there.",
    )


def refused(what: str, where: str, reason: str) -> ConnectionFailed:
    """The server says no for a reason of its own (LB-2205)."""
    return ConnectionFailed(
        "LB-2205",
        f'{where} refused an operation on "{what}": {reason}',
        hint="Servers answer so for a full disk, a quota, or an operation that they do not allow.",
    )


def full(what: str, where: str) -> ConnectionFailed:
    """The server cannot store more (LB-2206)."""
    return ConnectionFailed(
        "LB-2206",
        f'{where} has no room for "{what}": its disk or the user\'s quota is full',
        hint="Free some space there; nothing was published.",
    )


def irreplaceable(what: str, where: str) -> ConnectionFailed:
    """The server cannot replace a file in one step, and the step's policy is to fail then (LB-2207)."""
    return ConnectionFailed(
        "LB-2207",
        f'{where} cannot replace the existing "{what}" in one step',
        hint="Give every file its own name (such as export-${now}.csv), or set replaceExisting to "
        "deleteFirst, which leaves a moment without the file.",
    )


def lost(where: str) -> TransientError:
    """The connection broke and could not be restored (LB-3101)."""
    return TransientError(
        "LB-3101",
        f"the connection to {where} was lost and could not be restored",
        hint="Run the job again; if it happens often, ask the server's owner about its limits.",
    )


def late(what: str, where: str, *, timeout_s: float) -> TransientError:
    """An answer did not come in time (LB-3102)."""
    return TransientError(
        "LB-3102",
        f"{where} did not answer within {timeout_s:g} s ({what})",
        hint="Run the job again, or raise the step's timeout.",
    )


def size_differs(what: str, where: str, *, written: int, stored: int) -> TransientError:
    """The store holds another number of bytes than was written (LB-3103)."""
    return TransientError(
        "LB-3103",
        f'"{what}" has {stored} bytes on {where} after the upload, but {written} were sent',
        hint="It was not published. Run the job again; if it happens again, look for a full disk there.",
    )


def changed(what: str, where: str) -> TransientError:
    """A file was changed while it was read (LB-3104)."""
    return TransientError(
        "LB-3104",
        f'"{what}" on {where} was changed while it was read',
        hint="Let its writer rename the finished file into place, then run the job again.",
    )


def gone(what: str, where: str) -> TransientError:
    """A file that was listed is not there any more (LB-3105)."""
    return TransientError(
        "LB-3105",
        f'"{what}" is gone from {where}',
        hint="It was moved or deleted meanwhile; the next job lists anew.",
    )
