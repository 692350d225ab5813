"""Comments and streams of a site."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Literal

from pydantic import Field

from landbridge.components.base import RecordReader
from landbridge.components.datasource import gigya_query as queries
from landbridge.components.datasource.gigya_pages import search
from landbridge.components.datasource.gigya_query import SelectList
from landbridge.components.datasource.gigya_site import SiteParams
from landbridge.components.params import Param
from landbridge.components.registry import component
from landbridge.records import Batch
from landbridge.records.path import parse

_PAGE_SIZES = {"comments": 100, "streams": 300}


class CommentReaderParams(SiteParams):
    """Parameters of the comment reader."""

    select: SelectList = Param("Fields or objects, separated by commas, or *.", default="*", example="ID, commentText")
    from_: Annotated[Literal["comments", "streams"], Field(alias="from")] = Param("What to read.", default="comments")
    where: str | None = Param("Condition in the search language.", default=None, example='categoryID="comments"')
    batch_size: int | None = Param(
        "Records on a page of the search: 100 comments or 300 streams when not set.", default=None, ge=1, le=10_000
    )
    keep_field_names_with_dot_as_is: bool = Param(
        "Keep a name with dots as one name; otherwise a.b becomes b within a.", default=False
    )


@component("datasource.read.gigya.comment", title="Read comments")
class CommentReader(RecordReader):
    """Read comments, or the streams they belong to."""

    Params = CommentReaderParams
    params: CommentReaderParams

    async def read(self) -> AsyncGenerator[Batch]:
        """Yield the comments or streams."""
        query = queries.build(
            queries.parse_select(self.params.select),
            self.params.from_,
            conditions=[self.params.where],
            limit=self.params.batch_size or _PAGE_SIZES[self.params.from_],
        )
        async with aclosing(search(self.params, "comments.search", query, services=self.services)) as found:
            async for batch in found:
                yield batch if self.params.keep_field_names_with_dot_as_is else _expanded(batch)


def _expanded(batch: Batch) -> Batch:
    """The batch with dotted names of outermost fields as nested ones."""
    for outer in dict.fromkeys(str(parse(name)[0]) for name in batch.names):
        keys = tuple(outer.split("."))
        if len(keys) > 1 and all(keys):
            batch = batch.rename((outer,), keys)
    return batch
