"""Passwords: set, imported as hashes, and checked at login."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any, Final

from landbridge.gigya_wire.replies import ApiError, invalid, iso

ALGORITHMS: Final = frozenset((
    "md5", "sha1", "sha1_hashbytes", "sha256", "sha512", "sha512Hexa", "md5_double_salted", "md5_crypt", "bcrypt",
    "pbkdf2", "pbkdf2_sha256", "pbkdf2_sha512", "drupal", "symphony2", "sap_abap", "custom",
))  # fmt: skip
MIN_CHARS: Final = 6
_ROUNDS: Final = 3000
_PLAIN: Final = {"md5": "md5", "sha1": "sha1", "sha256": "sha256", "sha512": "sha512", "sha512Hexa": "sha512"}
_PBKDF2: Final = {"pbkdf2": "sha1", "pbkdf2_sha256": "sha256", "pbkdf2_sha512": "sha512"}


def new_password(text: str, now_ms: int) -> dict[str, Any]:
    """A password as it is stored.

    Raises:
        ApiError: 400006; it is shorter than six characters.
    """
    if len(text) < MIN_CHARS:
        raise ApiError(400006, "Invalid argument: password: does not meet the complexity requirements")
    salt = os.urandom(16)
    digest = hashlib.pbkdf2_hmac("sha256", text.encode("utf-8", "surrogatepass"), salt, _ROUNDS)
    settings = {"algorithm": "pbkdf2_sha256", "rounds": _ROUNDS, "salt": base64.b64encode(salt).decode()}
    return {"hash": base64.b64encode(digest).decode(), "hashSettings": settings, "created": iso(now_ms)}


def import_password(given: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """An imported hash as it is stored.

    Raises:
        ApiError: 400006; a part is missing or the algorithm is unknown.
    """
    compound = given.get("compoundHashedPassword")
    if isinstance(compound, str):
        return {"hash": compound, "hashSettings": {"algorithm": "compound"}, "created": iso(now_ms)}
    settings = next((value for name, value in given.items() if name.lower() == "hashsettings"), None)
    digest = given.get("hashedPassword")
    if not isinstance(digest, str) or not isinstance(settings, dict):
        raise invalid("password", "has neither compoundHashedPassword nor hashedPassword with hashSettings")
    if settings.get("algorithm") not in ALGORITHMS:
        raise invalid("password", "the algorithm of hashSettings is unknown")
    return {"hash": digest, "hashSettings": settings, "created": iso(now_ms)}


def is_password(text: str, stored: Mapping[str, Any] | None) -> bool:
    """Whether a text is the password; false too for imported algorithms that the site does not know to compute."""
    if not stored:
        return False
    settings = stored.get("hashSettings", {})
    algorithm, salt = settings.get("algorithm"), _salt(settings.get("salt"))
    clear = text.encode("utf-8", "surrogatepass")
    if algorithm in _PBKDF2:
        digest = hashlib.pbkdf2_hmac(_PBKDF2[algorithm], clear, salt, int(settings.get("rounds") or 1))
    elif algorithm in _PLAIN:
        template = settings.get("format") or "$password$salt"
        filled = template.encode().replace(b"$password", clear).replace(b"$salt", salt)
        digest = hashlib.new(_PLAIN[algorithm], filled).digest()
    else:
        return False
    known = str(stored.get("hash", "")).encode()
    return any(hmac.compare_digest(form, known) for form in (base64.b64encode(digest), digest.hex().encode()))


def _salt(text: Any) -> bytes:
    try:
        return base64.b64decode(text or "", validate=True)
    except (ValueError, TypeError):
        return str(text).encode()
