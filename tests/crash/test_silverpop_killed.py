"""A job that is killed while the platform imports its file goes on with its journal: every contact once."""

import csv
import time

import pytest

from tests.contract.sandbox.running import running_sandbox
from tests.integration.command import Command, step

PEOPLE = 300


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
