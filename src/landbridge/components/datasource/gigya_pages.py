"""Pages of a search as batches: the text of several pages is cut into columns at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

import anyio.to_thread
import msgspec

from landbridge.components.base import StepServices
from landbridge.components.datasource.gigya_site import SiteParams, open_site
from landbridge.records import Batch
from landbridge.records.shred import Shredder
from landbridge.remote.api_failures import not_understood
from landbridge.remote.gigya import Client

_BATCH_BYTES: Final = 1 << 20
"""Small pages are put together until they are this long; steps work best on about a thousand records at a time."""


async def search(params: SiteParams, method: str, query: str, *, services: StepServices) -> AsyncGenerator[Batch]:
    """Yield the results of a search of the step's site, on a connection of its own.

    Raises:
        LandbridgeError: See ``open_site`` and ``Client.pages``.
    """
    async with (
        open_site(params, connections=1) as client,
        aclosing(batches(client, method, query, services=services)) as found,
    ):
        async for batch in found:
            yield batch


async def batches(
    client: Client,
    method: str,
    query: str,
    *,
    services: StepServices,
    extra: Mapping[str, str] | None = None,
    shredder: Shredder | None = None,
) -> AsyncGenerator[Batch]:
    """Yield the results of a search. The first page is not held back, so that a small test run is quick.

    Args:
        client: The site.
        method: Which search.
        query: The query.
        services: Told of progress.
        extra: Further parameters of the first call.
        shredder: Makes records of the results; the usual one when None.

    Raises:
        LandbridgeError: See ``Client.pages``.
    """
    shredder, place = shredder or Shredder(), client.login.place
    held: list[bytes] = []
    size, read, total, is_first = 0, 0, 0, True
    async with aclosing(client.pages(method, query, extra=extra)) as pages:
        async for page in pages:
            services.progress()
            total = total or page.total_count
            read += page.objects_count
            held.append(page.elements)
            size += len(page.elements)
            if size >= _BATCH_BYTES or is_first:
                # In a thread, so that the request for the next page goes out first.
                yield await anyio.to_thread.run_sync(_shredded, shredder, held, place, method)
                held, size, is_first = [], 0, False
    if held:
        yield _shredded(shredder, held, place, method)
    if 0 < read < total:
        services.log(
            "warning",
            f"{method} announced {total} records and gave {read}; the others were deleted or changed meanwhile",
        )


def _shredded(shredder: Shredder, texts: list[bytes], place: str, method: str) -> Batch:
    try:
        return shredder.array(b"[" + b",".join(texts) + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise not_understood(place, method) from None
