"""Samples for the trace at level debug: the first records that each step hands on, up to three of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any, Final

from landbridge.components.base import (
    Component,
    FileStart,
    Lookup,
    Parser,
    RecordReader,
    RecordWriter,
    StepServices,
    Transform,
)
from landbridge.dataflow.plan import PlanStep
from landbridge.records import Batch

RECORDS: Final = 3
"""As IdentitySync's page on schedulings says: debug shows what passes between two steps, limited to three records."""

Keep = Callable[[str, list[dict[str, Any]]], None]
"""Gets a step's id and records."""


Make = Callable[[PlanStep, StepServices], Component]


def sampled(make: Make, keep: Keep) -> Make:
    """``make``, giving components that show the first records they hand on to ``keep``."""

    def make_watched(step: PlanStep, services: StepServices) -> Component:
        component = make(step, services)
        watch = _Watch(step.id, keep)
        if isinstance(component, Transform):
            _replace(component, "apply", watch.call(component.apply))
        elif isinstance(component, Lookup):
            _replace(component, "look_up", watch.call_later(component.look_up))
        elif isinstance(component, RecordWriter):
            _replace(component, "write", watch.call_later(component.write))
        elif isinstance(component, Parser):
            _replace(component, "parse", watch.parse(component.parse))
        elif isinstance(component, RecordReader):
            _replace(component, "read", watch.read(component.read))
        return component

    return make_watched


class _Watch:
    """Shows the first records of one step, once."""

    def __init__(self, step: str, keep: Keep) -> None:
        self._step = step
        self._keep = keep
        self._left = RECORDS

    def seen(self, batch: Batch) -> Batch:
        if self._left and batch.num_rows:
            records = batch.slice(0, self._left).to_objects()
            self._left -= len(records)
            self._keep(self._step, records)
        return batch

    def call(self, work: Callable[[Batch], Batch]) -> Callable[[Batch], Batch]:
        return lambda batch: self.seen(work(batch))

    def call_later(self, work: Callable[[Batch], Awaitable[Batch]]) -> Callable[[Batch], Awaitable[Batch]]:
        async def watched(batch: Batch) -> Batch:
            return self.seen(await work(batch))

        return watched

    def parse(
        self, work: Callable[[FileStart, Iterator[bytes]], Iterator[Batch]]
    ) -> Callable[[FileStart, Iterator[bytes]], Iterator[Batch]]:
        return lambda file, chunks: (self.seen(batch) for batch in work(file, chunks))

    def read(self, work: Callable[[], AsyncGenerator[Batch]]) -> Callable[[], AsyncGenerator[Batch]]:
        async def watched() -> AsyncGenerator[Batch]:
            batches = work()
            try:
                async for batch in batches:
                    yield self.seen(batch)
            finally:
                await batches.aclose()

        return watched


def _replace(component: Component, method: str, watched: object) -> None:
    """Put a function in the place of a method, for this one instance."""
    setattr(component, method, watched)
