"""Every error a user can meet, ordered by how one recovers from it.

An error carries a stable ``code`` (listed in ``docs/reference/errors.md``), a message for a person, the step it
happened in, and a hint that says what to do next. Messages never hold a secret or a person's data.
"""

from __future__ import annotations

from datetime import datetime


class LandbridgeError(Exception):
    """Base of all errors that are reported to a user without a traceback.

    Args:
        code: Stable identifier such as ``LB-2101``.
        message: What happened, in one or two plain sentences.
        hint: What to do next.
        step: Id of the dataflow step, filled in by the engine when the raiser does not know it.
    """

    def __init__(self, code: str, message: str, *, hint: str = "", step: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.step = step

    def __str__(self) -> str:
        where = f'step "{self.step}": ' if self.step else ""
        hint = f"\n{self.hint}" if self.hint else ""
        return f"{where}{self.message}  [{self.code}]{hint}"


class FlowError(LandbridgeError):
    """The dataflow, its parameters or the command line must be corrected (codes LB-1xxx)."""


class ConnectionFailed(LandbridgeError):
    """The other side cannot be reached or refuses the request for good; fix the connection (LB-2xxx)."""


class AuthError(ConnectionFailed):
    """The credentials were refused. Never retried: a second attempt may lock the account."""


class HostKeyChanged(ConnectionFailed):
    """The server's host key is unknown or differs from the pinned one. Nothing is sent to such a server."""


class TransientError(LandbridgeError):
    """The same call may succeed later: a dropped connection, a time-out, a busy server (LB-3xxx).

    Args:
        code: See LandbridgeError.
        message: See LandbridgeError.
        hint: See LandbridgeError.
        step: See LandbridgeError.
        retry_after_s: Seconds the other side asked to wait, where it said so.
    """

    def __init__(
        self, code: str, message: str, *, hint: str = "", step: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(code, message, hint=hint, step=step)
        self.retry_after_s = retry_after_s


class QuotaError(LandbridgeError):
    """The remote account's quota is used up until ``reset_at``; waiting is not a failed attempt (LB-3xxx)."""

    def __init__(
        self, code: str, message: str, *, hint: str = "", step: str | None = None, reset_at: datetime | None = None
    ) -> None:
        super().__init__(code, message, hint=hint, step=step)
        self.reset_at = reset_at


class DataError(LandbridgeError):
    """The input is damaged as a whole, so that no further record can be read from it (LB-4xxx)."""


class GuardTripped(LandbridgeError):
    """A guard stopped the job before it did harm; a person must approve it once (LB-5xxx)."""


class Stalled(LandbridgeError):
    """A step made no progress for its time limit and was cancelled (LB-6xxx)."""


class Cancelled(LandbridgeError):
    """The job was stopped by a person or a signal (LB-6xxx)."""


class StorageError(LandbridgeError):
    """This machine cannot keep what it must: a full disk, a missing permission (LB-7xxx)."""
