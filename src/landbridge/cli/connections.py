"""``landbridge connections``: what is known of the other side: credentials, and host keys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.listing import JsonOption, print_json, print_rows
from landbridge.cli.place import DatabaseOption, DataOption, data_folder, opened, vault_of, who

if TYPE_CHECKING:
    from landbridge.jobs.connections import Values

_LAST_PORT = 65535
_MAX_SECRET = 1_000_000

app = typer.Typer(
    help="Store the credentials of remote systems, test them, and pin host keys of SFTP servers.", no_args_is_help=True
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Its name.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PARAM=VALUE", help="A parameter that is no secret; may be given several times."),
]
SecretOption = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        metavar="PARAM[=@FILE]",
        help="A secret: asked for, read from standard input, or from a file; may be given several times.",
    ),
]


@app.command("add")
def add(
    name: NameArgument,
    *,
    kind: Annotated[
        str, typer.Option("--type", metavar="SYSTEM", help="As component ids end: sftp, amazon.s3, gigya, silverpop.")
    ],
    params: SetOption = None,
    secrets: SecretOption = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Store a connection. Steps use it by "connection": "NAME" among their params; their own values count more."""
    from landbridge.jobs import connections

    values = _values(params, secrets)
    with opened(data, database) as db, db.write() as tx:
        connections.add(tx, vault_of(db, data), name, kind=kind, values=values, by=who())
    typer.echo(f"added {name}; test it with `landbridge connections test {name}`")


@app.command("set")
def change(
    name: NameArgument,
    *,
    params: SetOption = None,
    secrets: SecretOption = None,
    unset: Annotated[
        list[str] | None, typer.Option(metavar="PARAM", help="Store it no more; may be given several times.")
    ] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Change some values of a connection. The others stay."""
    from landbridge.jobs import connections

    values = _values(params, secrets, unset)
    with opened(data, database) as db, db.write() as tx:
        connections.change(tx, vault_of(db, data), name, values=values, by=who())
    typer.echo(f"changed {name}")


@app.command("list")
def list_connections(data: DataOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """List the connections, without their secrets."""
    from landbridge.jobs import connections, db_connections

    with opened(data, database) as db, db.read() as tx:
        rows = db_connections.listing(tx, limit=100_000)
    print_rows(
        rows,
        as_json=as_json,
        shown=lambda row: connections.shown(row, None),
        line=lambda row: f"{row.name}  {row.kind}  (changed {row.updated:%Y-%m-%d %H:%M} UTC by {row.updated_by})",
        none="no connections; add one with `landbridge connections add NAME --type SYSTEM`",
    )


@app.command("show")
def show(
    name: NameArgument, data: DataOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Show a connection with masked secrets, and the dataflows that use it."""
    from landbridge.jobs import connections, db_connections

    with opened(data, database) as db, db.read() as tx:
        found = connections.shown(db_connections.find(tx, name), vault_of(db, data))
        users = connections.used_by(tx, name)
    if as_json:
        print_json({**found, "usedBy": users})
        return
    typer.echo(f"{found['name']}  {found['type']}")
    for key, value in found["params"].items():
        typer.echo(f"  {key} = {value}")
    for user in users:
        typer.echo(f"used by {user}")


@app.command("test")
def try_connection(
    name: NameArgument,
    *,
    params: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PARAM=VALUE", help="For what is not stored, such as remotePath=/upload."),
    ] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Try a connection: reach the system, log in, look at the folder. Nothing is sent.

    Exit code 1 when something must be corrected.
    """
    import tempfile

    import anyio

    from landbridge.cli.check import shown_findings
    from landbridge.cli.log import log_to_stderr
    from landbridge.components.check import tested
    from landbridge.engine.redaction import Redaction
    from landbridge.jobs import far_sides

    given = _pairs(params)
    with tempfile.TemporaryDirectory(prefix="landbridge-") as spool:
        with opened(data, database) as db, db.read() as tx:
            wholes = far_sides.candidates(tx, vault_of(db, data), name, given)
        far_side = far_sides.of_connection(name, wholes, spool=Path(spool))
        log_to_stderr(Redaction(far_side.secrets), debug=False)
        typer.echo(f"{name}: {far_side.component.spec.id}")
        failures = anyio.run(shown_findings, tested(far_side.component))
    raise typer.Exit(1 if failures else 0)


@app.command("remove")
def remove(
    name: NameArgument,
    *,
    force: Annotated[bool, typer.Option("--force", help="Although dataflows use it.")] = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Remove a connection that no dataflow uses."""
    from landbridge.jobs import connections

    with opened(data, database) as db, db.write() as tx:
        connections.remove(tx, name, by=who(), force=force)
    typer.echo(f"removed {name}")


@app.command("rotate-key")
def rotate_key(data: DataOption = None, database: DatabaseOption = None) -> None:
    """Encrypt everything stored anew: secrets of dataflows and connections, samples, rejects. All of it or nothing.

    A new key is made in the key file of the data folder. With LANDBRIDGE_KEY its first key is taken: put a new one
    before the old one, with a comma between them; afterwards the old one can be removed.
    """
    from landbridge.jobs.key_rotation import rotate

    with opened(data, database) as db:
        count = rotate(db, data_folder(data), by=who())
    typer.echo(f"encrypted {count:,} values with the new key")


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


def _values(params: list[str] | None, secrets: list[str] | None, unset: list[str] | None = None) -> Values:
    from landbridge.jobs.connections import Values

    return Values(_pairs(params), _secrets(secrets), unset or ())


def _pairs(params: list[str] | None) -> dict[str, str]:
    found = {}
    for pair in params or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            # The text itself may be a secret that was meant for --secret.
            raise typer.BadParameter("give PARAM=VALUE", param_hint="--set")
        found[name] = value
    return found


def _secrets(wanted: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    by_input = [text for text in wanted or () if "=" not in text]
    if len(by_input) > 1 and not sys.stdin.isatty():
        raise typer.BadParameter("standard input holds one secret; give the others as =@FILE", param_hint="--secret")
    for text in wanted or ():
        name, equals, place = text.partition("=")
        if not equals:
            found[name] = _asked(name)
        elif place.startswith("@"):
            found[name] = _in_file(Path(place[1:]))
        else:
            raise typer.BadParameter(
                f"give --secret {name} and no value: it would stay in the history of your shell", param_hint="--secret"
            )
    return found


def _asked(name: str) -> str:
    if sys.stdin.isatty():
        answer: str = typer.prompt(name, hide_input=True)
        return answer
    return sys.stdin.read(_MAX_SECRET).removesuffix("\n").removesuffix("\r")


def _in_file(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as text:
            return text.read(_MAX_SECRET).removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise typer.BadParameter(f"cannot read {file}: {reason}", param_hint="--secret") from None
