"""What a run counts, keeps and refuses, through the command line, on local folders."""

import json
import zipfile

import pytest

from tests.integration.command import step


def ends(folders, *middle, **target):
    return (
        step("read", "datasource.read.local", path=str(folders / "in")),
        *middle,
        step("write", "datasource.write.local", path=str(folders / "out"), **target),
    )


def test_what_a_formatter_rejects_is_kept(command, folders):
    (folders / "in" / "a.jsonl").write_text('{"UID":"1","x":1}\n{"x":2}\n')
    rejects = folders / "rejects.jsonl"
    krux = step("krux", "file.format.krux", fileName="k.csv", idField="UID")
    outcome = command.run(command.flow(*ends(folders, step("p", "file.parse.json"), krux)), "--rejects", rejects)
    assert outcome.report["rejects"] == 1
    assert [json.loads(line)["record"] for line in rejects.read_text().splitlines()] == [{"x": 2}]


@pytest.mark.parametrize("visible", [False, True])
def test_two_files_of_one_name_are_not_published_one_over_the_other(command, folders, visible):
    for number in "12":
        with zipfile.ZipFile(folders / "in" / f"{number}.zip", "w") as archive:
            archive.writestr("export.csv", f"a\n{number}\n")
    flow = command.flow(*ends(folders, step("u", "file.uncompress.zip"), temporaryUploadExtension=visible))
    outcome = command.run(flow)
    assert (outcome.status, outcome.report["error"]["code"]) == ("failed", "LB-4003")
    assert list((folders / "out").iterdir()) == []


def test_two_steps_that_write_to_one_place_do_not_replace_each_others_files(command, folders):
    (folders / "in" / "a.jsonl").write_text('{"x":1}\n')
    read, write = ends(folders)
    steps = [{**read, "next": ["parse"]}, {**step("parse", "file.parse.json"), "next": ["csv", "json"]}]
    for name, form in (("csv", "dsv"), ("json", "json")):
        steps.append({**step(name, f"file.format.{form}", fileName="a.txt"), "next": [f"write {name}"]})
        steps.append({**write, "id": f"write {name}", "next": []})
    outcome = command.run(command.flow(*steps))
    assert (outcome.status, outcome.report["error"]["code"]) == ("failed", "LB-4003")
    assert list((folders / "out").iterdir()) == []


def test_a_limit_behind_a_split_counts_for_each_branch(command, folders):
    (folders / "in" / "a.jsonl").write_text("".join(f'{{"x":{n}}}\n' for n in range(10)))
    read, write = ends(folders)
    steps = [{**read, "next": ["parse a", "parse b"]}]
    for name in "ab":
        steps.append({**step(f"parse {name}", "file.parse.json"), "next": [f"format {name}"]})
        formatter = step(f"format {name}", "file.format.json", fileName=name, layout="lines")
        steps.append({**formatter, "next": ["write"]})
    outcome = command.run(command.flow(*steps, {**write, "next": []}), "--limit", 5)
    assert outcome.status == "succeeded", outcome.err
    assert {path.name: len(path.read_text().splitlines()) for path in (folders / "out").iterdir()} == {"a": 5, "b": 5}


def test_a_writer_delivers_whole_files_though_a_limited_parser_behind_it_wants_no_more(command, folders):
    (folders / "in" / "a.csv").write_text("a\n" + "1\n" * 5_000_000)
    flow = command.flow(
        *ends(folders),
        step("parse", "file.parse.dsv"),
        step("format", "file.format.count", fileName="count"),
        step("count", "datasource.write.local", path=str(folders / "out")),
    )
    outcome = command.run(flow, "--limit", 5)
    assert outcome.status == "succeeded", outcome.err
    assert (folders / "out" / "a.csv").stat().st_size == 10_000_002


def test_a_file_that_is_written_again_is_counted_once_by_the_steps_behind(command, folders):
    rows = ({"a": n, "pad": "x" * 100, **({"late": 1} if n == 50_000 else {})} for n in range(60_000))
    (folders / "in" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dsv = step("dsv", "file.format.dsv", fileName="a.csv", maxFileSize=2)
    outcome = command.run(
        command.flow(*ends(folders, step("p", "file.parse.json"), dsv, step("z", "file.compress.gzip")))
    )
    assert outcome.status == "succeeded", outcome.err
    assert outcome.step("z")["in"] == outcome.step("z")["out"] == outcome.step("write")["out"] == 60_000
