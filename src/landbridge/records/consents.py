"""How records tell consents: the words for yes and no, where an account keeps them, and times."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from landbridge.records import columns as col

YES: Final = ("true", "yes", "y", "1")
"""What means yes, in upper or lower case."""

NO: Final = ("false", "no", "n", "0")
"""What means no, likewise. Anything else is neither, and never taken for a no."""

FLAGS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "subscriptions": ("isSubscribed", ("lastUpdatedSubscriptionState",)),
    "preferences": ("isConsentGranted", ("actionTimestamp", "lastConsentModified")),
}
"""For each outermost object of an account the member that tells consent, and those that tell its time, best first."""


def yes_or_no(column: pa.Array) -> pa.Array:
    """Yes and no as true and false; null where a value is neither, or missing.

    Blanks around a word do not count; a number is read as its text, so that ``1.0`` is neither.
    """
    if pa.types.is_boolean(column.type):
        return column
    text = pc.utf8_lower(pc.utf8_trim_whitespace(col.plain_text(column)))
    yes = pc.is_in(text, value_set=pa.array(YES, pa.string()))
    known = pc.or_(yes, pc.is_in(text, value_set=pa.array(NO, pa.string())))
    return pc.if_else(known, yes, pa.scalar(None, pa.bool_()))


def said(text: str | None, *, yes: Collection[str] = YES, no: Collection[str] = NO) -> bool | None:
    """What one text says, by the rules of ``yes_or_no``; ``yes`` and ``no`` where a platform has further words."""
    plain = (text or "").strip().lower()
    return True if plain in yes else False if plain in no else None


def moment(text: str | None) -> datetime | None:
    """An instant in ISO 8601, or in milliseconds since 1970; in UTC. None where the text is neither."""
    if not text:
        return None
    try:
        if text.removesuffix(".0").isdigit():
            return datetime.fromtimestamp(int(text.removesuffix(".0")) / 1000, UTC)
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
