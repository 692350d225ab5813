"""Bad input is one clear error with step, cause and next action; nothing half-written, no traceback."""

import gzip
import json
import os
import re
import subprocess

import pytest

from tests.integration.command import step
from tests.servers import free_port
from tests.servers.embedded_sftp import EmbeddedSftpServer


def chain(folders, *middle, source=None, target=None):
    return (
        source or step("read", "datasource.read.local", path=str(folders / "in")),
        *middle,
        target or step("write", "datasource.write.local", path=str(folders / "out")),
    )


def failed(outcome, folders, *texts, code):
    assert outcome.code == 1, outcome.err
    assert f"[{code}]" in outcome.err, outcome.err
    for text in texts:
        assert text in outcome.err, outcome.err
    assert list((folders / "out").iterdir()) == []


def test_a_flow_that_is_not_json(command, folders):
    flow = folders / "flow.json"
    flow.write_text('{"name": "x",\n "steps": [}')
    failed(command.run(flow), folders, "line 2", code="LB-1001")


def test_a_flow_that_is_missing(command, folders):
    failed(command.run(folders / "none.json"), folders, "none.json", code="LB-1002")


def test_an_unknown_component(command, folders):
    flow = command.flow(*chain(folders, step("p", "file.parse.jsn"), step("f", "file.format.json", fileName="a")))
    failed(command.run(flow), folders, 'step "p"', "file.parse.json", code="LB-1101")


def test_a_wrong_parameter_type(command, folders):
    flow = command.flow(
        *chain(folders, step("p", "file.parse.json"), step("f", "file.format.json", fileName="a", maxFileSize="big"))
    )
    failed(command.run(flow), folders, 'step "f"', "maxFileSize", code="LB-1073")


@pytest.mark.parametrize("place", ["none/report.json", "in"])
def test_a_report_that_cannot_be_written_is_told_before_the_job(command, folders, place):
    flow = command.flow(step("f", "file.empty", fileName="marker"), chain(folders)[-1])
    outcome = command("run", flow, "--report", folders / place)
    assert outcome.code == 2
    assert "--report" in outcome.err
    assert list((folders / "out").iterdir()) == []


def test_a_place_that_this_machine_refuses_is_an_error_and_no_traceback(command, folders):
    (folders / "file").touch()
    outcome = command("demo", "--people", "1", "--folder", folders / "file" / "demo")
    assert outcome.code == 1
    assert "[LB-7002]" in outcome.err
    assert "Traceback" not in outcome.err


def test_every_problem_is_shown_at_once(command, folders):
    flow = command.flow(*chain(folders, step("p", "file.parse.jsn"), step("f", "file.format.json")))
    outcome = command.run(flow)
    assert outcome.code == 1
    assert "file.parse.jsn" in outcome.err
    assert "fileName" in outcome.err


def test_a_missing_folder(command, folders):
    flow = command.flow(*chain(folders, source=step("read", "datasource.read.local", path=str(folders / "nowhere"))))
    outcome = command.run(flow)
    assert outcome.code == 1
    assert "nowhere" in outcome.err
    assert 'step "read"' in outcome.err


def test_an_unreachable_host(command, folders, accounts):
    target = step("write", "datasource.write.sftp", host="127.0.0.1", port=free_port(), username="u", password="p")
    outcome = command.run(command.flow(*chain(folders, target=target)))
    assert outcome.code == 1
    assert 'step "write"' in outcome.err
    assert "127.0.0.1" in outcome.err
    assert "LB-2" in outcome.err or "LB-3" in outcome.err
    assert ": Connection refused  [" in outcome.err
    assert "Connect call failed" not in outcome.err


@pytest.fixture
def sftp(tmp_path):
    (tmp_path / "sftp").mkdir()
    with EmbeddedSftpServer(tmp_path / "sftp") as embedded:
        yield embedded.server


def sftp_step(server, **params):
    known = {"host": server.host, "port": server.port, "username": server.username, "password": server.password}
    return step("write", "datasource.write.sftp", **{**known, "hostKey": server.public_key, **params})


def test_a_refused_password_is_not_shown(command, folders, accounts, sftp, tmp_path):
    outcome = command.run(command.flow(*chain(folders, target=sftp_step(sftp, password="hunter2-wrong"))), "--debug")
    assert outcome.code == 1
    assert 'step "write"' in outcome.err
    assert "hunter2-wrong" not in outcome.err + json.dumps(outcome.report)
    assert re.search(r"INFO asyncssh: .*Auth failed", outcome.err)
    assert list((tmp_path / "sftp").iterdir()) == []


def test_an_unknown_host_key_is_refused_until_it_is_pinned(command, folders, accounts, sftp):
    flow = command.flow(*chain(folders, target=sftp_step(sftp, hostKey="")))
    refused = command.run(flow)
    assert refused.code == 1
    [line] = [line for line in refused.err.splitlines() if "landbridge connections pin" in line]
    arguments = line[line.index("connections") :].split()
    pinned = command(*arguments)
    assert pinned.code == 0, pinned.err
    assert command.run(flow).code == 0
    assert (sftp.root / "accounts.jsonl").exists()


def test_a_changed_host_key_stops_the_job(command, folders, accounts, sftp, tmp_path):
    with EmbeddedSftpServer(tmp_path / "other") as other:
        flow = command.flow(*chain(folders, target=sftp_step(sftp, hostKey=other.server.public_key)))
        outcome = command.run(flow)
    assert outcome.code == 1
    assert "SHA256:" in outcome.err
    assert list((tmp_path / "sftp").iterdir()) == []


def test_a_truncated_gzip(command, folders):
    whole = gzip.compress(b'{"a": 1}\n' * 100_000)
    (folders / "in" / "a.gz").write_bytes(whole[: len(whole) // 2])
    flow = command.flow(
        *chain(
            folders,
            step("g", "file.uncompress.gzip"),
            step("p", "file.parse.json"),
            step("f", "file.format.json", fileName="a"),
        )
    )
    failed(command.run(flow), folders, 'step "g"', "a.gz", code="LB-4402")


def test_a_damaged_json_array(command, folders):
    (folders / "in" / "a.json").write_text('[{"a": 1}, {"a": 2')
    flow = command.flow(*chain(folders, step("p", "file.parse.json"), step("f", "file.format.json", fileName="a")))
    failed(command.run(flow), folders, 'step "p"', "a.json", code="LB-4105")


def test_wrong_usage_is_exit_code_2(command, folders):
    assert command("run").code == 2
    assert command("run", "x.json", "--limit", "0").code == 2
    flow = command.flow(*chain(folders))
    assert command("run", flow, "--set", "novalue").code == 2


def test_a_full_disk_is_named_and_nothing_is_left(command, folders):
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    target = folders / "out"
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", target], check=False, capture_output=True
    )
    if mount.returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        (folders / "in" / "a.bin").write_bytes(os.urandom(2_000_000))
        outcome = command.run(command.flow(*chain(folders)))
        assert outcome.code == 1
        assert "full" in outcome.err
        assert list(target.iterdir()) == []
    finally:
        subprocess.run(["umount", target], check=True)


def test_a_wrong_dataflow_is_drawn_and_what_cannot_be_read_of_it_is_told(command, folders):
    steps = [step("a", "datasource.read.local") | {"next": ["b"]}, step("b", "file.parse.json"), step("b", "x")]
    flow = folders / "flow.json"
    flow.write_text(json.dumps({"name": "twice", "steps": steps}))
    outcome = command("show", flow)
    assert outcome.code == 0
    assert outcome.out == "a  datasource.read.local\nb  file.parse.json\n"
    assert "LB-1008" in outcome.err
