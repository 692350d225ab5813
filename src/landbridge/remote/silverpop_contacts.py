"""Operations on single contacts, as the XML within them. Column values are texts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal

from landbridge.remote.silverpop_xml import Element, element, elements, pairs, text_of

CreatedFrom = Literal[0, 1, 2, 3]
OPTED_IN: Final = 2
"""CREATED_FROM of a contact who has opted in; it is a statement of consent, not a source."""

_EMAIL: Final = "EMAIL"


def add(list_id: str, columns: Mapping[str, str], keys: Mapping[str, str], *, created_from: int, update: bool) -> str:
    """AddRecipient: add a contact and, with ``update``, change one that is there.

    CREATED_FROM is always written: the platform's own choice may subscribe people.
    """
    facts = {
        "LIST_ID": list_id,
        "CREATED_FROM": created_from,
        "UPDATE_IF_FOUND": str(update).lower(),
        "SEND_AUTOREPLY": "false",
    }
    return f"{elements(facts)}{_sync(keys)}{pairs('COLUMN', columns)}"


def update(list_id: str, columns: Mapping[str, str], keys: Mapping[str, str]) -> str:
    """UpdateRecipient: change a contact that is there; its opt state stays as it is."""
    return f"{element('LIST_ID', list_id)}{_sync(keys)}{pairs('COLUMN', columns)}"


def opt_in_again(list_id: str, keys: Mapping[str, str]) -> str:
    """UpdateRecipient that takes an opt-out back, as a public client of the platform does it."""
    return f"{element('LIST_ID', list_id)}{_sync(keys)}{pairs('COLUMN', {**keys, 'OPT_OUT': 'False'})}"


def by_key(list_id: str, keys: Mapping[str, str]) -> str:
    """OptOutRecipient, RemoveRecipient, SelectRecipientData of the contact with these key values."""
    others = {name: text for name, text in keys.items() if name != _EMAIL}
    address = element(_EMAIL, keys[_EMAIL]) if _EMAIL in keys else ""
    return f"{element('LIST_ID', list_id)}{address}{pairs('COLUMN', others)}"


def opted_out_at(contact: Element) -> datetime | None:
    """When the contact of a SelectRecipientData opted out, in UTC; None when it did not.

    The platform tells it in the API user's time zone, which must be GMT.
    """
    text = text_of(contact, "OptedOut")
    if not text:
        return None
    return datetime.strptime(text, "%m/%d/%y %I:%M %p").replace(tzinfo=UTC)


def _sync(keys: Mapping[str, str]) -> str:
    return f"<SYNC_FIELDS>{pairs('SYNC_FIELD', keys)}</SYNC_FIELDS>" if keys else ""
