"""Which host names are answered, how large a request may be, and the headers of replies."""

import socket
import urllib.parse
from datetime import UTC, datetime, timedelta

import pytest

from landbridge.jobs.tokens import SessionLife
from tests.contract.api.house import House


def test_replies_carry_the_headers_that_browsers_need(house):
    for reply in (
        house.api("viewer").get("/session"),
        house.api().get("/session"),
        house.api().get("/healthz", root=""),
    ):
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert reply.headers["Cache-Control"] == "no-store"
        assert "Strict-Transport-Security" not in reply.headers
        assert "Server" not in reply.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8650", "127.0.0.1.evil.example", "", "10.0.0.1", "[::2]"]
)
def test_a_host_name_that_is_not_this_machine_is_refused(house, host):
    reply = house.api("admin").get("/users", headers={"Host": host})
    assert (reply.status, reply.code) == (421, "LB-8005")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8650", "[::1]", "[::1]:8650"])
def test_this_machine_is_known_by_its_names(house, host):
    assert house.api("admin").get("/users", headers={"Host": host}).status == 200


def test_a_name_that_was_given_is_answered(tmp_path):
    life = SessionLife(whole=timedelta(hours=1))
    with House(tmp_path, host_names=["landbridge.example"], sessions=life) as house:
        assert house.api("admin").get("/users", headers={"Host": "Landbridge.example:443"}).status == 200
        browser, _ = house.browser()
        lasts = datetime.fromisoformat(browser.get("/session").json["expires"]) - datetime.now(UTC)
        assert lasts < timedelta(hours=1)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(house):
    reply = house.api("admin").post("/users", b"", headers={"Content-Length": str(9 << 20)})
    assert (reply.status, reply.code) == (413, "LB-8010")


@pytest.mark.parametrize("before", [b"GET /", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_headers_without_end_are_not_kept(house, before):
    parts = urllib.parse.urlsplit(house.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(before)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012 - it takes some of them
            for _ in range(200):
                connection.sendall(b"x" * 65_536)


def test_a_body_of_unknown_length_is_cut_off_where_it_is_too_large(house):
    parts = urllib.parse.urlsplit(house.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        head = f"POST /api/v1/users HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        head += f"Authorization: Bearer {house.state.token('admin')}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        # One byte too many, and no more: what is on the way when a server hangs up may take its answer along.
        for _ in range(8):
            connection.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        connection.sendall(b"1\r\n \r\n")
        reply = connection.recv(4096)
    assert reply.startswith(b"HTTP/1.1 413 ")
