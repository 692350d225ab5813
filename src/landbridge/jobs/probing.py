"""Tests of far sides, each in a process of its own: whatever it is doing, it can be ended, and leaves nothing behind.

A component may block, or wait for somebody who never answers. A thread could not be stopped then; it would hold its
memory and its connections for as long as the other side likes.
"""

from __future__ import annotations

import logging
import multiprocessing.connection
import tempfile
import threading
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any, Final

import anyio
import msgspec

from landbridge.components.check import Finding, created, tested
from landbridge.dataflow import Dataflow, DataflowError, Problem
from landbridge.dataflow.connections import Connected
from landbridge.engine.redaction import Redaction
from landbridge.errors import FlowError, LandbridgeError, StorageError
from landbridge.jobs import child_process
from landbridge.jobs.child import settle
from landbridge.jobs.far_sides import FarSide, of_connection, of_dataflow

MAX_FINDINGS: Final = 1000

_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Probe:
    """What to test. It holds secrets.

    Attributes:
        flows: Dataflows as JSON text with the secrets of their connections: those of which one can test
            ``connection``, or else the one whose steps are tested.
        connection: The connection that is tested; empty for a dataflow.
        placeholders: Values for ``{{name}}``.
        steps: Test these steps only; all when it is empty.
        create: First make what is missing at the far side.
        side_timeout_s: For each far side.
    """

    flows: Sequence[tuple[str, dict[str, str]]] = field(repr=False)
    connection: str = ""
    placeholders: dict[str, str] = field(default_factory=dict, repr=False)
    steps: frozenset[str] = frozenset()
    create: bool = False
    side_timeout_s: float = 60.0

    @classmethod
    def of(cls, wholes: Iterable[Connected], **more: Any) -> Probe:
        """A probe of dataflows with their connections put in; for ``more`` see the attributes."""
        return cls([(whole.flow.dump(), dict(whole.secrets)) for whole in wholes], **more)


class TookTooLong(Exception):
    """A test was ended before it was done."""


class Found(msgspec.Struct, frozen=True):
    """One thing that was tried; see ``components.check.Finding``. It tells no secret."""

    step: str
    component: str
    what: str
    verdict: str
    message: str
    hint: str


class _Answer(msgspec.Struct, frozen=True):
    """All that a process says: what was found, or why nothing was tried."""

    found: list[Found] = []
    code: str = ""
    message: str = ""
    hint: str = ""
    step: str | None = None
    problems: list[Problem] = []


def run(probe: Probe, *, timeout_s: float, stopped: threading.Event | None = None) -> list[Found]:
    """Test far sides in a process of their own.

    Args:
        probe: What to test.
        timeout_s: For all of it; then the process is killed.
        stopped: Set by another thread, it ends the test at once.

    Raises:
        FlowError: They cannot be tested with what is known.
        TookTooLong: Or it was stopped.
        StorageError: LB-7506, no process can be started, or it ended without an answer.
    """
    ends = monotonic() + timeout_s
    ours, theirs = multiprocessing.connection.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="landbridge-") as spool, ours:
        process = child_process.start(_main, (theirs, probe, spool), name="test of far sides")
        theirs.close()
        try:
            while not ours.poll(_POLL_S):
                if monotonic() > ends or (stopped is not None and stopped.is_set()):
                    raise TookTooLong
            answer = msgspec.msgpack.decode(ours.recv_bytes(), type=_Answer)
        except EOFError:
            raise StorageError("LB-7506", "the process of a test ended without an answer") from None
        finally:
            child_process.kill(process)
    if answer.problems:
        raise DataflowError(answer.problems)
    if answer.code:
        raise FlowError(answer.code, answer.message, hint=answer.hint, step=answer.step)
    return answer.found


def _main(connection: Connection, probe: Probe, spool: str) -> None:
    """The process: test, answer, end."""
    settle()
    # What components log may hold secrets, and there is no trace to which it could go.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        answer = _Answer(found=anyio.run(_findings, probe, Path(spool)))
    except DataflowError as error:
        answer = _Answer(problems=list(error.problems))
    except LandbridgeError as error:
        answer = _Answer(code=error.code, message=error.message, hint=error.hint, step=error.step)
    with connection, suppress(OSError):
        connection.send_bytes(msgspec.msgpack.encode(answer))


async def _findings(probe: Probe, spool: Path) -> list[Found]:
    found: list[Found] = []
    for side in _sides(probe, spool):
        redaction = Redaction(side.secrets)
        with anyio.move_on_after(probe.side_timeout_s) as scope:
            async for finding in _looked_at(side, create=probe.create):
                found.append(_shown(side, finding, redaction))  # noqa: PERF401 - it counts when time is over
        if scope.cancelled_caught:
            late = Finding("time", "failed", f"no answer within {probe.side_timeout_s:.0f} seconds")
            found.append(_shown(side, late, redaction))
    return found[:MAX_FINDINGS]


async def _looked_at(side: FarSide, *, create: bool) -> AsyncGenerator[Finding]:
    if create:
        async for finding in created(side.component):
            yield finding
    async for finding in tested(side.component):
        yield finding


def _sides(probe: Probe, spool: Path) -> Iterator[FarSide]:
    wholes = [Connected(Dataflow.load(text), secrets) for text, secrets in probe.flows]
    if probe.connection:
        yield of_connection(probe.connection, wholes, spool=spool)
        return
    for side in of_dataflow(wholes[0], placeholders=probe.placeholders, spool=spool):
        if not probe.steps or side.name in probe.steps:
            yield side


def _shown(side: FarSide, finding: Finding, redaction: Redaction) -> Found:
    return Found(
        step=side.name,
        component=side.component.spec.id,
        what=finding.what,
        verdict=finding.verdict,
        message=redaction.masked(finding.message),
        hint=redaction.masked(finding.hint),
    )
