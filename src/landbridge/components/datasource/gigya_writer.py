"""What all writers to a site share: one call a record, bounded and in order, with ``_response`` on request."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from landbridge.components.base import RecordWriter
from landbridge.components.datasource import gigya_calls as calls
from landbridge.components.datasource.gigya_site import open_site
from landbridge.records import Batch
from landbridge.remote.gigya import Client


class SiteWriter(RecordWriter):
    """Base of the writers that make one call for each record."""

    params: Any
    client: Client
    """Open between ``opened`` and the last batch."""

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
        requests = self.requests(batch)
        found = await calls.outcomes(
            requests,
            self.call,
            connections=self.params.max_connections,
            key=lambda number: requests[number].get("UID"),
            services=self.services,
        )
        done, replies = calls.split(batch, found, self.services)
        return calls.with_objects(done, calls.RESPONSE, replies) if self.params.add_response else done
