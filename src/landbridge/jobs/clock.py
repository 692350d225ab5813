"""From a timetable to instants: pure arithmetic, which never asks what time it is.

Two kinds of repetition exist, and they differ on the nights when clocks change:

- *elapsed*: every N minutes or hours after the start. Clock changes do not matter.
- *local*: every N days, weeks or months, or a cron expression: a date and a time on the clocks of a time zone. On
  two nights of the year such a time may not exist, or exist twice; the timetable says what happens then.

All results are in UTC, rise strictly, and do not depend on where one begins to ask.
"""

from __future__ import annotations

import calendar
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import islice
from typing import Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim

from landbridge.dataflow.scheduling import FrequencyType

MissingTime = Literal["shift", "skip"]
DoubledTime = Literal["first", "both"]
ShortMonth = Literal["last", "skip"]

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199
"""Nothing is planned outside of these years."""

_END: Final = datetime(LAST_YEAR + 1, 1, 1)  # noqa: DTZ001  local clocks have no zone here
_NEIGHBOURHOOD: Final = timedelta(hours=25)
"""Longer than the largest jump of a local clock (24 hours, when islands crossed the date line), and shorter than the
time between two jumps (a week, in all zones of the tz database since 1970)."""
_UTC: Final = ZoneInfo("UTC")
_ELAPSED: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}


class Note(StrEnum):
    """What is particular about an occurrence."""

    PLAIN = ""
    LAST_DAY = "last day of a shorter month"
    FIRST = "first of two"
    SECOND = "second of two"
    SHIFTED = "shifted: the clock skips this time"
    SKIPPED = "skipped: the clock skips this time"


@dataclass(frozen=True, slots=True)
class Timetable:
    """When something runs.

    Attributes:
        start: Nothing runs before; ``once`` runs at it; intervals count from it. Aware, in UTC.
        frequency: ``once`` or the unit of the interval; without meaning where there is a cron expression.
        interval: Every so many units.
        weekdays: Days of weekly runs, Monday is 0; none means the start's day.
        cron: Five fields (minute, hour, day, month, weekday); empty for a frequency.
        zone: Whose clocks days, weeks, months and cron expressions follow.
        time_of_day: Local time of daily, weekly and monthly runs; None for the start's.
        missing_time: A time that the clock skips: ``shift`` it by the length of the gap, so 02:30 becomes 03:30, as
            iCalendar (RFC 5545) has it, or ``skip`` the run.
        doubled_time: A time that the clock shows twice: run at the ``first`` or at ``both``.
        short_month: Months without the day: run on the ``last`` day, or ``skip`` the month.
    """

    start: datetime
    frequency: FrequencyType = "once"
    interval: int = 1
    weekdays: frozenset[int] = frozenset()
    cron: str = ""
    zone: ZoneInfo = _UTC
    time_of_day: time | None = None
    missing_time: MissingTime = "shift"
    doubled_time: DoubledTime = "first"
    short_month: ShortMonth = "last"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One line of a timetable.

    Attributes:
        wanted: The local time asked for, without a zone.
        instant: When it is, in UTC; for a skipped occurrence when it would have been.
        note: What is particular about it.
    """

    wanted: datetime
    instant: datetime
    note: Note = Note.PLAIN

    @property
    def runs(self) -> bool:
        """False for an occurrence that is skipped."""
        return self.note is not Note.SKIPPED


def next_instants(timetable: Timetable, after: datetime, count: int) -> list[datetime]:
    """The first ``count`` instants after ``after``; fewer where the timetable ends."""
    return list(islice(_instants(timetable, after), count))


def due(timetable: Timetable, since: datetime, until: datetime) -> list[datetime]:
    """All instants after ``since``, up to and including ``until``."""
    found = []
    for instant in _instants(timetable, since):
        if instant > until:
            break
        found.append(instant)
    return found


def latest(timetable: Timetable, since: datetime, until: datetime, *, count: int) -> list[datetime]:
    """The last ``count`` of what is due, without walking through all of a long outage."""
    reach = timedelta(hours=1)
    while (begin := until - reach) > since:
        found = due(timetable, begin, until)
        if len(found) >= count:
            return found[-count:]
        reach *= 4
    return due(timetable, since, until)[-count:]


def occurrences(timetable: Timetable, after: datetime) -> Iterator[Occurrence]:
    """Everything the timetable asks for after ``after``, in the order of instants; skipped ones included."""
    if timetable.cron or timetable.frequency in ("day", "week", "month"):
        yield from _local(timetable, after)
        return
    for instant in _elapsed(timetable, after):
        yield Occurrence(instant.astimezone(timetable.zone).replace(tzinfo=None, fold=0), instant)


def upcoming(timetable: Timetable, after: datetime, count: int) -> list[Occurrence]:
    """What the timetable asks for after ``after``, until ``count`` of it runs; skipped ones included."""
    shown: list[Occurrence] = []
    runs = 0
    for occurrence in occurrences(timetable, after):
        shown.append(occurrence)
        runs += occurrence.runs
        if runs == count:
            break
    return shown


def cron_dates(expression: str, after: datetime) -> Iterator[datetime]:
    """Local times after ``after`` that match a cron expression, both without a zone.

    Raises:
        CronSimError: It is not a cron expression.
    """
    return CronSim(expression, after)


def _instants(timetable: Timetable, after: datetime) -> Iterator[datetime]:
    return (occurrence.instant for occurrence in occurrences(timetable, after) if occurrence.runs)


# -- elapsed -----------------------------------------------------------------------------------------------------------


def _elapsed(timetable: Timetable, after: datetime) -> Iterator[datetime]:
    start = timetable.start
    if timetable.frequency == "once":
        if start > after:
            yield start
        return
    step = _ELAPSED[timetable.frequency] * timetable.interval
    instant = start if start > after else start + ((after - start) // step + 1) * step
    while instant.year <= LAST_YEAR:
        yield instant
        instant += step


# -- local -------------------------------------------------------------------------------------------------------------


def _local(timetable: Timetable, after: datetime) -> Iterator[Occurrence]:
    begin = max(after, timetable.start - timedelta(microseconds=1))
    previous: datetime | None = None
    for occurrence in _placed(timetable, _wanted(timetable, _first_local(timetable.zone, begin))):
        if occurrence.instant <= begin:
            continue
        if occurrence.runs:
            if occurrence.instant == previous:
                continue
            previous = occurrence.instant
        yield occurrence


def _first_local(zone: ZoneInfo, instant: datetime) -> datetime:
    """A local time before which nothing can be placed after ``instant``."""
    local = instant.astimezone(zone)
    around = {(instant + shift).astimezone(zone).utcoffset() for shift in (-_NEIGHBOURHOOD, _NEIGHBOURHOOD)}
    steady = around == {local.utcoffset()}
    return local.replace(tzinfo=None, fold=0) - (timedelta(0) if steady else _NEIGHBOURHOOD)


def _placed(timetable: Timetable, wanted: Iterator[tuple[datetime, Note]]) -> Iterator[Occurrence]:
    """Local times as instants, in the order of instants.

    Local times rise; their instants do except around a change of the clock: a skipped time lands behind those that
    follow it, and so does the second of a doubled one. These wait in a heap until the walk has come past them.
    """
    both = timetable.doubled_time == "both" or _every_hour(timetable.cron)
    waiting: list[tuple[datetime, int, datetime, Note]] = []
    for local, note in wanted:
        first = local.replace(tzinfo=timetable.zone)
        second = first.replace(fold=1)
        before, after = first.utcoffset() or timedelta(0), second.utcoffset() or timedelta(0)
        instant = first.astimezone(UTC)
        if before < after:  # the clock skips this time; the offset before the gap shifts it by the gap's length
            missing = Note.SHIFTED if timetable.missing_time == "shift" else Note.SKIPPED
            heapq.heappush(waiting, (instant, 1, local, missing))
            continue
        while waiting and waiting[0][0] < instant:
            yield _occurrence(heapq.heappop(waiting))
        heapq.heappush(waiting, (instant, 0, local, Note.FIRST if before > after else note))
        if before > after and both:
            heapq.heappush(waiting, (second.astimezone(UTC), 0, local, Note.SECOND))
    while waiting:
        yield _occurrence(heapq.heappop(waiting))


def _occurrence(entry: tuple[datetime, int, datetime, Note]) -> Occurrence:
    instant, _, local, note = entry
    return Occurrence(local, instant, note)


def _every_hour(cron: str) -> bool:
    """Whether an expression asks for every hour: then a doubled hour is two hours, whatever the policy says."""
    return bool(cron) and cron.split()[1] in ("*", "*/1")


def _wanted(timetable: Timetable, first: datetime) -> Iterator[tuple[datetime, Note]]:
    """Local times from ``first`` on."""
    if timetable.cron:
        for local in cron_dates(timetable.cron, first - timedelta(seconds=1)):
            if local >= _END:
                return
            if local >= first:
                yield local, Note.PLAIN
        return
    start = timetable.start.astimezone(timetable.zone)
    clock = timetable.time_of_day or start.time()
    for day, note in _days(timetable, start.date(), max(first.date(), start.date())):
        local = datetime.combine(day, clock)
        if local >= first:
            yield local, note


def _days(timetable: Timetable, start: date, first: date) -> Iterator[tuple[date, Note]]:
    """Dates from ``first`` on, of a timetable whose start falls on ``start``."""
    if timetable.frequency == "month":
        yield from _months(timetable, start, first)
    elif timetable.frequency == "week":
        yield from _weeks(timetable, start, first)
    else:
        skipped = -((start - first).days // timetable.interval)
        day = start + timedelta(days=skipped * timetable.interval)
        while day < _END.date():
            yield day, Note.PLAIN
            day += timedelta(days=timetable.interval)


def _weeks(timetable: Timetable, start: date, first: date) -> Iterator[tuple[date, Note]]:
    """Weeks begin on Monday; the start's week is the first."""
    weekdays = sorted(timetable.weekdays or {start.weekday()})
    monday = start - timedelta(days=start.weekday())
    step = timedelta(weeks=timetable.interval)
    monday += max(0, (first - monday) // step) * step
    while monday < _END.date():
        for weekday in weekdays:
            day = monday + timedelta(days=weekday)
            if day >= first:
                yield day, Note.PLAIN
        monday += step


def _months(timetable: Timetable, start: date, first: date) -> Iterator[tuple[date, Note]]:
    """Months counted from the start's, each on the start's day where it has that day."""
    number = start.year * 12 + start.month - 1
    passed = first.year * 12 + first.month - 1 - number
    number += passed // timetable.interval * timetable.interval
    while number < (LAST_YEAR + 1) * 12:
        year, month = number // 12, number % 12 + 1
        length = calendar.monthrange(year, month)[1]
        if start.day <= length or timetable.short_month == "last":
            day = date(year, month, min(start.day, length))
            if day >= first:
                yield day, Note.PLAIN if start.day <= length else Note.LAST_DAY
        number += timetable.interval
