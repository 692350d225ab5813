"""Stations: the places in a running plan where a step works.

A step that takes records has one station, into which all its parents' edges run. A step that takes files has one
station for each stream of files that reaches it, because files of two streams must not mix. Neighbouring record steps
are fused into one task, so that a batch passes them without changing threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain

from landbridge.components.base import (
    Component,
    Formatter,
    Parser,
    RecordError,
    RecordReader,
    Transform,
)
from landbridge.dataflow.plan import Plan, PlanStep
from landbridge.engine.channel import Channel
from landbridge.engine.counts import StepCounts
from landbridge.engine.guards import Watch
from landbridge.engine.services import Services
from landbridge.records import Batch
from landbridge.records.needs import ALL, Needs

Refused = tuple[Batch, Sequence[RecordError]]
Make = Callable[[PlanStep, Services], Component]
MakeServices = Callable[[PlanStep], Services]


@dataclass(slots=True)
class Station:
    """One place of work.

    Attributes:
        step: The step of the plan.
        component: An instance of its own.
        services: What the component sees of the engine.
        order: Place in the order in which files are published.
        source: Where its items come from; None for the entry.
        outs: Where its results go.
        errors: Where its rejects go; without one they go to the reject store.
        columns: The columns of its records, where the plan fixes them.
        watches: Guards that look at its records before they are written.
        is_told: Every file that was made here came with the number of its records.
    """

    step: PlanStep
    component: Component
    services: Services
    order: int = 0
    source: Channel | None = None
    outs: list[Channel] = field(default_factory=list)
    errors: list[Channel] = field(default_factory=list)
    columns: Sequence[str] | None = None
    watches: list[Watch] = field(default_factory=list)
    is_told: bool = True

    @property
    def counts(self) -> StepCounts:
        """The counts of its step."""
        return self.services.counts


def build(plan: Plan, make: Make, make_services: MakeServices) -> list[Station]:
    """The stations of ``plan`` in topological order, joined by channels."""
    stations: dict[str, list[Station]] = {}
    for step in plan.steps:
        if step.id == plan.entry:
            entry = _station(step, make, make_services)
            if isinstance(entry.component, RecordReader):
                entry.columns = entry.component.columns()
            stations[step.id] = [entry]
            continue
        incoming = [(edge, source) for edge in plan.edges_to(step.id) for source in stations[edge.source]]
        if incoming[0][0].port == "files":
            stations[step.id] = []
            for edge, source in incoming:
                station = _station(step, make, make_services, order=edge.order)
                station.source = Channel()
                _join(source, station.source, is_error=False)
                stations[step.id].append(station)
        else:
            station = _station(step, make, make_services, order=incoming[0][0].order)
            station.source = Channel()
            for edge, source in incoming:
                _join(source, station.source, is_error=edge.kind == "error")
            _follow_columns(station, [None if edge.kind == "error" else source.columns for edge, source in incoming])
            stations[step.id] = [station]
    ordered = [station for step in plan.steps for station in stations[step.id]]
    _tell_needs(ordered)
    return ordered


def _station(step: PlanStep, make: Make, make_services: MakeServices, *, order: int = 0) -> Station:
    services = make_services(step)
    return Station(step=step, component=make(step, services), services=services, order=order)


def _join(source: Station, channel: Channel, *, is_error: bool) -> None:
    (source.errors if is_error else source.outs).append(channel)
    channel.senders += 1


def _follow_columns(station: Station, incoming: list[Sequence[str] | None]) -> None:
    """Tell a formatter the columns that are known before a record is read, so that a file has them on any day."""
    known: Sequence[str] | None = None
    if all(columns is not None for columns in incoming):
        known = list(dict.fromkeys(chain.from_iterable(columns or () for columns in incoming)))
    if isinstance(station.component, Transform):
        station.columns = station.component.columns(known)
    elif isinstance(station.component, Formatter):
        station.component.known_columns = known


def _tell_needs(stations: list[Station]) -> None:
    """Tell what makes records which fields are needed, or that their text is enough, from the plan's end backwards."""
    needed_at: dict[int, Needs] = {}
    text_at: dict[int, bool] = {}
    for station in reversed(stations):
        component = station.component
        behind = [id(channel) for channel in station.outs]
        needs = reduce(Needs.union, map(needed_at.__getitem__, behind)) if behind else ALL
        if isinstance(component, Parser | RecordReader):
            component.needs = needs
        if isinstance(component, Parser | RecordReader | Transform):
            component.as_text = bool(behind) and all(map(text_at.__getitem__, behind))
        if station.source is not None:
            needed_at[id(station.source)] = component.needs(needs) if isinstance(component, Transform) else ALL
            text_at[id(station.source)] = component.reads_text


def fuse(stations: list[Station]) -> list[list[Station]]:
    """Group stations into tasks: runs of record steps that feed only one another, everything else on its own."""
    by_channel = {id(station.source): station for station in stations if station.source}
    followers = {id(station): _follower(station, by_channel) for station in stations}
    following = {id(station) for station in followers.values() if station is not None}
    groups = []
    for station in stations:
        if id(station) in following:
            continue
        group = [station]
        while (follower := followers[id(group[-1])]) is not None:
            group.append(follower)
        groups.append(group)
    return groups


def _follower(station: Station, by_channel: dict[int, Station]) -> Station | None:
    """The station that can work in the same task right behind ``station``."""
    if not isinstance(station.component, Transform) or len(station.outs) != 1:
        return None
    follower = by_channel[id(station.outs[0])]
    if not isinstance(follower.component, Transform | Formatter) or station.outs[0].senders != 1:
        return None
    return follower


def watched(station: Station, batch: Batch) -> tuple[Batch, list[Refused]]:
    """What guards let pass of a batch on its way to a writer, and what they reject."""
    refused: list[Refused] = []
    for watch in station.watches:
        batch, more = watch.look(batch)
        refused += more
    return batch, refused
