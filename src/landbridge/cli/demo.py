"""``landbridge demo``: invented people travel from a site to a mailing platform, and what it learnt travels back."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypedDict

import typer

from landbridge.cli.integration_demo import integration_demo

if TYPE_CHECKING:
    from landbridge.site import Site

_PASSWORD: Final = "LANDBRIDGE_DEMO_PASSWORD"  # noqa: S105 - the name of a variable
_SECRET: Final = "LANDBRIDGE_DEMO_SECRET"  # noqa: S105 - the name of a variable
_MARK: Final = ".landbridge-demo"
"""Stands in a folder that may be emptied, because a demo made it."""

_ONE_OPENS_OF: Final = 3
_ONE_UNSUBSCRIBES_OF: Final = 8
_OPENED: Final = "2026-02-28T09:30:00Z"
_MOVING: Final = frozenset(("lastUpdated", "lastUpdatedTimestamp"))
"""Times that every write sets."""


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to put the files; an existing demo there is replaced."),
    ] = None,
    number: Annotated[int, typer.Option("--people", min=1, help="Number of accounts.")] = 10_000,
    integration: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A round trip with a sandbox instead: cheetahmail, lytics, responsys, responsys-files, silverpop.",
        ),
    ] = None,
    faults: Annotated[bool, typer.Option("--faults", help="With --integration: let go wrong what may.")] = False,
) -> None:
    """Send invented accounts from a site on this machine to an SFTP server, and take changes back. Needs no set-up."""
    import anyio

    if integration is not None:
        raise typer.Exit(0 if integration_demo(integration, people=number, with_faults=faults) else 1)
    place = (folder or Path(tempfile.gettempdir()) / "landbridge-demo").absolute()
    if folder and place.exists() and any(place.iterdir()) and not (place / _MARK).exists():
        raise typer.BadParameter(
            f"{place} is not empty and holds no demo; choose another folder", param_hint="--folder"
        )
    if not anyio.run(_demo, place, number, backend_options={"use_uvloop": True}):
        raise typer.Exit(1)


async def _demo(folder: Path, number: int) -> bool:
    from landbridge.cli.execution import Request, execute
    from landbridge.sandbox.sftp import SftpServer
    from landbridge.site import Site
    from landbridge.templates import template

    for part in ("site", "sftp"):
        shutil.rmtree(folder / part, ignore_errors=True)
    for part in ("sftp/import", "sftp/export"):
        (folder / part).mkdir(parents=True)
    (folder / _MARK).touch()
    async with Site(folder / "site", people=number) as site, SftpServer(folder / "sftp") as server:
        typer.echo(f"1. a local site with {number:,} invented people that speaks Gigya's REST API: {site.url}")
        typer.echo(f"2. a mailing platform's SFTP server on 127.0.0.1:{server.port}, its folder: {folder / 'sftp'}")
        before = {person.uid: person async for person in _people(site)}
        os.environ |= {_PASSWORD: server.password, _SECRET: site.secret}
        values = {
            "siteUrl": site.url,
            "apiKey": site.api_key,
            "userKey": site.user_key,
            "port": str(server.port),
            "username": server.username,
            "hostKey": server.public_key,
        }
        typer.echo("3. there: accounts > rename > select > DSV > gzip > SFTP")
        there = await execute(Request(template("demo-out"), placeholders=values))
        if there.status != "succeeded":
            return False
        opened, unsubscribed = _platform(folder / "sftp")
        typer.echo(
            f"4. the platform sends its newsletter; {len(opened):,} open it, {len(unsubscribed):,} of them unsubscribe"
        )
        typer.echo("5. back: SFTP > gunzip > DSV > rename > update accounts")
        back = await execute(Request(template("demo-back"), placeholders=values))
        if back.status != "succeeded":
            return False
        return await _compared(site, before, opened, unsubscribed, folder)


@dataclass(frozen=True, slots=True)
class _Person:
    """An account and the row of its e-mail address, as the site gives them."""

    uid: str
    account: bytes
    address: bytes

    def content(self) -> dict[str, Any]:
        """All of it but the times that every write sets."""
        import msgspec

        parts = {"account": msgspec.json.decode(self.account), "address": msgspec.json.decode(self.address)}
        return {name: {key: value for key, value in part.items() if key not in _MOVING} for name, part in parts.items()}


class _Identified(TypedDict):
    """What tells whose a row of the site is, by the name that the API has for it."""

    UID: str


def _take(content: dict[str, Any], *path: str) -> Any:
    """Take what stands at a path out of a person's content; None where there is nothing."""
    *parents, last = path
    for key in parents:
        content = content.get(key, {})
    return content.pop(last, None)


def _count(value: Any) -> int:
    """The number of single values."""
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 1


async def _people(site: Site) -> AsyncIterator[_Person]:
    """Everybody on the site, read through its API."""
    import msgspec

    from landbridge.remote.gigya import Client, client
    from landbridge.remote.gigya_login import SiteLogin

    async def rows(connection: Client, source: str) -> AsyncIterator[tuple[str, bytes]]:
        decoder = msgspec.json.Decoder(list[msgspec.Raw])
        async for page in connection.pages("accounts.search", f"SELECT * FROM {source} LIMIT 1000"):  # noqa: S608 - no database sees it
            for row in decoder.decode(b"[" + page.elements + b"]"):
                yield msgspec.json.decode(row, type=_Identified)["UID"], bytes(row)

    login = SiteLogin(api_key=site.api_key, user_key=site.user_key, secret=site.secret, url=site.url)
    async with client(login, tier="none", connections=2) as connection:
        addresses = {uid: row async for uid, row in rows(connection, "emailAccounts")}
        async for uid, row in rows(connection, "accounts"):
            yield _Person(uid, row, addresses.pop(uid, b"{}"))


def _platform(folder: Path) -> tuple[set[str], set[str]]:
    """What a mailing platform does with its files: take people in, mail to them, and export what they did.

    Returns:
        The UIDs of those who opened the mail, and of those among them who unsubscribed.
    """
    import csv
    import gzip

    (imported,) = (folder / "import").glob("accounts_*.csv.gz")
    with gzip.open(imported, "rt", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        opened = [contact for contact in reader if contact["OPT_IN"] == "true"][::_ONE_OPENS_OF]
    for contact in opened:
        contact["LAST_OPENED"] = _OPENED
    leaving = opened[::_ONE_UNSUBSCRIBES_OF]
    for contact in leaving:
        contact["OPT_IN"] = "false"
    exported = folder / "export" / imported.name.replace("accounts_", "contacts_")
    with gzip.open(exported, "wt", encoding="utf-8", newline="", compresslevel=1) as file:
        writer = csv.DictWriter(file, [*(reader.fieldnames or ()), "LAST_OPENED"])
        writer.writeheader()
        writer.writerows(opened)
    return {contact["CUSTOMER_ID"] for contact in opened}, {contact["CUSTOMER_ID"] for contact in leaving}


async def _compared(
    site: Site, before: Mapping[str, _Person], opened: set[str], unsubscribed: set[str], folder: Path
) -> bool:
    left = dict(before)
    fields = as_returned = changed = 0
    async for person in _people(site):
        old = left.pop(person.uid, None)
        new_content, old_content = person.content(), old.content() if old else {}
        fields += _count(new_content)
        if person.uid in opened:
            marks = [_take(new_content, part, "data", "mailing") for part in ("account", "address")]
            as_returned += marks == [{"lastOpened": _OPENED}] * 2
        if person.uid in unsubscribed:
            (state, _) = (_take(each, "address", "subscriptions", "newsletter") for each in (new_content, old_content))
            as_returned += state["email"]["isSubscribed"] is False
        changed += new_content != old_content
    wanted = len(opened) + len(unsubscribed)
    typer.echo(
        f"6. on the site, {len(before):,} accounts compared in {fields:,} fields: {as_returned:,} of {wanted:,} "
        f"changes of the platform are there, {changed:,} accounts changed otherwise, {len(left):,} are missing"
    )
    typer.echo(f"   to look around: landbridge site serve --data {folder / 'site'}")
    return not changed and not left and as_returned == wanted
