"""The results of finished splits in place of the steps that made them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain as concatenated
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from landbridge.engine.channel import Channel, NotWanted
from landbridge.engine.counts import Activity
from landbridge.engine.passage import Passage
from landbridge.engine.pieces import MAIN, REJECTS, SplitResult
from landbridge.engine.rejects import RejectStore
from landbridge.engine.segment import read_segment
from landbridge.engine.stations import Station
from landbridge.records import Batch

_REJECTS_AT_A_TIME = 1000


async def feed(replaced: Sequence[Station], folders: Sequence[Path], *, passage: Passage, rejects: RejectStore) -> None:
    """Hand on what splits have left, in their order.

    Args:
        replaced: The stations that the splits ran, in order.
        folders: Of finished splits, in the order of the input.
        passage: Moves the items.
        rejects: Where failed records go that have no error edge.
    """
    results = [await anyio.to_thread.run_sync(SplitResult.read, folder) for folder in folders]
    for station in replaced:
        station.counts.take_over(_summed([result.counts[station.step.id] for result in results]))
    await anyio.to_thread.run_sync(_add_rejects, folders, rejects)
    async with anyio.create_task_group() as group:
        for station in replaced:
            name = station.step.id
            if station.errors:
                failed = [folder / result.errors[name] for folder, result in zip(folders, results, strict=True)]
                group.start_soon(_send_failed, station.errors, failed)
        last = replaced[-1]
        batches = concatenated.from_iterable(read_segment(folder / MAIN) for folder in folders)
        try:
            while (batch := await anyio.to_thread.run_sync(next, batches, None)) is not None:
                await passage.send(last, batch)
        except NotWanted:
            pass
        last.counts.now(Activity.DONE)


async def _send_failed(channels: Sequence[Channel], segments: Sequence[Path]) -> None:
    batches: Iterator[Batch] = concatenated.from_iterable(map(read_segment, segments))
    try:
        while (batch := await anyio.to_thread.run_sync(next, batches, None)) is not None:
            for channel in channels:
                await channel.send(batch)
    except NotWanted:
        pass


def _summed(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(one[name] for one in counts) for name in counts[0]}


def _add_rejects(folders: Sequence[Path], rejects: RejectStore) -> None:
    for folder in folders:
        path = folder / REJECTS
        if not path.exists():
            continue
        with path.open("rb") as file:
            by_step: dict[str, list[dict[str, object]]] = {}
            for line in file:
                fields: dict[str, msgspec.Raw] = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
                step = msgspec.json.decode(fields["step"], type=str)
                kept = {name: _value(name, raw) for name, raw in fields.items() if name not in _OWN}
                waiting = by_step.setdefault(step, [])
                waiting.append(kept)
                if len(waiting) >= _REJECTS_AT_A_TIME:
                    rejects.add(step, waiting)
                    by_step[step] = []
            for step, waiting in by_step.items():
                if waiting:
                    rejects.add(step, waiting)


_OWN = frozenset(["job", "step", "number"])


def _value(name: str, raw: msgspec.Raw) -> object:
    """A reject's record stays text, as its step has given it."""
    return msgspec.Raw(bytes(raw)) if name == "record" else msgspec.json.decode(raw)
