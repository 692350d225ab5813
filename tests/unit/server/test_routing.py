"""How a route of the API does its work."""

import anyio
import pytest
from fastapi import FastAPI

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
