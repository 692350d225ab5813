"""``landbridge idx``: the sites of the service, and the credentials for calling ``idx.*``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landbridge.cli.listing import JsonOption, print_json
from landbridge.cli.place import DatabaseOption, DataOption, opened, vault_of, who

app = typer.Typer(help="The sites of the idx.* API and their credentials.", no_args_is_help=True)

ApiKeyArgument = Annotated[str | None, typer.Argument(metavar="API_KEY", help="The site; else the first one.")]


@app.command("list")
def list_sites(data: DataOption = None, database: DatabaseOption = None) -> None:
    """List the sites. The first one also has the dataflows that carry the API key of none."""
    from landbridge.jobs import db_sites

    with opened(data, database) as db, db.read() as tx:
        rows = db_sites.listing(tx)
    for row in rows:
        typer.echo(f"{row.api_key}  {row.name}  (site {row.site_id})")
    if not rows:
        typer.echo("no sites; the service makes the first one when it starts", err=True)


@app.command("credentials")
def credentials(
    api_key: ApiKeyArgument = None,
    renew: Annotated[bool, typer.Option("--renew", help="Make new ones; the old ones end at once.")] = False,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="Write the RSA key for bearer tokens to a file.")
    ] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a client needs to call idx.* for a site."""
    import os

    from landbridge.server import idx_sites

    with opened(data, database) as db, db.write() as tx:
        vault = vault_of(db, data)
        idx_sites.add_first(tx, vault)
        site = idx_sites.find(tx, vault, api_key)
        if renew:
            idx_sites.renew(tx, vault, site.api_key, by=who())
            site = idx_sites.find(tx, vault, site.api_key)
        idx_sites.note_shown(tx, site.api_key, by=who())
    if key_file is not None:
        with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
            output.write(site.private_key)
    shown = {
        "apiKey": site.api_key,
        "userKey": site.user_key,
        "secret": site.secret,
        "partnerSecret": site.partner_secret,
    }
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        typer.echo(f"{name:<14} {value}")


@app.command("add")
def add(
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="KEY", help="That of a site that exists elsewhere; else a new one."),
    ] = None,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Add a site with dataflows of its own, and new credentials."""
    from landbridge.server import idx_sites

    with opened(data, database) as db, db.write() as tx:
        vault = vault_of(db, data)
        idx_sites.add_first(tx, vault)
        row = idx_sites.add(tx, vault, by=who(), api_key=api_key, name=name)
    typer.echo(f"{row.api_key}  {row.name}  (site {row.site_id})")
