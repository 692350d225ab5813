"""Running a case: data made once, outputs compared, then every contender once a round in rotating order."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.case import FOLDER, PROJECT, Case, Contender, Data
from benchmarks.equality import check_same
from benchmarks.measure import Measurement, RunFailed, run

Say = Callable[[str], None]

DATA = FOLDER / "data"
_TIMEOUT_S = 3600.0
_COMPARED_RECORDS = 20_000
_QUIET = {  # tools that report home must not do so from a benchmark
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "SLING_DISABLE_TELEMETRY": "TRUE",
    "DO_NOT_TRACK": "1",
    "PYTHONDONTWRITEBYTECODE": "",
}


@dataclass(slots=True)
class Result:
    """What was measured of one contender.

    Attributes:
        contender: Who it is.
        input_count: Records (or MiB) that went in.
        input_bytes: Size of the input file.
        runs: One measurement a round.
        problem: Why it was left out or stopped.
        version: As it names it itself.
    """

    contender: Contender
    input_count: int
    input_bytes: int
    runs: list[Measurement] = field(default_factory=list)
    problem: str = ""
    version: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the results file holds it."""
        return {
            "name": self.contender.name,
            "kind": self.contender.kind,
            "version": self.version,
            "remark": self.contender.remark,
            "inputCount": self.input_count,
            "inputBytes": self.input_bytes,
            "problem": self.problem,
            "runs": [measured.as_json() for measured in self.runs],
        }


def prepare(data: Data) -> Path:
    """The data's file, written now unless it is there already."""
    target = DATA / data.key / data.file
    if target.exists():
        return target
    shutil.rmtree(target.parent, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=DATA, prefix="new-") as folder:
        made = Path(folder) / data.file
        if data.repeat > 1:
            once = prepare(Data(data.generator, data.count, data.file, data.params))
            with made.open("wb") as file:
                for _ in range(data.repeat):
                    with once.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
        else:
            arguments = [str(made), data.generator, str(data.count), json.dumps(data.params)]
            subprocess.run([sys.executable, "-m", "benchmarks.generate", *arguments], cwd=PROJECT, check=True)
        target.parent.mkdir()
        made.rename(target)
    return target


def discard(data: Data) -> None:
    """Remove a data file that takes much room and is quickly made again."""
    if data.repeat > 1:
        shutil.rmtree(DATA / data.key, ignore_errors=True)


def compare(case: Case, contenders: list[Contender], say: Say) -> None:
    """Run those that must give the same output on a few records, and compare.

    Raises:
        Different: The outputs differ.
        RunFailed: One of them fails.
    """
    same = [contender for contender in contenders if contender.same_output]
    if len(same) < 2:
        return
    data = case.data.scaled(_COMPARED_RECORDS / case.data.count)
    with tempfile.TemporaryDirectory(dir=DATA, prefix="compared-") as folder:
        outputs = []
        for contender in same:
            output = Path(folder) / contender.name
            output.mkdir()
            _run_once(case, contender, prepare(data), output)
            outputs.append(output)
        for other in outputs[1:]:
            number = check_same(outputs[0], other)
            say(f"  {outputs[0].name} and {other.name} give the same {number:,} records")


def rounds(
    case: Case,
    contenders: list[Contender],
    *,
    number: int,
    peer_rounds: int,
    scale: float,
    peer_scale: float,
    say: Say,
) -> list[Result]:
    """Run every contender once a round.

    Args:
        case: The case.
        contenders: Those of its contenders that take part.
        number: Rounds.
        peer_rounds: Rounds in which other tools take part; they may take minutes each.
        scale: Part of the data to use.
        peer_scale: Part of that for other tools.
        say: Told what happens.
    """

    def data_of(contender: Contender) -> Data:
        part = scale * peer_scale if contender.kind == "peer" and case.unit == "records" else scale
        return (contender.data or case.data).scaled(part)

    results = []
    for contender in contenders:
        data = data_of(contender)
        file = prepare(data)
        result = Result(contender, data.count * data.repeat, file.stat().st_size)
        result.version = _version(contender)
        if contender.needs is not None and not contender.needs.exists():
            result.problem = f"not installed: {contender.needs.relative_to(PROJECT)}"
        results.append(result)
    for turn in range(number):
        start = turn % len(results)
        for result in results[start:] + results[:start]:
            contender = result.contender
            if result.problem or (contender.kind == "peer" and turn >= peer_rounds):
                continue
            file = prepare(data_of(contender))
            with tempfile.TemporaryDirectory(dir=DATA, prefix="run-") as folder:
                try:
                    measured = _run_once(case, contender, file, Path(folder))
                except RunFailed as failed:
                    result.problem = str(failed)
                    say(f"  round {turn + 1}: {contender.name} failed: {failed}")
                    continue
            result.runs.append(measured)
            say(
                f"  round {turn + 1}: {contender.name:<16} {measured.total_s:8.2f} s"
                f"  cpu {measured.cpu_s:7.2f} s  peak {measured.peak_mb:6.0f} MB  others {measured.others_share:4.0%}"
            )
    for contender in contenders:
        discard(data_of(contender))
    return results


def _run_once(case: Case, contender: Contender, file: Path, output: Path) -> Measurement:
    with tempfile.TemporaryDirectory(prefix="landbridge-bench-") as scratch, case.server(file) as server:
        report = Path(scratch) / "report.json"
        values = {
            "python": sys.executable,
            "bin": str(Path(sys.executable).parent),
            "input": str(file.parent),
            "file": str(file),
            "output": str(output),
            "report": str(report),
            "scratch": scratch,
            **server,
        }
        measured = run(
            [part.format_map(values) for part in contender.command],
            folder=PROJECT,
            env={"HOME": scratch, **_QUIET, **{k: v.format_map(values) for k, v in contender.env.items()}},
            report=report,
            written=lambda: case.stored(server) if case.stored else _size(output),
            timeout_s=_TIMEOUT_S,
        )
        expected = file.stat().st_size if case.stored else None
        if not measured.output_bytes or measured.output_bytes != (expected or measured.output_bytes):
            raise RunFailed(f"{measured.output_bytes} bytes arrived")
        return measured


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _version(contender: Contender) -> str:
    if not contender.version or (contender.needs is not None and not contender.needs.exists()):
        return ""
    command = [part.format_map({"python": sys.executable}) for part in contender.version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().rpartition("\n")[2]
