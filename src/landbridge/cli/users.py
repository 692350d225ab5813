"""``landbridge users``: who may log in to the service, and what they may do."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.listing import JsonOption, print_rows
from landbridge.cli.place import DatabaseOption, DataOption, opened, who
from landbridge.jobs.roles import Role

if TYPE_CHECKING:
    from landbridge.jobs.db_users import UserRow

app = typer.Typer(
    help="Who may log in to the service. Whoever may write to the data folder or the database may do all of this.",
    no_args_is_help=True,
)

UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The e-mail address.")]
PasswordOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking for it.")
]

_MAX_INPUT = 10_000


@app.command("add")
def add(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address by which they log in.")],
    *,
    role: Annotated[Role, typer.Option(help="What they may do; each role may also do what those before it may.")],
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Without a password: for one who only has tokens.")
    ] = False,
    password_stdin: PasswordOption = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Add a user. The password is asked for."""
    from landbridge.jobs import passwords, users

    address = users.address(email)
    hashed = None if no_password else passwords.hashed(_password(from_stdin=password_stdin), email=address)
    with opened(data, database) as db, db.write() as tx:
        row = users.add(tx, email=address, name=name, role=role, password_hash=hashed, by=who())
    typer.echo(_line(row))


@app.command("list")
def list_users(data: DataOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """List the users."""
    from landbridge.jobs import db_users

    with opened(data, database) as db, db.read() as tx:
        rows = db_users.listing(tx, limit=100_000)
    none = "no users; `landbridge users add` or `landbridge users setup-link` make the first"
    print_rows(rows, as_json=as_json, shown=_as_json, line=_line, none=none)


@app.command("set")
def change(
    user: UserArgument,
    *,
    role: Annotated[Role | None, typer.Option(help="What they may do.")] = None,
    name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    enabled: Annotated[
        bool | None,
        typer.Option("--on/--off", help="--on lets them log in, and their tokens count; --off locks both out."),
    ] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Change a user. Switching one off logs them out."""
    from landbridge.jobs import db_users, users

    if role is None and name is None and enabled is None:
        raise typer.BadParameter("nothing to change; give at least one", param_hint="--role, --name, --on / --off")
    with opened(data, database) as db, db.write() as tx:
        wanted = users.UserChange(name=name, role=role, enabled=enabled)
        row = users.change(tx, db_users.find(tx, user).id, wanted, by=who())
    typer.echo(_line(row))


@app.command("password")
def set_password(
    user: UserArgument,
    *,
    password_stdin: PasswordOption = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Give a user another password. They are logged out everywhere; their tokens stay."""
    from landbridge.jobs import db_users, passwords, users

    with opened(data, database) as db:
        with db.read() as tx:
            row = db_users.find(tx, user)
        hashed = passwords.hashed(_password(from_stdin=password_stdin), email=row.email)
        with db.write() as tx:
            users.set_password(tx, row.id, hashed, by=who())
    typer.echo(f"changed the password of {row.email}")


@app.command("remove")
def remove(user: UserArgument, data: DataOption = None, database: DatabaseOption = None) -> None:
    """Remove a user and their tokens. What they did stays in the audit trail."""
    from landbridge.jobs import db_users, users

    with opened(data, database) as db, db.write() as tx:
        row = db_users.find(tx, user)
        users.remove(tx, row.id, by=who())
    typer.echo(f"removed {row.email}")


@app.command("setup-link")
def setup_link(
    url: Annotated[str, typer.Option(metavar="URL", help="Where the service is reached.")] = "http://127.0.0.1:8650",
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Print a link by which the first admin is made. It is good for one hour and once; an older one ends."""
    from landbridge.jobs import first_admin

    with opened(data, database) as db, db.write() as tx:
        secret = first_admin.new_link(tx)
    typer.echo(f"{url.rstrip('/')}/setup#{secret}")


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.read(_MAX_INPUT).removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask on; give --password-stdin", param_hint="password")
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


def _line(row: UserRow) -> str:
    parts = [row.role, *([] if row.enabled else ["off"]), *([] if row.password_hash else ["no password"])]
    last = f"{row.last_login:%Y-%m-%d %H:%M} UTC" if row.last_login else "never"
    name = f"  {row.name}" if row.name else ""
    return f"{row.email}{name}  ({', '.join(parts)}, last login {last})"


def _as_json(row: UserRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "email": row.email,
        "name": row.name,
        "role": row.role,
        "enabled": row.enabled,
        "hasPassword": row.password_hash is not None,
        "created": row.created.isoformat(),
        "lastLogin": _iso(row.last_login),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
