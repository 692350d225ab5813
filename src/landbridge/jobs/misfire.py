"""Which planned runs start now: jitter, and what becomes of runs whose time went by while nothing could run. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from landbridge.jobs.clock import due, latest, next_instants
from landbridge.jobs.timetable import Schedule


@dataclass(frozen=True, slots=True)
class Settled:
    """What to do at one moment with a schedule.

    Attributes:
        run: Planned instants to start now, in order.
        skipped: The last planned instant that is not run, though its time has come; None when there is none.
        position: Everything up to this instant is settled.
    """

    run: tuple[datetime, ...]
    skipped: datetime | None
    position: datetime


def fire_at(schedule: Schedule, planned: datetime) -> datetime:
    """When a planned run starts: later by its jitter, which is the same on every machine."""
    jitter = schedule.settings.jitter_seconds
    if not jitter:
        return planned
    key = f"{schedule.scheduling.id}@{planned.astimezone(UTC).isoformat()}".encode()
    share = int.from_bytes(hashlib.sha256(key).digest()[:8], "big") / 2**64
    return planned + timedelta(seconds=int(share * (jitter + 1)))


def next_fire(schedule: Schedule, position: datetime) -> tuple[datetime, datetime] | None:
    """The planned instant that follows ``position``, and when it starts; None when there is none."""
    for planned in next_instants(schedule.timetable, position, 1):
        return planned, fire_at(schedule, planned)
    return None


def settle(schedule: Schedule, *, position: datetime, now: datetime) -> Settled:
    """Decide which of the planned runs after ``position`` start at ``now``."""
    settings = schedule.settings
    grace = timedelta(seconds=settings.misfire_grace_seconds)
    edge = now - grace - timedelta(seconds=settings.jitter_seconds)
    # What lies before the edge is late for sure, and may be a year of minutes: only its end is looked at.
    late = latest(schedule.timetable, position, edge, count=settings.misfire_limit) if edge > position else []
    timely: list[datetime] = []
    for planned in due(schedule.timetable, max(position, edge), now):
        start = fire_at(schedule, planned)
        if start > now:
            break  # what follows waits its turn, so that runs start in the order of their plan
        (late if now - start > grace else timely).append(planned)
    missed = late
    if settings.misfire == "runAll":
        late = missed[-settings.misfire_limit :]
    elif settings.misfire == "runOnce" and not timely:
        late = missed[-1:]
    else:
        late = []
    run = (*late, *timely)
    passed = [*missed, *timely]
    skipped = max((planned for planned in missed if planned not in late), default=None)
    return Settled(run, skipped, passed[-1] if passed else position)
