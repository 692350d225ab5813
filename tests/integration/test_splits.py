"""The input divided among processes: the same output as one process, and no finished part is worked on twice."""

import csv
import json
import os
import random
import signal
import time
from contextlib import suppress

from landbridge.engine.pieces import RESULT
from tests.contract.gigya.local_site import running_site
from tests.integration.command import step
from tests.servers.landbridge_service import children_of

MEGABYTE = 1 << 20
NOTES = [text * 150 for text in ("plain", 'with "quotes"', "two\nlines", "a,b", "", "ü" * 5)]


def write_table(path, *, size, seed=0, end="\r\n"):
    """A table of at least so many bytes with quoted newlines."""
    chosen = random.Random(seed)
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator=end)
        table.writerow(["UID", "profile.email", "note,x", "n"])
        number = 0
        while file.tell() < size:
            block = range(number, number + 200)
            table.writerows([f"u{seed}-{n}", f"p{n}@example.com", chosen.choice(NOTES), n] for n in block)
            number = block.stop
    return number


def write_lines(path, *, size, seed=0):
    number = 0
    with path.open("w") as file:
        while file.tell() < size:
            for _ in range(200):
                row = {"UID": f"u{seed}-{number}", "profile": {"email": f"p{number}@example.com"}, "n": number}
                file.write(json.dumps(row | {"note": NOTES[number % 6]}) + "\n")
                number += 1
    return number


def table_flow(folders, command, *between, name="flow", parse="file.parse.dsv", **params):
    return command.flow(
        step("read", "datasource.read.local", path=str(folders / "in"), sortBy="name"),
        step("parse", parse, **params),
        *between,
        step("rename", "field.rename", fields=[{"sourceField": "UID", "targetField": "ID"}]),
        step("dsv", "file.format.dsv", fileName="out.csv"),
        step("write", "datasource.write.local", path=str(folders / "out")),
        name=name,
    )


def both_ways(command, folders, flow, *, processes=2, code=0):
    """The files and reports of a run in one process and of one in several."""
    found = []
    for options in ((), ("--processes", processes)):
        outcome = command.run(flow, "--rejects", folders / "rejects.jsonl", *options, timeout=110)
        assert outcome.code == code, outcome.err
        files = {path.name: path.read_bytes() for path in (folders / "out").iterdir()}
        rejects = folders / "rejects.jsonl"
        kept = [json.loads(line) for line in rejects.read_text().splitlines()] if rejects.exists() else []
        rejects.unlink(missing_ok=True)
        found.append((files, outcome, [{k: v for k, v in row.items() if k != "job"} for row in kept]))
    return found


def test_parts_of_large_files_give_the_same_bytes_as_one_process(command, folders):
    write_table(folders / "in" / "a.csv", size=18 * MEGABYTE)
    write_table(folders / "in" / "b.csv", size=MEGABYTE, seed=1)
    one, several = both_ways(command, folders, table_flow(folders, command))
    assert several[0] == one[0]
    assert "3 of 3 parts" in several[1].err
    for name in ("parse", "rename", "dsv", "write"):
        counted = ("in", "out", "rejected", "filtered", "files")
        assert [several[1].step(name)[key] for key in counted] == [one[1].step(name)[key] for key in counted]


def test_parts_of_json_lines_give_the_same_bytes_and_the_same_rejects(command, folders):
    write_lines(folders / "in" / "a.jsonl", size=17 * MEGABYTE)
    with (folders / "in" / "a.jsonl").open("a") as file:
        file.write("{broken\n")
    one, several = both_ways(command, folders, table_flow(folders, command, parse="file.parse.json"), code=3)
    assert "2 of 2 parts" in several[1].err
    assert several[0] == one[0]
    assert several[2] == one[2]
    assert several[2][0]["line"] > 1000


def test_failed_records_take_their_error_path_in_the_same_order(command, folders):
    for number in range(3):
        rows = [{"UID": f"u{number}-{n}", "born": "2001-02-03" if n % 3 else "never"} for n in range(4000)]
        text = "".join(json.dumps(row | {"fill": "x" * 2200}) + "\n" for row in rows)
        (folders / "in" / f"{number}.jsonl").write_text(text)
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in"), sortBy="name"),
        step("parse", "file.parse.json"),
        {
            **step(
                "date",
                "field.date.format",
                fields=[{"field": "born", "sourceFormat": "yyyy-MM-dd", "targetFormat": "MM/dd/yyyy"}],
            ),
            "next": ["good"],
            "error": ["bad"],
        },
        {**step("good", "file.format.json", fileName="good.jsonl", layout="lines"), "next": ["write"]},
        {**step("bad", "file.format.json", fileName="bad.jsonl", layout="lines"), "next": ["write"]},
        step("write", "datasource.write.local", path=str(folders / "out")),
    )
    one, several = both_ways(command, folders, flow, code=3)
    assert "3 of 3 parts" in several[1].err
    assert several[0] == one[0]
    assert one[0]["bad.jsonl"].count(b"\n") == 3 * 1334


def test_a_script_that_may_keep_something_sees_all_records_in_one_process(command, folders):
    for number in range(2):
        write_lines(folders / "in" / f"{number}.jsonl", size=9 * MEGABYTE, seed=number)
    script = "var count = 0;\nfunction process(record) { count += 1; record.count = count; return record; }"
    flow = table_flow(folders, command, step("count", "record.evaluate", script=script), parse="file.parse.json")
    one, several = both_ways(command, folders, flow)
    assert "2 of 2 parts" in several[1].err
    assert several[0] == one[0]


def test_what_cannot_be_divided_runs_in_one_process(command, folders):
    content = b'id,note\n1,a stray " quote\n'
    (folders / "in" / "a.csv").write_bytes(content)
    outcome = command.run(table_flow(folders, command), "--processes", 4)
    assert outcome.code == 0, outcome.err
    assert "parts" not in outcome.err
    outcome = command.run(table_flow(folders, command), "--processes", 4, "--limit", 1)
    assert outcome.step("parse")["out"] == 1


def test_a_part_that_fails_ends_the_job_with_its_reason(command, folders):
    write_lines(folders / "in" / "a.jsonl", size=9 * MEGABYTE)
    (folders / "in" / "b.jsonl").write_text('[{"a":1}, ' + '{"b":2},' * 1_200_000)
    outcome = command.run(table_flow(folders, command, parse="file.parse.json"), "--processes", 2)
    assert outcome.code == 1
    assert outcome.report["error"]["code"] == "LB-4105"
    assert outcome.report["error"]["step"] == "parse"
    assert not list((folders / "out").iterdir())


def test_a_killed_job_goes_on_with_the_parts_that_are_missing(command, folders):
    for number in range(4):
        write_table(folders / "in" / f"{number}.csv", size=9 * MEGABYTE, seed=number)
    flow = table_flow(folders, command)
    assert command.run(flow).code == 0
    expected = (folders / "out" / "out.csv").read_bytes()
    (folders / "out" / "out.csv").unlink()
    journal = folders / "journal"
    options = ("--processes", 2, "--journal", journal)
    process = command.start("run", flow, *options)
    deadline = time.monotonic() + 60
    while not (done := list(journal.glob(f"splits/split-?????/{RESULT}"))) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert 0 < len(done) < 4
    before = {path: path.stat().st_mtime_ns for path in done}
    (folders / "in" / "0.csv").rename(folders / "gone.csv")  # a finished part is not read again
    first = journal / "splits" / "split-00000" / RESULT
    if first not in before:
        (folders / "gone.csv").rename(folders / "in" / "0.csv")
    resumed = command.start("run", flow, *options)
    touched = False
    while resumed.poll() is None:
        for path, stamp in before.items():
            with suppress(FileNotFoundError):  # the finished job removes them
                touched = touched or path.stat().st_mtime_ns != stamp
        time.sleep(0.02)
    _, err = resumed.communicate()
    assert resumed.returncode == 0, err
    assert not touched
    assert (folders / "out" / "out.csv").read_bytes() == expected
    assert {path.name for path in journal.iterdir()} == {"job.json", "lock", "plan.json", "result.json"}


def test_accounts_are_divided_by_the_time_of_their_creation(command, folders):
    with running_site(people=1000, seed=5) as site:
        command.environ.update(site.environ)
        flow = command.flow(
            step("read", "datasource.read.gigya.account", select="UID, profile, data.score", batchSize=500),
            step("json", "file.format.json", fileName="out.jsonl", layout="lines"),
            step("write", "datasource.write.local", path=str(folders / "out")),
        )
        one, several = both_ways(command, folders, flow)
    assert "6 of 6 parts" in several[1].err
    rows = [sorted((json.loads(line) for line in found[0]["out.jsonl"].splitlines()), key=lambda row: row["UID"])
            for found in (one, several)]  # fmt: skip
    assert rows[0] == rows[1]
    assert len(rows[0]) == 1000


def test_a_file_with_another_number_of_records_than_its_ready_file_tells_is_found_in_any_number_of_processes(
    command, folders
):
    records = {name: write_table(folders / "in" / f"{name}.csv", size=9 * MEGABYTE) for name in "ab"}
    for name, number in records.items():
        (folders / "in" / f"{name}.ready").write_text(f"{number}\n")
    flow = table_flow(folders, command)
    flow.write_text(flow.read_text().replace('"sortBy"', '"readyFile": "{stem}.ready", "sortBy"'))
    one, several = both_ways(command, folders, flow)
    assert several[0] == one[0]
    assert one[1].step("parse")["in"] == sum(records.values())
    (folders / "in" / "b.ready").write_text(str(records["b"] + 1))
    (folders / "out" / "out.csv").unlink()
    for files, outcome, _ in both_ways(command, folders, flow, code=1):
        assert files == {}
        assert "LB-4307" in outcome.err
        assert f"{records['b'] + 1:,}" in outcome.err


def test_a_part_whose_process_is_killed_ends_the_job_with_a_clear_error(command, folders):
    for number in range(4):
        write_table(folders / "in" / f"{number}.csv", size=9 * MEGABYTE, seed=number)
    process = command.start("run", table_flow(folders, command), "--processes", 2)
    deadline = time.monotonic() + 60
    while not (workers := children_of(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(workers[0], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "[LB-6005]" in err, "Traceback" in err) == (1, True, False), err
    assert list((folders / "out").iterdir()) == []
