"""Which part of a plan has to run when an earlier process of the job has done some of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from landbridge.components.base import FileWriter, RecordWriter
from landbridge.engine.stations import Station


def still_to_run(stations: Sequence[Station], supplied: Collection[int]) -> list[Station]:
    """The stations that have to run: writers, and whatever leads to a writer that still waits for its input.

    Args:
        stations: All stations, in topological order.
        supplied: ``id`` of the record writers' stations whose input is known from an earlier process.
    """
    by_channel = {id(station.source): station for station in stations if station.source}
    waiting: set[int] = set()
    running: set[int] = set()
    for station in reversed(stations):
        followers = [by_channel[id(channel)] for channel in (*station.outs, *station.errors)]
        is_writer = isinstance(station.component, RecordWriter | FileWriter)
        if is_writer or any(id(follower) in waiting for follower in followers):
            running.add(id(station))
            if id(station) not in supplied:
                waiting.add(id(station))
    return [station for station in stations if id(station) in running]


def before(stations: Sequence[Station], station: Station) -> set[str]:
    """The steps whose records reach a station."""
    feeding: dict[int, list[Station]] = {}
    for other in stations:
        for channel in (*other.outs, *other.errors):
            feeding.setdefault(id(channel), []).append(other)
    found: set[str] = set()
    pending = [station]
    while pending:
        current = pending.pop()
        for other in feeding.get(id(current.source), ()):
            if other.step.id not in found:
                found.add(other.step.id)
                pending.append(other)
    return found
