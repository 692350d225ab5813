"""Flows between a local site and an emulated vendor, as the tests of all integrations play them."""

import functools
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import anyio

from landbridge.cli.integration_demo import play
from landbridge.cli.round_trip import Scene
from landbridge.sandbox import Sandbox
from landbridge.site import Site
from landbridge.site.credentials import FILE_NAME, Credentials


def agreed(round_trip, *, people, with_faults):
    """Play a round trip, fail unless both sides agree at its end; gives how many people each line holds for."""

    async def run():
        return await play(round_trip, people=people, with_faults=with_faults, quiet=True)

    result = anyio.run(run, backend_options={"use_uvloop": True})
    assert result.is_right, result.as_text()
    return {line.name: line.right for line in result.lines}


@functools.cache
def _kept(vendor):
    """What a site and a sandbox keep in their folders before anything happened, as text by file name.

    Most of it are keys, which take longer to make than many a test.
    """

    async def begin(folder):
        async with Sandbox(vendor, folder=folder):
            pass

    with tempfile.TemporaryDirectory() as folder:
        anyio.run(begin, Path(folder))
        sandbox = {f"sandbox/{each.name}": each.read_text() for each in Path(folder).glob("*.jsonl")}
    return {**sandbox, f"site/{FILE_NAME}": json.dumps(asdict(Credentials.new()))}


def on_scene(vendor, action, *, people, folder):
    """Run ``action(scene)`` with a site of so many people and the sandbox of a vendor."""
    for name, text in _kept(vendor).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    async def run():
        async with Site(folder / "site", people=people) as site, Sandbox(vendor, folder=folder / "sandbox") as sandbox:
            scene = Scene(site, sandbox, lambda _: None, folder, quiet=True)
            scene.enter()
            result = await action(scene)
            assert sandbox[vendor].frame.failures == [], "a job of the sandbox failed in an unexpected way"
            return result

    return anyio.run(run, backend_options={"use_uvloop": True})
