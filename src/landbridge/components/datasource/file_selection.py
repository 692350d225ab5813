"""Which files of a store a job reads: those that match, that are complete and that no job has read, in order.

A job that begins again reads the same files as before, whatever has become of their ready files meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from landbridge.components.base import ChosenFile, FileHistory, StepServices
from landbridge.components.datasource import ready_files
from landbridge.components.regex import Pattern, compile_pattern
from landbridge.remote import failures
from landbridge.remote.publish import Entry, Store, is_temporary

if TYPE_CHECKING:
    from landbridge.components.datasource.files import FileSelection


def compiled(pattern: str) -> Pattern:
    """A Java regular expression for file names, compiled.

    Raises:
        ValueError: It is not a regular expression, or uses what only Java has.
    """
    try:
        return compile_pattern(pattern)
    except ValueError as error:
        glob = r" (a regular expression for all .csv files is .*\.csv)" if pattern.startswith("*") else ""
        raise ValueError(f"{error}{glob}") from None


def selected(entries: Iterable[Entry], selection: FileSelection) -> list[Entry]:
    """The entries that match and have their ready file, in order; files of the same time are ordered by name."""
    listed = list(entries)
    ready = ready_files.with_ready_file(listed, selection.ready_file) if selection.ready_file else None
    pattern = compiled(selection.file_name_regex) if selection.file_name_regex else None
    chosen = [
        entry
        for entry in listed
        if (ready is None or entry.name in ready)
        and not is_temporary(entry.name)
        and (pattern is None or pattern.fullmatch(entry.name.rpartition("/")[2]))
    ]
    if selection.sort_by == "name":
        chosen.sort(key=lambda entry: entry.name, reverse=selection.sort_order == "DESC")
    else:
        chosen.sort(key=lambda entry: (entry.modified, entry.name), reverse=selection.sort_order == "DESC")
    return chosen


async def to_read(
    store: Store,
    selection: FileSelection,
    services: StepServices,
    *,
    since: datetime | None,
    history: FileHistory | None,
) -> Sequence[ChosenFile]:
    """The files that a job reads, in order.

    Args:
        store: Where they are.
        selection: Which of them match.
        services: Is told of files that are left for a later job.
        since: Leave out files that were there, with their ready files, before this instant.
        history: Tells better than ``since`` which files are new, and remembers what it is told.

    Raises:
        TransientError: LB-3104, LB-3105; the job begins again, and a file that it chose before has been changed and is
            not ready, or is gone.
        LandbridgeError: What the store raises.
    """
    listed = await store.list()
    before = None if history is None else await anyio.to_thread.run_sync(history.chosen)
    if before is not None:
        return [await as_it_is(store, listed, file, selection) for file in before]
    matching = selected(listed, selection)
    # What was not ready for an earlier job is new to the next one, so that the later time counts.
    ready = ready_files.with_ready_file(listed, selection.ready_file) if selection.ready_file else {}
    times = {name: entry.modified for name, entry in ready.items()}
    whole = {
        entry.name: replace(entry, modified=max(entry.modified, times.get(entry.name, entry.modified)))
        for entry in matching
    }
    if history is not None:
        new = {entry.name for entry in history.new(list(whole.values()))}
    else:
        new = {name for name, entry in whole.items() if since is None or entry.modified >= since}
    chosen: list[ChosenFile] = []
    for entry in (entry for entry in matching if entry.name in new):
        records = await _told(store, entry.name, selection)
        if records is None and ready_files.is_outdated(ready.get(entry.name), entry):
            services.log("warning", f"{entry.name} was changed after its ready file; it is left for a later job")
            del whole[entry.name]
        else:
            chosen.append(ChosenFile(entry, records))
    if history is not None:
        # The choice is kept on disk before the first file is read.
        await anyio.to_thread.run_sync(partial(history.choose, chosen, seen=list(whole.values())))
    return chosen


async def as_it_is(store: Store, listed: Sequence[Entry], before: ChosenFile, selection: FileSelection) -> ChosenFile:
    """A file that was chosen a while ago, as it is now; one that has not been changed needs no ready file any more.

    Raises:
        TransientError: LB-3104 it was changed and is not ready; LB-3105 it is gone.
    """
    name = before.entry.name
    now = next((entry for entry in listed if entry.name == name), None)
    if now is None:
        raise failures.gone(name, "the store")
    if now == before.entry or not selection.ready_file:
        return replace(before, entry=now)
    ready = ready_files.with_ready_file(listed, selection.ready_file).get(name)
    records = None if ready is None else await _told(store, name, selection)
    if ready is None or (records is None and ready_files.is_outdated(ready, now)):
        raise failures.changed(name, "the store")
    return ChosenFile(now, records)


async def _told(store: Store, name: str, selection: FileSelection) -> int | None:
    return await ready_files.told_records(store, name, selection.ready_file) if selection.ready_file else None
