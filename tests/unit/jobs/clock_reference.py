"""The slow truth about timetables: walk through time minute by minute and look at the wall clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from landbridge.jobs.clock import Timetable

MINUTE = timedelta(minutes=1)
NIGHTS = {
    "Europe/Zurich": ["2026-03-29", "2026-10-25"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "America/St_Johns": ["2026-03-08", "2026-11-01"],
    "America/Santiago": ["2026-09-06", "2026-04-05"],
    "Africa/Casablanca": ["2026-03-22", "2026-02-15"],
    "Australia/Lord_Howe": ["2026-10-04", "2026-04-05"],
    "Australia/Adelaide": ["2026-10-04", "2026-04-05"],
    "Pacific/Apia": ["2011-12-30", "2012-04-01"],
    "Pacific/Auckland": ["2026-09-27", "2026-04-05"],
    "Asia/Beirut": ["2026-03-29", "2026-10-25"],
    "Antarctica/Troll": ["2026-03-29", "2026-10-25"],
    "Asia/Kolkata": ["2026-03-29", "2026-10-25"],
    "UTC": ["2026-03-29", "2024-02-29"],
}
"""Zones, each with a day on which its clock goes forward and one on which it goes back; the last two have none."""


def walk(timetable, since, until):
    """All instants after ``since`` up to ``until``; both on whole minutes."""
    found = []
    instant = since + MINUTE
    while instant <= until:
        if instant >= timetable.start and runs_at(timetable, instant):
            found.append(instant)
        instant += MINUTE
    return found


def runs_at(timetable: Timetable, instant):
    if not timetable.cron and timetable.frequency in ("once", "minute", "hour"):
        return elapsed_at(timetable, instant)
    local = instant.astimezone(timetable.zone)
    wall = local.replace(tzinfo=None, fold=0)
    if wanted(timetable, wall):
        every_hour = timetable.cron.split()[1:2] == ["*"]
        return not is_second(local) or timetable.doubled_time == "both" or every_hour
    return timetable.missing_time == "shift" and any(
        wanted(timetable, missing) for missing in landing_here(timetable.zone, instant)
    )


def elapsed_at(timetable, instant):
    passed = (instant - timetable.start) // MINUTE
    if timetable.frequency == "once":
        return passed == 0
    return passed % (timetable.interval * (60 if timetable.frequency == "hour" else 1)) == 0


def is_second(local):
    """Whether the clock showed this time before."""
    return local.fold == 1


def landing_here(zone: ZoneInfo, instant):
    """Wall times that the clock skipped, and that become ``instant`` when they are shifted by the gap."""
    for offset in {(instant - timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in range(26)}:
        wall = (instant + offset).replace(tzinfo=None)
        exists = any(
            wall.replace(tzinfo=zone, fold=fold).astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) == wall
            for fold in (0, 1)
        )
        if not exists and wall.replace(tzinfo=zone, fold=0).astimezone(UTC) == instant:
            yield wall


def wanted(timetable, wall: datetime):
    """Whether the timetable asks for this wall time."""
    if timetable.cron:
        minutes, hours, *_ = timetable.cron.split()
        return matches(minutes, wall.minute) and matches(hours, wall.hour) and cron_day(timetable.cron, wall)
    start = timetable.start.astimezone(timetable.zone)
    clock = timetable.time_of_day or start.time()
    if wall.time() != clock or wall.date() < start.date():
        return False
    if timetable.frequency == "day":
        return (wall.date() - start.date()).days % timetable.interval == 0
    if timetable.frequency == "week":
        monday = start.date() - timedelta(days=start.weekday())
        weekdays = timetable.weekdays or {start.weekday()}
        return (wall.date() - monday).days // 7 % timetable.interval == 0 and wall.weekday() in weekdays
    months = wall.year * 12 + wall.month - start.year * 12 - start.month
    if months % timetable.interval:
        return False
    is_last = (wall + timedelta(days=1)).month != wall.month
    return wall.day == start.day or (is_last and wall.day < start.day and timetable.short_month == "last")


def cron_day(cron, wall):
    _, _, day, month, weekday = cron.split()
    if not matches(month, wall.month, first=1):
        return False
    by_day, by_weekday = matches(day, wall.day, first=1), matches(weekday, wall.isoweekday() % 7)
    return by_day and by_weekday if "*" in (day[0], weekday[0]) else by_day or by_weekday


def matches(field, value, first=0):
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = (first, "", 99) if span == "*" else span.partition("-")
        if int(low) <= value <= int(high or low) and (value - int(low)) % int(step or 1) == 0:
            return True
    return False
