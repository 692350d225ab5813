"""Dataflows from end to end through the command line, on local folders."""

import csv
import gzip
import io
import json
import signal
import time

import pytest

from tests.integration.command import step

RENAME = [{"sourceField": "profile.email", "targetField": "EMAIL"}, {"sourceField": "UID", "targetField": "ID"}]


def reader(folders, pattern=""):
    return step("read", "datasource.read.local", path=str(folders / "in"), fileNameRegex=pattern)


def writer(folders, id="write"):
    return step(id, "datasource.write.local", path=str(folders / "out"))


def table(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_accounts_become_a_compressed_table(command, folders, accounts):
    flow = command.flow(
        reader(folders, r".*\.jsonl"),
        step("parse", "file.parse.json"),
        step("rename", " field.rename", fields=RENAME),
        step("remove", "field.remove", fields=["profile", "data"]),
        step("dsv", "file.format.dsv", fileName="a_${now:yyyy}_${jobId}.csv", columnSeparator=";", quoteFields=True),
        step("gzip", "file.compress.gzip"),
        writer(folders),
    )
    outcome = command.run(flow)
    assert (outcome.code, outcome.status) == (0, "succeeded")
    [file] = (folders / "out").iterdir()
    assert file.name.endswith(f"_{outcome.report['job']}.csv.gz")
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(file.read_bytes()).decode()), delimiter=";"))
    assert rows == [{"ID": row["UID"], "EMAIL": row["profile"]["email"]} for row in accounts]
    assert outcome.report["files"] == [{"name": file.name, "bytes": file.stat().st_size, "records": 1000}]
    assert outcome.step("rename") == {"in": 1000, "out": 1000, "rejected": 0, "filtered": 0, "bytes": 0, "files": 0}
    assert outcome.step("write")["in"] == outcome.step("write")["out"] == 1000


def test_branches_get_their_own_copies_and_a_marker_is_published_last(command, folders, accounts):
    remove = {**step("remove", "field.remove", fields=["profile"]), "next": ["csv"]}
    flow = command.flow(
        reader(folders),
        {**step("parse", "file.parse.json"), "next": ["remove", "json", "ready"]},
        remove,
        {**step("csv", "file.format.dsv", fileName="a.csv"), "next": ["write"]},
        {**step("json", "file.format.json", fileName="a.json"), "next": ["write"]},
        {**step("ready", "file.empty", fileName="a.ready"), "next": ["write"]},
        writer(folders),
    )
    outcome = command.run(flow)
    assert outcome.code == 0
    assert [file["name"] for file in outcome.report["files"]] == ["a.csv", "a.json", "a.ready"]
    assert json.loads((folders / "out" / "a.json").read_text()) == accounts
    assert table((folders / "out" / "a.csv").read_bytes())[0] == {"UID": "u0", "data.n": "0"}
    assert (folders / "out" / "a.ready").read_bytes() == b""


def test_branches_join_in_a_formatter(command, folders, accounts):
    flow = command.flow(
        reader(folders),
        {**step("parse", "file.parse.json"), "next": ["one", "two"]},
        {**step("one", "field.add", fields=[{"field": "branch", "value": "1"}]), "next": ["csv"]},
        {**step("two", "field.add", fields=[{"field": "branch", "value": "2"}]), "next": ["csv"]},
        step("csv", "file.format.dsv", fileName="a.csv"),
        writer(folders),
    )
    assert command.run(flow).code == 0
    rows = table((folders / "out" / "a.csv").read_bytes())
    assert sorted((row["branch"], row["UID"]) for row in rows) == sorted(
        (branch, row["UID"]) for branch in "12" for row in accounts
    )


def test_bad_records_take_the_error_path(command, folders):
    (folders / "in" / "a.csv").write_text("A,B\n1,2\n3\n4,5\n")
    parse = {**step("parse", "file.parse.dsv"), "next": ["json"], "error": ["errors"]}
    flow = command.flow(
        reader(folders),
        parse,
        {**step("json", "file.format.json", fileName="good.json"), "next": ["write"]},
        {**step("errors", "file.format.json", fileName="bad.json"), "next": ["write"]},
        writer(folders),
    )
    outcome = command.run(flow)
    assert (outcome.code, outcome.status, outcome.report["rejects"]) == (3, "succeeded_with_errors", 1)
    assert json.loads((folders / "out" / "good.json").read_text()) == [{"A": "1", "B": "2"}, {"A": "4", "B": "5"}]
    [bad] = json.loads((folders / "out" / "bad.json").read_text())
    assert (bad["text"], bad["file"], bad["line"]) == ("3", "a.csv", 3)
    assert bad["_errorDetails"]["errorCode"] == 4303
    assert "1 cells instead of 2" in bad["_errorDetails"]["errorMessage"]


def test_bad_records_without_an_error_path_are_kept_in_a_private_file(command, folders, tmp_path):
    (folders / "in" / "a.jsonl").write_text('{"a": 1}\n{"a": \n')
    flow = command.flow(
        reader(folders), step("parse", "file.parse.json"), step("f", "file.format.json", fileName="a"), writer(folders)
    )
    outcome = command.run(flow, "--rejects", tmp_path / "rejects.jsonl")
    assert outcome.code == 3
    [reject] = map(json.loads, (tmp_path / "rejects.jsonl").read_text().splitlines())
    assert (reject["step"], reject["number"], reject["line"], reject["text"]) == ("parse", 1, 2, '{"a": ')
    assert (tmp_path / "rejects.jsonl").stat().st_mode & 0o777 == 0o600
    assert "see " in outcome.err


def test_a_limit_reads_no_more_than_that(command, folders, accounts):
    flow = command.flow(
        reader(folders),
        step("parse", "file.parse.json"),
        step("f", "file.format.json", fileName="a.json"),
        writer(folders),
    )
    outcome = command.run(flow, "--limit", 10)
    assert outcome.code == 0
    assert json.loads((folders / "out" / "a.json").read_text()) == accounts[:10]


def test_a_dry_run_writes_nothing_and_tells_what_it_would(command, folders, accounts):
    flow = command.flow(
        reader(folders),
        step("parse", "file.parse.json"),
        step("f", "file.format.json", fileName="a.json"),
        writer(folders),
    )
    outcome = command.run(flow, "--dry-run")
    assert (outcome.code, outcome.report["dryRun"]) == (0, True)
    assert [(file["name"], file["records"]) for file in outcome.report["files"]] == [("a.json", 1000)]
    assert list((folders / "out").iterdir()) == []


def test_no_records_make_no_file(command, folders):
    (folders / "in" / "a.csv").write_text("A,B\n")
    flow = command.flow(
        reader(folders),
        step("parse", "file.parse.dsv"),
        step("f", "file.format.json", fileName="a.json"),
        writer(folders),
    )
    outcome = command.run(flow)
    assert (outcome.code, outcome.report["files"]) == (0, [])


def test_selected_columns_are_in_the_file_even_when_no_record_fills_them(command, folders, accounts):
    flow = command.flow(
        reader(folders),
        step("parse", "file.parse.json"),
        step("select", "field.select", fields=["UID", "profile.nickname", "data.n"]),
        step("f", "file.format.dsv", fileName="a.csv"),
        writer(folders),
    )
    assert command.run(flow).code == 0
    assert (folders / "out" / "a.csv").read_text().splitlines()[:2] == ["UID,profile.nickname,data.n", "u0,,0"]


def test_several_files_become_one(command, folders):
    for name in ("b.csv", "a.csv"):
        (folders / "in" / name).write_text(f"A\n{name}\n")
    read = reader(folders, r".*\.csv")
    read["params"] |= {"sortBy": "name", "sortOrder": "DESC"}
    flow = command.flow(
        read, step("parse", "file.parse.dsv"), step("f", "file.format.json", fileName="a.json"), writer(folders)
    )
    assert command.run(flow).code == 0
    assert json.loads((folders / "out" / "a.json").read_text()) == [{"A": "b.csv"}, {"A": "a.csv"}]


def test_a_file_may_be_passed_on_as_it_is(command, folders):
    (folders / "in" / "x.bin").write_bytes(b"\x00\x01" * 100_000)
    outcome = command.run(command.flow(reader(folders), writer(folders)))
    assert outcome.code == 0
    assert (folders / "out" / "x.bin").read_bytes() == b"\x00\x01" * 100_000


def test_a_lone_marker_is_a_flow(command, folders):
    flow = command.flow(step("ready", "file.empty", fileName="gigya.ok"), writer(folders))
    assert command.run(flow).code == 0
    assert (folders / "out" / "gigya.ok").read_bytes() == b""


def test_placeholders_are_filled_from_the_command_line_and_a_file(command, folders, accounts, tmp_path):
    (tmp_path / "values.json").write_text(json.dumps({"name": "from-file", "out": str(folders / "out")}))
    flow = command.flow(
        reader(folders),
        step("parse", "file.parse.json"),
        step("f", "file.format.json", fileName="{{name}}.json"),
        step("write", "datasource.write.local", path="{{out}}"),
    )
    assert command.run(flow, "--values", tmp_path / "values.json", "--set", "name=typed").code == 0
    assert [path.name for path in (folders / "out").iterdir()] == ["typed.json"]


def test_an_unfilled_placeholder_is_named(command, folders):
    flow = command.flow(reader(folders), step("write", "datasource.write.local", path="{{out}}"))
    outcome = command.run(flow)
    assert outcome.code == 1
    assert "out" in outcome.err
    assert "--set out=" in outcome.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_job_and_leaves_nothing(command, folders, number):
    (folders / "in" / "big.jsonl").write_bytes(b'{"a": "%s"}\n' % (b"x" * 1000) * 400_000)
    flow = command.flow(
        reader(folders),
        step("parse", "file.parse.json"),
        step("f", "file.format.dsv", fileName="a.csv"),
        step("gzip", "file.compress.gzip"),
        writer(folders),
    )
    process = command.start("run", flow, "--report", folders / "report.json")
    deadline = time.monotonic() + 20
    while not any((folders / "out").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"it received {number.name}" in err
    assert "Traceback" not in err
    assert list((folders / "out").iterdir()) == []
    assert json.loads((folders / "report.json").read_text())["status"] == "stopped"
