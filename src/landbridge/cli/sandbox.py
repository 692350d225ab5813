"""``landbridge sandbox``: emulated vendors as a process of their own."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from landbridge.sandbox import Sandbox

app = typer.Typer(help="Run emulated vendors: their HTTP APIs and SFTP folders, on this machine.", no_args_is_help=True)


@app.command("serve")
def serve(
    vendors: Annotated[
        list[str] | None, typer.Argument(metavar="[VENDOR]...", help="Which vendors; all of them when none is named.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port for http; 0 picks a free one.")] = 8700,
    sftp_port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port for SFTP; 0 picks a free one.")] = 8722,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Where state, credentials and SFTP folders are kept.")
    ] = Path("sandbox"),
    memory: Annotated[
        bool, typer.Option("--memory", help="Keep nothing: a fresh sandbox, gone when it stops.")
    ] = False,
) -> None:
    """Serve emulated vendors until interrupted."""
    import anyio

    from landbridge.sandbox import Sandbox

    folder = None if memory else data.absolute()
    sandbox = Sandbox(*(vendors or ()), folder=folder, port=port, sftp_port=sftp_port)
    anyio.run(_serve, sandbox, folder, backend_options={"use_uvloop": True})


async def _serve(sandbox: Sandbox, folder: Path | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with sandbox:
        typer.echo(f"sandbox         {sandbox.url}   (SFTP: 127.0.0.1:{sandbox.sftp_port})")
        typer.echo(f"state           {folder or 'in memory only'}")
        for name, vendor in sandbox.vendors.items():
            typer.echo(f"\n{name}: {vendor.title}\n  page          {sandbox.url}/_sandbox/{name}")
            for key, value in vendor.connection().items():
                typer.echo(f"  {key:<13} {value}")
            if by_file := vendor.file_connection():
                typer.echo("  by file:")
                for key, value in {**by_file, **vendor.notes}.items():
                    typer.echo(f"  {key:<13} {value}")
        await stopped.wait()
    typer.echo("stopped")
