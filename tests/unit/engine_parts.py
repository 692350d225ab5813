"""Small components in memory, to put the engine through situations that real ones meet rarely."""

import time
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from landbridge.components.base import (
    FileEnd,
    FileStart,
    FileWriter,
    Formatter,
    Lookup,
    RecordError,
    RecordReader,
    RecordWriter,
    Transform,
)
from landbridge.errors import ConnectionFailed
from landbridge.records import Batch


class Numbers(RecordReader):
    """Reads ``count`` records in batches of ``size``."""

    count, size = 100, 10

    async def read(self):
        for start in range(0, self.count, self.size):
            yield Batch.from_objects([{"n": number} for number in range(start, min(start + self.size, self.count))])


class Endless(RecordReader):
    """Reads for ever."""

    async def read(self):
        while True:
            yield Batch.from_objects([{"n": 1}] * 100)
            await anyio.lowlevel.checkpoint()


class Breaks(RecordReader):
    """Fails in the middle with an error that nobody foresaw."""

    async def read(self):
        yield Batch.from_objects([{"n": 1}])
        raise ZeroDivisionError("secret detail")


class Hangs(RecordReader):
    """Waits for an answer that never comes."""

    async def read(self):
        yield Batch.from_objects([{"n": 1}])
        await anyio.sleep(3600)


class Odd(Transform):
    """Rejects even numbers and filters multiples of five."""

    def apply(self, batch):
        numbers = [row["n"] for row in batch.to_objects()]
        even = batch.take([at for at, n in enumerate(numbers) if n % 2 == 0])
        self.services.reject(even, [RecordError("LB-4999", "it is even")] * even.num_rows)
        return batch.take([at for at, n in enumerate(numbers) if n % 2 and n % 5])


class Slow(Transform):
    """Computes for a long time."""

    def apply(self, batch):
        time.sleep(3)
        return batch


class Total(Transform):
    """Gives one record when it has seen all."""

    def __init__(self, params, services):
        super().__init__(params, services)
        self.sum = 0

    def apply(self, batch):
        self.sum += sum(row["n"] for row in batch.to_objects())
        return batch.slice(0, 0)

    def finish(self):
        return Batch.from_objects([{"sum": self.sum}])


class Lines(Formatter):
    """One line a record."""

    def format(self, batches):
        yield FileStart("numbers.txt")
        count = 0
        for batch in batches:
            count += batch.num_rows
            yield b"".join(text.encode() + b"\n" for text in batch.json_texts().to_pylist())
        yield FileEnd(count)


class Evens(Lookup):
    """Knows the even numbers, refuses the number three and leaves out the others."""

    async def look_up(self, batch):
        rows = batch.to_objects()
        bad = batch.take([at for at, row in enumerate(rows) if row["n"] == 3])
        self.services.reject(bad, [RecordError(400006, "no threes")] * bad.num_rows)
        return batch.take([at for at, row in enumerate(rows) if row["n"] % 2 == 0])


class Accepts(RecordWriter):
    """Keeps what it gets, but refuses the number three."""

    def __init__(self, params, services):
        super().__init__(params, services)
        self.got = []

    async def write(self, batch):
        rows = batch.to_objects()
        bad = batch.take([at for at, row in enumerate(rows) if row["n"] == 3])
        self.services.reject(bad, [RecordError(400006, "no threes")] * bad.num_rows)
        good = batch.take([at for at, row in enumerate(rows) if row["n"] != 3])
        self.got += good.to_objects()
        return good


class MemoryUpload:
    """A file in a MemoryStore."""

    def __init__(self, store, name):
        self.store, self.name, self.parts = store, name, []

    async def write(self, chunk):
        self.parts.append(chunk)

    async def finish(self):
        self.store.staged[self.name] = b"".join(self.parts)

    async def publish(self):
        if self.name in self.store.refuses:
            raise ConnectionFailed("LB-2999", "the store went away")
        self.store.published[self.name] = self.store.staged.pop(self.name)

    async def discard(self):
        self.store.staged.pop(self.name, None)


class MemoryStore:
    """A store that remembers what was staged and what was published."""

    def __init__(self, refuses=()):
        self.staged, self.published, self.refuses, self.open = {}, {}, set(refuses), False

    async def clean(self):
        return 0

    async def check(self):
        pass

    async def create(self, name):
        return MemoryUpload(self, name)


class Keep(FileWriter):
    """Writes to the store that the test looks into."""

    store = None

    @asynccontextmanager
    async def connect(self):
        self.store.open = True
        try:
            yield self.store
        finally:
            self.store.open = False
