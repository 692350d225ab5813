"""What the commands, the trace and the log say of the service's jobs."""

import json

from tests.integration.command import Command, step
from tests.integration.service.parts import chained, local_flow


def opt_outs(folder, site, number=60):
    """A flow whose guard stops the job: everybody withdraws a consent."""
    uids = [row["UID"] for row in site.search("SELECT UID FROM accounts LIMIT 1000")]
    rows = [{"UID": uid, "preferences": {"news": {"isConsentGranted": False}}} for uid in uids] * 3
    (folder / "in" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:number]))
    steps = [
        step("read", "datasource.read.local", path=str(folder / "in")),
        step("parse", "file.parse.json"),
        step("write", "datasource.write.gigya.account"),
    ]
    return chained(folder.name, steps)


def test_a_dry_run_shows_what_it_would_have_done_and_which_guard_objects(folder, site, command, common, state):
    state.add_flow(opt_outs(folder, site))
    waited = command("jobs", "start", folder.name, "--dry-run", "--full", "--wait")
    assert waited.code == 0, waited
    job_id = waited.out.splitlines()[0]
    shown = command("jobs", "show", job_id).out
    for out in (waited.out, shown):
        [title] = [line for line in out.splitlines() if line.startswith("planned")]
        assert "cannot tell" in title
        assert 'a guard would stop step "write": ' in out
        assert "[LB-5205]" in out
    assert waited.out.count(job_id) == 1
    flow = folder / "flow.json"
    flow.write_text(json.dumps(opt_outs(folder, site)))
    ran = Command.__call__(command, "run", flow, "--dry-run")  # in a process of its own, with the site's key
    planned = [line.split() for line in ran.err.splitlines() if line.startswith(("planned", "write"))][-2:]
    assert planned == [line.split() for line in shown.splitlines() if line.startswith(("planned", "write"))]


def test_what_stopped_a_job_names_the_command_that_approves_it_and_then_who_has(folder, site, command, common, state):
    state.add_flow(opt_outs(folder, site))
    waited = command("jobs", "start", folder.name, "--full", "--wait")
    job_id = waited.out.splitlines()[0]
    assert waited.code == 1
    assert f"landbridge jobs approve {job_id}" in waited.out
    assert "--approve" not in waited.out
    assert command("jobs", "approve", job_id, "--refuse").code == 0
    shown, trace = (command("jobs", name, job_id).out for name in ("show", "trace"))
    for out in (shown, trace):
        [line] = [line for line in out.splitlines() if "has refused" in line]
        assert "cli " in line
        assert "of 60 records have a UID" in line
    assert json.loads(command("jobs", "show", job_id, "--json").out)["approvals"][0]["decision"] == "refused"


def test_a_job_says_what_it_reads_and_how_much_that_was(folder, command, common, state):
    state.add_flow(local_flow(folder))
    first = command("jobs", "start", folder.name, "--wait").out
    assert "reads what changed since 2" in first
    assert "UTC (first run: one period back; --full reads all records)" in first
    again = command("jobs", "start", folder.name, "--wait").out
    assert "reads what changed since 2" in again
    assert "first run" not in again
    whole = command("jobs", "start", folder.name, "--full", "--wait").out
    job_id = whole.splitlines()[0]
    assert "  reads all records\n" in whole
    assert "reads all records" in command("jobs", "trace", job_id).out
    [line] = [line for line in command("jobs", "list").out.splitlines() if job_id in line]
    assert line.endswith("100 in, 100 out")


def test_a_job_that_failed_is_an_error_in_the_log(folder, command, common, state):
    document = local_flow(folder, path=str(folder / "in" / "a.jsonl" / "no folder"))
    state.add_flow(document)
    waited = command("jobs", "start", folder.name, "--full", "--wait")
    assert waited.code == 1
    job_id = waited.out.splitlines()[0]
    log = (common.data.parent / "log").read_text()
    [line] = [line for line in log.splitlines() if job_id in line and "failed" in line]
    assert " ERROR landbridge.jobs: " in line
    assert line.endswith("]")
    assert "[LB-" in line


def test_alerts_are_listed_with_whom_they_tell_which_job_and_why_not(folder, command, common, state):
    document = local_flow(folder, path=str(folder / "in" / "a.jsonl" / "no folder"))
    state.add_flow(document)
    rule = command("alerts", "add", "--mail", "ops@example.com", "--flow", folder.name).out.strip()
    job_id = command("jobs", "start", folder.name, "--full", "--wait").out.splitlines()[0]
    listed = command("alerts", "list").out
    assert f"rule {rule} to ops@example.com, job {job_id}" in listed
    [alert] = [each for each in json.loads(command("alerts", "list", "--json").out) if each["jobId"] == job_id]
    assert (alert["ruleId"], alert["kind"]) == (rule, "failure")
