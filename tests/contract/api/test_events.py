"""Live events: of one job and of all, resumed after a break."""

import http.client
import json
import os
import time
import urllib.parse
from contextlib import contextmanager

import anyio
import pytest

from landbridge.jobs import db_jobs, db_progress
from landbridge.jobs.db_jobs import Ending, JobStatus, NewJob
from landbridge.jobs.db_progress import EdgeRow, StepRow, Totals, TraceRow
from landbridge.server.api import events as live
from landbridge.server.api.feed import Feed, News
from landbridge.server.api.routing import Threads
from tests.contract.api.caller import Api
from tests.contract.idx.flows import lines
from tests.servers.landbridge_service import Process, State


class Events:
    """The events of a stream, as they come."""

    def __init__(self, reply):
        self.reply = reply

    def next(self, *wanted):
        """The next event of one of these names: its name, content and id."""
        found = {}
        while True:
            line = self.reply.readline().decode().rstrip("\n")
            if not line and found.get("event") and (not wanted or found["event"] in wanted):
                return found["event"], json.loads(found["data"]), found.get("id")
            if not line and self.reply.closed:
                raise EOFError
            if not line:
                found = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                found[name] = value

    def rest(self):
        """Names of all events until the end of the stream."""
        text = self.reply.read().decode()
        return [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]


@contextmanager
def events(api, path, **headers):
    parts = urllib.parse.urlsplit(api.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    try:
        sent = {"Authorization": f"Bearer {api.token}", **headers}
        connection.request("GET", f"/api/v1{path}", headers=sent)
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        assert reply.headers["Content-Type"].startswith("text/event-stream")
        yield Events(reply)
    finally:
        connection.close()


class Job:
    """A job that nobody runs; the test does what its worker would do."""

    def __init__(self, service, name):
        self.database = service.state.database
        self.id = name
        flow = service.api().post("/dataflows", lines(name=name)).json["id"]
        with self.database.write() as tx:
            db_jobs.add(tx, NewJob(name, flow, 1, name, "test", status="scheduled"))

    def begin(self):
        with self.database.write() as tx:
            from landbridge.jobs.db_tables import job

            tx.execute(job.update().where(job.c.id == self.id).values(status="queued"))
            db_jobs.begin(tx, self.id, worker_id="w", host="h", landbridge_version="0")

    def says(self, *texts, read=0):
        with self.database.write() as tx:
            assert db_jobs.still_mine(tx, self.id, start=1)
            at = self.created
            db_progress.add_trace(tx, self.id, [TraceRow(at=at, level="info", message=text) for text in texts])
            step = StepRow("read", 0, "datasource.read.local", "reading", records_out=read)
            edge = EdgeRow("read", "write", "next", read, 0)
            db_progress.save_counts(tx, self.id, steps=[step], edges=[edge], totals=Totals(records_in=read))

    def end(self):
        with self.database.write() as tx:
            assert db_jobs.end(tx, self.id, Ending(JobStatus.SUCCEEDED), start=1)
            db_progress.add_trace(tx, self.id, [TraceRow(at=self.created, level="info", message="ended")])

    @property
    def created(self):
        with self.database.read() as tx:
            return db_jobs.get(tx, self.id).created


def test_a_job_is_followed_from_its_beginning_to_its_end(service):
    job = Job(service, "followed")
    with events(service.api("viewer"), f"/jobs/{job.id}/events") as stream:
        assert stream.next("job")[1]["status"] == "scheduled"
        job.begin()
        assert stream.next("job")[1]["status"] == "running"
        job.says("one", "two", read=7)
        assert [stream.next()[1].get("message") for _ in range(2)] == ["one", "two"]
        shown = stream.next("job")[1]
        assert (shown["recordsIn"], shown["steps"][0]["recordsOut"], shown["edges"][0]["records"]) == (7, 7, 7)
        job.end()
        assert stream.next("trace")[1]["message"] == "ended"
        assert stream.next("job")[1]["status"] == "succeeded"
        assert stream.next("end")[1] == {"status": "succeeded"}
        assert stream.rest() == [], "the stream ends with the job"


def test_a_follower_that_comes_back_gets_what_it_missed_and_nothing_twice(service):
    job = Job(service, "missed")
    job.begin()
    job.says("one", "two")
    with events(service.api(), f"/jobs/{job.id}/events") as stream:
        _, line, last = stream.next("trace")
        assert line["message"] == "one"
    job.says("three")
    job.end()
    for again in (f"/jobs/{job.id}/events?lastEventId={last}", f"/jobs/{job.id}/events"):
        headers = {} if "?" in again else {"Last-Event-ID": last}
        with events(service.api(), again, **headers) as stream:
            assert [stream.next("trace")[1]["message"] for _ in range(3)] == ["two", "three", "ended"]
            assert stream.rest() == ["job", "end"]


def test_who_follows_a_quiet_job_hears_that_the_stream_lives_however_busy_others_are(service, monkeypatch):
    quiet, busy = Job(service, "quiet"), Job(service, "busy")
    monkeypatch.setattr(live, "_HEARTBEAT_S", 0.2)

    async def heard():
        sending, news = anyio.create_memory_object_stream(10)
        with sending, news, service.state.database.read() as tx:
            row = db_jobs.get(tx, busy.id)

            async def change_all_the_time():
                while True:
                    sending.send_nowait(News([], [row]))
                    await anyio.sleep(0.05)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(change_all_the_time)
                with anyio.fail_after(60):
                    assert not await live._told_of(news, quiet.id)
                    assert await live._told_of(news, busy.id)
                tasks.cancel_scope.cancel()

    anyio.run(heard)


def test_all_jobs_are_followed_and_changes_of_people_told(service):
    with events(service.api("viewer"), "/events") as stream:
        job = Job(service, "among all")
        seen = {}
        while len(seen) < 2:
            name, content, place = stream.next()
            if name == "changed":
                seen.setdefault(content["area"], None)
            elif content["id"] == job.id:
                seen["job"] = place
            seen.pop("scheduling", None)
        assert seen.keys() == {"dataflow", "job"}
    job.begin()
    with events(service.api(), "/events", **{"Last-Event-ID": seen["job"]}) as stream:
        while (content := stream.next("job")[1])["id"] != job.id or content["status"] != "running":
            pass
    job.end()


def test_whoever_listens_misses_nothing_however_late_the_first_look_is(service):
    database = service.state.database

    async def heard():
        feed = Feed(database, Threads())
        async with feed.listen() as news, anyio.create_task_group() as tasks:
            await anyio.to_thread.run_sync(service.api().post, "/dataflows", lines(name="early"))
            tasks.start_soon(feed.run)
            with anyio.fail_after(60):
                areas = []
                while "dataflow" not in areas:
                    areas += (await news.receive()).areas
            tasks.cancel_scope.cancel()

    anyio.run(heard)


def test_events_of_a_job_that_does_not_exist(api):
    assert api.get("/jobs/nobody/events").status == 404


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30, "²", "2026-01-01", "0001-01-01T00:00:00+14:00"])
def test_a_strange_place_to_resume_counts_as_none(service, last):
    job = Job(service, f"strange {last}")
    service.api().post(f"/jobs/{urllib.parse.quote(job.id)}/cancel")
    query = urllib.parse.urlencode({"lastEventId": last})
    with events(service.api(), f"/jobs/{urllib.parse.quote(job.id)}/events?{query}") as stream:
        assert stream.next()[0] == "job"
    with events(service.api(), f"/events?{query}") as stream:
        Job(service, f"strange too {last}")
        assert stream.next()


def test_a_service_that_stops_does_not_wait_for_listeners(tmp_path):
    arguments = ["serve", "--data", str(tmp_path / "data"), "--port", "0", "--grace", "0"]
    process = Process(arguments, {**os.environ, "LANDBRIDGE_HOME": str(tmp_path / "home")}, tmp_path / "log")
    state = State(tmp_path / "data", tmp_path / "data")
    with events(Api(process.url, token=state.token("viewer")), "/events") as stream:
        state.close()
        process.stop()
        assert stream.rest() == [], "a stream that is cut off instead is read as incomplete"
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_listeners_are_bounded(service):
    from contextlib import ExitStack

    api = service.api()
    Job(service, "crowded")
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(events(api, "/events"))
        deadline = time.monotonic() + 10
        while (refused := api.get("/jobs/crowded/events", read=False)).status == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        refused = api.get("/events")
        assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "LB-7508", "5")
    deadline = time.monotonic() + 10
    while api.get("/events", read=False).status != 200:
        assert time.monotonic() < deadline, "who has gone makes room"
        time.sleep(0.2)
    api.post("/jobs/crowded/cancel")
