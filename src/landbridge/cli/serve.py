"""``landbridge serve`` and ``landbridge worker``: the service, and more hands for it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.place import DatabaseOption, DataOption, data_folder
from landbridge.errors import LandbridgeError

if TYPE_CHECKING:
    from landbridge.jobs.outage import Outage
    from landbridge.jobs.worker import WorkerSettings
    from landbridge.server.logs import Announcements
    from landbridge.server.service import Service, ServiceSettings

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


class LogFormatName(StrEnum):
    """How the lines of the log are written."""

    TEXT = "text"
    JSON = "json"


LogFormatOption = Annotated[
    LogFormatName, typer.Option("--log-format", help="The log on standard error: text, or JSON lines for programs.")
]


def serve(
    data: DataOption = None,
    database: DatabaseOption = None,
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 picks a free one.")] = 8650,
    slots: SlotsOption = None,
    grace: GraceOption = 30,
    lease: LeaseOption = 30,
    time_limit: TimeLimitOption = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Speak HTTPS with this certificate, PEM with its chain.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate's key, PEM.")] = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Let other machines in over HTTP: a proxy before it speaks HTTPS.")
    ] = False,
    host_name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name it is reached by, besides localhost; may be given several times."),
    ] = None,
    session_hours: Annotated[
        float, typer.Option(min=0.1, max=24 * 30, metavar="HOURS", help="Log people out so long after the login.")
    ] = 12,
    session_idle_minutes: Annotated[
        float, typer.Option(min=2, max=60 * 24, metavar="MINUTES", help="Log people out who did nothing for so long.")
    ] = 120,
    max_connections: Annotated[
        int, typer.Option(min=10, max=100_000, help="Connections over HTTP at the same time.")
    ] = 400,
    log_format: LogFormatOption = LogFormatName.TEXT,
) -> None:
    """Run the service: HTTP, schedules and one worker.

    Dataflows, schedules and jobs are kept in the data folder, or with --database in PostgreSQL. Ends on
    SIGTERM or SIGINT: takes no more jobs, waits for those that run, and leaves the rest to the next start.

    As long as there is no user, it prints a link by which the first admin is made.
    """
    from datetime import timedelta

    from landbridge.jobs.tokens import SessionLife
    from landbridge.server.http_protocol import ConnectionLimits
    from landbridge.server.service import ServiceSettings
    from landbridge.server.tls import TlsFiles

    if (tls_certificate is None) != (tls_key is None):
        raise typer.BadParameter("give both --tls-certificate and --tls-key")

    _serve(
        ServiceSettings(
            data=data_folder(data),
            database=database,
            host=host,
            port=port,
            worker=_worker(slots, grace_s=grace, lease_s=lease, time_limit_s=time_limit),
            tls=TlsFiles(tls_certificate, tls_key) if tls_certificate and tls_key else None,
            insecure=insecure_http,
            host_names=tuple(host_name or ()),
            connections=ConnectionLimits(connections=max_connections),
            sessions=SessionLife(whole=timedelta(hours=session_hours), idle=timedelta(minutes=session_idle_minutes)),
        ),
        log_format=log_format,
    )


def worker(
    database: DatabaseOption = None,
    data: DataOption = None,
    slots: SlotsOption = None,
    grace: GraceOption = 30,
    lease: LeaseOption = 30,
    time_limit: TimeLimitOption = None,
    log_format: LogFormatOption = LogFormatName.TEXT,
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
        ),
        log_format=log_format,
    )


def _worker(slots: int | None, *, grace_s: float, lease_s: float, time_limit_s: float | None) -> WorkerSettings:
    from landbridge.jobs.worker import WorkerSettings

    return WorkerSettings(
        slots=slots or len(os.sched_getaffinity(0)), grace_s=grace_s, lease_s=lease_s, time_limit_s=time_limit_s
    )


def _show_setup_link(service: Service, say: Announcements) -> None:
    from landbridge.jobs import first_admin

    with service.database.write() as tx:
        secret = first_admin.new_link(tx) if first_admin.is_needed(tx) else None
    if secret:
        say.tell(f"set up   {service.url}/setup#{secret}  (good for one hour, once)")


def _serve(settings: ServiceSettings, *, log_format: LogFormatName) -> None:
    from landbridge.jobs.outage import Outage
    from landbridge.server import logs
    from landbridge.server.logs import Announcements, LogFormat

    outage = Outage()
    logs.install(LogFormat(log_format), outage=outage)
    say = Announcements(LogFormat(log_format))
    try:
        with logs.uncaught_too():
            _run(settings, outage, say)
    except (LandbridgeError, OSError) as error:
        if log_format is LogFormatName.TEXT:
            raise
        logging.getLogger("landbridge.service").critical("%s", error)
        raise typer.Exit(1) from None


def _run(settings: ServiceSettings, outage: Outage, say: Announcements) -> None:
    from landbridge.server.service import running

    received = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: received.set())
    with ExitStack() as stack:
        service = stack.enter_context(running(settings, outage=outage))
        say.tell(f"service  {service.url}" if service.url else f"worker   {service.worker.id}")
        say.tell(f"data     {settings.data}")
        say.tell(f"database {service.database.url}")
        if service.url:
            _show_setup_link(service, say)
        received.wait()
        say.tell(f"stopping; running jobs get {settings.worker.grace_s:.0f} s")
    say.tell("stopped")
