"""One step on sample records, without a dataflow around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from landbridge.components import registry
from landbridge.components.base import RecordError, Transform
from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow import Dataflow, DataflowError, JobValues, SecretSource, resolve
from landbridge.dataflow.parameters import check_resolved_params
from landbridge.errors import FlowError
from landbridge.records import Batch

_RECORDS = msgspec.json.Decoder(list[dict[str, Any]])
_RECORD = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Trial:
    """What a step made of sample records.

    Attributes:
        output: Records that go on.
        failed: Code, message and record of each that does not.
        log: Lines the step logged, with their level.
        secrets: Values that messages and lines may hold and that must not be shown.
    """

    output: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    log: list[str]
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


def try_step(
    flow: Dataflow,
    step_id: str,
    records: list[dict[str, Any]],
    *,
    placeholders: Mapping[str, str],
    source: SecretSource,
) -> Trial:
    """Run one step of a dataflow on ``records``, and nothing else of it.

    Raises:
        LandbridgeError: LB-1621, there is no such step, or it does more than change records; what is wrong with its
            parameters; or what the step raises.
    """
    now = datetime.now(UTC)
    found = flow.step(step_id)
    if found is None:
        known = ", ".join(f'"{step.id}"' for step in flow.steps)
        raise FlowError("LB-1621", f'the dataflow has no step "{step_id}"', hint=f"Its steps are {known}.")
    cls = registry.get(found.type)
    if not issubclass(cls, Transform):
        raise FlowError(
            "LB-1621",
            f'the step "{step_id}" ({found.type}) does not just change records',
            hint="Try a step such as record.evaluate or field.evaluate.",
        )
    values = JobValues(now=now, job_id="sample", placeholders=placeholders, values_may_refer=True)
    resolved = resolve(replace(flow, steps=(found,)), job=values, source=source)
    (ready,) = resolved.flow.steps
    bench = Bench(step_id=step_id, job_id="sample", dataflow=flow.name, started=now)
    info = InstalledComponents().describe(found.type)
    if info and (problems := check_resolved_params(ready, info, place="params")):
        raise DataflowError(problems)
    step = cls(cls.Params.model_validate(ready.params), bench)
    output = step.apply(Batch.from_objects(records)).to_objects()
    last = step.finish()
    return Trial(output + (last.to_objects() if last else []), bench.rejected, bench.lines, resolved.secrets)


def read_sample(path: Path) -> list[dict[str, Any]]:
    """The records of a file: a JSON array, one object, or one object a line.

    Raises:
        FlowError: LB-1622, the file cannot be read or holds something else.
    """
    try:
        text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").strip()
        if text.startswith(b"["):
            return _RECORDS.decode(text)
        try:
            return [_RECORD.decode(text)]
        except msgspec.DecodeError:
            return [_RECORD.decode(line) for line in text.split(b"\n") if line.strip()]
    except OSError as error:
        raise FlowError(
            "LB-1622", f"cannot read {path}: {error.strerror}", hint="Name a file that this user can read."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FlowError(
            "LB-1622",
            f"{path} does not hold records: {error}",
            hint="Write a JSON array of objects, or one object a line.",
        ) from None


@dataclass(slots=True)
class Bench:
    """Services for a step that runs alone: what it rejects and logs is kept to be shown."""

    step_id: str
    job_id: str
    dataflow: str
    started: datetime
    spool_dir: Path = Path()
    rejected: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def reject(self, records: Batch, errors: Sequence[RecordError]) -> None:
        """See StepServices."""
        for record, error in zip(records.to_objects(), errors, strict=True):
            self.rejected.append({"code": str(error.code), "message": error.message, "record": record})

    def reject_text(self, text: str, *, file: str, line: int | None, code: str, message: str) -> None:
        """See StepServices."""
        self.rejected.append({"code": code, "message": message, "text": text, "file": file, "line": line})

    def leave_out(self, records: int) -> None:
        """Nothing is counted here."""

    def log(self, level: Literal["debug", "info", "warning", "error"], message: str) -> None:
        """See StepServices."""
        self.lines.append(f"{level}: {message}")

    def progress(self) -> None:
        """See StepServices."""
