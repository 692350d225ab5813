"""Dataflows run in the process of the test: as the command does it, without the second that a new process takes."""

import anyio

from landbridge.cli.execution import Request, execute
from landbridge.cli.run import EXIT_CODES
from landbridge.dataflow import Dataflow
from landbridge.engine.job import Options
from landbridge.errors import LandbridgeError
from tests.integration.command import Command, Outcome


class InProcess(Command):
    """Runs flows here; everything else as ``Command``."""

    def run(self, flow, *arguments, **options) -> Outcome:
        """Run a dataflow; ``--dry-run`` and ``--rejects FILE`` are understood."""
        rejects = arguments[arguments.index("--rejects") + 1] if "--rejects" in arguments else self.folder / "rejects"
        request = Request(
            Dataflow.read(flow),
            options=Options(dry_run="--dry-run" in arguments, **options),
            rejects=rejects,
            quiet=True,
        )
        try:
            report = anyio.run(execute, request, backend_options={"use_uvloop": True})
        except LandbridgeError as error:
            return Outcome(1, "", str(error), {})
        shown = report.as_json()
        error = shown.get("error") or {}
        text = f"{error.get('message', '')}  [{error.get('code', '')}] {error.get('hint', '')}" if error else ""
        return Outcome(EXIT_CODES[report.status], "", text, shown)
