"""A job that is killed in the middle of an upload leaves nothing that a consumer would take for a file."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from landbridge.remote.local import LocalStore
from landbridge.remote.publish import Store
from landbridge.remote.sftp import SftpStore
from landbridge.remote.sftp_session import SftpLogin
from tests.crash.upload_until_killed import FILE_BYTES, VERSION_BYTES
from tests.servers.openssh import OpenSshServer
from tests.servers.process import ROOT
from tests.servers.pytest_support import started
from tests.servers.s3 import S3Server

KILLS = 25
MOST = 20 * KILLS
"""Kills until each outcome was met: how far an upload gets in a while depends on what else the machine does."""


@contextmanager
def victims() -> Iterator[subprocess.Popen[str]]:
    """The process that gives us one to kill for each line."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crash.upload_until_killed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=60)


def kill_one(process: subprocess.Popen[str], where: dict[str, Any], *, after_s: float) -> None:
    """Let a child upload for a while, then kill it, and wait until it is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(where) + "\n")
    process.stdin.flush()
    child = int(process.stdout.readline())
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    while Path(f"/proc/{child}").exists():
        time.sleep(0.002)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def assert_whole(data: bytes, name: str) -> None:
    assert len(data) == FILE_BYTES, f"{name} has {len(data)} bytes"
    assert data == data[:VERSION_BYTES] * (FILE_BYTES // VERSION_BYTES), f"{name} is mixed"


def kill_many_times(where: dict[str, Any], folder: Path, *, longest_life_s: float) -> None:
    """Kill uploads at random moments and look at the folder each time."""
    chance = random.Random(os.environ.get("LANDBRIDGE_TEST_SEED", "1"))
    left = whole = round_number = 0
    with victims() as process:
        while round_number < KILLS or (round_number < MOST and not (left and whole)):
            round_number += 1
            round_where = {**where, "first_version": round_number * 1000}
            kill_one(process, round_where, after_s=chance.uniform(0.02, longest_life_s))
            for path in files_below(folder):
                if path.name.startswith("."):
                    left += 1
                else:
                    assert_whole(path.read_bytes(), path.name)
                    whole += 1
                    if path.name != "latest.bin":
                        path.unlink()  # looked at once is enough
            if not whole:
                longest_life_s *= 1.1
    assert left > 0, "no upload was killed half-way: the test proved nothing"
    assert whole > 0, "no upload was finished: the test proved nothing"


async def clean(store: Store) -> None:
    await store.clean()
    upload = await store.create("success/next.bin")
    await upload.discard()


def test_killed_uploads_to_a_folder_leave_no_partial_file_and_the_next_job_cleans_up(tmp_path: Path) -> None:
    kill_many_times({"kind": "local", "folder": str(tmp_path)}, tmp_path, longest_life_s=0.2)

    async def next_job() -> None:
        async with LocalStore(tmp_path) as store:
            await clean(store)

    asyncio.run(next_job())
    assert [path.name for path in files_below(tmp_path)] == ["latest.bin"]


def test_killed_uploads_to_openssh_leave_no_partial_file_and_the_next_job_cleans_up(tmp_path: Path) -> None:
    folder = tmp_path / "upload"
    folder.mkdir()
    with started(OpenSshServer(tmp_path)) as server:
        login = SftpLogin(
            host=server.host,
            port=server.port,
            username=server.username,
            private_key=server.private_key,
            host_key=server.fingerprint,
        )
        where = {"kind": "sftp", "login": asdict(login), "folder": "upload"}
        kill_many_times(where, folder, longest_life_s=0.8)

        async def next_job() -> None:
            async with SftpStore(login, folder="upload") as store:
                await clean(store)

        asyncio.run(next_job())
    assert [path.name for path in files_below(folder)] == ["latest.bin"]


def test_killed_uploads_to_s3_leave_no_partial_object() -> None:
    chance = random.Random(2)
    with started(S3Server()) as server, victims() as process:
        bucket = server.bucket("exports")
        keys = {"access_key": server.access_key, "secret_key": server.secret_key}
        where = {"kind": "s3", "bucket": {"bucket": bucket, "endpoint": server.url, **keys}}
        client = S3Store(
            bucket,
            endpoint=server.url,
            region="us-east-1",
            access_key_id=server.access_key,
            secret_access_key=server.secret_key,
            client_options={"allow_http": True},
        )
        seen = round_number = 0
        while round_number < 8 or (round_number < MOST and not seen):
            round_number += 1
            round_where = {**where, "first_version": round_number * 1000}
            kill_one(process, round_where, after_s=chance.uniform(0.05, 0.5))
            for meta in obstore.list(client).collect():
                if not meta["path"].startswith("."):  # where this server itself keeps parts
                    assert_whole(bytes(client.get(meta["path"]).bytes()), meta["path"])
                    seen += 1
        assert seen > 0, "no object was published: the test proved nothing"
