"""Which planned runs start: jitter and missed runs."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st

from landbridge.dataflow.scheduling import Scheduling
from landbridge.jobs.clock import due
from landbridge.jobs.misfire import fire_at, next_fire, settle
from landbridge.jobs.timetable import read_schedule

START = datetime(2026, 3, 28, 12, tzinfo=UTC)
SETTINGS = st.fixed_dictionaries(
    {
        "misfire": st.sampled_from(["runOnce", "skip", "runAll"]),
        "misfireLimit": st.integers(1, 5),
        "misfireGraceSeconds": st.integers(1, 4000),
        "jitterSeconds": st.integers(0, 59),
        "timeZone": st.sampled_from(["UTC", "Europe/Zurich"]),
    }
)


def schedule(id="s", **keys):
    base = {"id": id, "dataflowId": "f", "frequencyType": "minute", "nextJobStartTime": START.isoformat()}
    return read_schedule(Scheduling.from_json({**base, **keys}), created=START)


@given(SETTINGS, st.integers(1, 400), st.lists(st.integers(1, 100_000), min_size=1, max_size=8))
def test_however_often_one_looks_each_run_starts_once_in_order_and_not_before_its_time(settings, interval, looks):
    table = schedule(frequencyInterval=interval, landbridge=settings)
    position = START - timedelta(seconds=1)
    started, now = [], START
    for look in sorted(looks):
        now = START + timedelta(seconds=look)
        settled = settle(table, position=position, now=now)
        assert all(fire_at(table, planned) <= now for planned in settled.run)
        assert settled.position >= position
        assert all(position < planned <= settled.position for planned in settled.run)
        started += settled.run
        position = settled.position
    assert started == sorted(set(started))
    planned = due(table.timetable, START - timedelta(seconds=1), now)
    assert set(started) <= set(planned)
    reached = [at for at in planned if fire_at(table, at) <= now]
    assert position >= max(reached, default=position) - timedelta(0)


@given(SETTINGS, st.integers(1, 100_000))
def test_one_who_looks_often_misses_nothing(settings, steps):
    table = schedule(frequencyInterval=7, landbridge={**settings, "misfireGraceSeconds": 60})
    position, started = START - timedelta(seconds=1), []
    for second in range(0, 3600, 20):
        settled = settle(table, position=position, now=START + timedelta(seconds=second + steps % 20))
        started += settled.run
        position = settled.position
        assert settled.skipped is None
    assert started == due(table.timetable, START - timedelta(seconds=1), started[-1])
    assert len(started) >= 8


def test_a_year_of_missed_minutes_is_settled_at_once():
    table = schedule()
    settled = settle(table, position=START, now=START + timedelta(days=365))
    assert settled.run == (START + timedelta(days=365),)
    assert settled.position == START + timedelta(days=365)
    assert settled.skipped < settled.position


def test_a_missed_run_is_not_made_up_when_the_next_one_starts_anyhow():
    table = schedule(frequencyType="hour")
    hour = timedelta(hours=1)
    settled = settle(table, position=START - hour, now=START + 2 * hour + timedelta(seconds=30))
    assert settled.run == (START + 2 * hour,)
    assert settled.skipped == START + hour


def test_jitter_is_the_same_everywhere_and_differs_between_runs_and_schedulings():
    table = schedule(landbridge={"jitterSeconds": 50})
    delays = [fire_at(table, planned) - planned for planned in due(table.timetable, START, START + timedelta(hours=9))]
    again = [fire_at(table, planned) - planned for planned in due(table.timetable, START, START + timedelta(hours=9))]
    assert delays == again
    assert len(set(delays)) > 40
    assert timedelta(0) <= min(delays) < max(delays) <= timedelta(seconds=50)
    other = schedule(id="t", landbridge={"jitterSeconds": 50})
    assert delays != [fire_at(other, at) - at for at in due(table.timetable, START, START + timedelta(hours=9))]


def test_the_next_fire_is_the_next_planned_run_with_its_jitter():
    table = schedule(landbridge={"jitterSeconds": 50})
    planned, fires = next_fire(table, START)
    assert planned == START + timedelta(minutes=1)
    assert fires == fire_at(table, planned)
    assert next_fire(schedule(frequencyType="once"), START) is None
