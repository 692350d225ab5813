"""What every store must do. A store passes it by being listed in one of the test modules next to this one."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from landbridge.errors import AuthError, ConnectionFailed, FlowError, LandbridgeError
from landbridge.remote.publish import Store, is_abandoned, temporary_name
from tests.contract.stores.backend import Backend

MEGABYTE = 1 << 20
LARGE_BYTES = 64 * MEGABYTE
ALLOWED_GROWTH_BYTES = 48 * MEGABYTE
CHECK_TIMEOUT_S = 10.0

NAMES = [
    "plain.csv",
    "with spaces and (brackets).csv",
    "Größe 数据 🦊.csv",
    "success/report.csv",
    "a/b c/ü/deep.csv",
    "semi;colon&amp%20+plus#hash=.csv",
    "'quoted'.csv",
]


def run(work: Awaitable[None]) -> None:
    """Run a test's scenario."""

    async def limited() -> None:
        async with asyncio.timeout(100):
            await work

    asyncio.run(limited())


async def put(store: Store, name: str, content: bytes, *, chunk_bytes: int = MEGABYTE) -> None:
    """Upload and publish a file."""
    upload = await store.create(name)
    for start in range(0, len(content), chunk_bytes):
        await upload.write(content[start : start + chunk_bytes])
    await upload.finish()
    await upload.publish()


async def content_of(store: Store, name: str) -> bytes:
    """Read a whole file."""
    return b"".join([chunk async for chunk in store.read(name)])


def for_consumers(files: dict[str, bytes]) -> dict[str, bytes]:
    """What a consumer's pattern such as ``*`` finds: no hidden names, no names of uploads."""
    return {
        name: content
        for name, content in files.items()
        if not name.rpartition("/")[2].startswith(".") and not name.endswith(".uploading")
    }


def resident_bytes() -> int:
    """Memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def dead_writers_name(name: str) -> str:
    """The temporary name that a process of this machine used which is dead now."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return re.sub(r"-\d+-\d+\.uploading$", f"-{process.pid}-1.uploading", temporary_name(name))


class StoreContract:
    """The suite. A subclass gives the fixture ``backend``."""

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        raise NotImplementedError

    def test_a_published_file_has_exactly_the_bytes_that_were_written(self, backend: Backend) -> None:
        content = random.Random(1).randbytes(3 * MEGABYTE + 17)

        async def scenario() -> None:
            async with backend.open() as store:
                await put(store, "data.bin", content, chunk_bytes=700_001)

        run(scenario())
        assert backend.raw() == {"data.bin": content}

    @pytest.mark.parametrize("chunk_bytes", [1, 1000, 2 * MEGABYTE + 1])
    def test_what_is_read_is_what_was_written_whatever_the_pieces(self, backend: Backend, chunk_bytes: int) -> None:
        content = random.Random(2).randbytes(2000 if chunk_bytes == 1 else 5 * MEGABYTE)

        async def scenario() -> None:
            async with backend.open() as store:
                await put(store, "data.bin", content, chunk_bytes=chunk_bytes)
                assert await content_of(store, "data.bin") == content

        run(scenario())

    def test_nothing_a_consumer_would_list_is_there_before_publish(self, backend: Backend) -> None:
        async def scenario() -> None:
            async with backend.open() as store:
                upload = await store.create("data.csv")
                await upload.write(b"x" * MEGABYTE)
                assert for_consumers(backend.raw()) == {}
                await upload.finish()
                assert for_consumers(backend.raw()) == {}
                assert list(await store.list()) == []
                await upload.publish()
                assert set(for_consumers(backend.raw())) == {"data.csv"}

        run(scenario())

    def test_with_the_temporary_extension_nothing_is_listed_before_publish_either(self, backend: Backend) -> None:
        async def scenario() -> None:
            async with backend.open(visible_temporary=True) as store:
                upload = await store.create("data.csv")
                await upload.write(b"x" * MEGABYTE)
                assert set(backend.raw()) <= {"data.csv.uploading"}
                assert list(await store.list()) == []
                await upload.finish()
                await upload.publish()
                assert set(backend.raw()) == {"data.csv"}

        run(scenario())

    @pytest.mark.parametrize("finished", [False, True])
    def test_discard_leaves_nothing(self, backend: Backend, finished: bool) -> None:
        async def scenario() -> None:
            async with backend.open() as store:
                upload = await store.create("data.csv")
                await upload.write(b"x" * 12 * MEGABYTE)
                if finished:
                    await upload.finish()
                await upload.discard()
                await upload.discard()
                assert backend.raw() == {}
                with pytest.raises(ValueError, match="discarded"):
                    await upload.publish()
            assert backend.raw() == {}

        run(scenario())

    def test_discarding_a_second_upload_leaves_the_published_file(self, backend: Backend) -> None:
        async def scenario() -> None:
            async with backend.open() as store:
                await put(store, "data.csv", b"first")
                upload = await store.create("data.csv")
                await upload.write(b"second")
                await upload.discard()
                assert backend.raw() == {"data.csv": b"first"}

        run(scenario())

    def test_a_second_publish_and_a_late_discard_are_harmless(self, backend: Backend) -> None:
        async def scenario() -> None:
            async with backend.open() as store:
                upload = await store.create("data.csv")
                await upload.write(b"content")
                await upload.publish()
                await upload.publish()
                await upload.finish()
                await upload.discard()
                assert backend.raw() == {"data.csv": b"content"}

        run(scenario())

    def test_an_announced_upload_can_be_published_by_another_process(self, backend: Backend) -> None:
        announced: list[str] = []

        async def announce(temporary: str) -> None:
            assert temporary not in backend.raw()
            announced.append(temporary)

        async def scenario() -> None:
            async with backend.open() as store:
                upload = await store.create("sub/data.csv", announce=announce)
                await upload.write(b"content")
                await upload.finish()
                if upload.temporary is None:  # only this process can commit it
                    await upload.discard()
                    assert announced == []
                    assert await store.take_up("sub/data.csv", "sub/.data.csv.uploading") is None
                    return
                assert announced == [upload.temporary]
            async with backend.open() as other:
                assert await other.clean() == 0
                assert await other.stored_size("sub/data.csv") is None
                assert await other.stored_size(announced[0]) == len(b"content")
                taken = await other.take_up("sub/data.csv", announced[0])
                assert taken is not None
                await taken.publish()
                await taken.discard()
                assert backend.raw() == {"sub/data.csv": b"content"}
                assert await other.stored_size("sub/data.csv") == len(b"content")
                assert await other.take_up("sub/data.csv", announced[0]) is None

        run(scenario())

    def test_an_announced_upload_can_be_discarded_by_another_process(self, backend: Backend) -> None:
        announced: list[str] = []

        async def announce(temporary: str) -> None:
            announced.append(temporary)

        async def scenario() -> None:
            async with backend.open() as store:
                upload = await store.create("data.csv", announce=announce)
                await upload.write(b"content")
                await upload.finish()
                if upload.temporary is None:
                    await upload.discard()
                    return
            async with backend.open() as other:
                taken = await other.take_up("data.csv", announced[0])
                assert taken is not None
                await taken.discard()
                assert backend.raw() == {}

        run(scenario())

    def test_an_announced_upload_is_abandoned_by_its_age_only(self) -> None:
        name = temporary_name("data.csv", lasting=True)
        now = datetime.now(UTC)
        dead = re.sub(r"-\d+-\d+\.uploading$", "-1-1.uploading", name)
        for spelt in (name, dead):
            assert not is_abandoned(spelt, now - timedelta(hours=23), now=now)
            assert is_abandoned(spelt, now - timedelta(hours=25), now=now)

    def test_an_existing_target_is_replaced_in_one_step(self, backend: Backend) -> None:
        old, new = b"old" * 100_000, b"new!" * 100_000
        seen: dict[str, set[bytes | None]] = {"before": set(), "during": set(), "after": set()}
        moment = "before"
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                first = moment
                content = backend.peek("data.csv")
                # A look that spans two moments belongs to the publication.
                seen[first if first == moment else "during"].add(content)

        async def scenario() -> None:
            nonlocal moment
            async with backend.open() as store:
                await put(store, "data.csv", old)
                upload = await store.create("data.csv")
                await upload.write(new)
                await upload.finish()
                consumer = threading.Thread(target=watch)
                consumer.start()
                try:
                    await asyncio.sleep(0.05)
                    moment = "during"
                    await upload.publish()
                    moment = "after"
                    await asyncio.sleep(0.05)
                finally:
                    stop.set()
                    await asyncio.to_thread(consumer.join)

        run(scenario())
        assert backend.raw() == {"data.csv": new}
        assert seen["before"] == {old}
        assert seen["after"] <= {new}
        if backend.server_replaces_at_once:
            assert seen["during"] <= {old, new}

    @pytest.mark.parametrize("name", NAMES)
    def test_any_sensible_name_is_kept(self, backend: Backend, name: str) -> None:
        async def scenario() -> None:
            async with backend.open() as store:
                await put(store, name, b"content")
                assert backend.raw() == {name: b"content"}
                assert await content_of(store, name) == b"content"
                assert [entry.name for entry in await store.list()] == ([] if "/" in name else [name])

        run(scenario())

    @pytest.mark.parametrize("name", ["", "/etc/passwd", "../up.csv", "a/../../up.csv", "a//b", "a/", "line\nbreak"])
    def test_a_name_that_leads_out_of_the_folder_is_refused(self, backend: Backend, name: str) -> None:
        async def scenario() -> None:
            async with backend.open() as store:
                with pytest.raises(FlowError) as raised:
                    await store.create(name)
                assert raised.value.code == "LB-1301"
                with pytest.raises(FlowError):
                    await content_of(store, name)

        run(scenario())
        assert backend.raw() == {}

    def test_an_empty_file_is_a_file(self, backend: Backend) -> None:
        async def scenario() -> None:
            async with backend.open() as store:
                await put(store, "gigya.ok", b"")
                assert backend.raw() == {"gigya.ok": b""}
                assert await content_of(store, "gigya.ok") == b""
                assert [(entry.name, entry.size) for entry in await store.list()] == [("gigya.ok", 0)]

        run(scenario())

    def test_a_large_file_goes_both_ways_in_flat_memory(self, backend: Backend) -> None:
        block = random.Random(3).randbytes(MEGABYTE)
        expected = hashlib.sha256()

        async def scenario() -> None:
            async with backend.open() as store:
                await put(store, "warm-up", block * 12)  # buffers that are kept belong to the start
                await content_of(store, "warm-up")
                before, peak = resident_bytes(), 0
                upload = await store.create("large")
                for number in range(LARGE_BYTES // MEGABYTE):
                    piece = number.to_bytes(4, "big") + block[4:]
                    expected.update(piece)
                    await upload.write(piece)
                    peak = max(peak, resident_bytes())
                await upload.publish()
                found, size = hashlib.sha256(), 0
                async for chunk in store.read("large"):
                    assert len(chunk) <= 8 * MEGABYTE
                    found.update(chunk)
                    size += len(chunk)
                    peak = max(peak, resident_bytes())
                assert size == LARGE_BYTES
                assert found.digest() == expected.digest()
                assert peak - before < ALLOWED_GROWTH_BYTES, f"grew by {(peak - before) >> 20} MiB"

        run(scenario())

    def test_a_listing_tells_size_and_time_and_leaves_out_folders(self, backend: Backend) -> None:
        backend.plant("folder/inner.csv", b"inner")
        backend.plant("data.csv", b"12345")

        async def scenario() -> None:
            async with backend.open() as store:
                entries = await store.list()
                assert [(entry.name, entry.size) for entry in entries] == [("data.csv", 5)]
                assert entries[0].modified.tzinfo is not None
                assert abs(datetime.now(UTC) - entries[0].modified) < timedelta(minutes=2)

        run(scenario())

    def test_a_listing_hides_uploads_under_way_and_abandoned_ones(self, backend: Backend) -> None:
        backend.plant(dead_writers_name("dead.csv"), b"half")
        backend.plant("partner.csv.uploading", b"half")
        backend.plant("data.csv", b"whole")

        async def scenario() -> None:
            async with backend.open() as store:
                upload = await store.create("next.csv")
                await upload.write(b"x")
                assert [entry.name for entry in await store.list()] == ["data.csv"]
                await upload.discard()

        run(scenario())

    def test_clean_removes_the_files_of_dead_writers_and_no_others(self, backend: Backend) -> None:
        dead = dead_writers_name("data.csv")
        kept = {
            temporary_name("alive.csv"): b"half",
            "partner.csv.uploading": b"half",
            ".hidden": b"1",
            "data.csv": b"1",
        }
        for name, content in kept.items():
            backend.plant(name, content)
        backend.plant(dead, b"half")

        async def scenario() -> None:
            async with backend.open() as store:
                assert await store.clean() == 1
                assert backend.raw() == kept
                assert await store.clean() == 0

        run(scenario())

    def test_two_uploads_of_one_name_do_not_mix(self, backend: Backend) -> None:
        async def scenario() -> None:
            async with backend.open() as one, backend.open() as two:
                first, second = await one.create("data.csv"), await two.create("data.csv")
                await first.write(b"first" * 1000)
                await second.write(b"second" * 1000)
                await first.publish()
                assert backend.raw()["data.csv"] == b"first" * 1000
                await second.publish()
                assert backend.raw() == {"data.csv": b"second" * 1000}

        run(scenario())

    def test_a_file_that_is_gone_is_an_error_and_no_empty_file(self, backend: Backend) -> None:
        async def scenario() -> None:
            async with backend.open() as store:
                with pytest.raises(LandbridgeError) as raised:
                    await content_of(store, "gone.csv")
                assert raised.value.code == "LB-3105"

        run(scenario())

    def test_check_accepts_a_good_folder(self, backend: Backend) -> None:
        async def scenario() -> None:
            async with backend.open() as store:
                await store.check()

        run(scenario())
        assert backend.raw() == {}

    def test_check_tells_a_missing_folder(self, backend: Backend) -> None:
        error = self.refusal(backend.missing_folder())
        assert error.code == "LB-2201"

    def test_check_tells_a_wrong_secret(self, backend: Backend) -> None:
        store = backend.wrong_secret()
        if store is None:
            pytest.skip("this store has no login")
        assert isinstance(self.refusal(store), AuthError)

    def test_check_tells_an_unreachable_server(self, backend: Backend) -> None:
        store = backend.unreachable()
        if store is None:
            pytest.skip("this store has no server")
        assert self.refusal(store).code == "LB-2101"

    def refusal(self, connection: AbstractAsyncContextManager[Store]) -> ConnectionFailed:
        """The error with which ``check`` refuses, within its time-out."""
        return refusal(connection, lambda store: store.check())


def refusal(
    connection: AbstractAsyncContextManager[Store], action: Callable[[Store], Awaitable[object]]
) -> ConnectionFailed:
    """The ConnectionFailed that opening the store or ``action`` raises within the time-out."""
    errors: list[ConnectionFailed] = []

    async def scenario() -> None:
        with pytest.raises(ConnectionFailed) as raised:
            async with connection as store:
                await action(store)
        errors.append(raised.value)

    started = time.monotonic()
    run(scenario())
    assert time.monotonic() - started < CHECK_TIMEOUT_S + 20
    assert errors[0].hint
    return errors[0]
