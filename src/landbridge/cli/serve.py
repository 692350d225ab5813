"""``landbridge serve`` and ``landbridge worker``: the service, and more hands for it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.place import DatabaseOption, DataOption, data_folder

if TYPE_CHECKING:
    from landbridge.jobs.worker import WorkerSettings
    from landbridge.server.service import ServiceSettings

SlotsOption = Annotated[
    int | None,
    typer.Option("--slots", min=1, max=256, show_default="one for each core", help="Jobs to run at the same time."),
]
GraceOption = Annotated[
    float,
    typer.Option(
        "--grace",
        min=0,
        metavar="SECONDS",
        help="When stopped, give running jobs so long to end; the others go on with the next start.",
    ),
]
TimeLimitOption = Annotated[
    float | None,
    typer.Option("--time-limit", min=1, metavar="SECONDS", help="Stop a job that runs longer, unless it says more."),
]
LeaseOption = Annotated[
    float,
    typer.Option("--lease", min=5, metavar="SECONDS", help="Take over from a worker that was silent for so long."),
]


def serve(
    data: DataOption = None,
    database: DatabaseOption = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 picks a free one.")] = 8650,
    slots: SlotsOption = None,
    grace: GraceOption = 30,
    lease: LeaseOption = 30,
    time_limit: TimeLimitOption = None,
) -> None:
    """Run the service: HTTP, schedules and one worker.

    Dataflows, schedules and jobs are kept in the data folder, or with --database in PostgreSQL. Ends on
    SIGTERM or SIGINT: takes no more jobs, waits for those that run, and leaves the rest to the next start.
    """
    from landbridge.server.service import ServiceSettings

    _serve(
        ServiceSettings(
            data=data_folder(data),
            database=database,
            host=host,
            port=port,
            worker=_worker(slots, grace_s=grace, lease_s=lease, time_limit_s=time_limit),
        )
    )


def worker(
    database: DatabaseOption = None,
    data: DataOption = None,
    slots: SlotsOption = None,
    grace: GraceOption = 30,
    lease: LeaseOption = 30,
    time_limit: TimeLimitOption = None,
) -> None:
    """Run one more worker, on this or another machine, for services that share a PostgreSQL database.

    It needs the same key and should see the same data folder as the others: a job that another worker has
    begun goes on from its journal there.
    """
    from landbridge.jobs.db import shared
    from landbridge.server.service import ServiceSettings

    _serve(
        ServiceSettings(
            data=data_folder(data),
            database=shared(database),
            host=None,
            worker=_worker(slots, grace_s=grace, lease_s=lease, time_limit_s=time_limit),
        )
    )


def _worker(slots: int | None, *, grace_s: float, lease_s: float, time_limit_s: float | None) -> WorkerSettings:
    from landbridge.jobs.worker import WorkerSettings

    return WorkerSettings(
        slots=slots or len(os.sched_getaffinity(0)), grace_s=grace_s, lease_s=lease_s, time_limit_s=time_limit_s
    )


def _serve(settings: ServiceSettings) -> None:
    from landbridge.server.service import running

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("landbridge").setLevel(logging.INFO)
    received = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: received.set())
    with ExitStack() as stack:
        service = stack.enter_context(running(settings))
        typer.echo(f"service  {service.url}" if service.url else f"worker   {service.worker.id}")
        typer.echo(f"data     {settings.data}\ndatabase {service.database.url}")
        sys.stdout.flush()
        received.wait()
        typer.echo(f"stopping; running jobs get {settings.worker.grace_s:.0f} s")
        sys.stdout.flush()
    typer.echo("stopped")
