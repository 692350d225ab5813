"""From a scheduling's JSON to a timetable: what is understood, and what is said about the rest."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from landbridge.dataflow.problems import DataflowError
from landbridge.dataflow.scheduling import Scheduling
from landbridge.jobs.clock import next_instants
from landbridge.jobs.timetable import ScheduleSettings, read_schedule

NOW = datetime(2026, 11, 22, 6, 0, 0, 607_000, tzinfo=UTC)


def schedule(**keys):
    return read_schedule(Scheduling.from_json({"dataflowId": "f", **keys}), created=NOW)


def problems(**keys):
    with pytest.raises(DataflowError) as caught:
        schedule(**keys)
    return [(problem.field, problem.message) for problem in caught.value.problems]


def test_without_settings_it_is_identitysync_in_utc():
    found = schedule(frequencyType="hour", frequencyInterval="12", nextJobStartTime="2021-12-01T10:03:14.607Z")
    assert found.timetable.start == datetime(2021, 12, 1, 10, 3, 14, tzinfo=UTC)
    assert found.timetable.zone == ZoneInfo("UTC")
    assert found.settings == ScheduleSettings()
    assert found.keep_updated is None


def test_a_scheduling_without_a_start_starts_when_it_is_made():
    assert schedule(frequencyType="once").timetable.start == NOW.replace(microsecond=0)


def test_all_settings_are_understood():
    found = schedule(
        frequencyType="week",
        daysOfWeek=["mon", "Thursday", "fr"],
        landbridge={
            "timeZone": "America/New_York",
            "timeOfDay": "06:30",
            "missingTime": "skip",
            "doubledTime": "both",
            "shortMonth": "skip",
            "whileRunning": None,
        },
    )
    table = found.timetable
    assert table.weekdays == {0, 3, 4}
    assert (table.zone.key, table.time_of_day) == ("America/New_York", time(6, 30))
    assert (table.missing_time, table.doubled_time, table.short_month) == ("skip", "both", "skip")
    assert found.settings.while_running == "queue"
    assert [f"{at:%a %H:%M}" for at in next_instants(table, NOW, 3)] == ["Mon 11:30", "Thu 11:30", "Fri 11:30"]


def test_a_cron_expression_replaces_the_frequency():
    found = schedule(frequencyType="once", landbridge={"cron": " 0  6 * * mon-fri ", "timeZone": "Europe/Zurich"})
    assert found.timetable.cron == "0 6 * * mon-fri"
    assert [f"{at:%a %H:%M}" for at in next_instants(found.timetable, NOW, 2)] == ["Mon 05:00", "Tue 05:00"]


@pytest.mark.parametrize(
    ("keys", "field", "message"),
    [
        ({"landbridge": 3}, "landbridge", "must be an object"),
        ({"landbridge": {"timezone": "UTC"}}, "landbridge.timezone", 'no setting "timezone"'),
        ({"landbridge": {"timeZone": "Europe/Zurch"}}, "landbridge.timeZone", 'Did you mean "Europe/Zurich"?'),
        ({"landbridge": {"timeZone": "../../etc/passwd"}}, "landbridge.timeZone", "must be a time zone"),
        ({"landbridge": {"timeZone": 5}}, "landbridge.timeZone", "valid string"),
        ({"landbridge": {"cron": "0 6 * *"}}, "landbridge.cron", "must have five fields"),
        ({"landbridge": {"cron": "0 0 6 * * *"}}, "landbridge.cron", "must have five fields"),
        ({"landbridge": {"cron": "61 6 * * *"}}, "landbridge.cron", "cannot be understood: bad minute"),
        ({"landbridge": {"cron": "* * 30 2 *"}}, "landbridge.cron", "cannot be understood: bad day-of-month"),
        ({"landbridge": {"cron": "0 0 29 2 */7", "timeOfDay": "06:00"}}, "landbridge.timeOfDay", "a cron expression"),
        ({"landbridge": {"cron": "* * * * *", "keepUpdatedPauseSeconds": 5}}, "landbridge.cron", "cannot both be set"),
        ({"frequencyType": "day", "landbridge": {"timeOfDay": "6"}}, "landbridge.timeOfDay", "must be a time such as"),
        ({"frequencyType": "hour", "landbridge": {"timeOfDay": "06:00"}}, "landbridge.timeOfDay", "frequencyType hour"),
        ({"landbridge": {"jitterSeconds": -1}}, "landbridge.jitterSeconds", "greater than or equal to 0"),
        ({"frequencyType": "minute", "landbridge": {"jitterSeconds": 60}}, "landbridge.jitterSeconds", "60 seconds"),
        ({"landbridge": {"cron": "*/5 * * * *", "jitterSeconds": 300}}, "landbridge.jitterSeconds", "300 seconds"),
        ({"landbridge": {"misfire": "catchUp"}}, "landbridge.misfire", "'runOnce', 'skip' or 'runAll'"),
        ({"frequencyInterval": 100_001}, "frequencyInterval", "at most 100,000"),
        ({"nextJobStartTime": "9999-12-31T23:59:59Z"}, "nextJobStartTime", "between 1971 and 2198"),
        ({"daysOfWeek": "1,2"}, "daysOfWeek", '"1", which is not the name of a day'),
        ({"daysOfWeek": ["m"]}, "daysOfWeek", '"m", which is not the name of a day'),
    ],
)
def test_each_value_that_cannot_be_understood_is_named(keys, field, message):
    assert any(where == field and message in text for where, text in problems(**keys)), problems(**keys)


def test_all_problems_are_told_at_once():
    assert len(problems(landbridge={"timeZone": "x", "cron": "x", "misfire": "x", "y": 1}, daysOfWeek="z")) == 5
