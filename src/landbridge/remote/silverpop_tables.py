"""Rows of relational tables: written and deleted in calls of many rows, each judged by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from landbridge.remote.silverpop import Client
from landbridge.remote.silverpop_errors import told
from landbridge.remote.silverpop_xml import Element, element, row, written

ROWS_IN_INSERT: Final = 100
ROWS_IN_DELETE: Final = 1000
_ATTEMPTS: Final = 5
_FIRST_DELAY_S: Final = 0.2
_NOT_FOUND: Final = "Row Not Found"

Row = Mapping[str, str]
Key = tuple[str, ...]


def check_text(text: str) -> None:
    """Make sure that a value can be sent.

    Raises:
        NotXml: It has a character that XML cannot carry.
    """
    written(text)


async def put_rows(client: Client, table_id: str, rows: Sequence[Row], *, keys: Sequence[str]) -> dict[Key, str]:
    """Insert or replace up to a hundred rows; gives why rows were refused, by their key.

    Rows that the platform calls transient failures (a deadlock) are sent again a few times.

    Raises:
        LandbridgeError: See ``Client.call``.
    """
    return await _sent(client, "InsertUpdateRelationalTable", "COLUMN", table_id, rows, keys)


async def delete_rows(client: Client, table_id: str, rows: Sequence[Row], *, keys: Sequence[str]) -> dict[Key, str]:
    """Delete up to a thousand rows by their keys; one that is gone already counts as deleted.

    Raises:
        LandbridgeError: See ``Client.call``.
    """
    refused = await _sent(client, "DeleteRelationalTableData", "KEY_COLUMN", table_id, rows, keys)
    return {key: reason for key, reason in refused.items() if _NOT_FOUND not in reason}


async def _sent(
    client: Client, operation: str, cell: str, table_id: str, rows: Sequence[Row], keys: Sequence[str]
) -> dict[Key, str]:
    refused: dict[Key, str] = {}
    waiting = {_key(each, keys): each for each in rows}
    delay_s = _FIRST_DELAY_S
    for attempt in range(1, _ATTEMPTS + 1):
        body = "".join(row(cell, each) for each in waiting.values())
        result = await client.call(operation, f"{element('TABLE_ID', table_id)}<ROWS>{body}</ROWS>")
        again: dict[Key, Row] = {}
        for failure in result.findall("FAILURES/FAILURE"):
            key = _key_of(failure, cell, keys)
            reason = told(failure.get("description") or "refused without a reason")
            if failure.get("failure_type") == "transient" and attempt < _ATTEMPTS and key in waiting:
                again[key] = waiting[key]
            else:
                refused[key] = reason
        if not again:
            break
        waiting = again
        await asyncio.sleep(delay_s)
        delay_s *= 2
    return refused


def _key(values: Row, keys: Sequence[str]) -> Key:
    return tuple(values.get(name, "") for name in keys)


def _key_of(failure: Element, cell: str, keys: Sequence[str]) -> Key:
    values = {each.get("name", ""): each.text or "" for each in failure.iter(cell)}
    return _key(values, keys)
