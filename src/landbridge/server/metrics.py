"""``/metrics`` for Prometheus: everything is read from the database when it is asked for.

So several services on one database tell the same, a restart loses nothing, and one of them is enough to scrape. Sums
over ended jobs never grow smaller, whatever retention forgets; they end with the dataflow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fastapi import Request, Response
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from landbridge import __version__
from landbridge.jobs import db_totals
from landbridge.jobs.db_jobs import JobStatus
from landbridge.jobs.db_totals import DURATIONS_S, NEVER_RAN, Present, TotalRow
from landbridge.jobs.db_workers import WorkerStatus
from landbridge.server.api.access import Viewer
from landbridge.server.api.place import Here
from landbridge.server.api.routing import Routes

router: Final = Routes(tag="service")

_FLOW: Final = ("dataflow", "name")
_WAITING: Final = (JobStatus.SCHEDULED, JobStatus.QUEUED)
_LIVING: Final = (*_WAITING, JobStatus.RUNNING, JobStatus.WAITING_FOR_APPROVAL)


@router.get("/metrics", response_class=Response, include_in_schema=False)
def show_metrics(here: Here, _: Viewer, request: Request) -> Response:
    """Figures for Prometheus, in the format that it asks for."""
    with here.database.read() as tx:
        totals, present = db_totals.totals(tx), db_totals.present(tx)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(totals, present))
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"Content-Type": media_type})


class _Figures(Collector):
    """The figures of one moment."""

    def __init__(self, totals: Sequence[TotalRow], present: Present) -> None:
        self._totals = totals
        self._present = present

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are known to nobody before."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All figures."""
        yield from _build()
        yield from _at_present(self._present)
        yield from _since_the_beginning(self._totals)
        yield _durations(self._totals)


def _build() -> Iterator[Metric]:
    info = InfoMetricFamily("landbridge_build", "The version of this service.")
    info.add_metric([], {"version": __version__})
    yield info


def _at_present(present: Present) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("landbridge_jobs", "Jobs that have not ended, by status.", labels=["status"])
    for status in _LIVING:
        jobs.add_metric([status], present.jobs.get(status, 0))
    yield jobs
    workers = GaugeMetricFamily("landbridge_workers", "Workers that are not gone, by status.", labels=["status"])
    for kind in (each for each in WorkerStatus if each is not WorkerStatus.GONE):
        workers.add_metric([kind], present.workers.get(kind, 0))
    yield workers
    alerts = GaugeMetricFamily("landbridge_open_alerts", "Alerts that are not over, by kind.", labels=["kind"])
    for name, count in sorted(present.open_alerts.items()):
        alerts.add_metric([name], count)
    yield alerts
    single = (
        ("queue_depth", "Jobs that wait for a worker.", sum(present.jobs.get(status, 0) for status in _WAITING)),
        (
            "oldest_waiting_job_seconds",
            "How long the first of them has waited; 0 without any.",
            present.oldest_waiting_s,
        ),
        (
            "schedule_lag_seconds",
            "How late the latest planned run is that has not begun; 0 without any.",
            present.behind_schedule_s,
        ),
        ("worker_slots", "Jobs that all active workers can run at the same time.", present.slots),
        (
            "worker_silence_seconds",
            "How long ago the most silent of the active workers was heard; 0 without any.",
            present.silent_s,
        ),
    )
    for name, text, value in single:
        yield GaugeMetricFamily(f"landbridge_{name}", text, value=value)


def _since_the_beginning(totals: Sequence[TotalRow]) -> Iterator[Metric]:
    ended: dict[tuple[str, ...], int] = defaultdict(int)
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in totals:
        ended[row.dataflow_id, row.name, row.kind, row.status] += row.jobs
        for place, value in enumerate((row.records_in, row.records_out, row.rejected, row.bytes)):
            sums[row.dataflow_id, row.name][place] += value
    jobs = CounterMetricFamily(
        "landbridge_jobs_ended", "Jobs that have ended, by kind and status.", labels=[*_FLOW, "kind", "status"]
    )
    for labels, count in ended.items():
        jobs.add_metric(labels, count)
    yield jobs
    families = (
        ("records_read", "Records that ended jobs have read."),
        ("records_delivered", "Records that ended jobs have delivered."),
        ("records_rejected", "Records that ended jobs have rejected."),
        ("bytes_delivered", "Bytes that ended jobs have delivered."),
    )
    for place, (name, text) in enumerate(families):
        family = CounterMetricFamily(f"landbridge_{name}", text, labels=_FLOW)
        for labels, values in sums.items():
            family.add_metric(labels, values[place])
        yield family


def _durations(totals: Sequence[TotalRow]) -> Metric:
    """How long jobs took that have begun, of all kinds and outcomes."""
    counts: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for row in totals:
        if row.took_up_to_s != NEVER_RAN:
            counts[row.dataflow_id, row.name][row.took_up_to_s] += row.jobs
            seconds[row.dataflow_id, row.name] += row.seconds
    family = HistogramMetricFamily(
        "landbridge_job_duration_seconds", "How long ended jobs took from their first begin.", labels=_FLOW
    )
    for labels, found in counts.items():
        buckets: list[tuple[str, float]] = []
        reached = 0
        for limit in DURATIONS_S:
            reached += found[limit]
            buckets.append((str(float(limit)), reached))
        buckets.append(("+Inf", sum(found.values())))
        family.add_metric(labels, buckets, sum_value=seconds[labels])
    return family
