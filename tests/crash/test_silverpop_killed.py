"""A job that is killed while the platform imports its file: every contact once, and no opt-out is lost.

``LANDBRIDGE_KILLS=200`` kills it as often.
"""

import csv
import os
import signal
import time

import pytest

from tests.contract.sandbox.running import running_sandbox
from tests.crash.killed_at import Killable
from tests.integration.command import Command, step
from tests.integration.silverpop.parts import empty

PEOPLE = 300
KILLS = int(os.environ.get("LANDBRIDGE_KILLS", "10"))

pytestmark = pytest.mark.long


@pytest.mark.parametrize("wish", [{}, {"newsletterField": "Subscribed"}])
def test_an_import_goes_on_after_a_kill(tmp_path, wish):
    command = Command(tmp_path)
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "d.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["UID", "EMAIL", *(["Subscribed"] if wish else [])])
        rows.writerows([f"u{n}", f"u{n}@example.com", *(["Yes"] if wish else [])] for n in range(PEOPLE))
    with running_sandbox("silverpop") as sandbox:
        flow = command.flow(
            step("read", "datasource.read.local", path=str(tmp_path / "in")),
            step("import", "datasource.write.silverpop", **sandbox.connection("silverpop"), **wish),
        )
        sandbox.fail("slow_job", operation="ImportList", times=1, delay_s=4.0)
        killed = command.start("run", flow, "--journal", tmp_path / "journal")
        deadline = time.monotonic() + 60
        while not any(job["status"] == "RUNNING" for job in sandbox.rows("silverpop", "jobs")):
            assert time.monotonic() < deadline, killed.stderr.read()
            time.sleep(0.02)
        killed.kill()
        killed.communicate()
        outcome = command.run(flow, "--journal", tmp_path / "journal")
        assert (outcome.code, outcome.status) == (0, "succeeded"), outcome.err
        sandbox.idle()
        found = [row["UID"] for row in sandbox.rows("silverpop", "contacts")]
        assert sorted(found) == sorted(f"u{n}" for n in range(PEOPLE))
        folder = sandbox.do(lambda s: s["silverpop"].frame.folder)
        assert not [file.name for file in (folder / "upload").iterdir()]


OUT = {"u1", "u2"}


def people(sandbox):
    """Eight contacts of whom two have opted out at the platform, which opts in again whom an import names."""

    def fill(own):
        vendor = own["silverpop"]
        empty(own)
        for n in range(8):
            columns = {"UID": f"u{n}", "EMAIL": f"u{n}@example.com"}
            number = vendor.database.insert(columns, opted_in=True, details="test", created_from=1)
            if f"u{n}" in OUT:
                vendor.database.opt_out(number, "at the platform")

    sandbox.calm("silverpop")
    sandbox.do(fill)
    sandbox.switch("silverpop", import_resubscribes=True, job_delay_s=0.02)


def opted_out(sandbox):
    return {row["UID"] for row in sandbox.rows("silverpop", "contacts") if row["opted out"]}


def remains(sandbox):
    folder = sandbox.do(lambda s: s["silverpop"].frame.folder)
    return sorted(file.name for part in ("upload", "download") for file in (folder / part).iterdir())


def keeping_flow(command, folder, sandbox, *, name="d", **params):
    (folder / f"in-{name}").mkdir()
    with (folder / f"in-{name}" / f"{name}.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["UID", "EMAIL", "City"])
        rows.writerows([f"u{n}", f"u{n}@example.com", "Bern"] for n in range(8))
    return command.flow(
        step("read", "datasource.read.local", path=str(folder / f"in-{name}")),
        step("import", "datasource.write.silverpop", **sandbox.connection("silverpop"), keepOptOuts=True, **params),
        name=name,
    )


@pytest.mark.timeout(300)
def test_nobody_who_has_opted_out_is_opted_in_wherever_an_import_is_killed(tmp_path):
    command = Command(tmp_path)
    with running_sandbox("silverpop") as sandbox, Killable(command.environ) as killable:
        flow = keeping_flow(command, tmp_path, sandbox)
        people(sandbox)
        code, moments = killable.run("run", flow, "--quiet")
        assert (code, opted_out(sandbox), remains(sandbox)) == (0, OUT, [])
        assert moments > 40
        undone = killed = 0
        # Evenly, so that also a few meet the time between an import and what restores the opt-outs behind it.
        for kill_at in range(2, moments + 1, max(1, moments // KILLS)):
            people(sandbox)
            code, _ = killable.run("run", flow, "--quiet", kill_at=kill_at)
            if code != -9:
                continue  # fewer looks at a job this time
            killed += 1
            sandbox.idle()
            undone += opted_out(sandbox) != OUT
            code, _ = killable.run("run", flow, "--quiet")
            sandbox.idle()
            assert (code, opted_out(sandbox)) == (0, OUT), f"killed at moment {kill_at}"
            left = [name for name in remains(sandbox) if not name.endswith((".res", ".err", ".CSV"))]
            notes = [name for name in left if name.startswith("landbridge-opt-outs")]
            # Where the platform's answer was lost nobody knows the job, and the note stays until it must have ended.
            assert not notes or any(name.endswith(".unsure") for name in notes), f"killed at moment {kill_at}"
            assert left == notes, f"killed at moment {kill_at}"
        assert killed > KILLS / 2
        assert undone, "no kill has hit the time in which opt-outs are undone"


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_a_slow_import_that_goes_on_without_its_process_is_waited_for_by_the_next(tmp_path, stop):
    command = Command(tmp_path)
    with running_sandbox("silverpop") as sandbox:
        flow = keeping_flow(command, tmp_path, sandbox)
        other = keeping_flow(command, tmp_path, sandbox, name="other")
        people(sandbox)
        sandbox.fail("slow_job", operation="ImportList", times=1, delay_s=4.0)
        process = command.start("run", flow)
        deadline = time.monotonic() + 60
        while not any(name.startswith("landbridge-") and ".job-" in name for name in remains(sandbox)):
            assert time.monotonic() < deadline, process.stderr.read()
            time.sleep(0.02)
        process.send_signal(stop)
        if stop == signal.SIGTERM:
            process.send_signal(stop)  # the second one ends it at once
        process.communicate(timeout=60)
        assert command.run(other).code == 0
        sandbox.idle()
        assert (opted_out(sandbox), remains(sandbox)) == (OUT, [])


@pytest.mark.parametrize("head_start_s", [0.0, 0.4])
def test_two_imports_at_a_time_undo_no_opt_outs(tmp_path, head_start_s):
    command = Command(tmp_path)
    with running_sandbox("silverpop") as sandbox:
        flows = [keeping_flow(command, tmp_path, sandbox, name=name) for name in ("a", "b")]
        people(sandbox)
        sandbox.fail("slow_job", operation="ImportList", probability=0.5, delay_s=0.7)
        sandbox.fail("slow_job", operation="ExportList", probability=0.5, delay_s=0.5)
        first = command.start("run", flows[0])
        time.sleep(head_start_s)
        second = command.start("run", flows[1])
        for process in (first, second):
            _, told = process.communicate(timeout=90)
            assert process.returncode == 0, told
        sandbox.idle()
        assert (opted_out(sandbox), remains(sandbox)) == (OUT, [])
