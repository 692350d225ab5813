"""Files of a job that is killed while they get their names: each is published, once, in order."""

import json
from pathlib import Path

import pytest

from tests.crash.killed_at import Killable
from tests.integration.command import step
from tests.servers.openssh import OpenSshServer
from tests.servers.pytest_support import started
from tests.servers.s3 import S3Server

NAMES = ["one.csv", "sub/two.csv", "done.ready"]


class Target:
    """Where files go, seen past the store."""

    def __init__(self, folder, component, params):
        self.folder, self.component, self.params = Path(folder), component, params

    def files(self):
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()
        }

    def clear(self):
        for name in self.files():
            (self.folder / name).unlink()


@pytest.fixture(params=["local", "sftp", "s3"])
def target(request, tmp_path):
    if request.param == "local":
        (tmp_path / "target").mkdir()
        yield Target(tmp_path / "target", "local", {"path": str(tmp_path / "target")})
    elif request.param == "sftp":
        (tmp_path / "sftp").mkdir()
        with started(OpenSshServer(tmp_path / "sftp")) as sshd:
            login = {"host": sshd.host, "port": sshd.port, "username": sshd.username}
            yield Target(sshd.root, "sftp", {**login, "privateKey": sshd.private_key, "hostKey": sshd.public_key})
    else:
        with started(S3Server()) as s3:
            bucket = s3.bucket("exports")
            keys = {"accessKey": s3.access_key, "secretKey": s3.secret_key}
            yield Target(
                s3._buckets / bucket, "amazon.s3", {"bucketName": bucket, "endpoint": s3.url, "region": "x", **keys}
            )


def export(command, folders, target):
    return command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        {**step("parse", "file.parse.json"), "next": ["one", "two", "ready"]},
        {**step("one", "file.format.dsv", fileName=NAMES[0]), "next": ["write"]},
        {**step("two", "file.format.dsv", fileName=NAMES[1]), "next": ["write"]},
        {**step("ready", "file.empty", fileName=NAMES[2]), "next": ["write"]},
        step("write", f"datasource.write.{target.component}", **target.params),
    )


@pytest.mark.long
def test_files_are_published_once_whenever_the_job_is_killed(command, folders, accounts, target):
    flow = export(command, folders, target)
    journal, report = folders / "journal", folders / "report.json"
    options = ("--journal", journal, "--report", report, "--quiet")
    with Killable(command.environ) as killable:
        code, moments = killable.run("run", flow, *options, only=["publish", "write_whole"])
        assert code == 0
        expected = target.files()
        assert set(expected) == set(NAMES)
        assert moments >= 2 * len(NAMES) + 4
        for moment in range(1, moments + 1):
            target.clear()
            for path in journal.iterdir():
                path.unlink()
            killed, _ = killable.run("run", flow, *options, kill_at=moment, only=["publish", "write_whole"])
            assert killed == -9
            after = target.files()
            published = [name for name in NAMES if name in after]
            assert published == NAMES[: len(published)], "in their order"
            if (journal / "intents.json").exists():
                # Even without its source: everything is staged.
                (folders / "in" / "accounts.jsonl").rename(folders / "moved")
            code, _ = killable.run("run", flow, *options)
            if (folders / "moved").exists():
                (folders / "moved").rename(folders / "in" / "accounts.jsonl")
            assert code == 0, f"at moment {moment}"
            assert target.files() == expected, f"at moment {moment}"
            shown = json.loads(report.read_text())
            assert [file["name"] for file in shown["files"]] == NAMES
            assert shown["steps"]["write"]["out"] == 3 * len(accounts) - len(accounts)
            assert {path.name for path in journal.iterdir()} == {"job.json", "lock", "plan.json", "result.json"}


def killed_between_names(command, folders, killable, flow):
    """A journal of a job that was killed when its first file had its name."""
    options = ("--journal", folders / "journal", "--quiet")
    killed, _ = killable.run("run", flow, *options, kill_at=2, only=["publish"])
    assert killed == -9
    return options


def test_an_upload_that_is_gone_is_told_and_not_made_up(command, folders, accounts):
    target = Target(folders / "out", "local", {"path": str(folders / "out")})
    flow = export(command, folders, target)
    with Killable(command.environ) as killable:
        options = killed_between_names(command, folders, killable, flow)
        [upload] = [path for path in (folders / "out" / "sub").iterdir() if path.name.endswith(".uploading")]
        upload.unlink()
        outcome = command.run(flow, *options[:2])
    assert outcome.code == 1
    assert outcome.report["error"]["code"] == "LB-7008"
    assert "sub/two.csv" in outcome.err


def test_another_job_does_not_take_staged_files_for_abandoned(command, folders, accounts):
    target = Target(folders / "out", "local", {"path": str(folders / "out")})
    flow = export(command, folders, target)
    with Killable(command.environ) as killable:
        options = killed_between_names(command, folders, killable, flow)
        other = command.flow(
            step("read", "datasource.read.local", path=str(folders / "in")),
            step("parse", "file.parse.json"),
            step("json", "file.format.json", fileName="sub/other.json"),
            step("write", "datasource.write.local", path=str(folders / "out")),
            name="other",
        )
        assert command.run(other).code == 0
        assert command.run(flow, *options).code == 0
    assert set(target.files()) == {*NAMES, "sub/other.json"}


def test_a_finished_job_is_not_run_again(command, folders, accounts):
    target = Target(folders / "out", "local", {"path": str(folders / "out")})
    flow = export(command, folders, target)
    first = command.run(flow, "--journal", folders / "journal")
    target.clear()
    again = command.run(flow, "--journal", folders / "journal")
    assert (again.code, again.report) == (0, first.report)
    assert target.files() == {}


def test_a_journal_of_another_dataflow_is_refused(command, folders, accounts):
    target = Target(folders / "out", "local", {"path": str(folders / "out")})
    journal = folders / "journal"
    assert command.run(export(command, folders, target), "--journal", journal).code == 0
    other = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("write", "datasource.write.local", path=str(folders / "out")),
        name="other",
    )
    outcome = command.run(other, "--journal", journal)
    assert (outcome.code, outcome.report["error"]["code"]) == (1, "LB-7006")


def test_a_full_disk_ends_the_job_with_a_clear_error(command, folders, accounts):
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("parse", "file.parse.json"),
        step("write", "datasource.write.gigya.account", url="http://127.0.0.1:1", apiKey="a", userKey="u", secret="c"),
    )
    journal = folders / "journal"
    (journal / "writer-2").mkdir(parents=True)
    (journal / "writer-2" / "records.arrow.partial").symlink_to("/dev/full")
    outcome = command.run(flow, "--journal", journal)
    assert outcome.code == 1
    assert outcome.report["error"]["code"] == "LB-7001"
    assert outcome.report["error"]["step"] == "write"
