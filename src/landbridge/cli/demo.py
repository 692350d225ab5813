"""``landbridge demo``: ten thousand invented people travel to an SFTP server and back."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from landbridge.engine.counts import Report

_PASSWORD = "LANDBRIDGE_DEMO_PASSWORD"  # noqa: S105 - the name of a variable


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to put the files; an existing demo there is replaced."),
    ] = None,
    number: Annotated[int, typer.Option("--people", min=1, help="Number of accounts.")] = 10_000,
) -> None:
    """Send invented accounts to an SFTP server on this machine and fetch them back. Needs no set-up."""
    import anyio

    place = (folder or Path(tempfile.gettempdir()) / "landbridge-demo").absolute()
    if not anyio.run(_demo, place, number, backend_options={"use_uvloop": True}):
        raise typer.Exit(1)


async def _demo(folder: Path, number: int) -> bool:
    import msgspec

    from landbridge.cli.execution import Request, execute
    from landbridge.sandbox.sftp import SftpServer
    from landbridge.site.people import people
    from landbridge.templates import template

    for part in ("accounts", "sftp", "returned"):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir(parents=True)
    (folder / "sftp" / "import").mkdir()
    encoder = msgspec.json.Encoder()
    accounts = folder / "accounts" / "accounts.jsonl"
    accounts.write_bytes(b"".join(encoder.encode(person) + b"\n" for person in people(number)))
    typer.echo(f"1. {number:,} invented accounts: {accounts}")
    async with SftpServer(folder / "sftp") as server:
        typer.echo(f"2. an SFTP server on 127.0.0.1:{server.port}, its folder: {folder / 'sftp'}")
        os.environ[_PASSWORD] = server.password
        values = {"port": str(server.port), "username": server.username, "hostKey": server.public_key}
        typer.echo("3. accounts > rename > select > DSV > gzip > SFTP")
        out = await execute(Request(template("demo-out"), placeholders={**values, "folder": str(folder / "accounts")}))
        typer.echo("4. SFTP > gunzip > DSV > rename > JSON")
        back = await execute(
            Request(template("demo-back"), placeholders={**values, "folder": str(folder / "returned")})
        )
    return _compared(accounts, folder / "returned" / "returned.jsonl", (out, back))


def _compared(sent: Path, returned: Path, reports: tuple[Report, Report]) -> bool:
    import msgspec

    if any(report.status != "succeeded" for report in reports):
        return False
    accounts = {account["UID"]: account for account in map(msgspec.json.decode, sent.read_bytes().splitlines())}
    equal = 0
    for line in returned.read_bytes().splitlines():
        record = msgspec.json.decode(line)
        account = accounts.pop(record["UID"], None)
        if account and all(account["profile"].get(key) == value for key, value in record["profile"].items()):
            equal += 1
    typer.echo(f"5. {equal:,} accounts came back unchanged, {len(accounts):,} are missing: {returned}")
    return not accounts
