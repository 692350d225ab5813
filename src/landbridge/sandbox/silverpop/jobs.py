"""Jobs: imports and exports that run in the background and leave files behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from landbridge.sandbox.silverpop.databases import now_iso
from landbridge.sandbox.silverpop.envelope import Element, Fault, Result, tag, tags, text_of

if TYPE_CHECKING:
    from landbridge.sandbox.silverpop.vendor import Silverpop

_FIRST_JOB: Final = 1_241_474


class JobFailed(Exception):
    """A job ends in ERROR with this description."""


Work = Callable[[str], Awaitable[Mapping[str, object]]]
"""Does a job's work, given its id; gives the job's parameters."""


class Jobs:
    """All jobs of the organisation, by id."""

    def __init__(self, vendor: Silverpop) -> None:
        self._vendor = vendor
        for number, job in self.all.items():
            if job["status"] in ("WAITING", "RUNNING"):
                self.all[number] = {**job, "status": "ERROR", "description": "The server was restarted."}

    @property
    def all(self) -> Any:
        """What is remembered of each job."""
        return self._vendor.frame.collection("jobs")

    def begin(self, operation: str, work: Work, parameters: Mapping[str, object]) -> str:
        """Start a job; gives its id."""
        number = str(self._vendor.frame.number("job", first=_FIRST_JOB))
        self.all[number] = {
            "operation": operation,
            "status": "WAITING",
            "description": operation,
            "parameters": {name: str(value) for name, value in parameters.items()},
            "begun": now_iso(),
        }
        self._vendor.frame.start(self._run(number, operation, work))
        return number

    async def _run(self, number: str, operation: str, work: Work) -> None:
        slow = self._vendor.frame.strike("slow_job", operation)
        await asyncio.sleep(self._vendor.switches.job_delay_s / 2)
        self._change(number, status="RUNNING")
        await asyncio.sleep(self._vendor.switches.job_delay_s / 2 + (slow.delay_s if slow else 0))
        try:
            found = await work(number)
        except (JobFailed, Fault) as error:
            self._change(number, status="ERROR", description=str(error))
            return
        known = self.all[number]["parameters"]
        self._change(
            number, status="COMPLETE", parameters={**known, **{name: str(value) for name, value in found.items()}}
        )

    def _change(self, number: str, **changes: object) -> None:
        self.all[number] = {**self.all[number], **changes}


def get_job_status(vendor: Silverpop, request: Element) -> Result:
    """GetJobStatus: what became of a job."""
    number = text_of(request, "JOB_ID")
    if number not in vendor.jobs.all:
        raise Fault(f"Job {number} does not exist.")
    job = vendor.jobs.all[number]
    parameters = "".join(
        f"<PARAMETER>{tag('NAME', name)}{tag('VALUE', value)}</PARAMETER>" for name, value in job["parameters"].items()
    )
    facts = {"JOB_ID": number, "JOB_STATUS": job["status"], "JOB_DESCRIPTION": job["description"]}
    return Result(f"{tags(facts)}<PARAMETERS>{parameters}</PARAMETERS>")
