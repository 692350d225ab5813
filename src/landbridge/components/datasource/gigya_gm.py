"""Loyalty: what a site's game mechanics know of a person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

from landbridge.components.base import Lookup
from landbridge.components.datasource import gigya_calls as calls
from landbridge.components.datasource.gigya_site import SiteParams, open_site
from landbridge.components.params import Param, TextList
from landbridge.components.registry import component
from landbridge.records import Batch
from landbridge.remote.gigya import Client
from landbridge.remote.gigya_errors import CallRefused


class LoyaltyLookupParams(SiteParams):
    """Parameters of the loyalty lookup."""

    include_challenges: TextList | None = Param(
        "Ids of the challenges to ask for; * or nothing for all.", default=None, example=["*"]
    )
    exclude_challenges: TextList | None = Param("Ids of challenges to leave out.", default=None, example=["_default"])
    max_connections: int = Param("Parallel calls.", default=10, ge=1, le=100)


class _Status(msgspec.Struct):
    achievements: msgspec.Raw = msgspec.Raw(b"[]")


@component("datasource.lookup.gigya.gm", title="Look up loyalty status")
class LoyaltyLookup(Lookup):
    """Add the array ``achievements``: level and points of the record's ``UID`` in each challenge."""

    Params = LoyaltyLookupParams
    params: LoyaltyLookupParams
    _client: Client

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        """Hold connections to the site open."""
        async with open_site(self.params, connections=self.params.max_connections) as self._client:
            yield self._client

    async def look_up(self, batch: Batch) -> Batch:
        """Ask for each record's status."""
        fixed = {"details": "full"}
        if self.params.include_challenges and "*" not in self.params.include_challenges:
            fixed["includeChallenges"] = ",".join(self.params.include_challenges)
        if self.params.exclude_challenges:
            fixed["excludeChallenges"] = ",".join(self.params.exclude_challenges)
        uids = calls.texts_at(batch, "UID")
        found = await calls.outcomes(
            [{**fixed, "UID": uid or ""} for uid in uids],
            self._ask,
            connections=self.params.max_connections,
            key=lambda number: uids[number],
            services=self.services,
        )
        done, replies = calls.split(batch, found, self.services)
        decoder = msgspec.json.Decoder(_Status)
        return calls.with_objects(done, "achievements", [bytes(decoder.decode(each).achievements) for each in replies])

    async def _ask(self, parameters: Mapping[str, str]) -> bytes:
        if not parameters["UID"]:
            raise CallRefused(400002, "the record has no UID")
        answer = await self._client.call("gm.getChallengeStatus", parameters, may_repeat=True)
        return answer.body
