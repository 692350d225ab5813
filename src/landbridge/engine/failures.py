"""What goes wrong in a running job, as errors with a code that name the step."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from landbridge.engine.channel import Aborted, Ended, NotWanted
from landbridge.errors import Cancelled, LandbridgeError, Stalled, StorageError

_LOG = logging.getLogger("landbridge.engine")

STALLED: Final = "LB-6002"
"""The code of a job that has made no progress."""

DIED: Final = "LB-6005"
"""The code of a job whose process ended without a word."""


@contextmanager
def explained(step: str) -> Iterator[None]:
    """Turn what the machine or a bug raises into an error with a code, and name the step."""
    try:
        yield
    except LandbridgeError as error:
        error.step = error.step or step
        raise
    except (Aborted, NotWanted, Ended):
        raise
    except OSError as error:
        raise storage_error(error, step) from error
    except Exception as error:
        _LOG.debug("unexpected error in step %s", step, exc_info=True)
        raise LandbridgeError(
            "LB-9001",
            f"unexpected {type(error).__name__} in the step",
            hint="Run again with --debug and report what it prints.",
            step=step,
        ) from error


def storage_error(error: OSError, step: str | None) -> StorageError:
    """This machine's disk or one of its files fails (LB-7001, LB-7002)."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            "LB-7001",
            "the disk is full",
            hint="Free some space and run again.",
            step=step,
        )
    reason = error.strerror or type(error).__name__
    place = f' "{error.filename}"' if error.filename else ""
    return StorageError(
        "LB-7002",
        f"cannot use{place}: {reason}",
        hint="Check that it is there, that this user may read and write it, and that its disk is in order.",
        step=step,
    )


def stalled(step: str | None, limit_s: float) -> Stalled:
    """Nothing moves for too long (LB-6002); None where no step does."""
    return Stalled(
        STALLED,
        f"no progress for {limit_s:.0f} s" if step else f"no step made progress for {limit_s:.0f} s",
        hint="Check the other side, or raise --stall-timeout.",
        step=step,
    )


def died(step: str) -> LandbridgeError:
    """A process that worked on a part of the input ended without a word (LB-6005)."""
    return LandbridgeError(
        DIED,
        "a process that worked on a part of the input ended unexpectedly",
        hint="See whether the machine has too little memory for so many processes.",
        step=step,
    )


def stopped(reason: str) -> Cancelled:
    """A person or a signal ends the job (LB-6001)."""
    return Cancelled(
        "LB-6001",
        f"the job was stopped: {reason}",
        hint="Run it again. What was published before is listed in the report.",
    )


def as_json(error: LandbridgeError | None) -> dict[str, str | None] | None:
    """An error as reports show it."""
    if error is None:
        return None
    return {"code": error.code, "step": error.step, "message": error.message, "hint": error.hint or None}
