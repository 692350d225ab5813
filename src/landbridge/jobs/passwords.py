"""Passwords of users: which are good enough, how they are kept, and whether one is right.

They are kept as Argon2id hashes with the parameters that the library recommends. Texts that look the same are the same
password: they are brought into the Unicode form NFKC first, as NIST SP 800-63B asks.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from landbridge.errors import AccessRefused

UNFIT: Final = "LB-8021"
"""The code for a new password that is not good enough."""

MIN_CHARS: Final = 12
MAX_CHARS: Final = 1000
"""Enough for any sentence; more only costs time."""

_HASHER: Final = PasswordHasher()


def hashed(password: str, *, email: str = "") -> str:
    """What is kept of a new password. It takes some 50 ms of a processor and 64 MiB.

    Args:
        password: As it was typed.
        email: The user's address, which everybody knows.

    Raises:
        AccessRefused: LB-8021, it is too short or too long, is the address, or holds half a character.
    """
    text = _normal(password)
    if len(text) < MIN_CHARS:
        raise _unfit(f"the password is too short: it needs {MIN_CHARS} characters")
    if len(password) > MAX_CHARS:
        raise _unfit(f"the password is too long: it may have {MAX_CHARS} characters")
    if email and text.strip().casefold() == email.casefold():
        raise _unfit("the password must not be the e-mail address")
    if len(set(text)) <= 2:  # noqa: PLR2004 - the same character again and again
        raise _unfit("the password repeats the same character")
    try:
        return _HASHER.hash(text)
    except UnicodeEncodeError:
        raise _unfit("the password holds half of a character") from None


def is_right(password: str, kept: str | None) -> bool:
    """Whether a password is the kept one. It takes as long where nothing is kept, and is False then."""
    try:
        right = _HASHER.verify(_nobody() if kept is None else kept, _normal(password[: MAX_CHARS + 1]))
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False
    return right and kept is not None


def is_outdated(kept: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(kept)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


@cache
def _nobody() -> str:
    return _HASHER.hash("nobody has this password")


def _unfit(message: str) -> AccessRefused:
    return AccessRefused(UNFIT, message, hint="A sentence of your own is a good password.", status=422)
