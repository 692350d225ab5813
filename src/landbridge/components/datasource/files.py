"""What all readers of file stores have in common: which files, in which order, and how they are handed on."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Literal

from pydantic import field_validator

from landbridge.components.base import FileStart, OpenFile
from landbridge.components.params import ComponentParams, Param
from landbridge.errors import FlowError
from landbridge.remote.endpoint import checked_endpoint
from landbridge.remote.publish import Entry, Store, is_temporary


class FileSelection(ComponentParams):
    """Parameters of every file reader."""

    file_name_regex: str = Param(
        "Regular expression that the whole file name must match; empty means all files.",
        default="",
        example=r".*\.csv",
    )
    sort_by: Literal["time", "name"] = Param("Order in which the files are read.", default="time")
    sort_order: Literal["ASC", "DESC"] = Param("Ascending or descending order.", default="ASC")

    @field_validator("file_name_regex")
    @classmethod
    def _compiles(cls, value: str) -> str:
        compiled(value)
        return value

    @field_validator("sort_by", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("sort_order", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


def compiled(pattern: str) -> re.Pattern[str]:
    """A Java regular expression as a Python one; only the spelling of named groups differs in what flows use.

    Raises:
        ValueError: It is not a regular expression.
    """
    try:
        return re.compile(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", pattern))
    except re.error as error:
        glob = r" (a regular expression for all .csv files is .*\.csv)" if pattern.startswith("*") else ""
        raise ValueError(f"{pattern!r} is not a regular expression: {error}{glob}") from None


def endpoint(url: str | None) -> str | None:
    """The address of a server in a parameter: encrypted, or on this machine.

    Raises:
        ValueError: It is no address, or unencrypted and elsewhere.
    """
    try:
        return checked_endpoint(url) if url else None
    except FlowError as error:
        raise ValueError(f"{error.message}. {error.hint}") from None


def selected(
    entries: Iterable[Entry], selection: FileSelection, *, changed_since: datetime | None = None
) -> list[Entry]:
    """The entries to read, in order.

    Args:
        entries: What the store lists.
        selection: Name pattern and order; files of the same time are ordered by name.
        changed_since: Leave out files that were last modified before this instant.
    """
    pattern = compiled(selection.file_name_regex) if selection.file_name_regex else None
    chosen = [
        entry
        for entry in entries
        if not is_temporary(entry.name)
        and (pattern is None or pattern.fullmatch(entry.name.rpartition("/")[2]))
        and (changed_since is None or entry.modified >= changed_since)
    ]
    if selection.sort_by == "name":
        chosen.sort(key=lambda entry: entry.name, reverse=selection.sort_order == "DESC")
    else:
        chosen.sort(key=lambda entry: (entry.modified, entry.name), reverse=selection.sort_order == "DESC")
    return chosen


async def offered(
    connection: AbstractAsyncContextManager[Store],
    selection: FileSelection,
    *,
    changed_since: datetime | None = None,
) -> AsyncGenerator[OpenFile]:
    """Yield the selected files of a store, which is closed when the last one is read."""
    async with connection as store:
        for entry in selected(await store.list(), selection, changed_since=changed_since):
            start = FileStart(name=entry.name, modified=entry.modified, size=entry.size)
            yield OpenFile(start=start, chunks=store.read(entry.name))
