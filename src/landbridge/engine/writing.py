"""The ways of a record writer: at once, after a look at all of its input, or not at all in a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace

import anyio.to_thread

from landbridge.components.base import Forecast, Forecasts, RecordWriter
from landbridge.engine.channel import NotWanted
from landbridge.engine.consent import withdrawals
from landbridge.engine.counts import Activity
from landbridge.engine.dry_run import Planned
from landbridge.engine.gate import Gate
from landbridge.engine.passage import Passage
from landbridge.engine.recovery import before
from landbridge.engine.stations import Station, watched
from landbridge.engine.units import Supply
from landbridge.records import Batch


async def write(station: Station, supply: Supply, writer: RecordWriter, *, passage: Passage, gate: Gate) -> None:
    """Write what was gathered, when the gate opens."""

    async def hand_on(station: Station, batch: Batch) -> None:
        """That nobody wants the answers does not keep the next unit from being written."""
        await passage.drain(station)
        with suppress(NotWanted):
            await passage.send(station, batch)

    await gate.arrive(station.step.id)
    station.counts.now(Activity.WAITING)
    await gate.wait(station.step.id)
    station.counts.now(Activity.WORKING)
    async with writer.opened():
        await supply.write(hand_on)


async def gather(
    station: Station, supply: Supply, stations: Sequence[Station], *, passage: Passage, gate: Gate
) -> None:
    """Keep all that comes in until it is known to be all."""
    if supply.gathered is not None:
        station.counts.records_in += supply.replay_refused()
        return
    try:
        while (batch := await passage.receive(station)) is not None:
            passed = await _passed(station, batch, supply)
            station.counts.records_in += batch.num_rows - passed.num_rows
            await passage.drain(station)
        tally = await anyio.to_thread.run_sync(gate.finish, station.step.id)
        steps = before(stations, station)
        counts = {other.step.id: other.counts.as_json() for other in stations if other.step.id in steps}
        await supply.complete(tally=tally.as_json(), counts=counts)
    finally:
        supply.discard()


async def plan(station: Station, writer: RecordWriter, *, passage: Passage, gate: Gate) -> Planned:
    """Ask the target what it would do, where it can be asked."""
    planned = Planned()

    async def look(batch: Batch) -> Batch:
        passed = await _passed(station, batch)
        if isinstance(writer, Forecasts):
            planned.add(_with_declared(station, passed, await writer.forecast(passed)))
        return passed

    asked = isinstance(writer, Forecasts)
    await passage.call(station, writer.opened() if asked else nullcontext(), look)
    tally = await anyio.to_thread.run_sync(gate.finish, station.step.id)
    await gate.arrive(station.step.id)
    return planned if asked else Planned.untold(tally)


def _with_declared(station: Station, batch: Batch, forecasts: list[Forecast]) -> list[Forecast]:
    """What the target says, which does not know the consents that the dataflow declares."""
    known = [forecast.before for forecast in forecasts]
    for item in dict.fromkeys(item for watch in station.watches for item in watch.declared):
        out = withdrawals(batch, item, known)
        forecasts = [
            replace(forecast, opts_out=forecast.opts_out or loses)
            for forecast, loses in zip(forecasts, out, strict=True)
        ]
    return forecasts


async def _passed(station: Station, batch: Batch, supply: Supply | None = None) -> Batch:
    """What guards let pass; the rest is rejected."""
    passed, refused = await anyio.to_thread.run_sync(watched, station, batch)
    for records, errors in refused:
        station.services.reject(records, errors)
    if supply is not None:
        await supply.add(passed, refused)
    return passed
