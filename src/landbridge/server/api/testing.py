"""Tests of far sides: each in a process of its own, a few at a time, and not for ever."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Annotated, Final

from fastapi import Request
from pydantic import Field

from landbridge.components.check import Verdict
from landbridge.dataflow.connections import Connected
from landbridge.errors import FlowError, StorageError
from landbridge.jobs import connections, db_audit, db_dataflows, placeholder_values, probing
from landbridge.jobs.db import Transaction
from landbridge.jobs.probing import Probe
from landbridge.server.api.access import Editor
from landbridge.server.api.place import Here
from landbridge.server.api.problems import BUSY, INVALID_REQUEST
from landbridge.server.api.routing import Routes, Threads
from landbridge.server.api.shapes import Given, Key, Shown, Text

router = Routes(tag="dataflows")

AT_ONCE: Final = 2
TIMEOUT_S: Final = 60.0

WHOLE_TIMEOUT_S: Final = 300.0

_MAX_WAITING: Final = 20


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

    steps: Annotated[
        list[Annotated[str, Field(max_length=1000)]],
        Field(max_length=1000, description="Test these steps only; all when it is left out."),
    ] = Field(default_factory=list)
    create: Annotated[bool, Field(description="First make what is missing there: columns, tables, associations.")] = (
        False
    )
    placeholders: Annotated[dict[str, Text], Field(max_length=1000, description="Values for {{name}}.")] = Field(
        default_factory=dict
    )


class Tests:
    """The tests of one service.

    Args:
        timeout_s: For each far side.
        whole_timeout_s: For a whole test, which is killed then.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S, whole_timeout_s: float = WHOLE_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._whole_timeout_s = whole_timeout_s
        waiting_s = whole_timeout_s * (1 + _MAX_WAITING / AT_ONCE)
        self._threads = Threads(AT_ONCE, timeout_s=whole_timeout_s + waiting_s, max_waiting=_MAX_WAITING)

    async def run(self, probe: Probe) -> Tested:
        """Test far sides in another process, which is killed when nobody waits for it any more.

        Raises:
            StorageError: LB-7508, too many tests wait, or it takes too long.
            LandbridgeError: They cannot be tested with what is known.
        """
        stopped = threading.Event()
        timed = replace(probe, side_timeout_s=self._timeout_s)
        ask = partial(probing.run, timed, timeout_s=self._whole_timeout_s, stopped=stopped)
        try:
            found = await self._threads.run(ask)
        except probing.TookTooLong:
            raise StorageError(BUSY, "the test takes too long", hint="Test single connections.") from None
        finally:
            stopped.set()
        findings = [FindingOfTest.model_validate(each) for each in found]
        return Tested(ok=all(each.verdict != "failed" for each in findings), findings=findings)


@router.post("/dataflows/{id}/check")
async def check_dataflow(
    here: Here, caller: Editor, request: Request, id: Key, wanted: CheckOfDataflow | None = None
) -> Tested:
    """Test the far side of each step of a dataflow: login, folders, columns, permissions. No record is sent there.

    With ``create`` what is missing there is made first, which is noted in the audit trail.
    """
    tests: Tests = request.app.state.tests
    wanted = wanted or CheckOfDataflow()
    placeholder_values.check(wanted.placeholders)

    def stored(tx: Transaction) -> Connected:
        row = db_dataflows.version(tx, db_dataflows.get(tx, id).id)
        whole = connections.connected(tx, here.vault, here.documents.whole(row))
        unknown = [name for name in wanted.steps if whole.flow.step(name) is None]
        if unknown:
            raise FlowError(INVALID_REQUEST, "the dataflow has no step of this name", step=unknown[0])
        return whole

    def read() -> Connected:
        if not wanted.create:
            with here.database.read() as tx:
                return stored(tx)
        with here.database.write() as tx:
            db_audit.note(tx, "dataflow.create_missing", actor=caller.name, object_kind="dataflow", object_id=id)
            return stored(tx)

    whole = await request.app.state.threads.run(read)
    asked = {"placeholders": wanted.placeholders, "steps": frozenset(wanted.steps), "create": wanted.create}
    return await tests.run(Probe.of([whole], **asked))
