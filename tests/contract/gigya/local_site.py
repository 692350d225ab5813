"""A site on a loopback port for the length of a test module, and short ways to use components against it."""

import asyncio
import json
import threading
import urllib.parse
import urllib.request
from contextlib import contextmanager

import anyio

from landbridge.records import Batch
from landbridge.site import Fault, Site, Switches
from tests.steps import make, rejects


class LocalSite:
    """A running site, seen from outside of its event loop."""

    def __init__(self, site):
        self.site = site

    @property
    def params(self):
        """Parameters that lead a component to this site."""
        site = self.site
        return {"url": site.url, "apiKey": site.api_key, "userKey": site.user_key, "secret": site.secret}

    @property
    def environ(self):
        """The environment that makes this the own site."""
        site = self.site
        return {
            "LANDBRIDGE_SITE_URL": site.url,
            "LANDBRIDGE_SITE_API_KEY": site.api_key,
            "LANDBRIDGE_SITE_USER_KEY": site.user_key,
            "LANDBRIDGE_SITE_SECRET": site.secret,
        }

    def call(self, method, **parameters):
        """What the API answers, asked without our client."""
        own = {key: value for key, value in self.params.items() if key != "url"}
        texts = {name: text if isinstance(text, str) else json.dumps(text) for name, text in parameters.items()}
        body = urllib.parse.urlencode({**own, **texts}).encode()
        with urllib.request.urlopen(f"{self.site.url}/{method}", body, timeout=30) as reply:
            return json.loads(reply.read())

    def search(self, query, method="accounts.search", **parameters):
        """All results of a small search."""
        reply = self.call(method, query=query, **parameters)
        assert reply["errorCode"] == 0, reply
        return reply["results"]

    def account(self, uid):
        return self.call("accounts.getAccountInfo", UID=uid, include="profile,data,subscriptions,preferences")

    def fail(self, **fault):
        """Switch a fault on."""
        self.site.faults.add(Fault(**fault))

    def component(self, component_id, **params):
        return make(component_id, {**self.params, **params})

    def calm(self):
        """Switch all faults and quirks off."""
        self.site.faults.clear()
        self.site.switches = Switches()


@contextmanager
def running_site(**arguments):
    """A site in a thread of its own."""
    started, failure, holder = threading.Event(), [], []

    async def main():
        end = asyncio.Event()
        async with Site(**arguments) as site:
            holder.extend((site, asyncio.get_running_loop(), end))
            started.set()
            await end.wait()

    def run():
        try:
            # uvloop: its server sends small replies without delay.
            anyio.run(main, backend_options={"use_uvloop": True})
        except Exception as error:  # noqa: BLE001 - raised again in the thread of the test
            failure.append(error)
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(60 + arguments.get("people", 0) / 200)
    if failure:
        raise failure[0]
    site, loop, end = holder
    try:
        yield LocalSite(site)
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(60)
    if failure:
        raise failure[0]


def read(component):
    """All records that a reader gives."""

    async def collect():
        return [row async for batch in component.read() for row in batch.to_objects()]

    return anyio.run(collect)


def written(component, rows, *, batches=1):
    """What a writer or lookup gives on, and its rejects as (code, message)."""

    async def deliver():
        size = -(-len(rows) // batches)
        work = getattr(component, "write", None) or component.look_up
        done = []
        async with component.opened():
            for at in range(0, len(rows), size):
                done += (await work(Batch.from_objects(rows[at : at + size]))).to_objects()
        return done

    done = anyio.run(deliver)
    return done, [(reject["code"], reject["message"]) for reject in rejects(component)]
