"""record.evaluate: a script called for every record."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import cycle
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from landbridge.components.base import RecordError, StepServices, Transform
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.components.script.sandbox import AHEAD, Failure, Limits, Outcome, Sandbox, Setting
from landbridge.components.script.source import check, text_of
from landbridge.errors import DataError, FlowError
from landbridge.records import Batch, columns as col
from landbridge.records.json_batch import JsonBatch, as_array
from landbridge.records.json_text import exact_ends
from landbridge.records.shred import Shredder

PIECE_BYTES: Final = 256 << 10
"""Records cross into the script in pieces of about this size, so that both sides work most of the time."""

_LARGEST_SAFE: Final = 2**53 - 1
_ES6: Final = 6
_LONG_NUMBER: Final = r"[:,\[]\s*-?\d{16}"
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_MAX_MESSAGE: Final = 500

Level = Literal["debug", "info", "warning", "error"]


@component("record.evaluate", title="Run a script")
class Evaluate(Transform):
    """Call a JavaScript function for every record.

    The script defines `process(record, ctx, logger, next, error)` and returns the record, another one, several in an
    array, or null to drop it. `next.accept` sends further records, `error.accept` sends one to the error path. Its
    top-level variables live for the whole job, and calls are in the order of the records. It reaches no files, no
    network and no other process, and has limits of time and memory.
    """

    class Params(ComponentParams):
        """See the fields."""

        script: str = Param(
            "The script, as plain text or base64.",
            example="function process(record, ctx, logger, next) {\n  return record;\n}",
        )
        ecma_script_version: str | float | None = Field(
            default=None,
            alias="ECMAScriptVersion",
            description=(
                'Language level the script was written for. With "5.1" or none, a field that a record lacks reads '
                "as null, otherwise as undefined."
            ),
            examples=["12"],
            json_schema_extra={"secret": False},
        )
        notify_last_record: bool = Param(
            "Call the script once more with null after the last record, so that it can send what it kept.",
            default=False,
        )
        parallel: bool = Param(
            "Run two scripts at the same time, for scripts that keep nothing between records.", default=False
        )
        timeout: float = Param(
            "Longest time for one batch, which is about 256 kB of records.",
            default=30,
            ge=0.1,
            le=3600,
            unit="s",
        )
        memory_limit: int = Param("Largest memory of the script.", default=256, ge=16, le=4096, unit="MB")
        parameters: dict[str, Any] = Param(
            "Values for the script, which finds them in `ctx.parameters`; they may hold variables.",
            default={},
            example={"brand": "sports"},
        )

        @model_validator(mode="after")
        def _can_run(self) -> Evaluate.Params:
            self.reads_null()
            if self.parallel and self.notify_last_record:
                raise FlowError(
                    "LB-1605",
                    "parallel and notifyLastRecord exclude each other: a script that keeps records must see all",
                    hint="Set one of them to false.",
                )
            check(self.script)
            return self

        def reads_null(self) -> bool:
            """Whether a field that a record lacks reads as null."""
            level = self.ecma_script_version
            if level is None:
                return True
            try:
                return float(str(level).strip().upper().removeprefix("ES")) < _ES6
            except ValueError:
                raise FlowError(
                    "LB-1606", f'ECMAScriptVersion "{level}" is not a language level', hint='Write "5.1" or "12".'
                ) from None

    params: Params
    reads_text = True
    makes_records = True

    def __init__(self, params: Params, services: StepServices) -> None:
        super().__init__(params, services)
        self._sandboxes: list[Sandbox] = []
        self._shredder = Shredder()

    def apply(self, batch: Batch) -> Batch:
        """Call the script for every record of the batch.

        Raises:
            DataError: LB-4601, it took too long; LB-4602, it took too much memory; LB-4607, it broke what it runs in.
            FlowError: It cannot be started, see ``script.source.check``.
        """
        self._shredder.as_text = self.as_text
        try:
            made = list(self._made(batch))
        except BaseException:
            self.close()
            raise
        return made[0] if len(made) == 1 else JsonBatch.concat(made)

    @property
    def keeps_state(self) -> bool:
        """A script's variables live for the whole job, unless it says that it keeps nothing in them."""
        return not self.params.parallel

    def finish(self) -> Batch | None:
        """Make the call after the last record, where it is wanted, and end the script.

        Raises:
            DataError: As ``apply``; LB-4606, the script failed in this call.
        """
        try:
            if not self.params.notify_last_record:
                return None
            sandbox = self._running()[0]
            sandbox.send_last()
            outcome = sandbox.receive()
            for failure in outcome.failures:
                raise DataError(
                    "LB-4606",
                    f"the script failed in the call after the last record: {failure.text}",
                    hint="What it kept for this call is lost, so nothing was delivered.",
                )
            return self._result(outcome, Batch({}, 0))
        finally:
            self.close()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _made(self, batch: Batch) -> Iterator[Batch]:
        """What becomes of each piece, in order; while the script works, the next pieces are made ready for it."""
        sandboxes = self._running()
        under_way: deque[tuple[Sandbox, Batch]] = deque()
        for piece, sandbox in zip(_pieces(batch, at_least=len(sandboxes)), cycle(sandboxes), strict=False):
            text, has_big_integers = as_array(piece.json_texts()), _has_big_integers(piece)
            if len(under_way) == AHEAD * len(sandboxes):
                yield self._received(*under_way.popleft())
            sandbox.send(text, has_big_integers=has_big_integers)
            under_way.append((sandbox, piece))
        while under_way:
            yield self._received(*under_way.popleft())

    def _received(self, sandbox: Sandbox, piece: Batch) -> Batch:
        return self._result(sandbox.receive(), piece).built()  # now, while the script works on the next piece

    def close(self) -> None:
        """End the script's processes."""
        for sandbox in self._sandboxes:
            sandbox.close()

    def _running(self) -> list[Sandbox]:
        while len(self._sandboxes) < (2 if self.params.parallel else 1):
            self._sandboxes.append(self._sandbox())
        return self._sandboxes

    def _sandbox(self) -> Sandbox:
        context = {
            "jobId": self.services.job_id,
            "dataflowName": self.services.dataflow,
            "stepId": self.services.step_id,
            "parameters": self.params.parameters,
        }
        return Sandbox(
            text_of(self.params.script),
            setting=Setting(reads_null=self.params.reads_null(), context=context),
            limits=Limits(timeout_s=self.params.timeout, memory_bytes=self.params.memory_limit << 20),
            on_wait=self.services.progress,
        )

    def _result(self, outcome: Outcome, piece: Batch) -> Batch:
        self._log(outcome)
        failed = [failure for failure in outcome.failures if failure.record >= 0]
        if failed:
            self.services.reject(piece.take([failure.record for failure in failed]), list(map(_error_of, failed)))
            first = failed[0]
            place = f"line {first.line}, column {first.column}" if first.line else "an unknown line"
            self.services.log("warning", f"the script failed at {_records(len(failed))}, first at {place}")
        if outcome.refused:
            refused = [_OBJECT.decode(text) for _, text in outcome.refused]
            self.services.reject(Batch.from_objects(refused), list(map(_own_error, refused)))
        if not outcome.origins:
            return Batch({}, 0)
        try:
            return self._shredder.array(outcome.records)
        except (msgspec.DecodeError, RecursionError):
            return self._readable(outcome, piece)

    def _readable(self, outcome: Outcome, piece: Batch) -> Batch:
        """The records one by one: V8 writes objects of any depth, which cannot all be read."""
        ends = exact_ends(outcome.records[1:-1]).tolist()
        good, bad = [], []
        for start, end, origin in zip([0, *ends], ends, outcome.origins, strict=False):
            text = outcome.records[1:-1][start:end].lstrip(b",")
            if _is_readable(text):
                good.append(text)
            else:
                bad.append(origin)
        found = sorted({origin for origin in bad if origin >= 0})
        if -1 in bad or not bad:
            message = "the script gave a record in its last call that cannot be read: it is nested too deeply"
            raise DataError("LB-4606", message, hint="Send records of fewer levels.")
        error = RecordError("LB-4605", "what the script gave cannot be read: it is nested too deeply")
        self.services.reject(piece.take(found), [error] * len(found))
        return self._shredder.array(b"[" + b",".join(good) + b"]") if good else Batch({}, 0)

    def _log(self, outcome: Outcome) -> None:
        for level, text in outcome.log:
            self.services.log(_level(level), text)
        if outcome.log_dropped:
            self.services.log("warning", f"{outcome.log_dropped} more lines of the script were not kept")


def _is_readable(text: bytes) -> bool:
    try:
        _OBJECT.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _pieces(batch: Batch, *, at_least: int) -> Iterator[Batch]:
    # The columns are not joined to text just to know its size: their own size is near enough.
    number = max(at_least, -(-batch.built().nbytes // PIECE_BYTES))
    rows = max(1, -(-batch.num_rows // number))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _level(name: str) -> Level:
    for level in ("debug", "warning", "error"):
        if name == level:
            return level
    return "info"


def _has_big_integers(batch: Batch) -> bool:
    """Whether a number of the batch may be an integer that JavaScript would round."""
    if isinstance(batch, JsonBatch):
        return bool(pc.any(pc.match_substring_regex(batch.json_texts(), _LONG_NUMBER)).as_py())
    return any(map(_may_round, batch.columns.values()))


def _may_round(column: pa.Array) -> bool:
    if pa.types.is_int64(column.type):
        extremes = pc.min_max(column).as_py()
        return bool(max(extremes["max"], -extremes["min"]) > _LARGEST_SAFE)
    return col.is_json(column) and bool(pc.any(pc.match_substring_regex(column.storage, r"\d{16}")).as_py())


def _error_of(failure: Failure) -> RecordError:
    return RecordError("LB-4603" if failure.kind == "exception" else "LB-4605", failure.text)


def _own_error(record: dict[str, Any]) -> RecordError:
    """What the script says of a record that it sent to ``error`` itself."""
    details = record.get("_errorDetails")
    if isinstance(details, str):
        return RecordError("LB-4604", details[:_MAX_MESSAGE])
    found = details if isinstance(details, dict) else {}
    code, message = found.get("errorCode"), found.get("errorMessage")
    has_code = isinstance(code, int | str) and not isinstance(code, bool) and code != ""
    return RecordError(
        code if has_code else "LB-4604",  # type: ignore[arg-type]
        message if isinstance(message, str) else "the script refused the record",
    )


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number:,} records"
