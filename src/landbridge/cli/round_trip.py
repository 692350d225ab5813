"""Round trips: a local site and an emulated vendor, flows in both directions, and a comparison of both sides.

A round trip is a class with ``run(scene)`` in a module of its own (``round_trip_<vendor>.py``), listed in
``integration_demo.py``. It fills templates, runs them through the scene, changes things on both sides, and gives a
``Comparison`` at the end. The same class serves ``landbridge demo --integration`` and the tests.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from landbridge.cli.execution import Request, execute
from landbridge.engine.job import Options
from landbridge.remote.gigya import Client, client
from landbridge.remote.gigya_login import SiteLogin
from landbridge.templates import load

if TYPE_CHECKING:
    from landbridge.engine.counts import Report
    from landbridge.sandbox import Sandbox
    from landbridge.sandbox.faults import Fault
    from landbridge.site import Site

_SECRET: Final = "LANDBRIDGE_DEMO_"  # noqa: S105 - how names of variables begin
_PAGE: Final = 1000
_CONNECTIONS: Final = 20


class FlowFailed(Exception):
    """A dataflow of the round trip did not end as it must.

    Args:
        message: In words.
        code: Of the error that ended it, where there is one.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Line:
    """How one field, or one promise, stands at the end.

    Attributes:
        name: The field, or what is promised.
        right: How many people it holds for.
        wrong: How many it does not hold for.
        example: UID of one of them.
    """

    name: str
    right: int
    wrong: int
    example: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides at the end of a round trip."""

    lines: tuple[Line, ...]

    @property
    def is_right(self) -> bool:
        """Whether both sides agree in everything."""
        return not any(line.wrong for line in self.lines)

    def as_text(self) -> str:
        """A table for people."""
        width = max(len(line.name) for line in self.lines)
        rows = [f"{'':{width}}  {'agree':>9}  {'differ':>8}"]
        rows += [
            f"{line.name:{width}}  {line.right:>9,}  {line.wrong:>8,}"
            + (f"  e.g. {line.example}" if line.wrong else "")
            for line in self.lines
        ]
        return "\n".join(rows)


@dataclass(slots=True)
class Scene:
    """What a round trip plays on.

    Attributes:
        site: The running site.
        sandbox: The running sandbox.
        say: Tells people what happens.
        quiet: Show no progress of jobs.
        folder: A place for files.
        consent_ledger: File that remembers who has opted out; None for none.
    """

    site: Site
    sandbox: Sandbox
    say: Callable[[str], None]
    folder: Path
    quiet: bool = False
    consent_ledger: Path | None = None
    _runs: int = field(default=0)

    def enter(self) -> None:
        """Make the site the own site of all flows, by the environment."""
        site = self.site
        known = {"URL": site.url, "API_KEY": site.api_key, "USER_KEY": site.user_key, "SECRET": site.secret}
        os.environ.update({f"LANDBRIDGE_SITE_{name}": value for name, value in known.items()})

    def connection(self, vendor: str, secrets: Iterable[str], *, only: Iterable[str] | None = None) -> dict[str, Any]:
        """The vendor's connection as the form of a template takes it: secrets by reference to the environment."""
        found = self._referring(vendor, self.sandbox[vendor].connection(), secrets)
        return found if only is None else {name: found[name] for name in only}

    def file_connection(self, vendor: str, secrets: Iterable[str]) -> dict[str, Any]:
        """The same of the vendor's files, where they have a connection of their own."""
        return self._referring(vendor, self.sandbox[vendor].file_connection(), secrets)

    def _referring(self, vendor: str, connection: Mapping[str, str], secrets: Iterable[str]) -> dict[str, Any]:
        found = dict(connection)
        for name in secrets:
            variable = f"{_SECRET}{vendor}_{name}".upper()
            os.environ[variable] = found[name]
            found[name] = f"${{env:{variable}}}"
        return found

    async def run(
        self, template: str, values: Mapping[str, Any], *, since: datetime | None = None, may_reject: bool = False
    ) -> Report:
        """Fill a template and run it.

        Raises:
            FlowFailed: It failed, or rejected records though it may not.
        """
        filled = load(template).fill(dict(values))
        self._runs += 1
        rejects = self.folder / f"rejects-{self._runs}.jsonl"
        request = Request(
            filled.flow,
            options=Options(since=since),
            rejects=rejects,
            quiet=self.quiet,
            consent_ledger=self.consent_ledger,
        )
        report = await execute(request)
        wanted = ("succeeded", "succeeded_with_errors") if may_reject else ("succeeded",)
        if report.status not in wanted:
            reason = (report.error or {}).get("message") or f"{report.rejects} rejects in {rejects}"
            raise FlowFailed(f"{filled.flow.name} {report.status}: {reason}", code=(report.error or {}).get("code"))
        return report

    async def accounts(self, fields: str = "UID, profile, data, isActive") -> dict[str, dict[str, Any]]:
        """All accounts of the site by UID."""
        found: dict[str, dict[str, Any]] = {}
        query = f"SELECT {fields} FROM accounts LIMIT {_PAGE}"  # noqa: S608 - the site's language, no input
        async with self.calls() as calls:
            async for page in calls.pages("accounts.search", query):
                for account in msgspec.json.decode(b"[" + page.elements + b"]"):
                    found[account["UID"]] = account
        return found

    async def change(self, changes: Mapping[str, Mapping[str, Any]], **parameters: str) -> None:
        """Change accounts on the site, as people do: ``{"UID": {"profile": {…}}}``; calls may have more parameters."""
        import anyio

        waiting = iter(changes.items())

        async def work(calls: Client) -> None:
            for uid, parts in waiting:
                texts = {name: msgspec.json.encode(part).decode() for name, part in parts.items()}
                await calls.call("accounts.setAccountInfo", {"UID": uid, **texts, **parameters}, may_repeat=True)

        async with self.calls() as calls, anyio.create_task_group() as tasks:
            for _ in range(_CONNECTIONS):
                tasks.start_soon(work, calls)

    def calls(self) -> AbstractAsyncContextManager[Client]:
        """A client of the site, to play what people do there."""
        site = self.site
        login = SiteLogin(
            api_key=site.api_key,
            user_key=site.user_key,
            secret=site.secret,
            private_key=None,
            data_center="",
            url=site.url,
            signs=False,
        )
        return client(login, tier="none", connections=_CONNECTIONS)


class RoundTrip(Protocol):
    """One integration, there and back."""

    vendor: str
    faults: Sequence[Fault]
    """What goes wrong in the hard version of it."""

    def run(self, scene: Scene) -> Awaitable[Comparison]:
        """Play it; gives both sides at the end."""


def compared(
    name: str, here: Mapping[str, Any], there: Mapping[str, Any], *, equal: Callable[[Any, Any], bool] | None = None
) -> Line:
    """How values by UID agree; one that is missing on a side differs."""
    same = equal or _same
    wrong = [uid for uid in {**here, **there} if uid not in here or uid not in there or not same(here[uid], there[uid])]
    return Line(name, len({**here, **there}) - len(wrong), len(wrong), min(wrong, default=""))


def promised(name: str, holds: Mapping[str, bool]) -> Line:
    """How many people a promise holds for."""
    wrong = [uid for uid, value in holds.items() if not value]
    return Line(name, len(holds) - len(wrong), len(wrong), min(wrong, default=""))


def pairs(fields: Mapping[str, str]) -> list[dict[str, str]]:
    """Field pairs as the form of a template takes them."""
    return [{"sourceField": source, "targetField": target} for source, target in fields.items()]


def value_at(account: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path; None where there is nothing."""
    value: Any = account
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _same(one: Any, other: Any) -> bool:
    return _plain(one) == _plain(other)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return str(value)
