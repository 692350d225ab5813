"""What a finished split leaves, and which part of a plan splits can run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from landbridge.components.base import Component, FileTransform, Lookup, Parser, Splittable, Transform
from landbridge.engine.stations import Station

RESULT: Final = "result.json"
MAIN: Final = "records.arrow"
REJECTS: Final = "rejects.jsonl"


class SplitResult(msgspec.Struct):
    """What a finished split has left in its folder.

    Attributes:
        counts: Counts by step.
        errors: By step with an error edge, the segment with its failed records.
    """

    counts: dict[str, dict[str, int]]
    errors: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> SplitResult:
        """The result in a folder."""
        return msgspec.json.decode((folder / RESULT).read_bytes(), type=cls)


def divisible(stations: Sequence[Station]) -> list[Station]:
    """The stations from the reader on that a split can run: each feeds one other, and sees one record at a time.

    A step that knows something only at the end, or may keep something between records, is not among them.
    """
    by_channel = {id(station.source): station for station in stations if station.source}
    entry = next((station for station in stations if station.source is None), None)
    if entry is None or not isinstance(entry.component, Splittable):
        return []
    chain = [entry]
    while len(chain[-1].outs) == 1:
        channel = chain[-1].outs[0]
        follower = by_channel[id(channel)]
        feeding = sum(channel in (*station.outs, *station.errors) for station in stations)
        if feeding > 1 or not _sees_one_at_a_time(follower.component):
            break
        chain.append(follower)
    produces = chain[-1].component.outputs
    while chain and produces != "records":  # files cannot be handed on in parts
        chain.pop()
        produces = chain[-1].component.outputs if chain else "records"
    return chain


def _sees_one_at_a_time(component: Component) -> bool:
    if isinstance(component, FileTransform | Parser | Lookup):
        return True
    return isinstance(component, Transform) and not component.keeps_state
