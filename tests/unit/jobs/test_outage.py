"""A database that is away is told of once, now and then, and when it is back."""

import logging

import pytest

from landbridge.jobs.outage import LOGGER, Outage


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, logger=LOGGER)
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def test_an_outage_is_told_when_it_begins_each_minute_and_when_it_is_over(told):
    moment = 100.0
    outage = Outage(clock=lambda: moment)
    outage.worked()
    assert not outage.is_on
    for _ in range(130):  # seconds
        outage.failed("connection refused")
        outage.failed("connection refused")
        moment += 1
    assert outage.is_on
    outage.worked()
    outage.worked()
    assert told() == [
        ("ERROR", "the database is away; jobs, schedules and calls wait for it: connection refused"),
        ("ERROR", "the database is away for 60 s now: connection refused"),
        ("ERROR", "the database is away for 120 s now: connection refused"),
        ("WARNING", "the database is back after 130 s"),
    ]


def test_what_was_said_late_belongs_to_the_outage_and_a_new_one_is_told_again(told):
    moment = 0.0
    outage = Outage(clock=lambda: moment)
    outage.failed("a")
    outage.worked()
    assert outage.is_on
    moment = 60.0
    assert not outage.is_on
    outage.failed("b")
    assert [text for _, text in told()][-1].endswith(": b")
