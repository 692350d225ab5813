"""Objects of a site's data store."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from landbridge.components.base import RecordReader
from landbridge.components.datasource import gigya_calls as calls, gigya_query as queries
from landbridge.components.datasource.gigya_pages import search
from landbridge.components.datasource.gigya_query import SelectList
from landbridge.components.datasource.gigya_site import SiteParams
from landbridge.components.datasource.gigya_writer import SiteWriter
from landbridge.components.params import Param
from landbridge.components.registry import component
from landbridge.records import Batch
from landbridge.remote.gigya_errors import CallRefused


class DataStoreReaderParams(SiteParams):
    """Parameters of the data store reader."""

    select: SelectList = Param(
        "Fields or objects, separated by commas, or *.", default="*", example="oid, UID, data.points_i"
    )
    from_: Annotated[str, Field(alias="from")] = Param("Type of the objects.", example="purchases", aliases=("type",))
    where: str | None = Param("Condition in the search language.", default=None, example="data.points_i > 100")
    batch_size: int = Param("Objects on a page of the search.", default=1000, ge=1, le=10_000)

    @field_validator("from_")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return queries.source_name(value)


@component("datasource.read.gigya.ds", title="Read data store objects")
class DataStoreReader(RecordReader):
    """Read the objects of one type from a site's data store, by search."""

    Params = DataStoreReaderParams
    params: DataStoreReaderParams

    def columns(self) -> Sequence[str] | None:
        """The fields of ``select``, where all of them are single values."""
        return queries.known_columns(queries.parse_select(self.params.select))

    def read(self) -> AsyncGenerator[Batch]:
        """Yield the objects."""
        delta = None if self.since is None else f"lastUpdated >= {queries.epoch_ms(self.since)}"
        query = queries.build(
            queries.parse_select(self.params.select),
            self.params.from_,
            conditions=[self.params.where, delta],
            order_by="lastUpdated" if delta else None,
            limit=self.params.batch_size,
        )
        return search(self.params, "ds.search", query, services=self.services)


class DataStoreWriterParams(SiteParams):
    """Parameters of the data store writer."""

    type: str = Param("Type of the objects.", example="purchases")
    update_behavior: Literal["arraySet", "arrayPush", "replace"] = Param(
        "What happens to an object that exists: arraySet replaces arrays and merges the rest, arrayPush adds to "
        "arrays, replace replaces all of it.",
        default="arraySet",
    )
    add_response: bool = Param("Add the API's answer to each record as the object _response.", default=False)
    max_connections: int = Param("Parallel calls.", default=10, ge=1, le=100)

    @field_validator("type")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return queries.source_name(value)


@component("datasource.write.gigya.ds", title="Write data store objects")
class DataStoreWriter(SiteWriter):
    """Store each record's ``data`` as an object, under its ``oid`` and, where it has one, its ``UID``.

    A record without ``oid`` becomes a new object with an id of ours, so that a repeated call cannot store it twice.
    """

    Params = DataStoreWriterParams
    params: DataStoreWriterParams

    def requests(self, batch: Batch) -> list[dict[str, str]]:
        """Type, id and data of each object."""
        texts = calls.texts_by_field(batch)
        own: dict[str, list[str | None]] = {name: texts[name] for name in ("oid", "UID", "data") if name in texts}
        made = calls.requests_of(own, batch.num_rows)
        fixed = {"type": self.params.type, "updateBehavior": self.params.update_behavior}
        return [
            {**request, **fixed, "oid": uuid.uuid4().hex if request.get("oid", "auto") == "auto" else request["oid"]}
            for request in made
        ]

    def repeatable(self, batch: Batch, requests: Sequence[Mapping[str, str]]) -> list[bool]:
        """An object without an id of its own would be stored twice, and elements would be pushed twice."""
        del requests
        own = calls.texts_by_field(batch).get("oid", [None] * batch.num_rows)
        return [oid not in (None, "auto") and self.params.update_behavior != "arrayPush" for oid in own]

    async def call(self, parameters: Mapping[str, str]) -> bytes:
        """Store one object."""
        if "data" not in parameters:
            raise CallRefused(400002, "the record has no data")
        # Pushed twice, the elements of an array would be there twice.
        repeatable = self.params.update_behavior != "arrayPush"
        answer = await self.client.call("ds.store", parameters, may_repeat=repeatable)
        return answer.body
