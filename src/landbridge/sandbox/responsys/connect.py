"""The emulated Connect: jobs that read files from ``upload`` and leave files in ``download``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from landbridge.sandbox.responsys.definitions import ExportJob, FeedJob, ImportJob, Job, as_json, job_of
from landbridge.sandbox.responsys.exports import DOWNLOAD, MODIFIED, ExportFailed, run_export, run_feed
from landbridge.sandbox.responsys.imports import ARCHIVE, UPLOAD, FileSet, ImportFailed, run_import, waiting
from landbridge.sandbox.responsys.lists import Members
from landbridge.sandbox.responsys.packing import Unpackable
from landbridge.sandbox.responsys.switches import Switches
from landbridge.sandbox.vendor import Frame, Table

FOLDERS: Final = (UPLOAD, DOWNLOAD, ARCHIVE)
_HIDDEN: Final = "********"


class Connect:
    """The jobs of an account, and what became of their runs.

    An import begins by itself when its file is complete, an export or a feed when it is told to. All runs are one
    after the other.

    Args:
        frame: Where jobs and runs are remembered, and where the files are.
        members: The list.
        switches: Gives the vendor's switches as they are now.
    """

    def __init__(self, frame: Frame, members: Members, switches: Callable[[], Switches]) -> None:
        self._frame = frame
        self._members = members
        self._switches = switches
        self._taken: set[str] = set()
        self._failed: set[str] = set()
        self._one_at_a_time = asyncio.Lock()
        self.jobs = frame.collection("connect jobs")
        """Definitions of jobs by name."""
        self.runs = frame.collection("connect runs")
        """What became of each run, by number."""
        self._marks = frame.collection("connect marks")
        for number, run in self.runs.items():
            if run["status"] == "RUNNING":
                self.runs[number] = {**run, "status": "FAILED", "message": "The server was restarted."}

    def define(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Define a job, or define it anew; gives its definition.

        Raises:
            ValueError: The definition is not valid.
        """
        job = job_of(given)
        self.jobs[job.name] = as_json(job)
        self.look()
        return _shown(self.jobs[job.name])

    def remove(self, name: str) -> None:
        """Remove a job.

        Raises:
            ValueError: There is none of that name.
        """
        self._job(name)
        del self.jobs[name]
        self._marks.pop(name, None)

    def forget(self) -> None:
        """Remove all jobs and what is known of their runs."""
        for kept in (self.jobs, self.runs, self._marks):
            kept.clear()
        self._taken.clear()
        self._failed.clear()

    def run(self, name: str, *, again: bool = False) -> list[str]:
        """Begin a job; gives the numbers of its runs.

        An import has one for each file that is complete, also for those that have failed before and were kept.

        Args:
            name: The job.
            again: An export or feed once more with what the last run had, as after a file that was broken.

        Raises:
            ValueError: There is no such job, or it has expired.
        """
        job = self._job(name)
        if not job.is_active:
            raise ValueError(f"the job {name} has expired; define it anew with isActive")
        if isinstance(job, ImportJob):
            return self._begin_imports(job, but=self._taken)
        return [self._begin(job, None, again=again)]

    def look(self) -> None:
        """Begin the imports whose files are complete."""
        for name in list(self.jobs):
            job = self._job(name)
            if isinstance(job, ImportJob) and job.is_active:
                self._begin_imports(job, but=self._taken | self._failed)

    def tables(self) -> list[Table]:
        """Jobs and runs, for the page; without keys."""
        return [
            Table("connect jobs", [_shown(job) for job in self.jobs.values()]),
            Table("connect runs", [{"number": number, **run} for number, run in self.runs.items()]),
        ]

    def _job(self, name: str) -> Job:
        if name not in self.jobs:
            raise ValueError(f"there is no job {name}; there are {', '.join(self.jobs) or 'none'}")
        return job_of(self.jobs[name])

    def _begin_imports(self, job: ImportJob, *, but: set[str]) -> list[str]:
        found = waiting(job, self._frame.folder / UPLOAD)
        return [self._begin(job, files) for files in found if files.is_complete and files.data.name not in but]

    def _begin(self, job: Job, files: FileSet | None, *, again: bool = False) -> str:
        number = str(self._frame.number("connect run"))
        kind = as_json(job)["kind"]
        self.runs[number] = {
            "job": job.name,
            "kind": kind,
            "file": files.data.name if files else "",
            "status": "RUNNING",
            "begun": datetime.now(UTC).strftime(MODIFIED),
        }
        if files is not None:
            self._taken.add(files.data.name)
        self._frame.start(self._run(number, job, files, again=again))
        return number

    async def _run(self, number: str, job: Job, files: FileSet | None, *, again: bool) -> None:
        async with self._one_at_a_time:
            slow = self._frame.strike("slow_job", self.runs[number]["kind"])
            await asyncio.sleep(self._switches().job_delay_s + (slow.delay_s if slow else 0))
            try:
                if isinstance(job, ImportJob):
                    found = await self._import(job, files)
                elif isinstance(job, ExportJob):
                    found = await self._export(job, again=again)
                else:
                    found = await self._feed(job, again=again)
            except (ImportFailed, ExportFailed, Unpackable) as error:
                self.runs[number] = {**self.runs[number], "status": "FAILED", "message": str(error)}
                return
            self.runs[number] = {**self.runs[number], "status": "COMPLETE", **found}

    async def _import(self, job: ImportJob, files: FileSet | None) -> Mapping[str, object]:
        assert files is not None  # noqa: S101 - _begin_imports gives them
        switches = self._switches()
        try:
            found = await run_import(
                job, files, frame=self._frame, members=self._members, empty_cells_clear=switches.empty_cells_clear
            )
        except ImportFailed as error:
            if error.keeps_file:
                self._failed.add(files.data.name)
            else:
                self._clear(files)
            raise
        finally:
            self._taken.discard(files.data.name)
        # Without an await since the name was given free: nobody has begun the file again.
        if switches.archives:
            for path in files.files:
                (self._frame.folder / ARCHIVE / path.name).write_bytes(path.read_bytes())
        self._clear(files)
        return found

    def _clear(self, files: FileSet) -> None:
        """Remove files from the folder; others of their names may come."""
        for path in files.files:
            path.unlink(missing_ok=True)
        self._failed.discard(files.data.name)

    async def _export(self, job: ExportJob, *, again: bool) -> Mapping[str, object]:
        begun = datetime.now(UTC).strftime(MODIFIED)
        mark = self._marks.get(job.name, {})
        since = mark.get("since" if again else "until")
        found = await run_export(job, since, frame=self._frame, members=self._members)
        self._marks[job.name] = {"since": since, "until": mark.get("until") if again else begun}
        return found

    async def _feed(self, job: FeedJob, *, again: bool) -> Mapping[str, object]:
        mark = self._marks.get(job.name, {"since": 0, "until": 0})
        events = self._members.events
        since, until = (mark["since"], mark["until"]) if again else (mark["until"], events.last)
        switches = self._switches()
        found = await run_feed(
            job,
            since,
            until,
            frame=self._frame,
            events=events,
            zone=switches.feed_zone,
            empty_feeds=switches.empty_feeds,
        )
        self._marks[job.name] = {"since": since, "until": until}
        return found


def _shown(definition: Mapping[str, Any]) -> dict[str, Any]:
    packing = dict(definition["packing"])
    return {**definition, "packing": {**packing, "privateKey": _HIDDEN if packing["privateKey"] else ""}}
