"""Export jobs and event feeds of the emulated Connect: files in the folder ``download``."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from landbridge.sandbox.responsys.definitions import ExportJob, FeedJob, beside
from landbridge.sandbox.responsys.events import ACCOUNT, COLUMNS, Events
from landbridge.sandbox.responsys.lists import FIELDS, OWN_FIELDS, STATUS, Members
from landbridge.sandbox.responsys.packing import packed
from landbridge.sandbox.vendor import Frame

DOWNLOAD: Final = "download"
MODIFIED: Final = "%Y-%m-%d %H:%M:%S"
_STAMP: Final = "%Y%m%d_%H%M%S"


class ExportFailed(Exception):
    """A run ends without a file."""


async def run_export(job: ExportJob, since: str | None, *, frame: Frame, members: Members) -> Mapping[str, object]:
    """Write the members that have changed since a moment, as MODIFIED_DATE_ has it; None for all of them.

    Raises:
        ExportFailed: There is no such column.
    """
    unknown = [name for name in job.fields if name not in (*FIELDS, *OWN_FIELDS)]
    if unknown or not job.fields:
        raise ExportFailed(f"{unknown[0]} is not a column of the list" if unknown else "the job has no fields")
    rows = [
        [_cell(member.get(name)) for name in job.fields]
        for member in members.records.values()
        if (since is None or not job.changes_only or member["MODIFIED_DATE_"] >= since)
        and job.permission_status in ("any", member[STATUS])
    ]
    stem = {"prefix": "{stamp}_{name}", "suffix": "{name}_{stamp}", "none": "{name}"}[job.dated]
    form = f"{stem.replace('{name}', job.file_name)}.{job.extension}"
    return await _left(job, form, job.fields, rows, frame=frame)


async def run_feed(
    job: FeedJob, after: int, until: int, *, frame: Frame, events: Events, zone: str, empty_feeds: bool
) -> Mapping[str, object]:
    """Write a file for each kind of event with what has happened between two events."""
    files: list[object] = []
    count = 0
    for kind in job.events:
        rows = events.rows(kind, after=after, until=until, zone=zone)
        if rows or empty_feeds:
            written = await _left(job, f"{ACCOUNT}_{kind}_{{stamp}}.txt", COLUMNS[kind], rows, frame=frame)
            files.append(written["file"])
            count += len(rows)
    return {"rows": count, "file": ", ".join(map(str, files))}


async def _left(
    job: ExportJob | FeedJob, form: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, frame: Frame
) -> dict[str, object]:
    """Write a data file and, where wanted, its ready file behind it."""
    found = list(rows)
    content = _text(job, header, found)
    folder = frame.folder / DOWNLOAD
    name, content = packed(_free_name(form, folder), content, job.packing)
    operation = "feed" if isinstance(job, FeedJob) else "export"
    (folder / name).write_bytes(frame.broken(operation, content))
    if job.ready_file:
        late = frame.strike("late_file", operation)
        await asyncio.sleep(late.delay_s if late else 0)
        has_count = isinstance(job, FeedJob) or job.ready_has_count
        (folder / beside(job.ready_file, name)).write_text(str(len(found)) if has_count else "")
    return {"rows": len(found), "file": name}


def _text(job: ExportJob | FeedJob, header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=job.separator,
        quotechar=job.enclosure or None,
        quoting=csv.QUOTE_MINIMAL if job.enclosure else csv.QUOTE_NONE,
        escapechar=None if job.enclosure else "\\",
        lineterminator="\n",
    )
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode(job.charset, "replace")


def _free_name(form: str, folder: Path) -> str:
    """A dated name that no file in the folder begins with: two runs within a second leave two files."""
    moment = datetime.now(UTC)
    while True:
        name = form.replace("{stamp}", moment.strftime(_STAMP))
        if "{stamp}" not in form or not any(path.name.startswith(name) for path in folder.iterdir()):
            return name
        moment += timedelta(seconds=1)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
