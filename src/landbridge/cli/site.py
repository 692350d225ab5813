"""``landbridge site``: the local identity site as a process of its own."""

from __future__ import annotations

import asyncio
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from landbridge.site import Site

app = typer.Typer(help="Run a local identity site that speaks Gigya's REST API.", no_args_is_help=True)


@app.command("serve")
def serve(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where the site keeps its data and its credentials.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 picks a free one.")] = 8600,
    people: Annotated[int, typer.Option(min=0, help="Invented people that an empty site is filled with.")] = 0,
    seed: Annotated[int, typer.Option(help="Which people; the same seed gives the same people.")] = 1,
    https_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Also answer over https on this port; 0 picks a free one.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="Keep the data in PostgreSQL: postgresql://user@host/name")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the site until it is interrupted."""
    import anyio

    from landbridge.site import Site

    site = Site(
        data.absolute(), people=people, seed=seed, host=host, port=port, https_port=https_port, database=database
    )
    anyio.run(_serve, site, data, backend_options={"use_uvloop": True})


def _as_own_site(site: Site, credentials: Path) -> str:
    """The lines for a shell that make it the site of all dataflows; the secret is read from its file."""
    known = {"URL": site.url, "API_KEY": site.api_key, "USER_KEY": site.user_key}
    lines = [f"  export LANDBRIDGE_SITE_{name}={shlex.quote(value)}" for name, value in known.items()]
    secret = rf"""sed -n 's/^ *"secret": "\(.*\)",*$/\1/p' {shlex.quote(str(credentials))}"""
    lines.append(f'  export LANDBRIDGE_SITE_SECRET="$({secret})"')
    what = "For dataflows to take it for their site; docs/gigya.md, Which site, tells more:"
    return "\n".join(["", what, *lines])


async def _serve(site: Site, data: Path) -> None:
    from landbridge.site.credentials import FILE_NAME

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with site:
        typer.echo(f"identity site   {site.url}")
        if site.https_port is not None:
            typer.echo(f"                {site.https_url}   (authority: {site.authority_file})")
        typer.echo(f"apiKey          {site.api_key}\nuserKey         {site.user_key}")
        if site.credentials_are_new:
            typer.echo(f"secret          {site.secret}\nThe secret is shown once; it is kept in {data / FILE_NAME}")
        else:
            typer.echo(f"secret          in {data / FILE_NAME}")
        typer.echo(_as_own_site(site, (data / FILE_NAME).absolute()))
        await stopped.wait()
    typer.echo("stopped")
