"""A job that is killed at any point leaves nothing a consumer would pick up, and the next one delivers exactly once.

``LANDBRIDGE_KILLS=50`` kills it as often.
"""

import gzip
import json
import os
import random
import time

import pytest

from tests.integration.command import Command, step
from tests.servers.openssh import OpenSshServer
from tests.servers.pytest_support import started

KILLS = int(os.environ.get("LANDBRIDGE_KILLS", "12"))
RECORDS = 20_000
FINAL = "accounts.csv.gz"


@pytest.fixture
def sshd(tmp_path):
    (tmp_path / "sftp").mkdir()
    with started(OpenSshServer(tmp_path / "sftp")) as server:
        yield server


def upload_flow(command, folder, sshd):
    with (folder / "accounts.jsonl").open("w") as file:
        for number in range(RECORDS):
            row = {
                "UID": f"u{number}",
                "profile": {"email": f"p{number}@example.com"},
                "data": {"token": random.random()},
            }
            file.write(json.dumps(row) + "\n")
    return command.flow(
        step("read", "datasource.read.local", path=str(folder), fileNameRegex=r"accounts\.jsonl"),
        step("parse", "file.parse.json"),
        step("rename", "field.rename", fields=[{"sourceField": "profile.email", "targetField": "EMAIL"}]),
        step("remove", "field.remove", fields=["profile"]),
        step("dsv", "file.format.dsv", fileName="accounts.csv"),
        step("gzip", "file.compress.gzip"),
        step(
            *("write", "datasource.write.sftp"),
            host=sshd.host,
            port=sshd.port,
            username=sshd.username,
            privateKey=sshd.private_key,
            hostKey=sshd.public_key,
        ),
    )


def check(path):
    """The delivered file is whole."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert len(lines) == RECORDS + 1
    assert {line.split(",")[0] for line in lines[1:]} == {f"u{number}" for number in range(RECORDS)}


@pytest.mark.long
@pytest.mark.timeout(400)
def test_kills_leave_no_partial_file_and_the_rerun_delivers_one(tmp_path, sshd):
    command = Command(tmp_path)
    flow = upload_flow(command, tmp_path, sshd)
    started_at = time.monotonic()
    assert command.run(flow).code == 0
    duration = time.monotonic() - started_at
    killed = 0
    for number in range(KILLS):
        delivered = sshd.root / FINAL
        delivered.unlink(missing_ok=True)
        process = command.start("run", flow, "--quiet")
        # From the middle of the start-up on: earlier there is nothing to break.
        time.sleep(random.Random(number).uniform(0.4, 1.05) * duration)
        process.kill()
        process.communicate(timeout=60)
        killed += process.returncode == -9
        if delivered.exists():
            check(delivered)
        visible = [path.name for path in sshd.root.iterdir() if not path.name.startswith(".")]
        assert visible in ([], [FINAL])
    assert killed > KILLS / 2
    assert command.run(flow).code == 0
    assert [path.name for path in sshd.root.iterdir()] == [FINAL], "the next job removes what dead ones left"
    check(sshd.root / FINAL)
