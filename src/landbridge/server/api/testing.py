"""Tests of far sides: each in a thread with an event loop of its own, a few at a time, and not for ever."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Final

import anyio
import anyio.to_thread
from fastapi import Request
from pydantic import Field

from landbridge.components.check import Finding, Verdict, tested
from landbridge.dataflow.connections import Connected
from landbridge.engine.redaction import Redaction
from landbridge.errors import StorageError
from landbridge.jobs import connections, db_dataflows
from landbridge.jobs.db import Transaction
from landbridge.jobs.far_sides import FarSide, of_dataflow
from landbridge.server.api.access import Editor
from landbridge.server.api.place import Here
from landbridge.server.api.problems import BUSY
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Key, Shown, Text

router = Routes(tag="dataflows")

AT_ONCE: Final = 2
TIMEOUT_S: Final = 60.0

_MAX_WAITING: Final = 20
_MAX_FINDINGS: Final = 1000

Make = Callable[[Path], Iterable[FarSide]]
"""Gets a folder for temporary files."""


class FindingOfTest(Shown):
    """One thing that was tried."""

    step: Annotated[str, Field(description="The step, or the connection.")]
    component: str
    what: str
    verdict: Verdict
    message: str
    hint: str


class Tested(Shown):
    """What a test has found."""

    ok: Annotated[bool, Field(description="Whether nothing must be corrected.")]
    findings: list[FindingOfTest]


class CheckOfDataflow(Given):
    """How a dataflow is checked."""

    placeholders: Annotated[dict[str, Text], Field(max_length=1000, description="Values for {{name}}.")] = Field(
        default_factory=dict
    )


class Tests:
    """The tests of one service."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._timeout_s = timeout_s

    async def run(self, make: Make) -> Tested:
        """Test far sides.

        Raises:
            StorageError: LB-7508, too many tests wait, or it takes too long.
            LandbridgeError: They cannot be tested with what is known.
        """
        if self._limiter.statistics().tasks_waiting >= _MAX_WAITING:
            raise StorageError(BUSY, "too many tests wait", hint="Try again in a moment.")
        try:
            with anyio.fail_after(self._timeout_s * (2 + _MAX_WAITING / AT_ONCE)):
                findings = await anyio.to_thread.run_sync(
                    anyio.run, self._findings, make, limiter=self._limiter, abandon_on_cancel=True
                )
        except TimeoutError as error:
            raise StorageError(BUSY, "the test takes too long", hint="Test single connections.") from error
        return Tested(ok=all(each.verdict != "failed" for each in findings), findings=findings)

    async def _findings(self, make: Make) -> list[FindingOfTest]:
        found: list[FindingOfTest] = []
        with tempfile.TemporaryDirectory(prefix="landbridge-") as spool:
            for side in make(Path(spool)):
                redaction = Redaction(side.secrets)
                with anyio.move_on_after(self._timeout_s) as scope:
                    async for finding in tested(side.component):
                        found.append(_shown(side, finding, redaction))  # noqa: PERF401 - it counts when time is over
                if scope.cancelled_caught:
                    late = Finding("time", "failed", f"no answer within {self._timeout_s:.0f} seconds")
                    found.append(_shown(side, late, redaction))
        return found[:_MAX_FINDINGS]


@router.post("/dataflows/{id}/check")
async def check_dataflow(
    here: Here, _: Editor, request: Request, id: Key, wanted: CheckOfDataflow | None = None
) -> Tested:
    """Test the far side of each step of a dataflow: login, folders, columns, permissions. Nothing is sent there."""
    tests: Tests = request.app.state.tests
    placeholders = wanted.placeholders if wanted else {}

    def stored(tx: Transaction) -> Connected:
        row = db_dataflows.version(tx, db_dataflows.get(tx, id).id)
        return connections.connected(tx, here.vault, here.documents.whole(row))

    def read() -> Connected:
        with here.database.read() as tx:
            return stored(tx)

    whole = await request.app.state.threads.run(read)
    return await tests.run(lambda spool: of_dataflow(whole, placeholders=placeholders, spool=spool))


def _shown(side: FarSide, finding: Finding, redaction: Redaction) -> FindingOfTest:
    return FindingOfTest(
        step=side.name,
        component=side.component.spec.id,
        what=finding.what,
        verdict=finding.verdict,
        message=redaction.masked(finding.message),
        hint=redaction.masked(finding.hint),
    )
