"""A job that is killed at any point leaves nothing a consumer would pick up, and the next one delivers exactly once.

``LANDBRIDGE_KILLS=50`` kills it as often.
"""

import contextlib
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
MOST = 5
"""So many times the kills are tried: a process may have ended before."""
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


def wait_for_a_moment(process, root, *, size, chance):
    """Until none of the file is there yet, or some part of it, or all; and then a little."""
    before, part = set(root.iterdir()), chance.uniform(-0.2, 1.1)
    enough = size * min(max(part, 0.0), 1.0)
    while process.poll() is None and arrived(root, before) < enough:
        time.sleep(0.0005)
    time.sleep(chance.uniform(0, 0.8 if part < 0 else 0.02))


def arrived(root, before):
    """Bytes of files that were not there before."""
    total = 0
    for path in set(root.iterdir()) - before:
        with contextlib.suppress(FileNotFoundError):  # it just gets another name
            total += path.stat().st_size
    return total


@pytest.mark.long
@pytest.mark.timeout(400)
def test_kills_leave_no_partial_file_and_the_rerun_delivers_one(tmp_path, sshd):
    command = Command(tmp_path)
    flow = upload_flow(command, tmp_path, sshd)
    delivered = sshd.root / FINAL
    assert command.run(flow).code == 0
    size = delivered.stat().st_size
    delivered.unlink()
    killed = cut_off = 0
    for number in range(MOST * KILLS):
        before = set(sshd.root.iterdir())
        process = command.start("run", flow, "--quiet")
        wait_for_a_moment(process, sshd.root, size=size, chance=random.Random(number))
        process.kill()
        process.communicate(timeout=60)
        killed += process.returncode == -9
        names = [path.name for path in sshd.root.iterdir()]
        cut_off += any(path.name.startswith(".") for path in set(sshd.root.iterdir()) - before)
        assert [name for name in names if not name.startswith(".")] in ([], [FINAL])
        if FINAL in names:
            check(delivered)
            delivered.unlink()
        if killed >= KILLS and cut_off:
            break
    assert killed >= KILLS
    assert cut_off, "no kill has hit an upload"
    assert command.run(flow).code == 0
    assert [path.name for path in sshd.root.iterdir()] == [FINAL], "the next job removes what dead ones left"
    check(sshd.root / FINAL)
