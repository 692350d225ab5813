"""Exports: what happened since the last ones, as files in the folder ``export``."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from landbridge.sandbox.cheetahmail.subscribers import FIELDS, Subscribers
from landbridge.sandbox.cheetahmail.switches import Switches
from landbridge.sandbox.vendor import Frame

EXPORT: Final = "export"
_DAY_S: Final = 86_400
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "unsubscribe": ("UID", "EMAIL", "LIST", "REASON", "DATE"),
    "subscribe": ("UID", "EMAIL", "LIST", "DATE"),
    "address": ("UID", "OLD_EMAIL", "EMAIL", "DATE"),
    "load": ("FILE", "LIST", "STATUS", "ROWS", "LOADED", "REFUSED", "DATE"),
}
_NAMES: Final = {
    "unsubscribe": "unsubscribes",
    "subscribe": "subscription_events",
    "address": "address_changes",
    "change": "changes",
    "load": "loader_events",
}
EXPORTS: Final = tuple(_NAMES.values())
"""What the files are called."""


def write_exports(frame: Frame, subscribers: Subscribers, switches: Switches) -> list[str]:
    """Write a file for each kind of thing that happened since the last exports; gives those that are cut off.

    Names and columns are not published; these are agreed with the vendor, customer by customer.
    """
    folder = frame.folder / EXPORT
    _remove_old(folder, switches.exports_kept_days)
    marks = frame.collection("exported")
    last = int(marks["events"]["number"]) if "events" in marks else 0
    new = [event for number, event in subscribers.events.items() if int(number) > last]
    if not new:
        return []
    marks["events"] = {"number": max(map(int, subscribers.events))}
    # The names are those of one moment; its number keeps two exports of one second apart.
    stamp = f"{datetime.now(UTC):%Y%m%d_%H%M%S}_{frame.number('export')}"
    broken = []
    for kind, name in _NAMES.items():
        events = [event for event in new if event["kind"] == kind]
        if not events:
            continue
        file = f"{name}_{stamp}.csv"
        whole = _content(kind, events, subscribers, switches)
        shown = frame.broken(name, whole)
        (folder / file).write_bytes(shown)
        if shown != whole:
            broken.append(file)
            frame.collection("unfinished")[file] = {"content": whole.decode(switches.load_charset)}
        else:
            _mark_ready(folder / file, whole, switches)
    return broken


def finish(frame: Frame, file: str, switches: Switches) -> None:
    """Write an export whole that was cut off before, as a platform does that writes in place."""
    kept = frame.collection("unfinished").pop(file)
    whole = kept["content"].encode(switches.load_charset)
    (frame.folder / EXPORT / file).write_bytes(whole)
    _mark_ready(frame.folder / EXPORT / file, whole, switches)


def _mark_ready(file: Path, whole: bytes, switches: Switches) -> None:
    if switches.writes_ready_files:
        file.with_suffix(".ready").write_text(str(whole.count(b"\r\n") - 1))


def _content(kind: str, events: Iterable[Mapping[str, Any]], subscribers: Subscribers, switches: Switches) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=switches.load_delimiter, lineterminator="\r\n")
    if kind == "change":
        columns = ("UID", "EMAIL", *(name for name in FIELDS if name != "UID"))
        writer.writerow(columns)
        for number in dict.fromkeys(event["ID"] for event in events):
            if number in subscribers.records:
                record = subscribers.records[number]
                known = {**record["fields"], "EMAIL": record["email"]}
                writer.writerow([known.get(name, "") for name in columns])
    else:
        writer.writerow(_COLUMNS[kind])
        writer.writerows([event.get(name, "") for name in _COLUMNS[kind]] for event in events)
    return text.getvalue().encode(switches.load_charset, "replace")


def _remove_old(folder: Path, days: int) -> None:
    for file in folder.iterdir():
        if file.is_file() and file.stat().st_mtime < time.time() - days * _DAY_S:
            file.unlink()
