"""A scheduling as a timetable: IdentitySync's keys, and the object ``landbridge`` with what IdentitySync lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSimError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from landbridge.dataflow import problems as codes
from landbridge.dataflow.problems import DataflowError, Problem, did_you_mean, error
from landbridge.dataflow.scheduling import Scheduling
from landbridge.jobs.clock import (
    FIRST_YEAR,
    LAST_YEAR,
    DoubledTime,
    MissingTime,
    ShortMonth,
    Timetable,
    cron_dates,
)
from landbridge.jobs.job_options import MAX_SPLITS

KEY: Final = "landbridge"
"""The key of a scheduling under which these settings stand. IdentitySync does not know it."""

Misfire = Literal["runOnce", "skip", "runAll"]
WhileRunning = Literal["queue", "skip", "allow"]

_MAX_INTERVAL: Final = 100_000
_CRON_FIELDS: Final = 5
_SAMPLE: Final = 100
_STEPS: Final = {"minute": 60, "hour": 3600}
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MIN_WEEKDAY: Final = 2
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")


class ScheduleSettings(BaseModel):
    """What a scheduling may say under the key ``landbridge``."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    time_zone: Annotated[
        str,
        Field(
            description="Time zone of days, weeks, months and cron expressions, by its name in the tz database.",
            examples=["Europe/Zurich"],
        ),
    ] = "UTC"
    time_of_day: Annotated[
        str,
        Field(
            description="Local time of daily, weekly and monthly runs. Without it the time of nextJobStartTime.",
            examples=["06:00"],
        ),
    ] = ""
    cron: Annotated[
        str,
        Field(
            description="Cron expression: minute, hour, day, month, weekday. It replaces frequencyType.",
            examples=["0 6 * * mon-fri"],
        ),
    ] = ""
    missing_time: Annotated[
        MissingTime, Field(description="A time that the clock skips in spring: shift it by the gap, or skip the run.")
    ] = "shift"
    doubled_time: Annotated[
        DoubledTime, Field(description="A time that the clock shows twice in autumn: run at the first, or at both.")
    ] = "first"
    short_month: Annotated[
        ShortMonth, Field(description="A month without the day: run on its last day, or skip the month.")
    ] = "last"
    jitter_seconds: Annotated[
        int, Field(ge=0, le=3600, description="Start up to so much later; how much is fixed for each run.")
    ] = 0
    misfire: Annotated[
        Misfire,
        Field(description="Runs that were missed while nothing could run: runOnce for all of them, skip, or runAll."),
    ] = "runOnce"
    misfire_limit: Annotated[
        int, Field(ge=1, le=1000, description="runAll starts at most the last so many missed runs.")
    ] = 10
    misfire_grace_seconds: Annotated[
        int, Field(ge=1, le=86_400, description="A run counts as missed when it is later than this.")
    ] = 60
    while_running: Annotated[
        WhileRunning,
        Field(description="While a job of the same dataflow runs: queue (one run waits), skip the run, or allow both."),
    ] = "queue"
    keep_updated_pause_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=604_800,
            description="Keep updated: start again so long after each end. It replaces frequencyType.",
            examples=[60],
        ),
    ] = None
    splits: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_SPLITS,
            description="Divide the input into about so many parts, which all workers share; 0 for no division.",
        ),
    ] = 0
    late_after_seconds: Annotated[
        int, Field(ge=1, le=604_800, description="Tell of a run that has not started so long after its time.")
    ] = 900

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value in _zones():
            return value
        raise ValueError(_unknown_zone(value))

    @field_validator("time_of_day")
    @classmethod
    def _is_clock_time(cls, value: str) -> str:
        if value and not _CLOCK.fullmatch(value):
            raise ValueError("must be a time such as 06:00 or 18:30:00")
        return value

    @field_validator("cron")
    @classmethod
    def _happens(cls, value: str) -> str:
        expression = " ".join(value.split())
        if not expression:
            return ""
        if len(expression.split()) != _CRON_FIELDS:
            raise ValueError('must have five fields: minute, hour, day, month, weekday, such as "0 6 * * mon-fri"')
        try:
            next(cron_dates(expression, datetime(2000, 1, 1)), None)  # noqa: DTZ001  a local time has no zone
        except CronSimError as failure:
            raise ValueError(f"cannot be understood: {str(failure).lower()}") from None
        if next(cron_dates(expression, datetime(2000, 1, 1)), None) is None:  # noqa: DTZ001  as above
            raise ValueError("names no day that exists")
        return expression


@dataclass(frozen=True, slots=True)
class Schedule:
    """A scheduling, understood.

    Attributes:
        scheduling: What it comes from.
        timetable: When it runs; without meaning where ``keep_updated`` is set.
        settings: Zone and policies.
    """

    scheduling: Scheduling
    timetable: Timetable
    settings: ScheduleSettings

    @property
    def keep_updated(self) -> timedelta | None:
        """The pause of a continuous schedule; None for one with a timetable."""
        pause = self.settings.keep_updated_pause_seconds
        return None if pause is None else timedelta(seconds=pause)


def read_schedule(scheduling: Scheduling, *, created: datetime, zone: str | None = None) -> Schedule:
    """Understand a scheduling.

    Args:
        scheduling: A scheduling that was read.
        created: When it was made: its start where it names none. The vendor's page gives "now" as the default.
        zone: Time zone to use instead of its own.

    Raises:
        DataflowError: LB-1060, with every value that cannot be understood.
    """
    problems: list[Problem] = []
    settings = _settings(scheduling.raw.get(KEY), zone, problems)
    start = (scheduling.next_job_start_time or created).replace(microsecond=0)
    weekdays = frozenset(_weekdays(scheduling.days_of_week, problems))
    problems += _contradictions(scheduling, settings, start)
    if problems:
        raise DataflowError(problems)
    clock = time.fromisoformat(settings.time_of_day) if settings.time_of_day else None
    timetable = Timetable(
        start=start,
        frequency=scheduling.frequency_type,
        interval=scheduling.frequency_interval,
        weekdays=weekdays,
        cron=settings.cron,
        zone=ZoneInfo(settings.time_zone),
        time_of_day=clock,
        missing_time=settings.missing_time,
        doubled_time=settings.doubled_time,
        short_month=settings.short_month,
    )
    return Schedule(scheduling, timetable, settings)


def _settings(value: Any, zone: str | None, problems: list[Problem]) -> ScheduleSettings:
    if value is None:
        value = {}
    if not isinstance(value, dict):
        problems.append(error(codes.BAD_SCHEDULING, f"{KEY} must be an object", field=KEY))
        value = {}
    given = {key: item for key, item in value.items() if item is not None}
    if zone is not None:
        given["timeZone"] = zone
    try:
        return ScheduleSettings.model_validate(given)
    except ValidationError as failure:
        problems += [_problem(found) for found in failure.errors(include_url=False, include_context=True)]
        return ScheduleSettings()


def _problem(found: Any) -> Problem:
    place = ".".join(str(part) for part in found["loc"])
    name = str(found["loc"][0])
    hint = ""
    if found["type"] == "extra_forbidden":
        message = f'{KEY} has no setting "{name}"'
        known = [info.alias or key for key, info in ScheduleSettings.model_fields.items()]
        hint = did_you_mean(name, known) or f"There are {', '.join(known)}."
    else:
        text = str(found["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        message = f"{name} {text}" if text.startswith(("must", "cannot", "names", '"')) else f"{name} must be {text}"
    return error(codes.BAD_SCHEDULING, message, field=f"{KEY}.{place}", hint=hint)


def _weekdays(words: tuple[str, ...], problems: list[Problem]) -> Iterator[int]:
    for word in words:
        name = word.strip().lower()
        found = [at for at, full in enumerate(_WEEKDAYS) if len(name) >= _MIN_WEEKDAY and full.startswith(name)]
        if found:
            yield found[0]
        else:
            problems.append(
                error(
                    codes.BAD_SCHEDULING,
                    f'daysOfWeek holds "{word}", which is not the name of a day',
                    field="daysOfWeek",
                    hint="Write names such as monday or mon: numbers mean different days to different programs.",
                )
            )


def _contradictions(scheduling: Scheduling, settings: ScheduleSettings, start: datetime) -> Iterator[Problem]:
    frequency, interval = scheduling.frequency_type, scheduling.frequency_interval
    if not FIRST_YEAR < start.year < LAST_YEAR:
        message = f"nextJobStartTime must lie between {FIRST_YEAR + 1} and {LAST_YEAR - 1}"
        yield error(codes.BAD_SCHEDULING, message, field="nextJobStartTime")
    if interval > _MAX_INTERVAL:
        message = f"frequencyInterval must be at most {_MAX_INTERVAL:,}"
        yield error(codes.BAD_SCHEDULING, message, field="frequencyInterval")
    if settings.cron and settings.keep_updated_pause_seconds:
        message = "cron and keepUpdatedPauseSeconds cannot both be set"
        yield error(codes.BAD_SCHEDULING, message, field=f"{KEY}.cron", hint="Remove one of them.")
    if settings.time_of_day and (settings.cron or frequency in ("once", "minute", "hour")):
        what = "a cron expression" if settings.cron else f"frequencyType {frequency}"
        message = f"timeOfDay has no meaning together with {what}"
        hint = "It is for daily, weekly and monthly runs. A first start belongs into nextJobStartTime."
        yield error(codes.BAD_SCHEDULING, message, field=f"{KEY}.timeOfDay", hint=hint)
    step = _shortest_step(settings.cron, start) if settings.cron else _STEPS.get(frequency, 0) * interval
    if step and settings.jitter_seconds >= step:
        message = f"jitterSeconds must be shorter than the interval of {step} seconds"
        yield error(codes.BAD_SCHEDULING, message, field=f"{KEY}.jitterSeconds")


def _shortest_step(cron: str, start: datetime) -> int:
    """Seconds between two runs of a cron expression, as far as some of its dates tell."""
    dates = islice(cron_dates(cron, start.replace(tzinfo=None)), _SAMPLE)
    return min((int((late - early).total_seconds()) for early, late in pairwise(dates)), default=0)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _unknown_zone(name: str) -> str:
    hint = did_you_mean(name, sorted(_zones()))
    return f'must be a time zone of the tz database such as Europe/Zurich, not "{name[:60]}". {hint}'.strip()
