"""What goes wrong with the API of a vendor, in one wording and with one code for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from landbridge.errors import ConnectionFailed, TransientError

LATER: Final = "Run the job again later."
"""The hint where a repetition may help."""

PERSONAL: Final = r"\S+@\S+|\d{6,}|\"[^\"]*\""
"""What is masked in the words of a vendor, who may repeat what was sent: addresses, long numbers, what is in quotes."""

_MAX_TEXT: Final = 200


def told(text: str, secrets: Iterable[str] = (), *, personal: str = PERSONAL, max_chars: int = _MAX_TEXT) -> str:
    """A vendor's words on one line, without secrets and personal data.

    Args:
        text: What the vendor says.
        secrets: What must not show up.
        personal: Regular expression of what must not, either.
        max_chars: What is longer is cut off.
    """
    for secret in filter(None, secrets):
        text = text.replace(secret, "********")
    return re.sub(personal, "…", " ".join(text.split()))[:max_chars]


def not_understood(place: str, what: str, *, check: str = "the address") -> ConnectionFailed:
    """An answer is not one of this API (LB-2107). ``check`` names the parameters that may be wrong."""
    return ConnectionFailed(
        "LB-2107",
        f"{place} gave no answer of this API to {what}",
        hint=f"Check {check}, and whether a proxy stands in between.",
    )


def unknown_outcome(cause: Exception) -> TransientError:
    """The answer to a call that must not be made twice was lost (LB-3221)."""
    return TransientError("LB-3221", f"it is not known whether a call was done: {cause}", hint=LATER)
