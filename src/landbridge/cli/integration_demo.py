"""``landbridge demo --integration NAME``: a round trip between a local site and an emulated vendor."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from landbridge.cli.round_trip import Comparison, RoundTrip

_TRIPS: Final[dict[str, str]] = {
    "cheetahmail": "landbridge.cli.round_trip_cheetahmail:CheetahMailRoundTrip",
    "lytics": "landbridge.cli.round_trip_lytics:LyticsRoundTrip",
    "responsys": "landbridge.cli.round_trip_responsys:ResponsysRoundTrip",
    "responsys-files": "landbridge.cli.round_trip_responsys_files:ResponsysFilesRoundTrip",
    "silverpop": "landbridge.cli.round_trip_silverpop:SilverpopRoundTrip",
}
"""Name to the class of the round trip."""


def names() -> list[str]:
    """The integrations that can be shown, sorted."""
    return sorted(_TRIPS)


def trip(name: str) -> RoundTrip:
    """The round trip of an integration."""
    module, _, cls = _TRIPS[name].partition(":")
    made: RoundTrip = getattr(import_module(module), cls)()
    return made


def integration_demo(name: str, *, people: int, with_faults: bool = False) -> bool:
    """Play a round trip and print its comparison; whether both sides agree."""
    import anyio

    if name not in _TRIPS:
        raise typer.BadParameter(f"there are {', '.join(names())}", param_hint="--integration")
    result = anyio.run(lambda: play(trip(name), people=people, with_faults=with_faults), backend="asyncio",
                       backend_options={"use_uvloop": True})  # fmt: skip
    typer.echo(f"\n{result.as_text()}")
    typer.echo("both sides agree" if result.is_right else "the sides differ")
    return result.is_right


async def play(round_trip: RoundTrip, *, people: int, with_faults: bool = False, quiet: bool = False) -> Comparison:
    """Play a round trip on a new site and a new sandbox, which leave nothing behind.

    Args:
        round_trip: What to play.
        people: Number of accounts.
        with_faults: Let go wrong what may.
        quiet: Show no progress of jobs.
    """
    from landbridge.cli.round_trip import Scene
    from landbridge.sandbox import Sandbox
    from landbridge.site import Site

    with tempfile.TemporaryDirectory(prefix="landbridge-demo-") as folder:
        async with Site(Path(folder) / "site", people=people) as site, Sandbox(round_trip.vendor) as sandbox:
            scene = Scene(site, sandbox, typer.echo if not quiet else _silent, Path(folder), quiet)
            scene.say(f"a site with {people:,} invented people: {site.url}")
            scene.say(f"{sandbox[round_trip.vendor].title}, emulated: {sandbox.url}/_sandbox/{round_trip.vendor}")
            scene.enter()
            if with_faults:
                sandbox.faults.add(*round_trip.faults)
            result = await round_trip.run(scene)
            if with_faults:
                happened = sum(sandbox.faults.happened(kind) for kind in {fault.kind for fault in round_trip.faults})
                scene.say(f"{happened} things went wrong on purpose")
            return result


def _silent(text: str) -> None:
    del text
