"""A job with a journal that is killed at any moment goes on where it was: nothing is lost, nothing is doubled."""

import json
import os
import random
import sys
from collections import Counter

import pytest

from landbridge.site.app import Application
from tests.contract.gigya.local_site import running_site
from tests.crash.killed_at import Killable
from tests.integration.command import Command, step

PEOPLE = 150
CONNECTIONS = 2
UNIT = 10 * CONNECTIONS

EVERY = int(os.environ.get("LANDBRIDGE_KILL_EVERY", "10"))
"""Of the moments at which the job can be killed every so many are tried, another selection on each run; 1 for all."""

FIRST = random.randint(1, EVERY)


@pytest.fixture(scope="module")
def site():
    with running_site(people=PEOPLE, seed=3) as site:
        yield site


@pytest.fixture
def calls(monkeypatch):
    """How often each account was written, as the site sees it."""
    counted = Counter()
    original = Application._done

    async def done(self, method, call):
        if call.method == "accounts.setAccountInfo":
            counted[call.parameters.text("UID")] += 1
        return await original(self, method, call)

    monkeypatch.setattr(Application, "_done", done)
    return counted


@pytest.fixture
def command(tmp_path, site):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    command = Command(tmp_path)
    command.environ.update(site.environ)
    return command


def import_flow(command, marker):
    folder = command.folder
    return command.flow(
        step("read", "datasource.read.local", path=str(folder / "in")),
        step("parse", "file.parse.json"),
        step("add", "field.add", fields=[{"field": "data.marker", "value": marker}]),
        {
            **step("update", "datasource.write.gigya.account", maxConnections=CONNECTIONS, addResponse=True),
            "next": ["good"],
            "error": ["bad"],
        },
        {**step("good", "file.format.json", fileName="good.jsonl", layout="lines"), "next": ["write"]},
        {**step("bad", "file.format.json", fileName="bad.jsonl", layout="lines"), "next": ["write"]},
        step("write", "datasource.write.local", path=str(folder / "out")),
        name=marker,
    )


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def check(command, site, uids, marker):
    """The far side and the reports are as if nothing had happened."""
    found = site.search("SELECT UID, data.marker FROM accounts LIMIT 1000")
    marked = [row["UID"] for row in found if row.get("data", {}).get("marker") == marker]
    assert sorted(marked) == sorted(uids)
    good = lines(command.folder / "out" / "good.jsonl")
    assert [row["UID"] for row in good] == uids
    assert {row["_response"]["statusCode"] for row in good} == {200}
    bad = lines(command.folder / "out" / "bad.jsonl")
    assert [row["UID"] for row in bad] == ["nobody"]
    assert {path.name for path in (command.folder / "out").iterdir()} == {"good.jsonl", "bad.jsonl"}
    journal = command.folder / "journal"
    assert {path.name for path in journal.iterdir()} == {"job.json", "lock", "plan.json", "result.json"}


@pytest.mark.timeout(600)
def test_a_job_killed_at_any_moment_loses_and_doubles_nothing(command, site, calls):
    uids = [row["UID"] for row in site.search("SELECT UID FROM accounts LIMIT 1000")]
    rows = [*uids[:70], "nobody", *uids[70:]]
    (command.folder / "in" / "a.jsonl").write_text("".join(json.dumps({"UID": uid}) + "\n" for uid in rows))
    report, rejects = command.folder / "report.json", command.folder / "rejects.jsonl"
    options = ("--journal", command.folder / "journal", "--report", report, "--rejects", rejects, "--quiet")
    kills = 0
    with Killable(command.environ) as killable:
        for moment in range(FIRST, 1000, EVERY):
            marker = f"m{moment}"
            flow = import_flow(command, marker)
            calls.clear()
            killed, _ = killable.run("run", flow, *options, kill_at=moment)
            if killed == -9:
                kills += 1
                code, _ = killable.run("run", flow, *options)
                assert code == 3, f"at moment {moment}"
            check(command, site, uids, marker)
            repeated = sum(calls.values()) - len(rows)
            assert 0 <= repeated <= UNIT, f"at moment {moment}"
            shown = json.loads(report.read_text())
            assert (shown["steps"]["update"]["in"], shown["steps"]["update"]["out"]) == (len(rows), len(uids))
            assert shown["steps"]["parse"]["out"] == len(rows)
            assert [file["name"] for file in shown["files"]] == ["good.jsonl", "bad.jsonl"]
            clear(command.folder)
            if killed != -9:
                break
    assert kills >= 60 // EVERY
    sys.stderr.write(f"{kills} kills\n")


def clear(folder):
    for path in (folder / "out").iterdir():
        path.unlink()
    for path in (folder / "journal").iterdir():
        path.unlink()
