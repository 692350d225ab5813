"""``landbridge connections``: what is known of the other side: credentials, and host keys."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.place import DatabaseOption, DataOption, data_folder, opened, who

if TYPE_CHECKING:
    from landbridge.components.base import Component
    from landbridge.dataflow import Dataflow, Problem
    from landbridge.jobs.connections import Values
    from landbridge.jobs.vault import Vault

_LAST_PORT = 65535
_MAX_SECRET = 1_000_000

app = typer.Typer(
    help="Store the credentials of remote systems, test them, and pin host keys of SFTP servers.", no_args_is_help=True
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Its name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
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
        connections.add(tx, _vault(data), name, kind=kind, values=values, by=who())
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
        connections.change(tx, _vault(data), name, values=values, by=who())
    typer.echo(f"changed {name}")


@app.command("list")
def list_connections(data: DataOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """List the connections, without their secrets."""
    from landbridge.jobs import connections, db_connections

    with opened(data, database) as db, db.read() as tx:
        rows = db_connections.listing(tx, limit=100_000)
    if as_json:
        typer.echo(json.dumps([connections.shown(row, None) for row in rows], indent=2, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row.name}  {row.kind}  (changed {row.updated:%Y-%m-%d %H:%M} UTC by {row.updated_by})")
    if not rows:
        typer.echo("no connections; add one with `landbridge connections add NAME --type SYSTEM`", err=True)


@app.command("show")
def show(
    name: NameArgument, data: DataOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Show a connection with masked secrets, and the dataflows that use it."""
    from landbridge.jobs import connections, db_connections

    with opened(data, database) as db, db.read() as tx:
        found = connections.shown(db_connections.find(tx, name), _vault(data))
        users = connections.used_by(tx, name)
    if as_json:
        typer.echo(json.dumps({**found, "usedBy": users}, indent=2, ensure_ascii=False))
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
    from landbridge.components.check import tested

    given = _pairs(params)
    with tempfile.TemporaryDirectory(prefix="landbridge-") as spool:
        component = _component(name, given, Path(spool), data=data, database=database)
        typer.echo(f"{name}: {component.spec.id}")
        failures = anyio.run(shown_findings, tested(component))
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
        connections.remove(tx, name, force=force)
    typer.echo(f"removed {name}")


@app.command("rotate-key")
def rotate_key(data: DataOption = None, database: DatabaseOption = None) -> None:
    """Encrypt everything stored anew: secrets of dataflows and connections, samples, rejects. All of it or nothing.

    A new key is made in the key file of the data folder. With LANDBRIDGE_KEY its first key is taken: put a new one
    before the old one, with a comma between them; afterwards the old one can be removed.
    """
    from landbridge.jobs.key_rotation import rotate

    with opened(data, database) as db:
        count = rotate(db, data_folder(data))
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


def _vault(data: Path | None) -> Vault:
    from landbridge.jobs.vault import Vault

    return Vault.open(data_folder(data))


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


def _component(name: str, given: dict[str, str], spool: Path, *, data: Path | None, database: str | None) -> Component:
    """A component that can test the connection: the first one that needs nothing which is not stored."""
    import os
    import secrets
    from datetime import UTC, datetime

    from landbridge.cli.log import log_to_stderr
    from landbridge.components import registry
    from landbridge.components.catalogue import InstalledComponents
    from landbridge.components.check import can_be_tested
    from landbridge.dataflow import EnvironmentSecrets, JobValues, resolve
    from landbridge.dataflow.connections import StoredSecrets, fits
    from landbridge.dataflow.parameters import check_resolved_params, secret_values
    from landbridge.dataflow.problems import errors_of
    from landbridge.engine.counts import StepCounts
    from landbridge.engine.services import Services
    from landbridge.errors import FlowError
    from landbridge.jobs import connections, db_connections
    from landbridge.engine.redaction import Redaction

    now, job_id = datetime.now(UTC), f"test-{secrets.token_hex(6)}"
    catalogue = InstalledComponents()
    lacking: list[Problem] = []
    with opened(data, database) as db, db.read() as tx:
        kind = db_connections.find(tx, name).kind
        fitting = [id_ for id_ in catalogue.ids() if fits(kind, id_)]
        wholes = [connections.connected(tx, _vault(data), _one_step(id_, name, given)) for id_ in fitting]
    for id_, whole in zip(fitting, wholes, strict=True):
        source = StoredSecrets(whole.secrets, EnvironmentSecrets(os.environ))
        resolved = resolve(whole.flow, job=JobValues(now=now, job_id=job_id), source=source)
        [step] = resolved.flow.steps
        info = catalogue.describe(id_)
        problems = errors_of(check_resolved_params(step, info, place="params")) if info else []
        if problems:
            lacking += problems
            continue
        services = Services(
            step_id=name, job_id=job_id, started=now, spool_dir=spool, counts=StepCounts(), write_log=lambda *_: None
        )
        component = registry.get(id_)(registry.get(id_).Params.model_validate(step.params), services)
        if can_be_tested(component):
            known = resolved.secrets | (secret_values(step, info) if info else frozenset())
            log_to_stderr(Redaction(known), debug=False)
            return component
    message = f'the connection "{name}" cannot be tested with what is stored'
    if lacking:
        message += f": {lacking[0].message}"
    raise FlowError("LB-1767", message, hint="Give what is missing: --set PARAM=VALUE" if lacking else "")


def _one_step(component: str, connection: str, given: dict[str, str]) -> Dataflow:
    from landbridge.dataflow import Dataflow

    params: dict[str, Any] = {**given, "connection": connection}
    return Dataflow.from_json({"name": connection, "steps": [{"id": connection, "type": component, "params": params}]})[
        0
    ]
