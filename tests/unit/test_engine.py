"""The engine: counts, error edges, cancellation, stalls and publication, with components in memory."""

from contextlib import suppress
from datetime import UTC, datetime

import anyio
import anyio.to_thread
import pytest

from landbridge.components.base import FileTransform, FileWriter, Formatter
from landbridge.components.catalogue import kind_of
from landbridge.dataflow.plan import Edge, Plan, PlanStep
from landbridge.engine.channel import Aborted, Channel, Ended, NotWanted
from landbridge.engine.rejects import RejectFile
from landbridge.engine.runner import Job, Options, Runner
from landbridge.records import Batch
from tests.unit import engine_parts as parts


def plan_of(steps, edges):
    """A plan of component classes by id, and edges as (source, target) or (source, target, "error")."""
    made = []
    for order, edge in enumerate(edges):
        source, target, kind = (*edge, "next")[:3]
        port = (
            "files"
            if issubclass(steps[source], Formatter | FileTransform | FileWriter) and kind == "next"
            else "records"
        )
        made.append(Edge(source=source, target=target, kind=kind, port=port, order=order))
    planned = tuple(
        PlanStep(
            id=name,
            component=name,
            kind=kind_of(cls),
            params={},
            next=tuple(edge.target for edge in made if edge.source == name and edge.kind == "next"),
            error=tuple(edge.target for edge in made if edge.source == name and edge.kind == "error"),
        )
        for name, cls in steps.items()
    )
    return Plan(name="test", entry=next(iter(steps)), steps=planned, edges=tuple(made))


def run(tmp_path, steps, edges, *, store=None, cancel_after=None, cancel_when=None, **options):
    """Run a plan; gives the report, the components by step and the rejects file.

    It is stopped ``cancel_after`` seconds after its start, or after ``cancel_when()`` has been true, if given.
    """
    made = {}

    def make(step, services):
        component = made[step.id] = steps[step.id](None, services)
        if isinstance(component, FileWriter):
            component.store = store
        return component

    async def drive():
        job = Job(
            id="j",
            dataflow="test",
            started=datetime.now(UTC),
            spool_dir=tmp_path,
            rejects=RejectFile(tmp_path / "rejects.jsonl", job="j"),
            options=Options(**options),
        )
        runner = Runner(plan_of(steps, edges), make, job)
        if cancel_after is None:
            return await runner.run()
        async with anyio.create_task_group() as tasks:

            async def stop():
                while cancel_when and not cancel_when():  # noqa: ASYNC110 - the parts of a test know no events
                    await anyio.sleep(0.001)
                await anyio.sleep(cancel_after)
                runner.cancel("the test says so")

            tasks.start_soon(stop)
            return await runner.run()

    return anyio.run(drive), made


STRAIGHT = [("read", "odd"), ("odd", "lines"), ("lines", "keep")]


def straight(reader=parts.Numbers):
    return {"read": reader, "odd": parts.Odd, "lines": parts.Lines, "keep": parts.Keep}


def test_every_record_is_delivered_filtered_or_rejected(tmp_path):
    store = parts.MemoryStore()
    report, _ = run(tmp_path, straight(), STRAIGHT, store=store)
    odd = report.steps["odd"]
    assert (odd.records_in, odd.records_out, odd.rejected, odd.filtered) == (100, 40, 50, 10)
    assert report.status == "succeeded_with_errors"
    assert report.rejects == 50
    assert store.published["numbers.txt"].count(b"\n") == 40
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 50
    assert not store.open


def test_what_a_lookup_leaves_out_is_filtered(tmp_path):
    steps = {"read": parts.Numbers, "look": parts.Evens, "accept": parts.Accepts}
    report, made = run(tmp_path, steps, [("read", "look"), ("look", "accept")])
    look = report.steps["look"]
    assert (look.records_in, look.records_out, look.rejected, look.filtered) == (100, 50, 1, 49)
    assert (len(made["accept"].got), report.written) == (50, 50)


def test_rejects_take_the_error_edge_with_their_details(tmp_path):
    steps = {
        "read": parts.Numbers,
        "odd": parts.Odd,
        "accept": parts.Accepts,
        "failed": parts.Lines,
        "keep": parts.Keep,
    }
    edges = [
        ("read", "odd"),
        ("odd", "accept"),
        ("odd", "failed", "error"),
        ("accept", "failed", "error"),
        ("failed", "keep"),
    ]
    store = parts.MemoryStore()
    report, made = run(tmp_path, steps, edges, store=store)
    assert len(made["accept"].got) == 39
    assert report.rejects == 51
    lines = store.published["numbers.txt"].decode().splitlines()
    assert len(lines) == 51
    assert '{"n":3,"_errorDetails":{"errorCode":400006,"errorMessage":"no threes"}}' in lines
    assert not (tmp_path / "rejects.jsonl").exists()


def test_a_step_may_add_records_at_the_end(tmp_path):
    steps = {"read": parts.Numbers, "total": parts.Total, "lines": parts.Lines, "keep": parts.Keep}
    store = parts.MemoryStore()
    report, _ = run(tmp_path, steps, [("read", "total"), ("total", "lines"), ("lines", "keep")], store=store)
    assert report.status == "succeeded"
    assert store.published["numbers.txt"] == b'{"sum":4950}\n'


def test_an_unforeseen_error_publishes_nothing_and_shows_no_data(tmp_path):
    store = parts.MemoryStore()
    report, _ = run(tmp_path, straight(parts.Breaks), STRAIGHT, store=store)
    assert report.status == "failed"
    assert report.error["code"] == "LB-9001"
    assert report.error["step"] == "read"
    assert "secret detail" not in str(report.as_json())
    assert store.published == store.staged == {}


def test_a_failed_publication_fails_the_job_and_names_what_is_out(tmp_path):
    steps = {"read": parts.Numbers, "one": parts.Lines, "two": parts.Lines, "keep": parts.Keep}
    store = parts.MemoryStore(refuses={"numbers.txt"})
    report, _ = run(tmp_path, steps, [("read", "one"), ("read", "two"), ("one", "keep"), ("two", "keep")], store=store)
    assert report.status == "failed"
    assert report.error["step"] == "keep"
    assert report.files == ()
    assert store.staged == {}


@pytest.mark.parametrize("reader", [parts.Endless, parts.Hangs])
def test_a_job_can_be_stopped_at_any_time(tmp_path, reader):
    store = parts.MemoryStore()
    report, _ = run(tmp_path, straight(reader), STRAIGHT, store=store, cancel_after=0.3)
    assert report.status == "stopped"
    assert store.published == store.staged == {}
    assert (report.ended - report.started).total_seconds() < 5


def test_a_step_that_hangs_is_reported_as_stalled(tmp_path):
    report, _ = run(tmp_path, straight(parts.Hangs), STRAIGHT, store=parts.MemoryStore(), stall_timeout_s=1)
    assert report.status == "failed"
    assert (report.error["code"], report.error["step"]) == ("LB-6002", "read")


def test_a_step_that_computes_for_too_long_is_reported_as_stalled(tmp_path):
    steps = {"read": parts.Numbers, "slow": parts.Slow, "lines": parts.Lines, "keep": parts.Keep}
    edges = [("read", "slow"), ("slow", "lines"), ("lines", "keep")]
    report, _ = run(tmp_path, steps, edges, store=parts.MemoryStore(), stall_timeout_s=1)
    assert (report.error["code"], report.error["step"]) == ("LB-6002", "slow")


def test_a_limit_ends_an_endless_source(tmp_path):
    report, made = run(tmp_path, {"read": parts.Endless, "accept": parts.Accepts}, [("read", "accept")], limit=250)
    assert report.status == "succeeded"
    assert len(made["accept"].got) == 250


def test_a_dry_run_writes_no_record(tmp_path):
    report, made = run(tmp_path, {"read": parts.Numbers, "accept": parts.Accepts}, [("read", "accept")], dry_run=True)
    assert report.status == "succeeded"
    assert made["accept"].got == []
    assert report.steps["accept"].records_in == 100


def test_a_channel_makes_a_fast_sender_wait():
    async def scenario():
        channel = Channel(senders=1, max_bytes=1000)
        sent = []

        async def sender():
            for number in range(10):
                await channel.send(bytes(600))
                sent.append(number)
            channel.close()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sender)
            await anyio.sleep(0.05)
            assert sent == [0]
            assert [len(await channel.receive()) for _ in range(10)] == [600] * 10
            with pytest.raises(Ended):
                await channel.receive()

    anyio.run(scenario)


def test_a_declined_channel_tells_the_sender_and_an_aborted_one_both():
    async def scenario():
        channel = Channel(senders=1)
        channel.decline()
        with pytest.raises(NotWanted):
            await channel.send(Batch({}, 1))
        channel.abort()
        with pytest.raises(Aborted):
            await channel.send(b"")
        with pytest.raises(Aborted):
            await channel.receive()

    anyio.run(scenario)


def test_items_keep_their_order_between_a_task_and_a_thread_whichever_is_slower():
    async def scenario(*, thread_sends: bool) -> list[int]:
        channel = Channel(senders=1, max_bytes=1000)
        got: list[int] = []

        def work_in_thread():
            if thread_sends:
                for number in range(500):
                    channel.put(bytes([number % 256]) * 300)
                channel.close()
                return
            with suppress(Ended):
                while True:
                    got.append(channel.take()[0])

        async def work_in_task():
            if not thread_sends:
                for number in range(500):
                    await channel.send(bytes([number % 256]) * 300)
                channel.close()
                return
            with suppress(Ended):
                while True:
                    got.append((await channel.receive())[0])

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, work_in_thread)
                tasks.start_soon(work_in_task)
        return got

    for thread_sends in (True, False):
        assert anyio.run(lambda way=thread_sends: scenario(thread_sends=way)) == [n % 256 for n in range(500)]


def test_a_job_whose_caller_is_cancelled_leaves_no_thread_waiting(tmp_path):
    steps = {"read": parts.Hangs, "odd": parts.Odd, "accept": parts.Accepts}
    plan = plan_of(steps, [("read", "odd"), ("odd", "accept")])

    async def scenario():
        rejects = RejectFile(tmp_path / "rejects.jsonl", job="j")
        job = Job(id="j", dataflow="test", started=datetime.now(UTC), spool_dir=tmp_path, rejects=rejects)
        runner = Runner(plan, lambda step, services: steps[step.id](None, services), job)
        with anyio.fail_after(60), anyio.move_on_after(0.2) as scope:
            await runner.run()
        assert scope.cancelled_caught

    anyio.run(scenario)


def test_an_aborted_channel_wakes_a_waiting_thread():
    async def scenario():
        channel = Channel(senders=1)

        def wait():
            with pytest.raises(Aborted):
                channel.take()

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, wait)
                await anyio.sleep(0.05)
                channel.abort()

    anyio.run(scenario)
