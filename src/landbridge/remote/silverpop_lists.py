"""What a database or a relational table of Silverpop looks like, and how it gets what it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from landbridge.remote.silverpop import Client
from landbridge.remote.silverpop_errors import EXISTS, OperationRefused
from landbridge.remote.silverpop_jobs import Patience, finished
from landbridge.remote.silverpop_xml import element, elements, text_of

TEXT, YES_NO = 0, 1
TYPE_NAMES: Final = {
    0: "text",
    1: "yes/no",
    2: "numeric",
    3: "date",
    4: "time",
    5: "country",
    6: "select one",
    7: "e-mail",
    9: "system",
    15: "SMS phone number",
    16: "phone",
    17: "timestamp",
    20: "multi-select",
}
"""Column types of a database that people meet, by their number."""

CONSENT_TYPES: Final = frozenset(("13", "14"))
"""Types of the platform's SMS consent columns (opted in, date of opting out); a profile sync must not write them."""

TABLES: Final = 15
_SHARED: Final = 1


@dataclass(frozen=True, slots=True)
class ListFacts:
    """A database or table.

    Attributes:
        id: LIST_ID or TABLE_ID.
        name: What people call it.
        columns: Types of the columns by name, as the platform writes them: numbers for a database, words for a table.
        keys: The unique key; empty for a flexible database.
        size: Contacts or rows.
        last_modified: ``M/d/yy h:mm a`` in the API user's time zone; empty where it is not told.
        parent: The database that a table is associated with; empty where there is none or it is not told.
    """

    id: str
    name: str
    columns: Mapping[str, str]
    keys: Sequence[str]
    size: int
    last_modified: str = ""
    parent: str = ""

    def lacks(self, names: Sequence[str]) -> list[str]:
        """Which of these columns it does not have; names are compared with regard to case, as the platform does."""
        return [name for name in names if name not in self.columns]


async def facts_of(client: Client, list_id: str) -> ListFacts:
    """Look at a database or table.

    Raises:
        FlowError: LB-1521; there is none with this id.
        LandbridgeError: See ``Client.call``.
    """
    result = await client.call("GetListMetaData", element("LIST_ID", list_id))
    return ListFacts(
        id=list_id,
        name=text_of(result, "NAME"),
        columns={text_of(each, "NAME"): text_of(each, "TYPE") for each in result.findall("COLUMNS/COLUMN")},
        keys=[name for each in result.findall("KEY_COLUMNS/COLUMN") if (name := text_of(each, "NAME"))],
        size=_number(text_of(result, "SIZE")),
        last_modified=text_of(result, "LAST_MODIFIED"),
        parent=text_of(result, "PARENT_DATABASE_ID"),
    )


async def table_rows(client: Client) -> int:
    """Rows in all relational tables of the organisation.

    Raises:
        LandbridgeError: See ``Client.call``.
    """
    result = await client.call("GetLists", elements({"VISIBILITY": _SHARED, "LIST_TYPE": TABLES}))
    return sum(_number(text_of(each, "SIZE")) for each in result.findall("LIST"))


async def add_column(client: Client, list_id: str, name: str, kind: int) -> None:
    """Add a column to a database.

    Raises:
        LandbridgeError: See ``Client.call``.
    """
    try:
        await client.call(
            "AddListColumn",
            elements({"LIST_ID": list_id, "COLUMN_NAME": name, "COLUMN_TYPE": kind, "DEFAULT": ""}),
        )
    except OperationRefused as error:
        if not error.after_uncertain:
            raise


async def create_table(client: Client, name: str, columns: Mapping[str, str], *, keys: Sequence[str]) -> str:
    """Create a relational table; gives its id.

    Args:
        client: An open client.
        name: What people call it.
        columns: Types by name: TEXT, YESNO, NUMERIC, DATE, DATE_TIME, …
        keys: Its key columns.

    Raises:
        LandbridgeError: See ``Client.call``.
    """
    described = "".join(
        "<COLUMN>"
        + elements({"NAME": column, "TYPE": kind, "IS_REQUIRED": str(column in keys).lower()})
        + (element("KEY_COLUMN", "true") if column in keys else "")
        + "</COLUMN>"
        for column, kind in columns.items()
    )
    content = f"{element('TABLE_NAME', name)}<COLUMNS>{described}</COLUMNS>"
    try:
        return text_of(await client.call("CreateTable", content), "TABLE_ID")
    except OperationRefused as error:
        if error.error_id != EXISTS or not error.after_uncertain:
            raise
    return await table_named(client, name)


async def join_table(
    client: Client, table_id: str, list_id: str, *, fields: Mapping[str, str], patience: Patience
) -> None:
    """Associate a table with a database: ``fields`` are columns of the table by columns of the database.

    Raises:
        LandbridgeError: See ``finished``.
    """
    pairs = "".join(
        f"<MAP_FIELD>{elements({'LIST_FIELD': field, 'TABLE_FIELD': other})}</MAP_FIELD>"
        for field, other in fields.items()
    )
    content = elements(
        {"TABLE_ID": table_id, "TABLE_VISIBILITY": _SHARED, "LIST_ID": list_id, "LIST_VISIBILITY": _SHARED}
    )
    result = await client.call("JoinTable", content + pairs)
    await finished(client, "JoinTable", result, patience=patience)


async def table_named(client: Client, name: str) -> str:
    """The id of the relational table of this name; empty where there is none.

    Raises:
        LandbridgeError: See ``Client.call``.
    """
    result = await client.call("GetLists", elements({"VISIBILITY": _SHARED, "LIST_TYPE": TABLES}))
    return next((text_of(each, "ID") for each in result.findall("LIST") if text_of(each, "NAME") == name), "")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
