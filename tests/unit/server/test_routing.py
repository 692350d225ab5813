"""How a route of the API does its work."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import anyio
import pytest
from fastapi import FastAPI

from landbridge.errors import StorageError
from landbridge.jobs.db import AWAY, Collision
from landbridge.server.api import problems
from landbridge.server.api.routing import Routes, Threads


async def answered(app, path):
    """The status of what an application answers to a GET."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return sent[0]["status"]


@pytest.mark.parametrize(("collisions", "status"), [(0, 200), (2, 200), (3, 503)])
def test_what_the_database_took_back_for_another_change_is_done_again_a_few_times(collisions, status):
    routes, calls = Routes(tag="tests"), []

    @routes.get("/thing")
    def read_thing() -> dict[str, int]:
        """Read."""
        calls.append(1)
        if len(calls) <= collisions:
            raise Collision(AWAY, "two changes waited for each other")
        return {"calls": len(calls)}

    app = FastAPI()
    app.include_router(routes)
    app.state.threads = Threads()
    problems.install(app)
    assert anyio.run(answered, app, "/thing") == status
    assert len(calls) == min(collisions + 1, 3)


def test_work_that_is_given_up_keeps_its_thread_until_it_ends():
    """Else each request to a database that hangs would leave one more thread behind."""
    threads, go_on, begun = Threads(2, timeout_s=0.2), threading.Event(), []

    def hang():
        begun.append(threading.get_ident())
        go_on.wait(20)
        return "done"

    async def ask():
        refused = []

        async def one():
            try:
                await threads.run(hang)
            except StorageError as error:
                refused.append(error.code)

        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(one)
        assert refused == ["LB-7508"] * 12
        assert len(begun) == 2
        go_on.set()
        with anyio.fail_after(60):
            while True:
                try:
                    return await threads.run(lambda: "free again")
                except StorageError:
                    continue

    before = threading.active_count()
    assert anyio.run(ask) == "free again"
    assert threading.active_count() <= before + 2


def test_too_much_work_that_waits_is_refused_at_once():
    threads, go_on = Threads(1, max_waiting=1), threading.Event()

    async def ask():
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(threads.run, lambda: go_on.wait(20))
                await anyio.wait_all_tasks_blocked()
            try:
                with pytest.raises(StorageError, match="LB-7508"):
                    await threads.run(lambda: None)
            finally:
                go_on.set()

    anyio.run(ask)


def test_work_in_a_thread_knows_who_asked_for_it():
    caller, threads = ContextVar("caller"), Threads(1)

    async def ask():
        caller.set("me")
        return await threads.run(caller.get)

    assert anyio.run(ask) == "me"


def test_work_that_ends_after_its_event_loop_harms_nobody():
    threads, go_on = Threads(1, timeout_s=0.1), threading.Event()
    with pytest.raises(StorageError):
        anyio.run(threads.run, lambda: go_on.wait(20))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(go_on.set)
