"""Asking the far side of a step whether it is fit: login, folders, lists, fields, permissions.

A component that can say more than whether it is reached has ``test`` (and ``create_missing``); for the others that talk
to somebody, what they have in common is tried: the store's folder, or a search on the site.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from landbridge.components.base import Component, FileReader, FileWriter
from landbridge.components.datasource.gigya_site import SiteParams, login_of, open_site
from landbridge.errors import LandbridgeError
from landbridge.remote.publish import Store

Verdict = Literal["ok", "created", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried.

    Attributes:
        what: What was looked at, in a word or two: ``login``, ``column UID``.
        verdict: How it is.
        message: What was found.
        hint: What to do about it; empty where all is well.
    """

    what: str
    verdict: Verdict
    message: str
    hint: str = ""


@runtime_checkable
class CanTest(Protocol):
    """A component that can test its far side without changing it."""

    def test(self) -> AsyncGenerator[Finding]:
        """Yield what was found; an error of ours may be raised, and ends the test."""


@runtime_checkable
class CanCreate(Protocol):
    """A component that can make what its far side lacks."""

    def create_missing(self) -> AsyncGenerator[Finding]:
        """Make it; yields what was made."""


@runtime_checkable
class _Connects(Protocol):
    """A file reader that opens a store."""

    def connect(self) -> Store:
        """Open it."""


def can_be_tested(component: Component) -> bool:
    """Whether the component talks to a far side that can be tested."""
    return (
        isinstance(component, CanTest | FileWriter)
        or (isinstance(component, FileReader) and isinstance(component, _Connects))
        or isinstance(component.params, SiteParams)
    )


async def tested(component: Component) -> AsyncGenerator[Finding]:
    """What a test of the component's far side finds; what is raised becomes the last finding."""
    try:
        if isinstance(component, CanTest):
            # Closed here, in the task that began it, also when nobody wants to hear more.
            async with aclosing(component.test()) as findings:
                async for finding in findings:
                    yield finding
        elif isinstance(component, FileWriter | _Connects):
            yield await _folder(component)
        elif isinstance(component.params, SiteParams):
            yield await _site(component.params)
    except LandbridgeError as error:
        yield failed(error)


async def created(component: Component) -> AsyncGenerator[Finding]:
    """What the component's far side lacked and now has; what is raised becomes the last finding."""
    try:
        if isinstance(component, CanCreate):
            async with aclosing(component.create_missing()) as findings:
                async for finding in findings:
                    yield finding
    except LandbridgeError as error:
        yield failed(error)


def failed(error: LandbridgeError, *, what: str = "") -> Finding:
    """An error as a finding."""
    return Finding(what or "connection", "failed", f"{error.message}  [{error.code}]", error.hint)


async def _folder(component: Component) -> Finding:
    connection = component.connect()  # type: ignore[attr-defined]  # file writers and readers have it
    async with connection as store:
        if isinstance(component, FileWriter):
            await store.check()
            return Finding("folder", "ok", "the folder is there and can be entered")
        names = await store.list()
        return Finding("folder", "ok", f"the folder can be listed; it holds {len(names):,} files")


async def _site(params: SiteParams) -> Finding:
    async with open_site(params, connections=1) as client:
        await client.call("accounts.search", {"query": "SELECT UID FROM accounts LIMIT 1"}, may_repeat=True)
    return Finding("site", "ok", f"{login_of(params).place} answers, and the application may search accounts")
