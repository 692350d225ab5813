"""Clients that send or read too slowly, or come in crowds, keep nobody else out."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from landbridge.jobs import db_jobs, db_rejects
from landbridge.jobs.db_jobs import NewJob
from landbridge.jobs.db_rejects import NewReject
from landbridge.server import service as services
from landbridge.server.hardening import Room
from landbridge.server.http_protocol import ConnectionLimits
from tests.contract.api.house import House
from tests.contract.idx.flows import lines

CONNECTIONS = 12
HEADERS_S = 0.8
BODY_S = 0.8
REST_S = BODY_S + 4
WRITE_S = 0.8
PATIENCE_S = 40  # much more than any limit here: who is cut off later was not cut off
LIMITS = ConnectionLimits(
    connections=CONNECTIONS, headers_timeout_s=HEADERS_S, body_timeout_s=REST_S, write_timeout_s=WRITE_S
)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("slow"), connections=LIMITS, body_timeout_s=BODY_S) as house:
        yield house


def address(url):
    host, _, port = url.partition("://")[2].partition(":")
    return host, int(port)


@contextmanager
def connected(url, *, receive_buffer=None):
    with socket.socket() as client:
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(PATIENCE_S)
        client.connect(address(url))
        yield client


def rest(client):
    """All that comes until the service closes the connection."""
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionError:
        pass
    return found


def is_cut_off(client, timeout_s=PATIENCE_S):
    """Whether the service's end of the connection goes, with all that the system keeps for it; nothing is read."""
    try:
        theirs, ours = client.getpeername()[1], client.getsockname()[1]
    except OSError:
        return True  # it has told so
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        pairs = [line.split()[1:3] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ports = [tuple(int(end.partition(":")[2], 16) for end in pair) for pair in pairs]
        if (theirs, ours) not in ports:
            return True
        time.sleep(0.1)
    return False


def drip(client, text=b"x", pause_s=0.1):
    """Send a byte now and then until the service closes the connection; gives what it said."""
    began, found = time.monotonic(), b""
    client.settimeout(pause_s)
    while time.monotonic() - began < PATIENCE_S:
        try:
            client.sendall(text)
            part = client.recv(65536)
            if not part:
                return found
            found += part
        except TimeoutError:
            continue
        except ConnectionError:
            return found
    pytest.fail(f"the connection is still open after {PATIENCE_S} s")


def answers(house):
    return house.api("viewer").get("/session").status == 200


# -- sending -----------------------------------------------------------------------------------------------------------


def test_who_says_nothing_is_cut_off(house):
    with connected(house.url) as client:
        began = time.monotonic()
        assert rest(client) == b""
        assert time.monotonic() - began > HEADERS_S * 0.9


@pytest.mark.parametrize("begin", [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ", b"G", b"\r\n"])
def test_headers_that_come_byte_by_byte_are_cut_off(house, begin):
    with connected(house.url) as client:
        client.sendall(begin)
        drip_of = b"\r\n" if begin == b"\r\n" else b"x"
        found = drip(client, drip_of)
        assert b"HTTP/1.1 200" not in found


def test_the_headers_of_a_later_request_have_the_same_time(house):
    with connected(house.url) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nX-A: ")
        found = drip(client)
        assert found.count(b"HTTP/1.1 200") == 1


def test_who_sends_one_request_after_the_other_is_not_cut_off(house):
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(house.url) as client:
        ends = time.monotonic() + 2 * HEADERS_S
        while time.monotonic() < ends:
            client.sendall(request[:20])
            time.sleep(0.1)
            client.sendall(request[20:])
            assert client.recv(65536).startswith(b"HTTP/1.1 200")


def post(path, *, length=5000, headers=""):
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n".encode()


def test_a_body_that_comes_byte_by_byte_is_refused_in_time(house):
    token = house.state.token("admin")
    for path in ("/api/v1/session", "/api/v1/setup", "/api/v1/dataflows", "/api/v1/templates/demo-out/fill"):
        with connected(house.url) as client:
            client.sendall(post(path, headers=f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"))
            found = drip(client)
            assert found.startswith(b"HTTP/1.1 408"), (path, found)
            assert b"LB-8011" in found


def test_the_body_of_a_call_to_idx_has_the_same_time(house):
    with connected(house.url) as client:
        client.sendall(post("/idx.search", headers="Content-Type: application/x-www-form-urlencoded\r\n"))
        found = drip(client)
        assert b'"errorCode": 408001' in found.replace(b'":4', b'": 4'), found


def test_a_body_that_nobody_reads_any_more_is_not_waited_for(house):
    with connected(house.url) as client:
        client.sendall(post("/api/v1/dataflows"))
        found = drip(client)
        assert found.startswith(b"HTTP/1.1 401")


def test_bodies_have_so_much_room_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "Room", lambda: Room(3 << 20))
    part = b"x" * (1 << 20)
    with House(tmp_path, body_timeout_s=PATIENCE_S) as house, ExitStack() as stack:
        for path in ("/api/v1/session", "/idx.search"):
            clients = [stack.enter_context(connected(house.url)) for _ in range(5)]
            for client in clients:
                client.sendall(post(path, length=4 << 20) + part)
            # Which of them come first is for the system to say.
            refused = [found for client in clients if (found := said(client))]
            assert 1 <= len(refused) < len(clients)
            assert all(b"LB-7508" in each or b"500001" in each for each in refused), refused
            for client in clients:
                client.close()
            deadline = time.monotonic() + PATIENCE_S
            while house.api("viewer").post("/templates/demo-out/fill", {"x": "y" * (2 << 20)}).status == 503:
                assert time.monotonic() < deadline, "the room is given back"
                time.sleep(0.05)


def said(client):
    """What the service says within a moment; nothing while it waits for more."""
    client.settimeout(0.5)
    try:
        return client.recv(65536)
    except TimeoutError:
        return b""


# -- crowds ------------------------------------------------------------------------------------------------------------


def test_of_a_crowd_some_are_told_to_come_again_and_the_others_keep_nobody_out(house):
    with ExitStack() as stack:
        crowd = [stack.enter_context(connected(house.url)) for _ in range(3 * CONNECTIONS)]
        refused = 0
        for client in crowd[CONNECTIONS:]:
            refused += b"LB-7508" in (found := rest(client)) and found.startswith(b"HTTP/1.1 503")
        assert refused >= CONNECTIONS
        deadline = time.monotonic() + PATIENCE_S
        while not answers_now(house):
            assert time.monotonic() < deadline, "silent connections are cut off"


def answers_now(house):
    try:
        return answers(house)
    except (OSError, ValueError):
        return False


# -- reading -----------------------------------------------------------------------------------------------------------


def test_who_does_not_read_replies_is_cut_off(house):
    token = house.state.token("viewer")
    request = f"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    size = len(house.api("viewer").get("/openapi.json").body)
    count = (8 << 20) // size + 2
    with connected(house.url, receive_buffer=4096) as client:
        client.settimeout(0.2)
        with suppress(TimeoutError, ConnectionError):
            client.sendall(request * count)
        assert is_cut_off(client)
    assert answers(house)


@pytest.fixture(scope="module")
def rejecting(house):
    """A job with 20 MB of rejects."""
    flow = house.state.add_flow(lines(name="rejecting"))
    with house.database.write() as tx:
        db_jobs.add(tx, NewJob("rejecting", flow, 1, "rejecting", "test"))
        sealed = house.service.vault.seal({"record": {"x": "y" * 20_000}})
        db_rejects.add(tx, "rejecting", "s", [NewReject(code="c", message="m", sealed=sealed)] * 1000)
    return "rejecting"


def test_an_export_that_is_not_read_holds_nothing_and_ends(house, rejecting):
    token = house.state.token("operator")
    begin = f"Host: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    request = f"GET /api/v1/jobs/{rejecting}/rejects/export HTTP/1.1\r\n{begin}".encode()
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(house.url, receive_buffer=4096)) for _ in range(CONNECTIONS - 2)]
        for client in clients:
            client.sendall(request)
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 200"
        assert answers(house), "no thread is held"
        with house.database.write() as tx:
            db_jobs.get(tx, rejecting)
        assert all(map(is_cut_off, clients))
    whole = house.api("operator").get(f"/jobs/{rejecting}/rejects/export").body
    assert whole.count(b"\n") == 1000


def test_events_that_are_not_read_are_cut_off_when_they_pile_up(house):
    token = house.state.token("viewer")
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    flow = house.state.add_flow(lines(name="eventful"))
    with connected(house.url, receive_buffer=4096) as client:
        client.sendall(request)
        assert client.recv(12) == b"HTTP/1.1 200"
        deadline = time.monotonic() + PATIENCE_S
        feed, number = house.app.state.feed, 0
        while feed._listeners:
            with house.database.write() as tx:
                for _ in range(400):
                    number += 1
                    db_jobs.add(tx, NewJob(f"event-{number}", flow, 1, "x" * 250, "y" * 200))
            assert time.monotonic() < deadline
            time.sleep(0.3)
        assert is_cut_off(client)
    assert answers(house)


def test_a_service_as_it_is_started_cuts_off_slow_clients(tmp_path):
    program = f"""
        from functools import partial
        from landbridge.server import service
        from landbridge.server.http_protocol import ConnectionLimits
        from landbridge.cli.app import main

        limits = ConnectionLimits(connections={CONNECTIONS}, headers_timeout_s={HEADERS_S})
        made = service.ServiceSettings
        service.ServiceSettings = lambda **given: made(**given | {{"connections": limits}})
        main()
    """
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LANDBRIDGE_")}
    arguments = ["serve", "--data", str(tmp_path / "data"), "--port", "0", "--grace", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        env={**environ, "LANDBRIDGE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            url = line.split()[-1]
            with ExitStack() as stack:
                crowd = [stack.enter_context(connected(url)) for _ in range(CONNECTIONS)]
                for client in crowd:
                    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
                began = time.monotonic()
                for client in crowd:
                    assert drip(client) == b""
                assert time.monotonic() - began < ConnectionLimits().headers_timeout_s, "the limits are the given ones"
            with connected(url) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert rest(client).startswith(b"HTTP/1.1 200")
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors, errors
