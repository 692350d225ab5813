"""``landbridge connections``: what is known of the other side."""

from __future__ import annotations

from typing import Annotated

import typer

_LAST_PORT = 65535

app = typer.Typer(help="Pin the host keys of SFTP servers.", no_args_is_help=True)


@app.command("pin")
def pin_host_key(
    host: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="The SFTP server.")],
    fingerprint: Annotated[
        str | None,
        typer.Option(metavar="SHA256:...", help="The fingerprint that the server's owner told you."),
    ] = None,
) -> None:
    """Pin the host key of an SFTP server, so that only this server is trusted under its name.

    Without --fingerprint the key that the server offers is shown, and nothing is pinned.
    """
    import anyio

    from landbridge.remote.known_hosts import known_hosts_file, offered_key, pin

    name, port = _host_and_port(host)
    if not name.strip():
        raise typer.BadParameter("name a server", param_hint="HOST[:PORT]")
    if fingerprint is None:
        offered = anyio.run(lambda: offered_key(name, port))
        typer.echo(f"{host} offers {offered}\nCompare it with what the server's owner tells you, then run:")
        typer.echo(f"  landbridge connections pin {host} --fingerprint {offered}")
        raise typer.Exit(1)
    pinned = anyio.run(lambda: pin(name, port, key=fingerprint))
    typer.echo(f"pinned {pinned} for {host} in {known_hosts_file()}")


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    is_address = ":" in host and not host.startswith("[")  # of IPv6, where a port needs brackets
    if not colon or is_address or text.endswith("]"):
        return text.strip("[]"), 22
    if not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        raise typer.BadParameter(f'"{port}" is not a port number', param_hint="HOST[:PORT]")
    return host.strip("[]"), int(port)
