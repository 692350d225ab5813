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
    FileReader,
    FileWriter,
    Formatter,
    Lookup,
    Parser,
    RecordReader,
    RecordWriter,
    Transform,
)
from landbridge.dataflow.plan import Plan, PlanStep
from landbridge.engine.channel import Channel
from landbridge.engine.counts import StepCounts
from landbridge.engine.services import Services
from landbridge.records.needs import ALL, Needs

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
    """

    step: PlanStep
    component: Component
    services: Services
    order: int = 0
    source: Channel | None = None
    outs: list[Channel] = field(default_factory=list)
    errors: list[Channel] = field(default_factory=list)
    columns: Sequence[str] | None = None

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
    """Tell parsers which fields are needed, walking from the end of the plan to its beginning."""
    needed_at: dict[int, Needs] = {}
    for station in reversed(stations):
        behind = [needed_at[id(channel)] for channel in station.outs]
        needs = reduce(Needs.union, behind) if behind else ALL
        if isinstance(station.component, Parser):
            station.component.needs = needs
        if station.source is not None:
            component = station.component
            needed_at[id(station.source)] = component.needs(needs) if isinstance(component, Transform) else ALL


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


def is_async(station: Station) -> bool:
    """Whether the station works in the event loop rather than in a worker thread."""
    return isinstance(station.component, RecordReader | FileReader | Lookup | RecordWriter | FileWriter)
