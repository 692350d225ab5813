"""Keys: signatures by shared secret, and JSON web tokens by RSA key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

RSA_BITS: Final = 2048
_SAFE: Final = "-_.~"
_LETTERS: Final = string.ascii_letters + string.digits
_PARTS: Final = 3


def hmac_sha1(secret: str, text: str) -> str:
    """base64 of the HMAC-SHA1 of a text; ``secret`` is base64 itself.

    Raises:
        ValueError: The secret is not base64.
    """
    key = base64.b64decode(secret, validate=True)
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha1).digest()).decode()


def base_string(verb: str, url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """The text that a request's signature covers: verb, URL without query, and the parameters in ordinal order."""
    pairs = sorted((name, value) for name, value in parameters if name != "sig")
    joined = "&".join(f"{name}={_encoded(value)}" for name, value in pairs)
    return f"{verb.upper()}&{_encoded(url)}&{_encoded(joined)}"


def _encoded(text: str) -> str:
    return quote(text, safe=_SAFE, errors="surrogatepass")


def base64url(data: bytes) -> str:
    """base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """The bytes of base64 or of base64 for URLs, padded or not.

    Raises:
        ValueError: It is neither.
    """
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def new_api_key() -> str:
    """An API key for a new site."""
    return f"4_{_random(22)}"


def new_user_key() -> str:
    """A key for a new application."""
    return f"A{_random(11)}"


def new_secret() -> str:
    """A new secret, base64."""
    return base64.b64encode(secrets.token_bytes(24)).decode()


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def new_rsa_key() -> RSAPrivateKey:
    """A new RSA key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)


def pem_of(key: RSAPrivateKey) -> str:
    """A private key as the vendor issues it: PKCS#1 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


def from_pem(text: str) -> RSAPrivateKey:
    """The private key of a PEM text.

    Raises:
        ValueError: It holds no RSA key.
    """
    key = serialization.load_pem_private_key(text.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def signed_jwt(key: RSAPrivateKey, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """A JSON web token signed by RS256."""
    full_header = {"alg": "RS256", "typ": "JWT", **header}
    signed = f"{base64url(msgspec.json.encode(full_header))}.{base64url(msgspec.json.encode(dict(claims)))}"
    return f"{signed}.{base64url(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def read_jwt(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token, whose signature is not looked at.

    Raises:
        ValueError: It is no token.
    """
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise ValueError("not three parts")
    try:
        header, claims = (msgspec.json.decode(from_base64url(part)) for part in parts[:2])
    except msgspec.DecodeError as error:
        raise ValueError("not JSON") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("not objects")
    return header, claims


def is_signed_by(token: str, key: RSAPublicKey) -> bool:
    """Whether a token carries the RS256 signature of a key."""
    signed, _, signature = token.rpartition(".")
    try:
        key.verify(from_base64url(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def public_jwk(key: RSAPublicKey, kid: str) -> dict[str, str]:
    """A public key as getJWTPublicKey gives it."""
    numbers = key.public_numbers()
    modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
    exponent = numbers.e.to_bytes(3, "big")
    return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": base64url(modulus), "e": base64url(exponent)}
