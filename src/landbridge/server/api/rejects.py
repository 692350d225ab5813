"""Rejects: records that failed. Lists tell why; the records are people's data, and who sees them is noted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from pydantic import Field
from starlette.responses import StreamingResponse

from landbridge.jobs import db_jobs, db_rejects, rejects, replay
from landbridge.jobs.db_rejects import Choice, RejectRow
from landbridge.server.api.access import Operator, Viewer
from landbridge.server.api.job_shapes import JobListed, listed
from landbridge.server.api.pages import Page, Pages
from landbridge.server.api.place import Here, Place
from landbridge.server.api.routing import Routes, Threads
from landbridge.server.api.shapes import Given, Key, RowNumber, Shown

router = Routes(tag="rejects")

_PART: Final = 500

StepQuery = Annotated[str | None, Query(max_length=1000, description="Only those of this step.")]
CodesQuery = Annotated[list[str] | None, Query(max_length=100, description="Only those with one of these codes.")]
Codes = Annotated[list[Annotated[str, Field(max_length=255)]], Field(max_length=100)]


class RejectListed(Shown):
    """Why a record failed."""

    id: int
    job_id: str
    number: Annotated[int, Field(description="Its number among the rejects of its job, from 1.")]
    step: str
    code: str
    message: str
    file: Annotated[str | None, Field(description="The file, where it could not be read as a record.")]
    line: int | None
    created: datetime
    replayed_by: Annotated[str | None, Field(description="The replay that has taken it.")]


class RejectShown(RejectListed):
    """A reject with the record, or with the text that could not be read as one."""

    record: Any = None
    text: str | None = None


class Replay(Given):
    """Which rejects of a job are tried again; all when nothing is said."""

    step: Annotated[str | None, Field(max_length=1000)] = None
    codes: Codes = Field(default_factory=list)
    rejects: Annotated[list[Annotated[int, Field(ge=1, le=2**63 - 1)]], Field(max_length=10_000)] = Field(
        default_factory=list
    )


class Replayed(Shown):
    """The jobs that try rejects again, one for each step that rejected."""

    jobs: list[JobListed]


@router.get("/rejects")
def list_rejects(
    here: Here,
    _: Viewer,
    pages: Pages,
    job_id: Annotated[str | None, Query(alias="jobId", max_length=255)] = None,
    dataflow_id: Annotated[str | None, Query(alias="dataflowId", max_length=255)] = None,
    step: StepQuery = None,
    code: CodesQuery = None,
) -> Page[RejectListed]:
    """List rejects, the newest first, without the records."""
    choice = Choice(job_id=job_id, dataflow_id=dataflow_id, step=step, codes=code or ())
    with here.database.read() as tx:
        rows = db_rejects.newest(tx, choice, limit=pages.limit + 1, before=pages.position(int))
    return pages.page(rows, place=lambda row: row.id, shown=RejectListed.model_validate)


@router.get("/rejects/{id}")
def show_reject(here: Here, caller: Operator, id: RowNumber) -> RejectShown:
    """Show a reject with its record. Noted in the audit trail."""
    with here.database.write() as tx:
        found = rejects.reveal(tx, here.vault, id, by=caller.name)
        listed_row = RejectListed.model_validate(db_rejects.get(tx, id))
    return RejectShown(**dict(listed_row), record=found.get("record"), text=found.get("text"))


@router.get(
    "/jobs/{id}/rejects/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One reject in each line.",
            "content": {"application/jsonl": {"schema": {"type": "string"}}},
        }
    },
)
async def export_rejects(
    here: Here, caller: Operator, request: Request, id: Key, step: StepQuery = None, code: CodesQuery = None
) -> StreamingResponse:
    """Give the rejects of a job with their records, as JSON lines. Noted in the audit trail."""
    threads: Threads = request.app.state.threads
    choice = Choice(job_id=id, step=step, codes=code or ())

    def begin() -> None:
        with here.database.write() as tx:
            db_jobs.get(tx, id)
            rejects.note_export(tx, choice, by=caller.name)

    await threads.run(begin)
    return StreamingResponse(
        _lines(here, choice, threads),
        media_type="application/jsonl",
        headers={"Content-Disposition": f'attachment; filename="rejects-{_file_name(id)}.jsonl"'},
    )


@router.post("/jobs/{id}/replay", status_code=HTTPStatus.CREATED)
def replay_rejects(here: Here, caller: Operator, response: Response, id: Key, wanted: Replay | None = None) -> Replayed:
    """Try the rejected records of a job again, each once. They enter the newest dataflow where they failed."""
    wanted = wanted or Replay()
    choice = Choice(step=wanted.step, codes=wanted.codes, ids=wanted.rejects)
    with here.database.write() as tx:
        begun = replay.start(tx, id, by=caller.name, choice=choice)
    response.headers["Location"] = f"/api/v1/jobs/{begun[0].id}"
    return Replayed(jobs=[listed(row) for row in begun])


async def _lines(here: Place, choice: Choice, threads: Threads) -> AsyncIterator[bytes]:
    """The export, part by part: each is read in a transaction of its own, so that a slow client holds none."""
    last = 0

    def part() -> tuple[bytes, int]:
        with here.database.read() as tx:
            rows = db_rejects.listing(tx, choice, after=last, limit=_PART)
        return b"".join(_line(here, row) for row in rows), rows[-1].id if rows else 0

    while True:
        text, last = await threads.run(part)
        if not text:
            return
        yield text


def _line(here: Place, row: RejectRow) -> bytes:
    shown = RejectListed.model_validate(row).model_dump(mode="json", by_alias=True)
    more = here.vault.unseal(row.sealed) if row.sealed else {}
    return json.dumps({**shown, **more}, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _file_name(id: str) -> str:
    return "".join(character if character.isascii() and character.isalnum() else "-" for character in id)
