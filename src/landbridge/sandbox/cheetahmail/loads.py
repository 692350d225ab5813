"""Load files: what becomes of each row that came by SFTP, or by load1."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
from collections import Counter
from collections.abc import Mapping
from typing import Final

from landbridge.sandbox.cheetahmail.subscribers import EMAIL, MASTER, Illegal, Subscribers, checked, is_address
from landbridge.sandbox.cheetahmail.switches import Switches
from landbridge.sandbox.vendor import Frame

_ROWS_AT_ONCE: Final = 250
_REFUSED_SHARE: Final = 100
"""With the fault ``partial_failure`` one row of so many is refused."""
_ACTIONS: Final = ("", "A", "U", "D")


class Load:
    """One load.

    Args:
        frame: For the faults.
        subscribers: Whom the rows are about.
        switches: The agreed layout.
        list_id: The list that is loaded into.
    """

    def __init__(self, frame: Frame, subscribers: Subscribers, switches: Switches, list_id: str) -> None:
        self._frame = frame
        self._subscribers = subscribers
        self._switches = switches
        self._list = list_id
        self.counts: Counter[str] = Counter()
        self.refused: list[dict[str, str]] = []
        """Number of each row that was not taken, and why."""

    async def run(self, content: bytes) -> str:
        """Take all rows; gives the status, ``done`` or why nothing was loaded."""
        try:
            plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
            text = plain.decode(self._switches.load_charset)
        except (OSError, EOFError, UnicodeDecodeError):
            return "failed: the file cannot be read"
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=self._switches.load_delimiter, strict=True)
        try:
            unknown = self._unknown(reader.fieldnames or ())
            if unknown:
                return f"failed: err:field:name:illegal ({unknown})"
            refuses = self._frame.strike("partial_failure", "load") is not None
            for number, row in enumerate(reader):
                self.counts["ROWS"] += 1
                try:
                    if refuses and number % _REFUSED_SHARE == 0:
                        raise Illegal("data:other")
                    self._take(row)
                    self.counts["LOADED"] += 1
                except Illegal as error:
                    self.counts["REFUSED"] += 1
                    self.refused.append({"ROW": str(number + 1), "REASON": f"err:{error}"})
                if number % _ROWS_AT_ONCE == 0:
                    await asyncio.sleep(0)
        except csv.Error as error:
            return f"failed: {error}"
        return "done"

    def _unknown(self, names: object) -> str:
        known = (EMAIL, self._switches.action_column)
        for name in names if isinstance(names, list) else []:
            if name not in known:
                try:
                    checked(name, "")
                except Illegal:
                    return str(name)
        return "" if names else "no header"

    def _take(self, row: Mapping[str | None, str | None]) -> None:
        if None in row or None in row.values():
            raise Illegal("data:other")
        cells = {str(name): str(text) for name, text in row.items()}
        action = cells.pop(self._switches.action_column, "").upper()
        if action not in _ACTIONS:
            raise Illegal("field:modifier:illegal")
        column = self._switches.match_column
        number = self._subscribers.find_by(column, cells.get(column, ""))
        if action == "D":
            if number is not None:
                self._subscribers.delete(number)
            return
        number = self._written(number, cells)
        if number is not None:
            self._subscribed(number, action)

    def _written(self, number: str | None, cells: dict[str, str]) -> str | None:
        """The subscriber with the row's fields; None where the row only names one who is not there."""
        keeps_nulls = self._list == MASTER or self._switches.nulls_overwrite
        email = cells.pop(EMAIL, "")
        fields = {name: checked(name, text) for name, text in cells.items() if text or keeps_nulls}
        if not email:
            if number is None:
                return None
            email = self._subscribers.records[number]["email"]
        if not is_address(email):
            raise Illegal("email:illegal")
        if self._subscribers.is_suppressed(email):
            raise Illegal("email:blocked")
        holder = self._subscribers.find(email)
        if holder is not None and holder != number:
            column = self._switches.match_column
            known = self._subscribers.records[holder]["fields"].get(column, "")
            if number is not None or (known and known != fields.get(column, "")):
                raise Illegal("email:illegal")
            number = holder
        return self._subscribers.write(number, email, fields, by="load")

    def _subscribed(self, number: str, action: str) -> None:
        if action == "U":
            lists = self._subscribers.records[number]["lists"] if self._list == MASTER else (self._list,)
            for each in list(lists):
                self._subscribers.unsubscribe(number, each, "k")
            return
        wants = action == "A" or self._switches.load_subscribes
        may = self._switches.load_resubscribes or not self._subscribers.has_left(number, self._list)
        if wants and may:
            self._subscribers.subscribe(number, self._list, by="load")
