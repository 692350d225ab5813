"""The ``landbridge`` command as users type it, in a process of its own."""

import atexit
import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.servers.forked import Forkery

LANDBRIDGE = [sys.executable, "-m", "landbridge"]


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str
    report: dict

    @property
    def status(self):
        return self.report.get("status")

    def step(self, name):
        return self.report["steps"][name]


class Command:
    """Runs landbridge with a home of its own below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {**os.environ, "LANDBRIDGE_HOME": str(folder / "home")}

    def flow(self, *steps, name="flow") -> Path:
        """Write a dataflow; steps are chained in the order given unless they say otherwise."""
        steps = [dict(step) for step in steps]
        for step, follower in pairwise(steps):
            step.setdefault("next", [follower["id"]])
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({"name": name, "steps": steps}))
        return path

    def start(self, *arguments) -> subprocess.Popen:
        """Start a command and leave it running."""
        return subprocess.Popen(
            [*LANDBRIDGE, *map(str, arguments)],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments, timeout=60) -> Outcome:
        """Run a command to its end, in a process that has the libraries already; see ``Forkery``."""
        forkery = _forkery()
        if forkery.can_run(self.environ):
            return Outcome(*forkery.run([*map(str, arguments)], environ=self.environ, timeout_s=timeout), {})
        done = subprocess.run(
            [*LANDBRIDGE, *map(str, arguments)],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr, {})

    def run(self, flow, *arguments, timeout=60) -> Outcome:
        """``landbridge run`` with a report."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        outcome = self("run", flow, "--report", report, *arguments, timeout=timeout)
        if report.exists():
            outcome.report = json.loads(report.read_text())
        assert "Traceback" not in outcome.err, outcome.err
        return outcome


@functools.cache
def _forkery():
    """One for all tests of this process."""
    forkery = Forkery()
    atexit.register(forkery.stop)
    return forkery


def step(id, type, **params):
    """A step; its id is free text as in the language."""
    return {"id": id, "type": type, "params": params}
