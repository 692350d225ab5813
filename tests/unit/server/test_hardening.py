"""Hosts, bodies and headers, against applications that read their request in different ways."""

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse

from landbridge.server.hardening import Hardening, Limits, host_of, is_loopback

LIMIT = 1 << 20


def call(app, parts, *, limits=None, headers=(), path="/api/v1/x", delay_s=0.0, scheme="http"):
    """Send a body in parts to a hardened application; gives status, headers, body."""
    sent = []

    async def run():
        waiting = list(parts)

        async def receive():
            await anyio.sleep(delay_s)
            if not waiting:
                await anyio.sleep_forever()
            body = waiting.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(waiting)}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "scheme": scheme,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "server": ("127.0.0.1", 80),
        }
        with anyio.fail_after(60):
            await Hardening(app, limits=limits or Limits(max_body_bytes=LIMIT))(scope, receive, send)

    anyio.run(run)
    starts = [message for message in sent if message["type"] == "http.response.start"]
    assert len(starts) == 1
    found = {name.decode().lower(): value.decode() for name, value in starts[0]["headers"]}
    return starts[0]["status"], found, b"".join(message.get("body", b"") for message in sent)


async def reads_all(scope, receive, send):
    """As a framework does: the whole body, then an answer; what goes wrong while reading is a bad request."""
    request = Request(scope, receive)
    try:
        reply = JSONResponse({"bytes": len(await request.body())})
    except Exception:  # noqa: BLE001 - whatever it is
        reply = JSONResponse({"error": "bad request"}, status_code=400)
    await reply(scope, receive, send)


async def reads_nothing(scope, receive, send):
    await JSONResponse({"done": True})(scope, receive, send)


async def answers_at_length(scope, receive, send):
    """Streams a reply, and listens meanwhile whether the client goes away."""
    await Request(scope, receive).body()

    async def parts():
        for number in range(5):
            await anyio.sleep(0.05)
            yield f"{number}"

    await StreamingResponse(parts(), headers={"Cache-Control": "no-cache"})(scope, receive, send)


def test_a_body_up_to_the_limit_arrives():
    status, _, body = call(reads_all, [b"x" * (LIMIT // 2)] * 2)
    assert (status, body) == (200, b'{"bytes":%d}' % LIMIT)


@pytest.mark.parametrize("parts", [[b"x" * (LIMIT + 1)], [b"x" * LIMIT, b"x"], [b"x" * 1000] * 2000])
def test_a_body_over_the_limit_is_refused_whatever_the_application_says(parts):
    status, headers, body = call(reads_all, parts)
    assert status == 413
    assert b"LB-8010" in body
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 30])
def test_a_length_that_is_announced_is_refused_before_the_body(length):
    status, _, body = call(reads_all, [], headers=[("content-length", length)])
    assert (status, b"LB-8010" in body) == (413, True)


def test_a_body_that_does_not_arrive_is_not_waited_for():
    limits = Limits(body_timeout_s=0.2)
    status, _, body = call(reads_all, [b"x"] * 100, limits=limits, delay_s=0.05)
    assert (status, b"LB-8011" in body) == (408, True)


def test_a_long_answer_is_not_cut_off_by_the_time_of_the_body():
    status, headers, body = call(answers_at_length, [b"x"], limits=Limits(body_timeout_s=0.1))
    assert (status, body) == (200, b"01234")
    assert headers["cache-control"] == "no-cache"  # what a route says itself counts


def test_an_application_that_reads_nothing_answers():
    assert call(reads_nothing, [b"x" * (2 * LIMIT)])[0] == 200


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("landbridge.example", 200),
        ("LANDBRIDGE.example:8650", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:1", 200),
        ("localhost", 200),
        ("localhost.evil.example", 421),
        ("evil.example", 421),
        ("landbridge.example.evil", 421),
        ("landbridge.example:80:80", 421),
        ("", 421),
    ],
)
def test_only_the_names_that_were_given_are_answered(host, wanted):
    limits = Limits(hosts=["Landbridge.example"])
    assert call(reads_nothing, [b""], limits=limits, headers=[("host", host)])[0] == wanted
    assert call(reads_nothing, [b""], limits=limits, headers=[("host", host)], path="/healthz")[0] == 200
    assert call(reads_nothing, [b""], headers=[("host", host)])[0] == 200  # where any name is good


@pytest.mark.parametrize(
    ("scheme", "host", "wanted"),
    [("https", "landbridge.example", True), ("https", "localhost", False), ("http", "landbridge.example", False)],
)
def test_browsers_are_told_to_stay_with_https_where_they_came_by_it(scheme, host, wanted):
    _, headers, _ = call(reads_nothing, [b""], scheme=scheme, headers=[("host", host)])
    assert ("strict-transport-security" in headers) is wanted


@pytest.mark.parametrize(
    ("header", "host"),
    [("A.example:80", "a.example"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("::1", "::1"), ("10.0.0.1", "10.0.0.1")],
)
def test_a_host_is_read_without_its_port(header, host):
    assert host_of(header) == host


@pytest.mark.parametrize(
    ("host", "wanted"), [("127.8.8.8", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.1", False), ("x", False)]
)
def test_this_machine_is_known_by_its_addresses(host, wanted):
    assert is_loopback(host) is wanted
