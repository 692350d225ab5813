"""``landbridge tokens``: by which programs prove to the service who they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.listing import JsonOption, print_rows
from landbridge.cli.place import DatabaseOption, DataOption, opened, who
from landbridge.jobs.roles import Role

if TYPE_CHECKING:
    from datetime import datetime

    from landbridge.jobs.db_tokens import TokenRow

app = typer.Typer(help="Tokens by which programs call the API of the service.", no_args_is_help=True)


@app.command("add")
def add(
    *,
    user: Annotated[str, typer.Option(metavar="EMAIL", help="Whose it is.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    role: Annotated[Role | None, typer.Option(help="The most it may do; else what its user may.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="When it ends.")] = 90,
    never: Annotated[bool, typer.Option("--never-expires", help="It lasts until it is revoked.")] = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Make a token. It is printed this once; only its hash is kept."""
    from datetime import timedelta

    from landbridge.jobs import db_users, tokens

    with opened(data, database) as db, db.write() as tx:
        made = tokens.add(
            tx,
            user_id=db_users.find(tx, user).id,
            name=name,
            most=Role.ADMIN,
            role=role,
            life=None if never else timedelta(days=days),
            by=who(),
        )
    typer.echo(made.secret)
    typer.echo(_line(made.row), err=True)


@app.command("list")
def list_tokens(
    user: Annotated[str | None, typer.Option(metavar="EMAIL", help="Only those of this user.")] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the tokens, without their secrets."""
    from landbridge.jobs import db_tokens, db_users

    with opened(data, database) as db, db.read() as tx:
        user_id = db_users.find(tx, user).id if user else None
        rows = db_tokens.listing(tx, user_id=user_id, limit=100_000)
    none = "no tokens; make one with `landbridge tokens add`"
    print_rows(rows, as_json=as_json, shown=_as_json, line=_line, none=none)


@app.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, not the token itself.")],
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """End a token at once."""
    from landbridge.jobs import tokens

    with opened(data, database) as db, db.write() as tx:
        row = tokens.revoke(tx, token, by=who())
    typer.echo(_line(row))


def _line(row: TokenRow) -> str:
    state = (
        f"revoked {row.revoked:%Y-%m-%d %H:%M} UTC"
        if row.revoked
        else f"until {row.expires:%Y-%m-%d %H:%M} UTC"
        if row.expires
        else "never expires"
    )
    last = f"{row.last_used:%Y-%m-%d %H:%M} UTC" if row.last_used else "never"
    return f"{row.id}  {row.name}  ({row.email}, {row.role or row.user_role}, {state}, last used {last})"


def _as_json(row: TokenRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "user": row.email,
        "role": row.role,
        "created": row.created.isoformat(),
        "expires": _iso(row.expires),
        "lastUsed": _iso(row.last_used),
        "revoked": _iso(row.revoked),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
