"""Jobs as OpenTelemetry traces: a span for each job, with one for each of its steps, made of what is kept of them.

Needs the extra ``otel``. Where they are sent, and how, the standard variables ``OTEL_*`` tell.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from landbridge import __version__
from landbridge.errors import LandbridgeError
from landbridge.jobs import db_jobs, db_progress
from landbridge.jobs.db import Database
from landbridge.jobs.db_jobs import JobRow, JobStatus
from landbridge.jobs.db_progress import StepRow

_NANOSECONDS: Final = 1_000_000_000
_GOOD: Final = (JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_ERRORS)
_LOG: Final = logging.getLogger("landbridge.traces")


class Traces:
    """Sends a trace for each job that ends on this worker.

    Args:
        database: Where jobs are.
        environ: May name the service, by ``OTEL_SERVICE_NAME`` or ``OTEL_RESOURCE_ATTRIBUTES``.
    """

    def __init__(self, database: Database, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        name = {} if named else {SERVICE_NAME: "landbridge"}
        self._database = database
        self._provider = TracerProvider(resource=Resource.create({**name, SERVICE_VERSION: __version__}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("landbridge", __version__)

    def tell(self, job_id: str) -> None:
        """Send the trace of a job, in the background; see ``jobs.surroundings.Told``."""
        try:
            with self._database.read() as tx:
                row, steps = db_jobs.get(tx, job_id), db_progress.steps_of(tx, job_id)
        except LandbridgeError as error:
            _LOG.warning("job %s: no trace: %s", job_id, error)
            return
        if row.ended is not None:
            self._send(row, row.ended, [*steps])

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def _send(self, row: JobRow, ended: datetime, steps: list[StepRow]) -> None:
        started = row.started or row.created
        span = self._tracer.start_span(
            f"job {row.dataflow_name}", start_time=_nanoseconds(started), attributes=_of_job(row)
        )
        within = set_span_in_context(span)
        for step in steps:
            one = self._tracer.start_span(
                step.step, context=within, start_time=_nanoseconds(step.started or started), attributes=_of_step(step)
            )
            one.end(_nanoseconds(step.ended or ended))
        if row.status not in _GOOD:
            span.set_status(Status(StatusCode.ERROR, str((row.error or {}).get("code", row.reason))))
        span.end(_nanoseconds(ended))


def _of_job(row: JobRow) -> dict[str, str | int]:
    return {
        "landbridge.job.id": row.id,
        "landbridge.job.kind": row.kind,
        "landbridge.job.status": row.status.value,
        "landbridge.job.attempt": row.attempt,
        "landbridge.dataflow.id": row.dataflow_id,
        "landbridge.dataflow.version": row.dataflow_version,
        "landbridge.scheduling.id": row.scheduling_id or "",
        "landbridge.records.in": row.records_in,
        "landbridge.records.out": row.records_out,
        "landbridge.records.rejected": row.rejected,
        "landbridge.bytes": row.bytes,
    }


def _of_step(step: StepRow) -> dict[str, str | int]:
    return {
        "landbridge.component": step.component,
        "landbridge.records.in": step.records_in,
        "landbridge.records.out": step.records_out,
        "landbridge.records.rejected": step.rejected,
        "landbridge.records.filtered": step.filtered,
        "landbridge.bytes": step.bytes,
        "landbridge.files": step.files,
    }


def _nanoseconds(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _NANOSECONDS + since.microseconds * 1000
