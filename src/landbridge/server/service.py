"""The service of one machine: database, worker, scheduler and HTTP, started and stopped together.

It is plain blocking code: the worker has threads of its own, HTTP and what goes on in the background have an event loop
each in another thread, and the main thread waits for a signal.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvicorn
from anyio.from_thread import start_blocking_portal
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse

from landbridge import __version__
from landbridge.errors import ConnectionFailed, FlowError, StorageError
from landbridge.jobs import alerts
from landbridge.jobs.alert_delivery import AlertDelivery
from landbridge.jobs.db import Database, unusable
from landbridge.jobs.key_check import service_vault
from landbridge.jobs.outage import Outage
from landbridge.jobs.schedules import Scheduler
from landbridge.jobs.surroundings import Told
from landbridge.jobs.tokens import SessionLife
from landbridge.jobs.worker import Worker, WorkerSettings
from landbridge.server import api, idx, metrics, setup_page
from landbridge.server.gate import Gate
from landbridge.server.hardening import BODY_TIMEOUT_S, Hardening, Limits, Room, is_loopback
from landbridge.server.http_protocol import ConnectionLimits, hold_to, protocol
from landbridge.server.logins import Logins
from landbridge.server.tls import TlsFiles

LOCK_FILE: Final = "service.lock"

_TRACES_TO: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_LOG: Final = logging.getLogger("landbridge.service")
_START_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 5
_LOOK_S: Final = 0.02
_MAX_HEADERS_BYTES: Final = 256 << 10
"""With the address: calls to ``idx.*`` may have their parameters there."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What a service is.

    Attributes:
        data: The data folder: journals, rejects, the key, and the database unless ``database`` names another.
        database: URL of a PostgreSQL database that several machines share; None for a file in the data folder.
        host: The address to listen on; None for a worker without HTTP.
        port: The port; 0 picks a free one.
        schedules: Whether it starts the jobs of schedulings.
        worker: See WorkerSettings.
        tls: For HTTPS; None for HTTP.
        insecure: Whether other machines may reach it over HTTP, because something before it speaks HTTPS.
        host_names: Names by which it is reached. On a loopback address it answers for these and for localhost only;
            elsewhere for any, unless some are given.
        sessions: How long people stay logged in.
        connections: How many there may be over HTTP, and how slow.
        body_timeout_s: For the body of a request to arrive; less than the same of ``connections``, so that who is too
            slow is told.
    """

    data: Path
    database: str | None = None
    host: str | None = "127.0.0.1"
    port: int = 8650
    schedules: bool = True
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    tls: TlsFiles | None = None
    insecure: bool = False
    host_names: Sequence[str] = ()
    sessions: SessionLife = field(default_factory=SessionLife)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    body_timeout_s: float = BODY_TIMEOUT_S

    @property
    def limits(self) -> Limits:
        """What requests are held to."""
        own = ("localhost",) if self.host is not None and is_loopback(self.host) else ()
        return Limits(hosts=(*own, *self.host_names), body_timeout_s=self.body_timeout_s)


Background = Callable[[], Coroutine[None, None, None]]
"""Work that goes on in the event loop until it is cancelled."""


class Service:
    """A running service; see ``running``.

    Attributes:
        database: Shared by all parts.
        vault: Opens what is sealed in the database.
        worker: The one worker of this process.
        url: Where HTTP is; empty without.
    """

    def __init__(self, settings: ServiceSettings, database: Database, *, told: Sequence[Told] = ()) -> None:
        self.settings = settings
        self.database = database
        self.vault = service_vault(database, settings.data)
        place = settings.database or settings.data
        self.worker = Worker(
            database, place, data=settings.data, settings=settings.worker, after_job=[alerts.job_ended], told=told
        )
        self.url = ""

    @property
    def background(self) -> Sequence[Background]:
        """What goes on beside the worker."""
        works: list[Background] = [AlertDelivery(self.database, self.vault).run]
        if self.settings.schedules:
            works.append(Scheduler(self.database).run)
        return works

    def is_ready(self) -> bool:
        """Whether it can do its work: the database answers and the worker is well."""
        try:
            with self.database.read():
                return self.worker.is_well
        except StorageError:
            return False


def make_app(service: Service, *, routers: Sequence[APIRouter] = ()) -> FastAPI:
    """The HTTP application of a service.

    Args:
        service: What it speaks for.
        routers: What it answers besides the questions for its health.
    """
    app = FastAPI(
        title="Landbridge",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{api.ROOT}/openapi.json",
        lifespan=api.lifespan,
    )
    app.state.service = service
    app.include_router(_health(service))
    app.include_router(setup_page.router)
    for router in routers:
        app.include_router(router)
    api.install(app, database=service.database, vault=service.vault, data=service.settings.data)
    app.include_router(metrics.router)
    app.state.logins = Logins(service.database, life=service.settings.sessions)
    # The last one is the first to see a request.
    app.add_middleware(Gate, database=service.database, life=service.settings.sessions)
    room = Room()
    limits = service.settings.limits
    app.add_middleware(Hardening, limits=limits, room=room)
    app.add_middleware(
        idx.IdxCalls,
        database=service.database,
        vault=service.vault,
        body_timeout_s=limits.body_timeout_s,
        room=room,
    )
    return app


@contextmanager
def running(
    settings: ServiceSettings, *, routers: Sequence[APIRouter] = (), outage: Outage | None = None
) -> Iterator[Service]:
    """Run a service for the length of a ``with`` block.

    Args:
        settings: See ServiceSettings.
        routers: See ``make_app``.
        outage: Tells when the database is away.

    Raises:
        StorageError: LB-7502, another service uses the data folder; LB-7501, the database cannot be used; LB-7505, the
            key of what is sealed there is missing, or another one.
        ConnectionFailed: LB-2903, the port cannot be used.
        FlowError: LB-1783, other machines would reach it without encryption; LB-1784, its certificate cannot be used.
    """
    _check_encryption(settings)
    with contextlib.ExitStack() as stack:
        if settings.database is None:
            stack.enter_context(_alone(settings.data))
        listening = stack.enter_context(_listen(settings.host, settings.port)) if settings.host else None
        database = Database.open(settings.database or settings.data)
        stack.callback(database.close)
        database.outage = outage
        service = Service(settings, database, told=stack.enter_context(_traced(database)))
        idx.prepare(database, service.vault)
        service.worker.start()
        stack.callback(service.worker.stop)
        stack.enter_context(_in_background(service.background))
        if listening is not None:
            stack.enter_context(_served(make_app(service, routers=routers), listening, settings))
            address, port = listening.getsockname()[:2]
            scheme = "https" if settings.tls else "http"
            service.url = f"{scheme}://{f'[{address}]' if ':' in address else address}:{port}"
        yield service


@contextmanager
def _traced(database: Database) -> Iterator[Sequence[Told]]:
    """Who sends traces of jobs, where the environment names a place for them."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(map(os.environ.get, _TRACES_TO)):
        yield []
        return
    try:
        from landbridge.server.traces import Traces  # noqa: PLC0415 - only with the extra otel
    except ImportError:
        _LOG.warning('no traces are sent: they need an optional library, pip install "landbridge[otel]"')
        yield []
        return
    traces = Traces(database)
    try:
        yield [traces.tell]
    finally:
        traces.close()


def _health(service: Service) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok", "version": __version__}

    @router.get("/readyz")
    def readyz() -> JSONResponse:
        """It can do its work."""
        ready = service.is_ready()
        return JSONResponse({"status": "ready" if ready else "not ready"}, status_code=200 if ready else 503)

    return router


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the data folder: jobs in a file have one worker, which takes all that is unfinished for its own."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(f"{folder}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StorageError(
            "LB-7502",
            f"another service uses the data folder {folder}",
            hint="Stop it, or give this one a folder of its own. Several workers need --database postgresql://…",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _check_encryption(settings: ServiceSettings) -> None:
    if settings.tls is not None:
        settings.tls.check()
    elif settings.host is not None and not is_loopback(settings.host) and not settings.insecure:
        raise FlowError(
            "LB-1783",
            f"other machines would reach the service on {settings.host} without encryption, and read passwords",
            hint="Give --tls-certificate and --tls-key; or --insecure-http, if a proxy before it speaks HTTPS.",
        )


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(found[0], socket.SOCK_STREAM)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    with listening:
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(found[4])
            listening.listen(128)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        yield listening


def _cannot_listen(host: str, port: int, error: OSError) -> ConnectionFailed:
    return ConnectionFailed(
        "LB-2903",
        f"the service cannot listen on {host}, port {port}: {error.strerror}",
        hint="Give another port with --port; 0 picks a free one.",
    )


@contextmanager
def _in_background(works: Sequence[Background]) -> Iterator[None]:
    with start_blocking_portal() as portal:
        tasks = [portal.start_task_soon(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


@contextmanager
def _served(app: FastAPI, listening: socket.socket, settings: ServiceSettings) -> Iterator[None]:
    tls = settings.tls
    hold_to(listening, settings.connections)
    config = uvicorn.Config(
        app,
        http=protocol(settings.connections),
        ws="none",
        h11_max_incomplete_event_size=_MAX_HEADERS_BYTES,
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
        timeout_graceful_shutdown=_STOP_TIMEOUT_S,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="http", daemon=True)
    thread.start()
    try:
        for _ in range(int(_START_TIMEOUT_S / _LOOK_S)):
            if server.started or not thread.is_alive():
                break
            thread.join(_LOOK_S)
        if not server.started:
            raise ConnectionFailed("LB-2903", "the service does not answer over HTTP", hint="See its log.")
        yield
    finally:
        app.state.feed.close()
        server.should_exit = True
        thread.join(_STOP_TIMEOUT_S + 5)
