"""The clock against a reference that walks through time minute by minute, and against known nights."""

from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, strategies as st

from landbridge.jobs.clock import Note, Timetable, due, latest, next_instants, occurrences
from tests.unit.jobs.clock_reference import NIGHTS, walk


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@cache
def change_of_the_clock(zone, night):
    """The instant around ``night`` at which the clock of a zone changes; midnight where it does not."""
    for minutes in range(-36 * 60, 48 * 60, 30):
        instant = night + timedelta(minutes=minutes)
        if instant.astimezone(zone).utcoffset() != (instant - timedelta(minutes=30)).astimezone(zone).utcoffset():
            return instant
    return night


def texts(instants):
    return [f"{instant:%m-%d %H:%M}" for instant in instants]


NIGHT = st.sampled_from([(zone, night) for zone, nights in NIGHTS.items() for night in nights])
MINUTES = st.one_of(st.sampled_from(["0", "30", "15,45", "*/20", "*", "10-50/20"]), st.integers(0, 59).map(str))
HOURS = st.one_of(st.sampled_from(["*", "1-3", "0,2", "*/2", "*/6"]), st.integers(0, 23).map(str))
DAYS = st.sampled_from(["* * *", "* * 0", "* * 6,0", "29 * *", "29-31 * *", "1 * 0", "*/2 * 0-6/2", "29 2 *"])
CRON = st.tuples(MINUTES, HOURS, DAYS).map(" ".join)


@st.composite
def timetables(draw):
    """A timetable, and an interval of some days around a night on which the clock of its zone changes."""
    zone, night = draw(NIGHT)
    around = utc(night) + timedelta(minutes=draw(st.integers(-1440, 1440)))
    kind = draw(st.sampled_from(["once", "minute", "hour", "day", "week", "month", "cron"]))
    far = {"once": 1, "minute": 60, "hour": 100, "day": 400, "week": 400, "month": 1000, "cron": 400}[kind]
    days_ago = draw(st.one_of(st.integers(0, 1), st.integers(0, far)))
    timetable = Timetable(
        start=around - timedelta(days=days_ago, minutes=draw(st.integers(-600, 600))),
        frequency="day" if kind == "cron" else kind,
        interval=draw(st.integers(1, 90) if kind in ("minute", "hour") else st.integers(1, 3)),
        weekdays=draw(st.frozensets(st.integers(0, 6))) if kind == "week" else frozenset(),
        cron=draw(CRON) if kind == "cron" else "",
        zone=ZoneInfo(zone),
        time_of_day=draw(st.none() | st.times().map(lambda t: time(t.hour % 4, t.minute)))
        if kind in ("day", "week", "month")
        else None,
        missing_time=draw(st.sampled_from(["shift", "skip"])),
        doubled_time=draw(st.sampled_from(["first", "both"])),
        short_month=draw(st.sampled_from(["last", "skip"])),
    )
    change = change_of_the_clock(timetable.zone, utc(night))
    near = st.integers(-150, 150).map(lambda minutes: change + timedelta(minutes=minutes))
    far_before = st.integers(0, 2880).map(lambda minutes: around - timedelta(minutes=minutes))
    since = draw(st.one_of(near, far_before))
    until = since + timedelta(minutes=draw(st.one_of(st.integers(0, 300), st.integers(0, 4320))))
    return timetable, since, until


@given(timetables())
def test_what_is_due_is_what_a_walk_through_every_minute_finds(case):
    timetable, since, until = case
    assert due(timetable, since, until) == walk(timetable, since, until)


@given(timetables(), st.lists(st.integers(0, 86_400 * 2), max_size=6))
def test_what_is_due_in_parts_of_an_interval_is_what_is_due_in_the_whole(case, cuts):
    timetable, since, until = case
    length = int((until - since).total_seconds())
    edges = sorted({since, until, *(since + timedelta(seconds=cut % (length + 1)) for cut in cuts)})
    parts = [instant for begin, end in pairwise(edges) for instant in due(timetable, begin, end)]
    assert parts == due(timetable, since, until)


@pytest.mark.parametrize("zone", NIGHTS)
def test_it_does_not_matter_at_which_minute_of_such_a_night_one_begins_to_ask(zone):
    for night in map(utc, NIGHTS[zone]):
        change = change_of_the_clock(ZoneInfo(zone), night)
        table = Timetable(
            start=change - timedelta(days=9),
            cron="*/10 0-4,10 * * *",
            zone=ZoneInfo(zone),
            doubled_time="both",
        )
        end = change + timedelta(hours=30)
        whole = due(table, change - timedelta(hours=5), end)
        for minutes in range(-240, 240, 20):
            since = change + timedelta(minutes=minutes)
            assert due(table, since, end) == [instant for instant in whole if instant > since]


@given(timetables(), st.integers(1, 40))
def test_the_next_instants_rise_without_duplicates_and_begin_what_is_due(case, count):
    timetable, since, _ = case
    found = next_instants(timetable, since, count)
    assert all(early < late for early, late in pairwise([since, *found]))
    if found:
        assert due(timetable, since, found[-1]) == found


@given(timetables(), st.integers(1, 5))
def test_the_latest_instants_are_the_end_of_what_is_due(case, count):
    timetable, since, until = case
    assert latest(timetable, since, until, count=count) == due(timetable, since, until)[-count:]


@given(timetables())
def test_every_instant_comes_from_one_occurrence_in_order(case):
    timetable, since, until = case
    keys = []
    for occurrence in occurrences(timetable, since):
        if occurrence.instant > until:
            break
        keys.append(occurrence)
    assert [o.instant for o in keys] == sorted(o.instant for o in keys)
    assert [o.instant for o in keys if o.runs] == due(timetable, since, until)


@given(timetables())
def test_two_zones_without_clock_changes_differ_only_by_their_offset(case):
    timetable, since, until = case
    # A walk on the fixed clock of one zone is the walk on that of another, moved by the difference.
    shift = timedelta(hours=5, minutes=30)
    there = Timetable(
        **{name: getattr(timetable, name) for name in ("frequency", "interval", "weekdays", "cron", "time_of_day")},
        short_month=timetable.short_month,
        start=timetable.start,
        zone=ZoneInfo("UTC"),
    )
    india = Timetable(
        **{name: getattr(there, name) for name in ("frequency", "interval", "weekdays", "cron", "time_of_day")},
        short_month=there.short_month,
        start=timetable.start - shift,
        zone=ZoneInfo("Asia/Kolkata"),
    )
    assert [instant - shift for instant in due(there, since, until)] == due(india, since - shift, until - shift)


def daily(start, zone, **more):
    return Timetable(start=utc(start), frequency="day", zone=ZoneInfo(zone), **more)


@pytest.mark.parametrize(
    ("missing_time", "expected"),
    [
        ("shift", ["03-28 01:30", "03-29 01:30", "03-30 00:30"]),
        ("skip", ["03-28 01:30", "03-30 00:30", "03-31 00:30"]),
    ],
)
def test_a_time_that_the_clock_skips_is_shifted_by_the_gap_or_skipped(missing_time, expected):
    table = daily("2026-03-01T01:30", "Europe/Zurich", missing_time=missing_time)
    assert texts(next_instants(table, utc("2026-03-27T12:00"), 3)) == expected


@pytest.mark.parametrize(
    ("doubled_time", "expected"),
    [
        ("first", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        ("both", ["10-24 00:30", "10-25 00:30", "10-25 01:30"]),
    ],
)
def test_a_time_that_the_clock_shows_twice_runs_at_the_first_or_at_both(doubled_time, expected):
    table = daily("2026-10-01T00:30", "Europe/Zurich", doubled_time=doubled_time)
    assert texts(next_instants(table, utc("2026-10-23T12:00"), 3)) == expected


def test_lord_howe_moves_its_clock_by_half_an_hour():
    spring = daily("2026-09-01T15:45", "Australia/Lord_Howe")  # 02:15 there
    assert texts(next_instants(spring, utc("2026-10-02T16:00"), 2)) == ["10-03 15:45", "10-04 15:15"]
    (shifted, _) = islice(occurrences(spring, utc("2026-10-02T16:00")), 2)
    assert (shifted.note, shifted.wanted.hour, shifted.wanted.minute) == (Note.SHIFTED, 2, 15)
    assert (shifted.instant.astimezone(spring.zone).hour, shifted.instant.astimezone(spring.zone).minute) == (2, 45)
    autumn = daily("2026-03-01T14:45", "Australia/Lord_Howe", doubled_time="both")  # 01:45 there
    assert texts(next_instants(autumn, utc("2026-04-04T00:00"), 3)) == ["04-04 14:45", "04-04 15:15", "04-05 15:15"]


def test_apia_has_no_30_december_2011():
    table = daily("2011-12-01T20:00", "Pacific/Apia")  # 10:00 there
    kept = [(o.wanted.day, o.note) for o in islice(occurrences(table, utc("2011-12-28T21:00")), 3)]
    assert kept == [(29, Note.PLAIN), (31, Note.PLAIN), (1, Note.PLAIN)]  # the 30th lands on the run of the 31st
    skipping = daily("2011-12-01T20:00", "Pacific/Apia", missing_time="skip")
    notes = [(o.wanted.day, o.note) for o in islice(occurrences(skipping, utc("2011-12-28T21:00")), 4)]
    assert sorted(notes) == [(1, Note.PLAIN), (29, Note.PLAIN), (30, Note.SKIPPED), (31, Note.PLAIN)]


def test_every_quarter_of_an_hour_stays_so_in_the_night_with_25_hours():
    table = Timetable(start=utc("2026-10-01"), cron="*/15 * * * *", zone=ZoneInfo("Europe/Zurich"))
    found = due(table, utc("2026-10-24T22:00"), utc("2026-10-25T04:00"))
    assert {late - early for early, late in pairwise(found)} == {timedelta(minutes=15)}


def test_hours_and_minutes_are_counted_from_the_start_whatever_the_clock_does():
    table = Timetable(start=utc("2026-03-28T12:00"), frequency="hour", interval=12, zone=ZoneInfo("Europe/Zurich"))
    assert texts(next_instants(table, utc("2026-03-28T12:00"), 3)) == ["03-29 00:00", "03-29 12:00", "03-30 00:00"]


@pytest.mark.parametrize(
    ("short_month", "expected"),
    [
        ("last", ["01-31 06:00", "02-29 06:00", "03-31 06:00", "04-30 06:00"]),
        ("skip", ["01-31 06:00", "03-31 06:00", "05-31 06:00", "07-31 06:00"]),
    ],
)
def test_the_31st_is_the_last_day_of_a_shorter_month_or_skips_it(short_month, expected):
    table = Timetable(start=utc("2028-01-31T06:00"), frequency="month", short_month=short_month)
    assert texts(next_instants(table, utc("2028-01-01"), 4)) == expected


def test_the_29th_of_february_comes_every_leap_year_and_not_in_2100():
    table = Timetable(start=utc("2092-02-29T06:00"), frequency="month", interval=12, short_month="skip")
    assert [instant.year for instant in next_instants(table, utc("2092-01-01"), 4)] == [2092, 2096, 2104, 2108]
    moved = Timetable(start=utc("2028-02-29T06:00"), frequency="month", interval=12)
    assert texts(next_instants(moved, utc("2028-01-01"), 2)) == ["02-29 06:00", "02-28 06:00"]
    cron = Timetable(start=utc("2092-01-01"), cron="0 6 29 2 *")
    assert [instant.year for instant in next_instants(cron, utc("2092-01-01"), 3)] == [2092, 2096, 2104]


def test_weeks_begin_on_monday_and_the_week_of_the_start_is_the_first():
    friday = utc("2026-01-02T06:00")
    table = Timetable(start=friday, frequency="week", interval=2, weekdays=frozenset({0, 4}))
    assert texts(next_instants(table, utc("2026-01-01"), 4)) == [
        "01-02 06:00",
        "01-12 06:00",
        "01-16 06:00",
        "01-26 06:00",
    ]


def test_the_day_of_a_month_is_the_day_in_the_zone():
    table = Timetable(start=utc("2026-01-31T23:30"), frequency="month", zone=ZoneInfo("Europe/Zurich"))  # 1 February
    assert texts(next_instants(table, utc("2026-02-01"), 2)) == ["02-28 23:30", "03-31 22:30"]


@example(count=5)
@given(count=st.integers(1, 5))
def test_a_timetable_ends_with_the_year_2199(count):
    table = Timetable(start=utc("2198-12-31T23:00"), frequency="month", interval=12, zone=ZoneInfo("Asia/Tokyo"))
    assert len(next_instants(table, utc("2198-01-01"), count)) == min(count, 1)
    for frequency in ("day", "week", "month", "hour", "minute"):
        last = Timetable(start=utc("2198-12-31T23:00"), frequency=frequency, interval=100_000)
        assert len(next_instants(last, utc("2198-12-31T23:00"), 3)) <= 3


def test_once_is_once():
    table = Timetable(start=utc("2026-01-01T06:00:30"))
    assert next_instants(table, utc("2025-01-01"), 5) == [table.start]
    assert next_instants(table, table.start, 5) == []
