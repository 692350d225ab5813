"""The service of one machine: database, worker, scheduler and HTTP, started and stopped together.

It is plain blocking code: the worker has threads of its own, HTTP and what goes on in the background have an event loop
each in another thread, and the main thread waits for a signal.
"""

from __future__ import annotations

import contextlib
import fcntl
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
from landbridge.errors import ConnectionFailed, StorageError
from landbridge.jobs import alerts
from landbridge.jobs.alert_delivery import AlertDelivery
from landbridge.jobs.db import Database, unusable
from landbridge.jobs.schedules import Scheduler
from landbridge.jobs.vault import Vault
from landbridge.jobs.worker import Worker, WorkerSettings
from landbridge.server import idx

LOCK_FILE: Final = "service.lock"

_START_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 5
_LOOK_S: Final = 0.02


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
    """

    data: Path
    database: str | None = None
    host: str | None = "127.0.0.1"
    port: int = 8650
    schedules: bool = True
    worker: WorkerSettings = field(default_factory=WorkerSettings)


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

    def __init__(self, settings: ServiceSettings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.vault = Vault.open(settings.data)
        place = settings.database or settings.data
        self.worker = Worker(
            database, place, data=settings.data, settings=settings.worker, after_job=[alerts.job_ended]
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
    app = FastAPI(title="Landbridge", version=__version__, docs_url=None, redoc_url=None)
    app.state.service = service
    app.include_router(_health(service))
    for router in routers:
        app.include_router(router)
    app.add_middleware(idx.IdxCalls, database=service.database, vault=service.vault)
    return app


@contextmanager
def running(settings: ServiceSettings, *, routers: Sequence[APIRouter] = ()) -> Iterator[Service]:
    """Run a service for the length of a ``with`` block.

    Raises:
        StorageError: LB-7502, another service uses the data folder; LB-7501, the database cannot be used.
        ConnectionFailed: LB-2903, the port cannot be used.
    """
    with contextlib.ExitStack() as stack:
        if settings.database is None:
            stack.enter_context(_alone(settings.data))
        listening = stack.enter_context(_listen(settings.host, settings.port)) if settings.host else None
        database = Database.open(settings.database or settings.data)
        stack.callback(database.close)
        service = Service(settings, database)
        idx.prepare(database, service.vault)
        service.worker.start()
        stack.callback(service.worker.stop)
        stack.enter_context(_in_background(service.background))
        if listening is not None:
            stack.enter_context(_served(make_app(service, routers=routers), listening))
            address, port = listening.getsockname()[:2]
            service.url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
        yield service


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
def _served(app: FastAPI, listening: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
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
        server.should_exit = True
        thread.join(_STOP_TIMEOUT_S + 5)
