"""What ``landbridge run`` tells before a job, and what it keeps to itself: secrets."""

import json
import os
import re
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.command import LANDBRIDGE, step
from tests.integration.test_bad_input import chain, failed

FORMAT = step("f", "file.format.json", fileName="a.json")
PARSE = step("p", "file.parse.json")


def with_record(folders, **fields):
    (folders / "in" / "a.json").write_text(json.dumps([{"UID": "u1", **fields}]))


def everything_kept(folders):
    """The text of all that a job left in the working folders and in landbridge's home."""
    return "".join(path.read_text() for path in folders.rglob("*") if path.is_file() and path.name != "flow.json")


def test_an_empty_variable_behind_a_password_stops_the_job_and_leaves_no_open_archive(command, folders):
    with_record(folders)
    command.environ["ZP"] = ""
    flow = command.flow(*chain(folders, PARSE, FORMAT, step("z", "file.compress.zip", password="${env:ZP}")))
    failed(command.run(flow), folders, 'step "z"', '"ZP" is set, but empty', code="LB-1043")


def test_a_secret_in_a_path_is_masked_on_the_screen_and_in_the_report(command, folders):
    with_record(folders)
    command.environ["LANDBRIDGE_SECRET_PLACE"] = "very-secret-place"
    target = step("write", "datasource.write.local", path=str(folders / "${secret:place}"))
    outcome = command.run(command.flow(*chain(folders, PARSE, FORMAT, target=target)))
    assert outcome.code == 1
    assert '/********" does not exist' in outcome.err
    assert outcome.report["error"]["code"] == "LB-2201"
    assert "very-secret-place" not in outcome.err + everything_kept(folders)


def test_a_folder_behind_an_ordinary_variable_stays_readable(command, folders):
    command.environ["FOLDER"] = str(folders / "nowhere")
    flow = command.flow(*chain(folders, source=step("read", "datasource.read.local", path="${env:FOLDER}")))
    assert "nowhere" in command.run(flow).err


@pytest.mark.parametrize("arguments", [(), ("--processes", 2)])
def test_a_script_that_throws_a_secret_leaves_it_neither_in_rejects_nor_on_an_error_path(command, folders, arguments):
    with_record(folders)
    if arguments:  # large enough to be divided
        for name in "bc":
            (folders / "in" / f"{name}.json").write_text(json.dumps({"UID": name, "note": "x" * 1_100_000}))
    command.environ["LANDBRIDGE_SECRET_K"] = "kept-to-myself"
    code = "function process(record, response, ctx) { throw new Error('no ' + ctx.parameters.k) }"
    script = step("js", "record.evaluate", script=code, parameters={"k": "${secret:k}"}, parallel=True)
    outcome = command.run(command.flow(*chain(folders, PARSE, script, FORMAT)), *arguments)
    assert outcome.code == 3, outcome.err
    assert ("parts of the input" in outcome.err) == bool(arguments)
    (rejects,) = (folders / "home" / "rejects").iterdir()
    assert "no ********" in rejects.read_text()
    assert "kept-to-myself" not in outcome.err + everything_kept(folders)
    failing = step("e", "file.format.json", fileName="errors.json") | {"next": ["write"]}
    flow = command.flow(*chain(folders, PARSE, script | {"error": ["e"], "next": ["f"]}, FORMAT))
    document = json.loads(flow.read_text())
    flow.write_text(json.dumps(document | {"steps": [*document["steps"], failing]}))
    assert command.run(flow, *arguments).code == 3
    assert "no ********" in (folders / "out" / "errors.json").read_text()
    assert "kept-to-myself" not in everything_kept(folders)


def test_a_report_replaces_the_one_before_and_leaves_no_draft(command, folders):
    with_record(folders)
    flow = command.flow(*chain(folders, PARSE, FORMAT))
    (folders / "reports").mkdir()
    report = folders / "reports" / "r.json"
    report.write_text("old")
    assert command("run", flow, "--report", report).code == 0
    assert json.loads(report.read_text())["status"] == "succeeded"
    assert list(report.parent.iterdir()) == [report]


def test_a_report_may_go_to_a_device(command, folders):
    with_record(folders)
    outcome = command("run", command.flow(*chain(folders, PARSE, FORMAT)), "--report", "/dev/stdout")
    assert json.loads(outcome.out)["status"] == "succeeded"


def test_a_report_that_fails_at_the_end_is_told_and_the_exit_code_is_the_jobs(command, folders):
    with_record(folders)
    outcome = command("run", command.flow(*chain(folders, PARSE, FORMAT)), "--report", "/dev/full")
    assert outcome.code == 0
    assert "error: cannot write the report /dev/full: No space left on device" in outcome.err
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@pytest.mark.parametrize("place", ["none/rejects.jsonl", "in"])
def test_a_place_for_rejects_that_cannot_be_is_told_before_the_job(command, folders, place):
    outcome = command("run", command.flow(*chain(folders, PARSE, FORMAT)), "--rejects", folders / place)
    assert outcome.code == 2
    assert "--rejects" in outcome.err


def test_run_shows_all_errors_that_lint_shows(command, folders):
    steps = [
        {"id": "a", "type": "datasource.read.local", "params": [], "next": "b"},
        {"id": "b", "type": 5},
        {"type": "x"},
        step("c", "file.format.dsv", fileName="x", columnSeparator=5),
    ]
    flow = folders / "flow.json"
    flow.write_text(json.dumps({"name": 1, "steps": steps}))
    linted, run = command("lint", flow), command("run", flow)
    codes = re.findall(r"error +(LB-\d+)", linted.out)
    assert len(codes) > 4
    assert re.findall(r"error +(LB-\d+)", run.err) == codes
    assert f"the dataflow has {len(codes)} problems" in run.err


def test_a_missing_value_and_a_wrong_parameter_are_told_together(command, folders):
    target = step("write", "datasource.write.local", path="{{target}}")
    flow = command.flow(*chain(folders, PARSE, step("f", "file.format.json"), target=target))
    outcome = command.run(flow)
    assert outcome.code == 1
    assert "fileName is missing" in outcome.err
    assert "{{target}}" in outcome.err


def test_a_site_that_is_not_named_is_told_before_the_job_starts(command, folders):
    source = step("accounts", "datasource.read.gigya.account", select="UID", **{"from": "accounts"})
    flow = command.flow(source, FORMAT, chain(folders)[-1])
    outcome = command.run(flow)
    assert outcome.code == 1
    assert 'step "accounts": the step does not know its site' in outcome.err
    assert "[LB-1501]" in outcome.err
    assert outcome.report == {}


def test_run_shows_the_warnings_of_lint_unless_it_is_to_be_quiet(command, folders):
    with_record(folders)
    flow = command.flow(*chain(folders, PARSE, step("f", "file.format.dsv", fileName="a.csv", quoteFeilds=True)))
    outcome = command.run(flow)
    assert outcome.code == 0
    assert 'warning  LB-1070  step "f": file.format.dsv knows no parameter quoteFeilds' in outcome.err
    assert 'Did you mean "quoteFields"?' in outcome.err
    assert "LB-1070" not in command.run(flow, "-q").err


def test_a_value_for_a_placeholder_that_is_not_there_is_told(command, folders):
    with_record(folders)
    target = step("write", "datasource.write.local", path="{{target}}")
    flow = command.flow(*chain(folders, PARSE, FORMAT, target=target))
    outcome = command.run(flow, "--set", f"target={folders / 'out'}", "--set", "tarpet=x")
    assert outcome.code == 0
    assert 'warning  LB-1048  the dataflow has no placeholder "tarpet"' in outcome.err
    assert 'Did you mean "target"?' in outcome.err
    assert "LB-1042" not in outcome.err


def test_rejects_that_an_error_path_took_are_told_also_when_quiet(command, folders):
    (folders / "in" / "a.json").write_text('{"UID": "u1"}\n{"UID": \n')
    flow = command.flow(*chain(folders, PARSE | {"error": ["e"]}, FORMAT))
    document = json.loads(flow.read_text())
    document["steps"].append(step("e", "file.format.json", fileName="errors.json") | {"next": ["write"]})
    flow.write_text(json.dumps(document))
    outcome = command.run(flow, "-q")
    assert (outcome.code, outcome.err) == (3, "1 record rejected; they took an error path\n")


def test_an_empty_folder_of_a_killed_job_goes_when_the_next_one_starts_and_that_of_a_living_one_stays(command, folders):
    with_record(folders)
    temporary = folders / "tmp"
    old, young = temporary / "landbridge-run-old", temporary / "landbridge-run-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (time.time() - 3600,) * 2)
    command.environ["TMPDIR"] = str(temporary)
    assert command.run(command.flow(*chain(folders, PARSE, FORMAT))).code == 0
    assert list(temporary.iterdir()) == [young]


def test_the_folder_of_a_running_job_is_left_alone_however_old_it_is(command, folders):
    with_record(folders)
    temporary = folders / "tmp"
    temporary.mkdir()
    command.environ["TMPDIR"] = str(temporary)
    os.mkfifo(folders / "slow")
    flow = command.flow(*chain(folders, PARSE, FORMAT), name="one")
    waiting = command.start("run", flow, "--report", folders / "slow", "-q")
    try:
        deadline = time.monotonic() + 30
        while not list(temporary.iterdir()) and waiting.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        (own,) = temporary.iterdir()
        waiting.send_signal(19)  # SIGSTOP
        os.utime(own, (time.time() - 3600,) * 2)
        assert command.run(command.flow(*chain(folders, PARSE, FORMAT), name="two")).code == 0
        assert own in list(temporary.iterdir())
    finally:
        waiting.kill()
        waiting.communicate()


@pytest.mark.parametrize(
    ("regex", "content", "line"),
    [
        (r".*\.csv", None, 'step "read": no file matched ".*\\.csv" in "{folder}"'),
        ("", None, 'step "read": there is no file in "{folder}"'),
        (r".*\.csv", "UID,email\n", 'the file holds no records for step "p"'),
    ],
)
def test_a_job_without_input_says_so_in_one_line(command, folders, regex, content, line):
    if content is not None:
        (folders / "in" / "a.csv").write_text(content)
    source = step("read", "datasource.read.local", path=str(folders / "in"), fileNameRegex=regex)
    outcome = command.run(command.flow(*chain(folders, step("p", "file.parse.dsv"), FORMAT, source=source)))
    assert outcome.code == 0
    assert line.format(folder=folders / "in") in outcome.err.splitlines()


def test_one_record_is_one_record_and_lines_end_where_their_text_ends(command, folders):
    with_record(folders)
    outcome = command.run(command.flow(*chain(folders, PARSE, FORMAT)))
    assert "1 record)" in outcome.err
    assert [line for line in outcome.err.splitlines() if line != line.rstrip()] == []


def test_a_narrow_terminal_gets_whole_numbers(command, folders):
    (folders / "in" / "a.json").write_text('{"UID": "u1"}\n' * 12345)
    pty = pytest.importorskip("pty")
    flow = command.flow(*chain(folders, PARSE, FORMAT))
    own, its = pty.openpty()
    environ = {**command.environ, "COLUMNS": "40", "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen([*LANDBRIDGE, "run", flow], env=environ, stderr=its)
    os.close(its)
    seen = b""
    while chunk := _read(own):
        seen += chunk
    assert process.wait(timeout=60) == 0
    os.close(own)
    (row,) = [line for line in seen.decode().splitlines() if line.startswith("p ")][-1:]
    assert row.split()[:3] == ["p", "12,345", "12,345"]


def _read(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other side is closed
        return b""
