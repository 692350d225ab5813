"""The gate before the first write: it opens when every writer's input is known and no guard objects.

Writers of the *first line* are those that do not depend on what another record writer answers. All of them have to
arrive before one of them writes. A writer behind another one, such as a report of what succeeded, is looked at when
its own input is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import anyio
import anyio.to_thread

from landbridge.components.base import FileWriter, Formatter, RecordWriter
from landbridge.engine.guards import Rules, Tally, Trip, Watch, tripped, trips_of
from landbridge.engine.stations import Station


class Gate:
    """Watches the writers of one job.

    Args:
        stations: All stations of the job.
        rules: What guards go by.
        folder: For temporary files.
        at: The job's start.
        only_tells: A dry run: what trips is told in the report and stops nothing.
    """

    def __init__(
        self, stations: Sequence[Station], rules: Rules, *, folder: Path, at: datetime, only_tells: bool
    ) -> None:
        self._rules = rules
        self._only_tells = only_tells
        self._opened = anyio.Event()
        self._watches: dict[str, list[Watch]] = {}
        self._files: set[str] = set()
        self._known: dict[str, Tally] = {}
        self._passed: set[str] = set()
        self.trips: list[Trip] = []
        """The guards that have tripped."""
        paths = _Paths(stations)
        for station in stations:
            component = station.component
            if isinstance(component, RecordWriter):
                self._add(station, station.step.id, folder=folder, at=at, deletes=component.deletes)
            elif isinstance(component, Formatter) and paths.is_main(station):
                writers = paths.file_writers(station)
                self._files |= writers
                for writer in sorted(writers):
                    self._add(station, writer, folder=folder, at=at, writes_files=True)
        self._awaited = {
            station.step.id
            for station in stations
            if isinstance(station.component, RecordWriter | FileWriter)
            and not any(paths.is_behind_writer(other) for other in stations if other.step.id == station.step.id)
        }
        self._first_line = frozenset(self._awaited)

    def _add(
        self,
        station: Station,
        writer: str,
        *,
        folder: Path,
        at: datetime,
        writes_files: bool = False,
        deletes: bool = False,
    ) -> None:
        watch = Watch(
            writer,
            self._rules,
            folder=folder,
            at=at,
            writes_files=writes_files,
            deletes=deletes,
            remembers=not (writes_files or self._only_tells),
            only_tells=self._only_tells,
        )
        self._watches.setdefault(writer, []).append(watch)
        station.watches.append(watch)

    @property
    def is_idle(self) -> bool:
        """Whether no guard is switched on."""
        return all(watch.is_idle for watches in self._watches.values() for watch in watches)

    @property
    def tallies(self) -> dict[str, Tally]:
        """What the writers were about to do, by step."""
        found = dict(self._known)
        for step, watches in self._watches.items():
            if step not in found:
                found[step] = _largest([watch.tally for watch in watches])
        return found

    def shown(self) -> dict[str, dict[str, int]]:
        """The same as reports show it: of writers that nobody looks into, only how many records there were."""
        unseen = {
            step
            for step, watches in self._watches.items()
            if step not in self._known and not any(watch.looks for watch in watches)
        }
        return {
            step: {"records": tally.records} if step in unseen else tally.as_json()
            for step, tally in self.tallies.items()
        }

    def restore(self, step: str, tally: Tally, *, has_passed: bool = True) -> None:
        """What a writer is about to do is known from an earlier process, in which it may have passed already."""
        self._known[step] = tally
        if has_passed:
            self._passed.add(step)

    async def arrive(self, step: str) -> None:
        """A writer's input is complete.

        Raises:
            GuardTripped: It was the last of the first line, or is behind it, and a guard objects.
        """
        await anyio.to_thread.run_sync(self.finish, step)
        if step not in self._first_line:
            self._check([step])
            return
        self._awaited.discard(step)
        if not self._awaited:
            self._check(sorted(self._first_line))
            self._opened.set()

    async def wait(self, step: str) -> None:
        """Wait until a writer that has arrived may write."""
        if step in self._first_line:
            await self._opened.wait()

    def close(self) -> None:
        """Let go of temporary files."""
        for watches in self._watches.values():
            for watch in watches:
                watch.close()

    def finish(self, step: str) -> Tally:
        """The counts of a writer whose input is complete; may take a while. May be called more than once."""
        for watch in self._watches.get(step, ()):
            watch.finish()
        return self.tallies.get(step, Tally())

    def _check(self, steps: Iterable[str]) -> None:
        tallies = self.tallies
        found = [
            trip
            for step in steps
            if step in tallies and step not in self._passed
            for trip in trips_of(step, tallies[step], self._rules, writes_files=step in self._files)
        ]
        self.trips += found
        if found and not self._only_tells:
            raise tripped(found, self._rules)


class _Paths:
    """Which station leads where."""

    def __init__(self, stations: Sequence[Station]) -> None:
        self._by_channel = {id(station.source): station for station in stations if station.source}
        self._main = set[int]()
        self._behind = set[int]()
        for station in stations:
            if station.source is None:
                self._main |= {id(station), *map(id, self._after(station, errors=False, through_writers=False))}
            if isinstance(station.component, RecordWriter):
                self._behind |= set(map(id, self._after(station, errors=True, through_writers=True)))

    def is_main(self, station: Station) -> bool:
        """Whether records reach it that neither failed nor are a writer's answers."""
        return id(station) in self._main

    def is_behind_writer(self, station: Station) -> bool:
        """Whether it depends on what a record writer answers."""
        return id(station) in self._behind

    def file_writers(self, station: Station) -> set[str]:
        """The steps that deliver the files made at a station."""
        return {
            other.step.id
            for other in self._after(station, errors=False, through_writers=False)
            if isinstance(other.component, FileWriter)
        }

    def _after(self, station: Station, *, errors: bool, through_writers: bool) -> Iterator[Station]:
        waiting, seen = [station], set[int]()
        while waiting:
            current = waiting.pop()
            if current is not station and isinstance(current.component, RecordWriter) and not through_writers:
                continue
            for channel in (*current.outs, *(current.errors if errors else ())):
                follower = self._by_channel[id(channel)]
                if id(follower) not in seen:
                    seen.add(id(follower))
                    waiting.append(follower)
                    yield follower


def _largest(tallies: Sequence[Tally]) -> Tally:
    """Of several streams of files to one writer the same records may be told more than once."""
    shown = [tally.as_json() for tally in tallies]
    return Tally.from_json({name: max(one[name] for one in shown) for name in shown[0]})
