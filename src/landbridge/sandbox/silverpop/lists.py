"""Operations on databases, contact lists and tables as a whole: what there is, and which columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from landbridge.sandbox.silverpop.contacts import short_date
from landbridge.sandbox.silverpop.databases import EMAIL
from landbridge.sandbox.silverpop.envelope import Element, Fault, Result, tag, tags, text_of

if TYPE_CHECKING:
    from landbridge.sandbox.silverpop.vendor import Silverpop

DATABASES, ALL_CONTACTS, TABLES, CONTACT_LISTS = "0", "2", "15", "18"
_LAST_TYPE: Final = 20


def get_lists(vendor: Silverpop, request: Element) -> Result:
    """GetLists: databases, contact lists or relational tables."""
    if text_of(request, "VISIBILITY") not in ("0", "1"):
        raise Fault("VISIBILITY is not valid.")
    kind = text_of(request, "LIST_TYPE")
    rows: list[dict[str, object]] = []
    zone = vendor.switches.api_user_zone
    if kind in (DATABASES, ALL_CONTACTS):
        for each in vendor.databases:
            modified = max((contact["modified"] for contact in each.contacts.values()), default=each.facts["created"])
            rows.append(
                {
                    "ID": each.id,
                    "NAME": each.name,
                    "TYPE": 0,
                    "SIZE": len(each.contacts),
                    "NUM_OPT_OUTS": sum(contact["optedOut"] is not None for contact in each.contacts.values()),
                    "NUM_UNDELIVERABLE": sum(contact["undeliverable"] for contact in each.contacts.values()),
                    "LAST_MODIFIED": short_date(modified, zone),
                }
            )
    if kind in (CONTACT_LISTS, ALL_CONTACTS):
        rows += [
            {"ID": number, "NAME": facts["name"], "TYPE": 18, "SIZE": len(facts["members"])}
            for number, facts in vendor.contact_lists.items()
        ]
    if kind == TABLES:
        rows += [
            {"ID": each.id, "NAME": each.facts["name"], "TYPE": 15, "SIZE": len(each.rows)} for each in vendor.tables_
        ]
    shared = {"VISIBILITY": 1, "PARENT_NAME": "", "USER_ID": "landbridge", "IS_FOLDER": "false"}
    return Result("".join(f"<LIST>{tags({**row, **shared})}</LIST>" for row in rows))


def get_list_meta_data(vendor: Silverpop, request: Element) -> Result:
    """GetListMetaData: columns and keys of a database or a table."""
    number = text_of(request, "LIST_ID")
    if number in vendor.tables_:
        table = vendor.tables_[number]
        facts = {
            "ID": number,
            "NAME": table.facts["name"],
            "TYPE": 15,
            "SIZE": len(table.rows),
            "PARENT_DATABASE_ID": table.facts["join"].get("list", ""),
        }
        columns = [(each["name"], each["type"]) for each in table.facts["columns"]]
        keys: tuple[str, ...] = table.keys
    else:
        database = vendor.databases[number]
        contacts = database.contacts.values()
        modified = max((contact["modified"] for contact in contacts), default=database.facts["created"])
        facts = {
            "ID": number,
            "NAME": database.name,
            "TYPE": 0,
            "SIZE": len(contacts),
            "NUM_OPT_OUTS": sum(contact["optedOut"] is not None for contact in contacts),
            "NUM_UNDELIVERABLE": sum(contact["undeliverable"] for contact in contacts),
            "LAST_MODIFIED": short_date(modified, vendor.switches.api_user_zone),
            "CREATED": short_date(database.facts["created"], vendor.switches.api_user_zone),
            "ORGANIZATION_ID": vendor.organization,
            "OPT_IN_FORM_DEFINED": "false",
        }
        columns = list(database.columns.items())
        keys = database.keys
    described = "".join(f"<COLUMN>{tags({'NAME': name, 'TYPE': kind})}</COLUMN>" for name, kind in columns)
    named = "".join(f"<COLUMN>{tag('NAME', name)}</COLUMN>" for name in keys)
    return Result(f"{tags(facts)}<COLUMNS>{described}</COLUMNS><KEY_COLUMNS>{named}</KEY_COLUMNS>", success="true")


def add_list_column(vendor: Silverpop, request: Element) -> Result:
    """AddListColumn: one more column of a database."""
    database = vendor.databases[text_of(request, "LIST_ID")]
    name, kind = text_of(request, "COLUMN_NAME"), text_of(request, "COLUMN_TYPE")
    if not name or name == EMAIL or not kind.isdecimal() or int(kind) > _LAST_TYPE:
        raise Fault("COLUMN_NAME or COLUMN_TYPE is not valid.")
    database.add_column(name, int(kind), text_of(request, "DEFAULT"))
    return Result("", success="true")
