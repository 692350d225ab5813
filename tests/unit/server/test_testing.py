"""Tests of far sides: what becomes of one that does not end."""

import multiprocessing
import socket
import threading
import time

import anyio
import pytest

from landbridge.dataflow import Dataflow
from landbridge.dataflow.connections import Connected
from landbridge.errors import StorageError
from landbridge.jobs.probing import Probe
from landbridge.server.api import testing

EOF_TIMEOUT_S = 15


@pytest.fixture
def silent():
    """A server that lets everybody in and never says a word; gives a probe of it, those who came, and
    whether somebody has."""
    came, somebody = [], threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    came.append(server.accept()[0])
                    somebody.set()
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        params = {"host": "127.0.0.1", "port": server.getsockname()[1], "username": "u", "password": "p"}
        step = {"id": "s", "type": "datasource.read.sftp", "params": {**params, "remotePath": "/"}}
        flow, _ = Dataflow.from_json({"name": "silent", "steps": [step]})
        yield Probe.of([Connected(flow)], connection="s"), came, somebody
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for each in came:
        each.close()


def ended(connection):
    """Wait until the other side of a connection has let go of it."""
    connection.settimeout(EOF_TIMEOUT_S)
    try:
        while connection.recv(4096):
            continue
    except ConnectionResetError:
        pass


def test_a_test_that_does_not_end_is_killed_and_answered_like_a_service_that_is_busy(silent):
    probe, came, somebody = silent
    with pytest.raises(StorageError, match=r"takes too long.*LB-7508"):
        anyio.run(testing.Tests(whole_timeout_s=2).run, probe)
    assert multiprocessing.active_children() == []
    if somebody.is_set():  # the process has come so far before
        ended(came[0])


def test_a_test_that_nobody_waits_for_any_more_is_killed(silent):
    probe, came, somebody = silent

    async def abandon():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(testing.Tests(whole_timeout_s=60).run, probe)
            await anyio.to_thread.run_sync(somebody.wait, 15)
            tasks.cancel_scope.cancel()

    anyio.run(abandon)
    began = time.monotonic()
    ended(came[0])
    assert time.monotonic() - began < 30, "its own time-out is a minute"


def test_a_far_side_that_says_nothing_is_a_finding(silent):
    found = anyio.run(testing.Tests(timeout_s=0.5).run, silent[0])
    assert [(each.what, each.verdict) for each in found.findings] == [("time", "failed")]
    assert not found.ok
