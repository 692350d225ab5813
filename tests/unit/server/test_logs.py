"""The log of the service: lines that programs read, without secrets."""

import json
import logging
import sys
import threading

import pytest

from landbridge.errors import ConnectionFailed, StorageError
from landbridge.jobs.outage import Outage
from landbridge.server import logs
from landbridge.server.logs import LogFormat


@pytest.fixture
def written(capsys, monkeypatch):
    """What a logger writes, as JSON or text."""
    root, own = logging.getLogger(), logging.getLogger("landbridge")
    before = (list(root.handlers), root.level, own.level)

    def lines(work, log_format=LogFormat.JSON):
        logs.install(log_format)
        work(logging.getLogger("landbridge.test"))
        return capsys.readouterr().err.splitlines()

    yield lines
    root.handlers[:], level, own_level = before
    root.setLevel(level)
    own.setLevel(own_level)


def test_a_line_tells_when_where_and_what_it_is_about(written):
    facts = {"job": "j1", "dataflow": "d1", "step": None, "code": "LB-2201"}
    [line] = written(lambda log: log.warning("job %s: ü\n", "j1", extra=facts))
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "warning",
        "logger": "landbridge.test",
        "message": "job j1: ü\n",
        "job": "j1",
        "dataflow": "d1",
        "code": "LB-2201",
    }


def test_an_error_of_ours_tells_its_code_and_step(written):
    error = ConnectionFailed("LB-2101", "no answer", step="write")

    def work(log):
        log.error("not sent: %s", error)
        try:
            raise error
        except ConnectionFailed:
            log.exception("failed")

    told = [json.loads(line) for line in written(work)]
    assert [(each["code"], each["step"]) for each in told] == [("LB-2101", "write")] * 2
    assert "Traceback" in told[1]["exception"]


@pytest.mark.parametrize("log_format", LogFormat)
def test_the_credentials_of_the_own_site_are_in_no_line(written, monkeypatch, log_format):
    monkeypatch.setenv("LANDBRIDGE_SITE_SECRET", "own-site-secret")

    def work(log):
        log.error("with %s", "own-site-secret")
        try:
            raise ValueError("own-site-secret")
        except ValueError:
            log.exception("failed")

    lines = written(work, log_format)
    assert "********" in lines[0]
    assert "own-site-secret" not in "".join(lines)


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_name_with_line_breaks_does_not_pass_for_a_line(written, log_format):
    forged = "x\n2026-11-22 08:00:00 INFO landbridge.access: all is well\r\x1b[2K"
    lines = written(lambda log: log.warning('of "%s"', forged), log_format)
    begun = [line for line in lines if not line.startswith(" ")]
    assert len(begun) == 1
    assert not any(character in "".join(lines) for character in "\r\x1b")


def test_libraries_tell_warnings_only(written):
    def work(log):
        log.info("ours")
        logging.getLogger("library").info("theirs")
        logging.getLogger("library").warning("theirs, too")

    assert [json.loads(line)["message"] for line in written(work)] == ["ours", "theirs, too"]


def test_what_nobody_catches_and_what_the_queue_says_are_lines_like_the_others(written):
    from dbos._logger import dbos_logger, init_logger

    def work(log):
        init_logger()
        dbos_logger.warning("Exception encountered\nin two lines")
        with logs.uncaught_too():
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
            sys.excepthook(*_raised())

    told = [json.loads(line) for line in written(work)]
    assert [(each["logger"], each["level"]) for each in told] == [
        ("dbos", "warning"),
        ("landbridge.service", "critical"),
        ("landbridge.service", "critical"),
    ]
    assert all("ZeroDivisionError" in each["exception"] for each in told[1:])


def test_while_the_database_is_away_only_one_speaks_of_it(capsys, written):
    outage = Outage()

    def work(log):
        logs.install(LogFormat.JSON, outage=outage)
        outage.failed("connection refused")
        log.warning("not kept: %s", StorageError("LB-7501", "the database cannot be used"))
        logging.getLogger("dbos").warning("Database connection failed")
        log.warning("not sent: %s", ConnectionFailed("LB-2101", "no answer"))

    told = [json.loads(line) for line in written(work)]
    assert [(each["logger"], each["code"]) for each in told] == [
        ("landbridge.database", "LB-7501"),
        ("landbridge.test", "LB-2101"),
    ]


def _raised():
    try:
        return 1 / 0
    except ZeroDivisionError:
        return sys.exc_info()
