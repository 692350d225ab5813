"""Files that tell that another one is complete, and often how many records it holds."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from typing import Final

from landbridge.remote.publish import Entry, Store

_LONGEST_NUMBER: Final = 20
_FILE, _STEM = "{file}", "{stem}"


def ready_name(pattern: str, name: str) -> str:
    """The name of the file that tells of the file ``name``.

    Args:
        pattern: ``{file}`` stands for the name, ``{stem}`` for the part of it before its first dot.
        name: Of the data file; a folder before it stays.
    """
    folder, slash, last = name.rpartition("/")
    return folder + slash + pattern.replace(_FILE, last).replace(_STEM, last.partition(".")[0])


def check_pattern(pattern: str) -> None:
    """Raise ValueError where all files would share one ready file, or a file would be its own."""
    if _FILE not in pattern and _STEM not in pattern:
        raise ValueError("must hold {file} or {stem}, as in {stem}.ready")
    if pattern == _FILE:
        raise ValueError("must differ from the name of the file itself, as {file}.ready does")


def with_ready_file(entries: Iterable[Entry], pattern: str) -> dict[str, Entry]:
    """The ready file of each file that has one, by the file's name; ready files themselves are left out.

    Args:
        entries: What the store lists.
        pattern: See ``ready_name``.
    """
    listed = {entry.name: entry for entry in entries}
    found = {}
    for entry in listed.values():
        ready = listed.get(ready_name(pattern, entry.name))
        if ready is not None and ready is not entry:
            found[entry.name] = ready
    return found


def is_outdated(ready: Entry | None, file: Entry) -> bool:
    """Whether a file was changed after its ready file, which then tells of an earlier version of it.

    Whole seconds are compared, as many stores keep no finer times.
    """
    return ready is not None and int(ready.modified.timestamp()) < int(file.modified.timestamp())


async def told_records(store: Store, name: str, pattern: str) -> int | None:
    """How many records a file must have by its ready file; None where that holds no number."""
    content = b""
    async with aclosing(store.read(ready_name(pattern, name))) as chunks:
        async for chunk in chunks:
            content += chunk
            if len(content) > _LONGEST_NUMBER:
                return None
    text = content.strip()
    return int(text) if text.isdigit() else None
