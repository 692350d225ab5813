"""What all writers to a site share: one call a record, bounded and in order, with ``_response`` on request."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from landbridge.components.base import RecordWriter, StepServices, unknown_outcome
from landbridge.components.datasource import gigya_calls as calls
from landbridge.components.datasource.gigya_site import open_site
from landbridge.records import Batch
from landbridge.remote.gigya import Client

_CALLS_PER_CONNECTION: Final = 10


class SiteWriter(RecordWriter):
    """Base of the writers that make one call for each record."""

    params: Any
    client: Client
    """Open between ``opened`` and the last batch."""

    def __init__(self, params: Any, services: StepServices) -> None:
        super().__init__(params, services)
        # Large enough to keep all connections busy nearly all the time, small enough for little to be repeated.
        self.unit_records = _CALLS_PER_CONNECTION * self.params.max_connections

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        """Hold connections to the site open."""
        async with open_site(self.params, connections=self.params.max_connections) as self.client:
            yield self.client

    @abstractmethod
    def requests(self, batch: Batch) -> list[dict[str, str]]:
        """The parameters of the call for each record."""

    @abstractmethod
    async def call(self, parameters: Mapping[str, str]) -> bytes:
        """Make the call for one record; gives the reply.

        Raises:
            CallRefused, CallUnfinished: The record failed.
            LandbridgeError: The job cannot go on.
        """

    async def write(self, batch: Batch) -> Batch:
        """Make one call for each record."""
        return await self._written(batch, self.requests(batch), self.call)

    async def repeat(self, batch: Batch) -> Batch:
        """Make the calls once more that do no harm when they are made twice; reject the other records."""
        requests = self.requests(batch)
        harmless = self.repeatable(batch, requests)
        unknown = [number for number, may in enumerate(harmless) if not may]
        if unknown:
            self.services.reject(batch.take(unknown), [unknown_outcome()] * len(unknown))
        again = [number for number, may in enumerate(harmless) if may]
        return await self._written(batch.take(again), [requests[number] for number in again], self.call_again)

    def repeatable(self, batch: Batch, requests: Sequence[Mapping[str, str]]) -> list[bool]:
        """For each record whether its call, which may have been made, does no harm when it is made again."""
        del batch
        return [True] * len(requests)

    async def call_again(self, parameters: Mapping[str, str]) -> bytes:
        """Make a call that may have been made; see ``call``."""
        return await self.call(parameters)

    async def _written(
        self, batch: Batch, requests: list[dict[str, str]], call: Callable[[Mapping[str, str]], Awaitable[bytes]]
    ) -> Batch:
        found = await calls.outcomes(
            requests,
            call,
            connections=self.params.max_connections,
            key=lambda number: requests[number].get("UID"),
            services=self.services,
        )
        done, replies = calls.split(batch, found, self.services)
        return calls.with_objects(done, calls.RESPONSE, replies) if self.params.add_response else done
