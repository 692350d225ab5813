"""What the tests of the service share."""

import contextlib
import io
import itertools
import json
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from landbridge.cli import main
from landbridge.jobs import db_progress
from landbridge.jobs.db_jobs import JobStatus
from tests.integration.command import Command, Outcome, step
from tests.servers.landbridge_service import Process, State

PEOPLE = 30
CONNECTIONS = 2
UNIT = 10 * CONNECTIONS
RUNNING = JobStatus.RUNNING


class InProcess(Command):
    """Commands without the start of a process each."""

    def __call__(self, *arguments):
        out, err, code = io.StringIO(), io.StringIO(), 0
        before = sys.argv
        sys.argv = ["landbridge", *map(str, arguments)]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.argv = before
        return Outcome(code, out.getvalue(), err.getvalue(), {})


@dataclass
class Common:
    """A service that most tests share."""

    data: Path
    service: Process
    state: State


def local_flow(folder, name="", **params):
    (folder / "in" / "a.jsonl").write_text("".join(json.dumps({"UID": f"u{number}"}) + "\n" for number in range(100)))
    steps = [
        step("read", "datasource.read.local", path=str(folder / "in")),
        step("parse", "file.parse.json"),
        step("csv", "file.format.dsv", fileName="a_${now}.csv"),
        step("write", "datasource.write.local", **{"path": str(folder / "out"), **params}),
    ]
    return chained(name or folder.name, steps)


def slow_flow(folder, site, name="", copies=1):
    """Writes every account of the site, one after the other."""
    name = name or folder.name
    uids = [row["UID"] for row in site.search("SELECT UID FROM accounts LIMIT 1000")]
    source = folder / f"in_{name}"
    source.mkdir(exist_ok=True)
    rows = [{"UID": uid, "data": {"marker": name}} for uid in uids] * copies
    (source / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = [
        step("read", "datasource.read.local", path=str(source)),
        step("parse", "file.parse.json"),
        step("update", "datasource.write.gigya.account", maxConnections=CONNECTIONS),
        step("report", "file.format.json", fileName=f"{name}.jsonl", layout="lines"),
        step("write", "datasource.write.local", path=str(folder / "out")),
    ]
    return chained(name, steps)


def chained(name, steps):
    for one, follower in itertools.pairwise(steps):
        one.setdefault("next", [follower["id"]])
    return {"name": name, "steps": steps}


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def wait_until(condition, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def names(folder):
    return sorted(path.name for path in (folder / "out").iterdir())


def db_dataflows_version(tx, name):
    from landbridge.jobs import db_dataflows

    return db_dataflows.version(tx, db_dataflows.find(tx, name).id)


def steps_of(state, job_id):
    with state.database.read() as tx:
        return db_progress.steps_of(tx, job_id)
