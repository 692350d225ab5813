"""A sandbox on loopback ports for the length of a test module, seen from outside of its event loop."""

import asyncio
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager

import anyio

from landbridge.sandbox import Fault, Sandbox


class RunningSandbox:
    """A sandbox in a thread of its own."""

    def __init__(self, sandbox, loop):
        self.sandbox = sandbox
        self._loop = loop

    def do(self, action):
        """Run a function on the sandbox's event loop, where its state belongs."""

        async def call():
            return action(self.sandbox)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    def connection(self, vendor):
        return self.do(lambda sandbox: dict(sandbox[vendor].connection()))

    def rows(self, vendor, table):
        """What a vendor holds, asked over HTTP."""
        return self.get(f"/_sandbox/{vendor}.json")[table]

    def fail(self, kind, **fault):
        self.do(lambda sandbox: sandbox.faults.add(Fault(kind, **fault)))

    def switch(self, vendor, **changes):
        self.do(lambda sandbox: sandbox.switch(vendor, **changes))

    def calm(self, vendor):
        """Switch all faults off, and all switches to where they were."""

        def quieten(sandbox):
            sandbox.faults.clear()
            sandbox[vendor].switches = sandbox[vendor].Switches()

        self.do(quieten)

    def idle(self):
        asyncio.run_coroutine_threadsafe(self.sandbox.idle(), self._loop).result(60)

    def get(self, path):
        with urllib.request.urlopen(self.sandbox.url + path, timeout=30) as reply:
            return json.loads(reply.read())

    def send(self, path, value, *, method="POST", kind="application/json"):
        """Send JSON to one of the sandbox's own doors; gives status and reply."""
        request = urllib.request.Request(
            self.sandbox.url + path, json.dumps(value).encode(), {"Content-Type": kind}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@contextmanager
def running_sandbox(*vendors, **arguments):
    """A sandbox in a thread of its own; fails when a job of it failed in an unexpected way."""
    started, failure, holder = threading.Event(), [], []

    async def main():
        end = asyncio.Event()
        async with Sandbox(*vendors, **arguments) as sandbox:
            holder.extend((sandbox, asyncio.get_running_loop(), end))
            started.set()
            await end.wait()
            failure.extend(error for vendor in sandbox.vendors.values() for error in vendor.frame.failures)

    def run():
        try:
            anyio.run(main, backend_options={"use_uvloop": True})
        except Exception as error:  # noqa: BLE001 - raised again in the thread of the test
            failure.append(error)
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(60)
    if failure:
        raise failure[0]
    sandbox, loop, end = holder
    try:
        yield RunningSandbox(sandbox, loop)
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(60)
    if failure:
        raise failure[0]
