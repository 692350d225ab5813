"""Keys of a site: signatures by shared secret, JSON web tokens by RSA key, and a certificate authority for HTTPS."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

RSA_BITS: Final = 2048
_SAFE: Final = "-_.~"
_PARTS: Final = 3
_CERTIFICATE_DAYS: Final = 825


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


def new_authority(now: datetime | None = None) -> tuple[str, str]:
    """A certificate authority for one machine: its private key and its certificate, both PEM."""
    moment = now or datetime.now(UTC)
    key = new_rsa_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Landbridge local identity site")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=10 * 365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return pem_of(key), certificate.public_bytes(serialization.Encoding.PEM).decode()


def new_certificate(
    authority_key: str, authority: str, names: Iterable[str], *, now: datetime | None = None
) -> tuple[str, str]:
    """A server certificate of an authority: its private key and its certificate, both PEM.

    Args:
        authority_key: The authority's private key, PEM.
        authority: The authority's certificate, PEM.
        names: Host names (with ``*.``) and IP addresses.
        now: The present moment.
    """
    moment = now or datetime.now(UTC)
    issuer_key, issuer = from_pem(authority_key), x509.load_pem_x509_certificate(authority.encode())
    key = new_rsa_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=_CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return pem_of(key), certificate.public_bytes(serialization.Encoding.PEM).decode()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
