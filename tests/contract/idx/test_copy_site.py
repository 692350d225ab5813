"""An independent program copies the dataflows of one site to another."""

import json
import subprocess
import sys
from pathlib import Path

from tests.contract.idx.flows import copying, export

PROGRAM = Path(__file__).with_name("copy_site.py")


def settings(client):
    return json.dumps({"url": client.url, **client.credentials})


def test_a_program_that_knows_only_the_api_copies_a_site(service, tmp_path):
    source, target = service.client, service.second
    for table in ("dataflow", "dataflow_draft"):
        for each in source.search(f"SELECT id FROM {table}"):
            source("idx.deleteDataflow", id=each["id"])
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "people.json").write_text('[{"UID": "1"}, {"UID": "2"}]')
    source.ok("idx.createDataflow", data=copying(tmp_path, name="runs"))
    for number in range(3):
        source.ok("idx.createDataflow", data=export(name=f"cannot run {number}"))
    source.ok("idx.createDataflowDraft", data={"name": "a draft", "steps": []})

    done = subprocess.run(
        [sys.executable, str(PROGRAM), settings(source), settings(target)],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [(each["name"], each["status"]) for each in report["copies"]] == [
        ("runs", "published"),
        *((f"cannot run {number}", "published") for number in range(3)),
        ("a draft", "draft"),
    ]
    assert {(each["version"], each["again"]) for each in report["copies"]} == {(2, 403200)}
    jobs = [each["job"]["status"] for each in report["copies"] if "job" in each]
    assert jobs == ["succeeded", "failed", "failed", "failed"]
    assert [each["interval"] for each in report["copies"] if "job" in each] == [[1, 2]] * 4
    assert report["schedulings"] == 8
    assert report["left"] == [0, 0, 0]
    written = (tmp_path / "out" / report["copies"][0]["job"]["trace"][3].split("file ")[1]).read_text()
    assert written.split() == ["UID", "1", "2"]


def test_the_program_imports_nothing_of_ours():
    assert "landbridge" not in PROGRAM.read_text()
