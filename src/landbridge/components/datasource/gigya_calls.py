"""One call for every record of a batch: in parallel, bounded, outcomes in the order of the records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec
import pyarrow as pa

from landbridge.components.base import RecordError, StepServices
from landbridge.components.datasource.parallel import for_each
from landbridge.records import Batch, columns as col
from landbridge.records.path import parse, write
from landbridge.records.shred import Shredder
from landbridge.remote.gigya_errors import CallRefused, CallUnfinished, as_vendor_code

RESPONSE: Final = "_response"
"""The object that holds the API's answer, as IdentitySync names it."""

MARKS: Final = ("_errorDetails", RESPONSE)
"""What steps add to a record about its fate; it never becomes a parameter of a call unless a step names it."""

Parameters = Mapping[str, str]
Outcome = bytes | RecordError
Call = Callable[[Parameters], Awaitable[bytes]]


async def outcomes(
    requests: Sequence[Parameters],
    call: Call,
    *,
    connections: int,
    key: Callable[[int], str | None],
    services: StepServices,
) -> list[Outcome]:
    """Make all calls and give what became of each, in the order of ``requests``.

    Args:
        requests: The parameters of the calls.
        call: Makes one call and gives the reply.
        connections: At most so many calls at a time.
        key: The account that a call concerns, by the call's number; calls for the same one keep their order.
        services: Told of every finished call.

    Raises:
        LandbridgeError: What ends the job; the calls under way are given up.
    """
    found: list[Outcome] = [RecordError("LB-3207", "the call was not made")] * len(requests)

    async def make(chain: Sequence[int]) -> None:
        for number in chain:
            try:
                found[number] = await call(requests[number])
            except (CallRefused, CallUnfinished) as error:
                found[number] = RecordError(as_vendor_code(error), error.message)
            services.progress()

    await for_each(_chains(len(requests), key), make, at_a_time=connections)
    return found


def _chains(count: int, key: Callable[[int], str | None]) -> list[list[int]]:
    """The numbers of calls, those for the same account together."""
    chains: dict[str | int, list[int]] = {}
    for number in range(count):
        chains.setdefault(key(number) or number, []).append(number)
    return list(chains.values())


def split(batch: Batch, found: Sequence[Outcome], services: StepServices) -> tuple[Batch, list[bytes]]:
    """Reject the records whose calls failed; gives the others and their replies."""
    bad = [number for number, outcome in enumerate(found) if isinstance(outcome, RecordError)]
    replies = [outcome for outcome in found if not isinstance(outcome, RecordError)]
    if not bad:
        return batch, replies
    services.reject(batch.take(bad), [outcome for outcome in found if isinstance(outcome, RecordError)])
    good = [number for number, outcome in enumerate(found) if not isinstance(outcome, RecordError)]
    return batch.take(good), replies


def with_objects(batch: Batch, field: str, texts: Sequence[bytes]) -> Batch:
    """The batch with a JSON value in ``field`` of every record, in place of what stood there."""
    if not batch.num_rows:
        return batch
    label = b"{" + msgspec.json.encode(field) + b":"
    new = Shredder().array(b"[" + b",".join(label + text + b"}" for text in texts) + b"]")
    old = [name for name in batch.names if parse(name)[0] == field]
    return beside(batch.without_columns(old), new)


def beside(batch: Batch, other: Batch) -> Batch:
    """The fields of two batches with the same rows and no common outermost field."""
    for name, column in other.columns.items():
        batch = batch.put(parse(name), column)
    return batch


def texts_by_field(batch: Batch) -> dict[str, list[str | None]]:
    """Every outermost field as texts, as parameters travel: texts bare, all else as JSON; None where there is none.

    ``_response`` and ``_errorDetails`` are left out.
    """
    names = dict.fromkeys(str(parse(name)[0]) for name in batch.names)
    return {name: texts_at(batch, write((name,))) for name in names if name not in MARKS}


def texts_at(batch: Batch, field: str) -> list[str | None]:
    """The values of one field as texts; see ``texts_by_field``."""
    column = batch.get(parse(field))
    if pa.types.is_boolean(column.type):
        return [None if value is None else "true" if value else "false" for value in column.to_pylist()]
    texts: list[str | None] = col.plain_text(column).to_pylist()
    return texts


def requests_of(texts: Mapping[str, Sequence[str | None]], count: int) -> list[dict[str, str]]:
    """The parameters of every call, from texts by parameter name."""
    columns = list(texts.items())
    return [{name: text for name, values in columns if (text := values[number]) is not None} for number in range(count)]
