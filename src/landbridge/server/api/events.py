"""Live events as server-sent events: of one job, or of all.

A stream ends after a quarter of an hour at the latest; browsers come back by themselves with ``Last-Event-ID``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Annotated, Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from fastapi import Header, Query, Request
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from landbridge.errors import StorageError
from landbridge.jobs import db_jobs, db_progress
from landbridge.jobs.db_jobs import ENDED, JobRow
from landbridge.jobs.db_progress import TraceRow
from landbridge.server.api.access import Viewer
from landbridge.server.api.feed import MARGIN, Feed, News
from landbridge.server.api.job_shapes import JobShown, listed
from landbridge.server.api.jobs import trace_line, whole
from landbridge.server.api.place import Here, Place
from landbridge.server.api.problems import BUSY
from landbridge.server.api.routing import Routes, Threads
from landbridge.server.api.shapes import FIRST_YEAR, LAST_YEAR, Key

router = Routes(tag="events")

_HEARTBEAT_S: Final = 15.0
_LIFE_S: Final = 900.0
_RETRY_MS: Final = 2000
_LINES: Final = 500
_JOBS: Final = 500
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}

LastEventHeader = Annotated[str | None, Header(alias="Last-Event-ID", max_length=100)]
LastEventQuery = Annotated[
    str | None, Query(alias="lastEventId", max_length=100, description="The same, for who cannot send headers.")
]


@router.get("/jobs/{id}/events", response_class=StreamingResponse, responses=_ANSWERS)
async def follow_job(
    here: Here,
    _: Viewer,
    request: Request,
    id: Key,
    last_event: LastEventHeader = None,
    last_event_query: LastEventQuery = None,
) -> StreamingResponse:
    """Follow a job: its state and counts (``job``), the lines of its trace (``trace``), and its end (``end``).

    The id of an event is the last line of the trace that was sent; given as Last-Event-ID, lines go on behind it.
    """
    feed, threads = _parts(request)
    given = last_event or last_event_query or ""
    last = int(given) if given.isascii() and given.isdecimal() and len(given) < 19 else 0  # noqa: PLR2004 - fits a row's number
    reading = _JobReading(here, id)
    await threads.run(reading.job)
    return await _stream(_of_job(feed, threads, reading, last))


@router.get("/events", response_class=StreamingResponse, responses=_ANSWERS)
async def follow_all(
    here: Here,
    _: Viewer,
    request: Request,
    last_event: LastEventHeader = None,
    last_event_query: LastEventQuery = None,
) -> StreamingResponse:
    """Follow all jobs: each one that changes (``job``); and what people change (``changed``), by its kind.

    Given as Last-Event-ID, jobs that changed since that event come first; one may come twice.
    """
    feed, threads = _parts(request)
    return await _stream(_of_all(feed, threads, here, _instant(last_event or last_event_query or "")))


class _JobReading:
    """Reads a job and its trace."""

    def __init__(self, here: Place, id: str) -> None:
        self._here = here
        self.id = id

    def job(self) -> JobShown:
        with self._here.database.read() as tx:
            return whole(tx, db_jobs.get(tx, self.id))

    def lines(self, after: int) -> list[TraceRow]:
        with self._here.database.read() as tx:
            return list(db_progress.trace_of(tx, self.id, after=after, limit=_LINES))


async def _of_job(feed: Feed, threads: Threads, reading: _JobReading, last: int) -> AsyncGenerator[bytes]:
    async with feed.listen() as news:
        ends = monotonic() + _LIFE_S
        shown: JobShown | None = None
        while monotonic() < ends:
            # The job first: what its trace says after its end would be missed otherwise.
            job = await threads.run(reading.job)
            while lines := await threads.run(partial(reading.lines, last)):
                last = lines[-1].id
                yield b"".join(_event("trace", trace_line(line), id=str(line.id)) for line in lines)
            if shown is None or job != shown:
                yield _event("job", job, id=str(last))
                shown = job
            if job.status in ENDED:
                yield _event("end", {"status": job.status}, id=str(last))
                return
            if not await _told_of(news, reading.id):
                yield b": still here\n\n"


async def _of_all(feed: Feed, threads: Threads, here: Place, since: datetime | None) -> AsyncGenerator[bytes]:
    def missed(moment: datetime) -> list[JobRow]:
        with here.database.read() as tx:
            return list(db_jobs.changed_since(tx, moment - MARGIN, limit=_JOBS))

    async with feed.listen() as news:
        yield f"retry: {_RETRY_MS}\n\n".encode()
        if since is not None:
            yield b"".join(_jobs(await threads.run(partial(missed, since))))
        ends = monotonic() + _LIFE_S
        while monotonic() < ends:
            told = await _next(news)
            if told is None:
                yield b": still here\n\n"
                continue
            yield b"".join((*(_event("changed", {"area": area}) for area in told.areas), *_jobs(told.jobs)))


async def _next(news: MemoryObjectReceiveStream[News]) -> News | None:
    """The next news; None when there is none for a while.

    Raises:
        anyio.EndOfStream: There will be no more.
    """
    with anyio.move_on_after(_HEARTBEAT_S):
        return await news.receive()
    return None


async def _told_of(news: MemoryObjectReceiveStream[News], job_id: str) -> bool:
    """Wait for news of a job; False when there is none for a while, whatever is told of others.

    Raises:
        anyio.EndOfStream: There will be no more.
    """
    with anyio.move_on_after(_HEARTBEAT_S):
        while all(row.id != job_id for row in (await news.receive()).jobs):
            continue
        return True
    return False


async def _stream(events: AsyncGenerator[bytes]) -> StreamingResponse:
    """The answer, when listening has begun: whoever has read its headers misses nothing from then on."""
    try:
        first = await anext(events)
    except (anyio.EndOfStream, anyio.ClosedResourceError):
        first = b""
    return StreamingResponse(_until_closed(first, events), media_type="text/event-stream", headers=_HEADERS)


async def _until_closed(first: bytes, events: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    """The events until the feed closes or the database is away: then the client comes back for what it missed."""
    yield first
    try:
        async for event in events:
            yield event
    except (anyio.EndOfStream, anyio.ClosedResourceError, StorageError):
        return


def _parts(request: Request) -> tuple[Feed, Threads]:
    feed: Feed = request.app.state.feed
    if not feed.has_room:
        raise StorageError(BUSY, "too many listen for events", hint="Try again in a moment.")
    return feed, request.app.state.threads


def _jobs(rows: Any) -> list[bytes]:
    return [_event("job", listed(row), id=row.updated.isoformat()) for row in rows]


def _event(name: str, content: BaseModel | dict[str, Any], *, id: str = "") -> bytes:
    """An event as it is sent; JSON has no line breaks of its own."""
    text = content.model_dump_json(by_alias=True) if isinstance(content, BaseModel) else json.dumps(content)
    number = f"id: {id}\n" if id else ""
    return f"{number}event: {name}\ndata: {text}\n\n".encode()


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    usable = moment.tzinfo is not None and FIRST_YEAR < moment.year < LAST_YEAR
    return moment.astimezone(UTC) if usable else None
