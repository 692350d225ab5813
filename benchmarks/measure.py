"""Measuring one run of one program: time, processor time, and the memory of all its processes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_SAMPLE_S = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")


class RunFailed(Exception):
    """The program did not end well; the message is the end of what it printed."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run.

    Attributes:
        total_s: From the start of the process to its end.
        work_s: Time of the work itself as the program reports it, without the start of an interpreter.
        cpu_s: Processor time of the program and its child processes.
        peak_mb: Most memory that all its processes had resident at the same time, in MB.
        others_share: Share of the machine's processors that everything else used meanwhile, servers included.
        output_bytes: Size of what it wrote.
    """

    total_s: float
    work_s: float | None
    cpu_s: float
    peak_mb: float
    others_share: float
    output_bytes: int

    def as_json(self) -> dict[str, Any]:
        """As the results file holds it."""
        return {name: round(value, 4) if value is not None else None for name, value in asdict(self).items()}


def run(
    command: list[str],
    *,
    folder: Path,
    env: dict[str, str],
    report: Path,
    written: Callable[[], int],
    timeout_s: float,
) -> Measurement:
    """Run ``command`` to its end and measure it.

    Args:
        command: Program and arguments.
        folder: Working folder.
        env: Environment variables on top of the present ones.
        report: Where Landbridge writes its report, if it is Landbridge.
        written: Asked at the end for the size of the result in bytes.
        timeout_s: The program is ended after this time.

    Raises:
        RunFailed: It ended with another exit code than 0, or took too long.
    """
    report.unlink(missing_ok=True)
    os.sync()  # what earlier programs wrote must not slow this one down
    busy_before = _busy_s()
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=printed, stderr=errors
        )
        memory = _Memory(process.pid)
        limit = threading.Timer(timeout_s, process.kill)
        limit.start()
        _, status, usage = os.wait4(process.pid, 0)
        total = time.perf_counter() - began
        limit.cancel()
        peak = memory.stop()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RunFailed(f"exit code {process.returncode}: {(_end(errors) or _end(printed))[-600:]}")
        work = _reported(report) or _printed(_end(printed))
    cpu = usage.ru_utime + usage.ru_stime
    others = max(0.0, _busy_s() - busy_before - cpu) / (total * (os.cpu_count() or 1))
    return Measurement(total, work, cpu, peak / 1e6, others, written())


def _end(file: Any) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 4000))
    text: str = file.read().decode("utf-8", "replace")
    return text.strip()


def _reported(report: Path) -> float | None:
    """Seconds between start and end of the job in Landbridge's report."""
    if not report.exists():
        return None
    from datetime import datetime  # noqa: PLC0415 - only here

    facts = json.loads(report.read_text())
    return (datetime.fromisoformat(facts["ended"]) - datetime.fromisoformat(facts["started"])).total_seconds()


def _printed(text: str) -> float | None:
    last = text.rpartition("\n")[2]
    return float(json.loads(last)["work_s"]) if last.startswith('{"work_s"') else None


def _busy_s() -> float:
    """Seconds that all processors together have worked since the machine's start."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / _TICKS


class _Memory:
    """Watches the resident memory of a process and all its descendants."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """The peak in bytes."""
        self._ended.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            sizes = [_resident(pid) for pid in _tree(self._pid)]
            together = sum(now for now, _ in sizes)
            # The kernel's own peak of one process is exact; of several it could add up what was not at one time.
            alone = max((most for _, most in sizes), default=0)
            self._peak = max(self._peak, together, alone)


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue  # it has ended
    return found


def _resident(pid: int) -> tuple[int, int]:
    """Resident memory of a process now and at its most, in bytes."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    facts = dict(line.split(":", 1) for line in text.splitlines() if line.startswith(("VmRSS", "VmHWM")))
    now, most = (int(facts.get(name, "0 kB").split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, most
