"""Operations on single contacts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from landbridge.sandbox.silverpop.databases import EMAIL, Database, is_email
from landbridge.sandbox.silverpop.envelope import Element, Fault, Result, flag_of, named_values, tag, tags, text_of

if TYPE_CHECKING:
    from landbridge.sandbox.silverpop.vendor import Silverpop

OPTED_IN_BY_CONTACT: Final = 2
_CREATED_FROM: Final = {0, 1, 2, 3}
_NOT_A_MEMBER: Final = "Recipient is not a member of the list."
OPT_OUT: Final = "OPT_OUT"
"""The name under which an old client writes the opt state as if it were a column."""


def add_recipient(vendor: Silverpop, request: Element) -> Result:
    """AddRecipient: add a contact, or change the one that matches."""
    database = vendor.databases[text_of(request, "LIST_ID")]
    values = named_values(request, "COLUMN")
    origin = text_of(request, "CREATED_FROM", "1")
    if not origin.isdecimal() or int(origin) not in _CREATED_FROM:
        raise Fault("CREATED_FROM is not valid.")
    update = flag_of(request, "UPDATE_IF_FOUND", empty=vendor.switches.empty_flag_is_true)
    sync = _sync_fields(request)
    if update and not sync and not database.keys:
        raise Fault("This list has no unique key: SYNC_FIELDS are required when UPDATE_IF_FOUND is true.")
    stored = database.checked(values)
    joined = [(each.text or "").strip() for each in request.iterfind("CONTACT_LISTS/*")]
    for each in joined:
        _known_contact_list(vendor, each)
    found = database.matches(sync or _key_values(database, values)) if sync or database.keys else []
    if found and not update:
        raise Fault(f"Error Adding Recipient: |{values.get(EMAIL, '')}|")
    if values.get(EMAIL) and not is_email(values[EMAIL]):
        raise Fault(f"Error Adding Recipient: |{values[EMAIL]}|")
    details = f"CREATED_FROM {origin}"
    if found:
        number = found[0]
        database.update(number, stored)
        if int(origin) == OPTED_IN_BY_CONTACT and vendor.switches.created_from_2_resubscribes:
            database.opt_in(number, details)
    else:
        opted_in = int(origin) == OPTED_IN_BY_CONTACT or vendor.switches.added_contacts_are_opted_in
        number = database.insert(stored, opted_in=opted_in, details=details, created_from=int(origin))
    for each in joined:
        _join(vendor, each, number)
    return Result(_about(vendor, RecipientId=number))


def update_recipient(vendor: Silverpop, request: Element) -> Result:
    """UpdateRecipient: change one contact; where several match, the oldest."""
    database = vendor.databases[text_of(request, "LIST_ID")]
    values = named_values(request, "COLUMN")
    opt_out = values.pop(OPT_OUT, None)
    number = _sought(database, request, values)
    stored = database.checked(values)
    if stored.get(EMAIL) and not is_email(stored[EMAIL]):
        raise Fault(f"Error Updating Recipient: |{stored[EMAIL]}|")
    if stored:
        database.update(number, stored)
    if opt_out is not None:
        if opt_out.lower() in ("false", "no", "0"):
            database.opt_in(number, "UpdateRecipient OPT_OUT=False")
        else:
            database.opt_out(number, "UpdateRecipient OPT_OUT=True")
    return Result(_about(vendor, RecipientId=number))


def remove_recipient(vendor: Silverpop, request: Element) -> Result:
    """RemoveRecipient: remove every contact that matches."""
    database = vendor.databases[text_of(request, "LIST_ID")]
    for number in _all_matches(database, request):
        database.remove(number)
    return Result(_about(vendor))


def opt_out_recipient(vendor: Silverpop, request: Element) -> Result:
    """OptOutRecipient: opt out every contact that matches. At the vendor success means that it is queued."""
    database = vendor.databases[text_of(request, "LIST_ID")]
    for number in _all_matches(database, request):
        database.opt_out(number, "OptOutRecipient")
    return Result(_about(vendor))


def double_opt_in_recipient(vendor: Silverpop, request: Element) -> Result:
    """DoubleOptInRecipient: opt in whoever confirmed; the sandbox takes the confirmation for given."""
    database = vendor.databases[text_of(request, "LIST_ID")]
    values = named_values(request, "COLUMN")
    found = database.matches({EMAIL: values.get(EMAIL, "")})
    if found:
        number = found[0]
        database.opt_in(number, "DoubleOptInRecipient")
    else:
        number = database.insert(database.checked(values), opted_in=True, details="double opt-in", created_from=2)
    return Result(_about(vendor, RecipientId=number))


def select_recipient_data(vendor: Silverpop, request: Element) -> Result:
    """SelectRecipientData: all that is known of one contact."""
    database = vendor.databases[text_of(request, "LIST_ID")]
    number = _sought(database, request, named_values(request, "COLUMN"))
    contact = database.contacts[number]
    zone = vendor.switches.api_user_zone
    values = contact["columns"]
    facts = {
        "EMAIL": values.get(EMAIL, ""),
        "Email": values.get(EMAIL, ""),
        "RecipientId": number,
        "EmailType": 0,
        "LastModified": short_date(contact["modified"], zone),
        "CreatedFrom": contact["createdFrom"],
        "OptedIn": short_date(contact["optedIn"], zone),
        "OptedOut": short_date(contact["optedOut"], zone),
        "ResumeSendDate": "",
        "ORGANIZATION_ID": vendor.organization,
        "CRMLeadSource": "",
    }
    columns = "".join(
        f"<COLUMN>{tag('NAME', name)}{tag('VALUE', values.get(name, ''))}</COLUMN>"
        for name in database.columns
        if name != EMAIL
    )
    lists = ""
    if flag_of(request, "RETURN_CONTACT_LISTS", empty=vendor.switches.empty_flag_is_true):
        member = [key for key, facts in vendor.contact_lists.items() if number in facts["members"]]
        lists = f"<CONTACT_LISTS>{''.join(tag('CONTACT_LIST_ID', key) for key in member)}</CONTACT_LISTS>"
    return Result(f"{tags(facts)}<COLUMNS>{columns}</COLUMNS>{lists}")


def create_contact_list(vendor: Silverpop, request: Element) -> Result:
    """CreateContactList: a part of a database."""
    database = vendor.databases[text_of(request, "DATABASE_ID")]
    name = text_of(request, "CONTACT_LIST_NAME")
    if any(facts["name"] == name for facts in vendor.contact_lists.values()):
        raise Fault("A List With This Name Already Exists", 256)
    number = str(vendor.frame.number("list"))
    vendor.contact_lists[number] = {"name": name, "database": database.id, "members": []}
    return Result(tag("CONTACT_LIST_ID", number))


def add_contact_to_contact_list(vendor: Silverpop, request: Element) -> Result:
    """AddContactToContactList."""
    number = text_of(request, "CONTACT_LIST_ID")
    database = vendor.databases[_known_contact_list(vendor, number)["database"]]
    contact = text_of(request, "CONTACT_ID")
    if not contact:
        found = database.matches(named_values(request, "COLUMN"))
        contact = found[0] if found else ""
    if contact not in database.contacts:
        raise Fault(_NOT_A_MEMBER, 128)
    _join(vendor, number, contact)
    return Result("")


def short_date(iso: str | None, zone: str) -> str:
    """A date as SelectRecipientData writes it: ``5/11/09 9:43 AM``, in the API user's time zone."""
    if iso is None:
        return ""
    moment = datetime.fromisoformat(iso).astimezone(ZoneInfo(zone))
    half = "AM" if moment.hour < 12 else "PM"  # noqa: PLR2004 - noon
    return f"{moment.month}/{moment.day}/{moment:%y} {moment.hour % 12 or 12}:{moment:%M} {half}"


def _known_contact_list(vendor: Silverpop, number: str) -> dict[str, Any]:
    if number not in vendor.contact_lists:
        raise Fault(f"List with id {number} Does Not Exist", 108)
    found: dict[str, Any] = vendor.contact_lists[number]
    return found


def _join(vendor: Silverpop, number: str, contact: str) -> None:
    """Put a contact on a contact list."""
    facts = _known_contact_list(vendor, number)
    vendor.contact_lists[number] = {**facts, "members": [*dict.fromkeys([*facts["members"], contact])]}


def _about(vendor: Silverpop, **facts: str) -> str:
    return tags({**facts, "ORGANIZATION_ID": vendor.organization})


def _sync_fields(request: Element) -> dict[str, str]:
    found = request.find("SYNC_FIELDS")
    return {} if found is None else named_values(found, "SYNC_FIELD")


def _key_values(database: Database, values: Mapping[str, str]) -> dict[str, str]:
    missing = [name for name in database.keys if not values.get(name)]
    if missing:
        raise Fault(f"Error Adding Recipient: |{values.get(EMAIL, '')}|: no value for the key {', '.join(missing)}")
    return {name: values[name] for name in database.keys}


def _sought(database: Database, request: Element, values: Mapping[str, str]) -> str:
    """The oldest contact that a request means."""
    for name in ("RECIPIENT_ID", "ENCODED_RECIPIENT_ID"):
        number = text_of(request, name)
        if number:
            if number not in database.contacts:
                raise Fault(_NOT_A_MEMBER, 128)
            return number
    address = text_of(request, "OLD_EMAIL") or text_of(request, "EMAIL")
    sync = _sync_fields(request)
    if sync:
        wanted = sync
    elif address:
        wanted = {EMAIL: address}
    else:
        wanted = {name: values[name] for name in database.keys or tuple(values) if name in values}
    found = database.matches(wanted)
    if not found:
        raise Fault(_NOT_A_MEMBER, 128)
    return min(found, key=int)


def _all_matches(database: Database, request: Element) -> list[str]:
    number = text_of(request, "RECIPIENT_ID")
    if number:
        found = [number] if number in database.contacts else []
    else:
        wanted = named_values(request, "COLUMN")
        address = text_of(request, "EMAIL")
        if address:
            wanted = {EMAIL: address, **wanted}
        if not wanted:
            raise Fault("Invalid XML Request", 51, "SP.API")
        found = list(database.matches(wanted))
    if not found:
        raise Fault(_NOT_A_MEMBER, 128)
    return found
