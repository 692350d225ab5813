"""The process of one job: runs the engine and tells the worker what happens. Started by ``child_process``.

It dies when the worker dies: the closed socket ends it, and the system does where it does not look at the socket. It
also ends itself when the worker stays silent for longer than it owns the job, since by then another worker may have
begun it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec

from landbridge.dataflow import Dataflow, EnvironmentSecrets, JobValues, Plan
from landbridge.dataflow.connections import StoredSecrets
from landbridge.engine.counts import Activity, Report, StepCounts
from landbridge.engine.guards import Rules
from landbridge.engine.journal import Journal
from landbridge.engine.masking import MaskedRejects, masked_report
from landbridge.engine.prepare import prepare
from landbridge.engine.redaction import Redaction
from landbridge.engine.runner import Job, Options, Runner
from landbridge.errors import LandbridgeError
from landbridge.jobs import dividing, messages, replay
from landbridge.jobs.consents import DatabaseLedger
from landbridge.jobs.delta_files import FILES_KEY, FileHistory, FileMemory
from landbridge.jobs.job_options import TEST_RECORDS, JobOptions
from landbridge.jobs.messages import Begin, Counts, Crashed, Done, Edge, FromJob, Line, Refused, Step, Stop, ToJob
from landbridge.jobs.rejects import DatabaseRejects
from landbridge.jobs.samples import Make, sampled

EXIT_ORPHANED: Final = 70
"""The worker is gone, or does not own the job any more."""

EXIT_CRASHED: Final = 1
"""A fault of ours; the worker was told of it."""

OFTEN_USED: Final = (
    "landbridge.components.datasource.local",
    "landbridge.components.datasource.gigya_account",
    "landbridge.components.file.json",
    "landbridge.components.file.dsv_format",
    "landbridge.components.file.dsv_parse",
    "uvloop",
)
"""What jobs need most, loaded once for all of them."""

MAX_LINES: Final = 10_000
"""Lines of the trace for one start of a job; more would say less."""

MAX_SAMPLE: Final = 100_000
"""Characters of a sample."""

_COUNTS_INTERVAL_S: Final = 0.5
_PR_SET_PDEATHSIG: Final = 1
_OOM_SCORE: Final = 500


def main(connection: Connection) -> None:
    """Run the job that the worker describes on ``connection``, and end the process."""
    settle()
    try:
        begin = messages.to_job(connection.recv_bytes())
    except EOFError:
        sys.exit(EXIT_ORPHANED)
    if not isinstance(begin, Begin):
        raise TypeError(f"expected what to do, got {type(begin).__name__}")
    outbox = Outbox(connection)
    try:
        anyio.run(_run, begin, connection, outbox, backend_options={"use_uvloop": True})
    except Exception:  # noqa: BLE001 - printed here it would be no line of the service's log
        outbox.put(Crashed(traceback.format_exc()))
        sys.exit(EXIT_CRASHED)
    finally:
        outbox.close()


def settle() -> None:
    """Make this process one that ends with the service, alone, and by nothing else."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getsid(0) != os.getpid():
        os.setsid()
    # The worker decides what a signal means for its jobs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with suppress(OSError):
        # When memory runs out, the system should end the job and not the service.
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")
    with Path(os.devnull).open("r+b") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)


class Outbox:
    """Messages to the worker in order, sent by a thread of its own so that the event loop never waits for it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: queue.SimpleQueue[FromJob | None] = queue.SimpleQueue()
        self._lines = 0
        self._thread = threading.Thread(target=self._send, name="outbox", daemon=True)
        self._thread.start()

    def put(self, message: FromJob) -> None:
        """Send a message some time soon. What waits is bounded by the limit on lines and the pace of counts."""
        if isinstance(message, Line):
            self._lines += 1
            if self._lines > MAX_LINES:
                return
            if self._lines == MAX_LINES:
                message = Line(message.at, "warning", None, f"the trace ends here, after {MAX_LINES:,} lines")
        self._waiting.put(message)

    def close(self) -> None:
        """Send what waits and end."""
        self._waiting.put(None)
        self._thread.join()

    def _send(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._connection.send_bytes(messages.encode(message))
            except OSError:
                os._exit(EXIT_ORPHANED)


class Inbox:
    """Hears the worker in a thread of its own, and ends the process when it must not go on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._until: float | None = None
        self._stop: Stop | None = None
        self._stopped = threading.Event()
        for work in (self._listen, self._watch):
            threading.Thread(target=work, name="inbox", daemon=True).start()

    def wait_for_stop(self) -> Stop | None:
        """Wait in a thread until the worker wants the job to end; None when ``close`` was called before."""
        self._stopped.wait()
        return self._stop

    @property
    def is_stopped(self) -> bool:
        """Whether the worker wants the job to end."""
        return self._stop is not None

    def close(self) -> None:
        """Let ``wait_for_stop`` return."""
        self._stopped.set()

    def _listen(self) -> None:
        while True:
            try:
                message: ToJob = messages.to_job(self._connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(EXIT_ORPHANED)
            if isinstance(message, Stop):
                self._stop = message
                self._stopped.set()
            elif isinstance(message, messages.Alive):
                self._until = message.until

    def _watch(self) -> None:
        while True:
            time.sleep(0.25)
            if self._until is not None and time.monotonic() > self._until:
                os._exit(EXIT_ORPHANED)


class TraceHandler(logging.Handler):
    """What steps log, as lines of the trace."""

    def __init__(self, outbox: Outbox, redaction: Redaction) -> None:
        super().__init__()
        self._outbox = outbox
        self._redaction = redaction

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, without secrets."""
        step, message = None, record.getMessage()
        if isinstance(record.args, tuple) and len(record.args) == 2 and record.msg == "%s: %s":  # noqa: PLR2004 - what the engine logs for a step: its id, and a message
            step, message = str(record.args[0]), str(record.args[1])
        level: Any = record.levelname.lower() if record.levelname in ("DEBUG", "INFO", "WARNING") else "error"
        at = datetime.fromtimestamp(record.created, UTC)
        self._outbox.put(Line(at, level, step, self._redaction.masked(message)))


class LastGood:
    """The last good run of the dataflow, for guards that compare with it."""

    def __init__(self, writers: Mapping[str, Mapping[str, int]]) -> None:
        self._writers = writers

    def last(self, step: str) -> Mapping[str, int] | None:
        """See ``guards.History``."""
        return self._writers.get(step)


async def _run(begin: Begin, connection: Connection, outbox: Outbox) -> None:
    inbox = Inbox(connection)
    if begin.split is not None:
        await _run_part(begin, begin.split, inbox, outbox)
        return
    options = JobOptions.from_json(begin.options)
    journal = None if begin.kind == "dry_run" else Journal(Path(begin.journal))
    try:
        job_id, started = journal.identity(begin.job_id, begin.started) if journal else (begin.job_id, begin.started)
        ready = prepare(
            Dataflow.load(begin.flow),
            job=JobValues(now=started, job_id=job_id, placeholders=begin.placeholders),
            source=StoredSecrets(begin.connection_secrets, EnvironmentSecrets(os.environ)),
        )
        plan = replay.replayed(ready.plan, options.replay_step) if begin.kind == "replay" else ready.plan
    except LandbridgeError as error:
        outbox.put(Refused(error.code, error.message, error.hint, error.step))
        inbox.close()
        return
    redaction = ready.redaction
    _log_to(outbox, redaction, debug=options.log_level == "debug")
    history = FileHistory(
        FileMemory.from_json(begin.seen_files),
        read_all=options.full_extract,
        started=begin.started,
        kept=Path(begin.chosen_files),
    )
    place: Path | str = begin.database or Path(begin.data)
    with (
        tempfile.TemporaryDirectory(prefix="landbridge-job-") as spool,
        closing(DatabaseLedger(place)) as ledger,
        closing(DatabaseRejects(place, data=Path(begin.data), job=begin.job_id)) as rejects,
    ):
        job = Job(
            id=job_id,
            dataflow=ready.plan.name,
            started=started,
            spool_dir=Path(spool),
            rejects=MaskedRejects(rejects, redaction),
            rules=Rules(
                settings=ready.guards,
                history=LastGood(begin.last_good or {}),
                ledger=ledger,
                approved=options.approvals,
                how_to_approve=partial(_by_command, begin.job_id),
            ),
            journal=journal,
            options=Options(
                limit=TEST_RECORDS if begin.kind == "test" and options.limit is None else options.limit,
                dry_run=begin.kind == "dry_run",
                stall_timeout_s=options.stall_timeout_s or begin.stall_timeout_s,
                since=options.since,
                history=history,
            ),
        )
        make: Make = ready.make
        if begin.kind == "replay":
            make = replay.reading(make, rejects, plan=plan, replay=options.replay)
        if options.log_level == "debug":
            make = sampled(make, lambda step, records: outbox.put(_sample(step, records)))
        failure: LandbridgeError | None = None
        if options.splits > 1 and begin.kind == "run":
            try:
                job = await dividing.divided(
                    ready,
                    job,
                    begin,
                    target=options.splits,
                    is_stopped=lambda: inbox.is_stopped,
                    say=lambda text: outbox.put(Line(datetime.now(UTC), "info", plan.entry, text)),
                )
            except LandbridgeError as error:
                failure = error
        runner = Runner(plan, make, job)
        if failure is not None:
            runner.fail(failure)
        report = await _drive(runner, plan, outbox=outbox, inbox=inbox)
    outbox.put(Done({**masked_report(report, redaction).as_json(), FILES_KEY: history.result()}))


def _by_command(job_id: str, codes: Sequence[str]) -> str:
    del codes  # all that were asked for
    return f"landbridge jobs approve {job_id}"


async def _run_part(begin: Begin, number: int, inbox: Inbox, outbox: Outbox) -> None:
    """Work on one part of the job's input."""
    debug = JobOptions.from_json(begin.options).log_level == "debug"
    try:
        outbox.put(Done(await dividing.work_on_part(begin, number, log=partial(_log_to, outbox, debug=debug))))
    except LandbridgeError as error:
        outbox.put(Refused(error.code, error.message, error.hint, error.step))
    finally:
        inbox.close()


async def _drive(runner: Runner, plan: Plan, *, outbox: Outbox, inbox: Inbox) -> Report:
    times = StepTimes()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_obey, runner, inbox)
        tasks.start_soon(_tell_counts, plan, runner, times, outbox)
        report = await runner.run()
        inbox.close()
        tasks.cancel_scope.cancel()
    outbox.put(_counts(plan, report.steps, times))  # of a job that had ended before, only the report has them
    return report


async def _obey(runner: Runner, inbox: Inbox) -> None:
    stop = await anyio.to_thread.run_sync(inbox.wait_for_stop, abandon_on_cancel=True)
    if stop is not None:
        runner.cancel(stop.reason)


async def _tell_counts(plan: Plan, runner: Runner, times: StepTimes, outbox: Outbox) -> None:
    while True:
        outbox.put(_counts(plan, runner.steps, times))
        await anyio.sleep(_COUNTS_INTERVAL_S)


class StepTimes:
    """When each step began and ended, as seen at the pace of counts."""

    def __init__(self) -> None:
        self._started: dict[str, datetime] = {}
        self._ended: dict[str, datetime] = {}

    def look(self, step: str, counts: StepCounts) -> tuple[datetime | None, datetime | None]:
        """The start and the end of a step, as far as they are past."""
        moment = datetime.now(UTC)
        if counts.records_in or counts.records_out or counts.files or counts.activity is not Activity.WAITING:
            self._started.setdefault(step, moment)
        if counts.activity is Activity.DONE:
            self._ended.setdefault(step, moment)
        return self._started.get(step), self._ended.get(step)


def _counts(plan: Plan, steps: dict[str, StepCounts], times: StepTimes) -> Counts:
    shown = []
    for step in plan.steps:
        counts = steps[step.id]
        started, ended = times.look(step.id, counts)
        shown.append(
            Step(
                id=step.id,
                component=step.component,
                activity=str(counts.activity),
                records_in=counts.records_in,
                records_out=counts.records_out,
                rejected=counts.rejected,
                filtered=counts.filtered,
                bytes=counts.bytes,
                files=counts.files,
                started=started,
                ended=ended,
            )
        )
    return Counts(entry=plan.entry, steps=shown, edges=_edges(plan, steps))


def _sample(step: str, records: list[dict[str, Any]]) -> Line:
    text = msgspec.json.encode(records).decode()
    if len(text) > MAX_SAMPLE:
        return Line(datetime.now(UTC), "debug", step, "hands on records that are too large to be shown")
    noun = "record" if len(records) == 1 else "records"
    return Line(datetime.now(UTC), "debug", step, f"hands on, for example, {len(records)} {noun}", sample=text)


def _edges(plan: Plan, steps: dict[str, StepCounts]) -> list[Edge]:
    """Every edge of a step carries all that the step hands on, or all that fails there."""
    return [
        Edge(
            source=edge.source,
            target=edge.target,
            kind=edge.kind,
            records=steps[edge.source].records_out if edge.kind == "next" else steps[edge.source].rejected,
            bytes=steps[edge.source].bytes if edge.port == "files" else 0,
        )
        for edge in plan.edges
    ]


def _log_to(outbox: Outbox, redaction: Redaction, *, debug: bool) -> None:
    root = logging.getLogger()
    root.handlers[:] = [TraceHandler(outbox, redaction)]
    root.setLevel(logging.WARNING)
    logging.getLogger("landbridge").setLevel(logging.DEBUG if debug else logging.INFO)
