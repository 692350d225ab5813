"""Who calls which site: data centers, credentials, signatures and bearer tokens.

Facts come from the vendor's developer guide and its own SDKs: a request is signed with HMAC-SHA1 over verb, address
and sorted parameters; a bearer token is a JSON web token signed with the application's RSA key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from landbridge.errors import FlowError
from landbridge.remote.endpoint import LOOPBACK, checked_endpoint
from landbridge.remote.pem import pem_text

_SHORT_NAMES: Final[Mapping[str, str]] = {"cn1": "cn1.sapcdm.cn", "global": "global.gigya.com"}
_DATA_CENTER: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_SAFE: Final = "-_.~"


class Authentication(StrEnum):
    """How a call shows whom it comes from."""

    SECRET = "secret"  # noqa: S105 - a name
    """The application's secret travels with the call, over https."""
    SIGNATURE = "signature"
    """The secret signs the call and stays here."""
    BEARER = "bearer"
    """A token that the application's private key signs."""


def data_center_host(name: str) -> str:
    """The domain of a data center: ``eu1`` is ``eu1.gigya.com``.

    Raises:
        FlowError: LB-1502, it cannot be one.
    """
    text = name.strip().lower()
    if not _DATA_CENTER.fullmatch(text):
        raise FlowError("LB-1502", f"{name!r} is not a data center", hint="Write it like eu1 or eu1.gigya.com.")
    return text if "." in text else _SHORT_NAMES.get(text, f"{text}.gigya.com")


@dataclass(frozen=True)
class SiteLogin:
    """A site and an application's credentials for it.

    Attributes:
        api_key: Names the site.
        user_key: Names the application.
        secret: The application's secret, base64.
        private_key: The application's RSA key, PEM; takes the place of the secret.
        data_center: Domain of the data center, or empty where ``url`` is given.
        url: Address that takes the place of the data center's hosts.
        signs: Sign calls with the secret and keep it here.
    """

    api_key: str
    user_key: str
    secret: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    data_center: str = ""
    url: str = ""
    signs: bool = False

    def __post_init__(self) -> None:
        if self.url:
            checked_endpoint(self.url)

    @property
    def authentication(self) -> Authentication:
        """How calls are authenticated."""
        if self.private_key:
            return Authentication.BEARER
        return Authentication.SIGNATURE if self.signs else Authentication.SECRET

    @property
    def account(self) -> tuple[str, str]:
        """The remote account that has a quota: the site, wherever it is."""
        return (self.url.rstrip("/") or self.data_center, self.api_key)

    @property
    def place(self) -> str:
        """The host, for messages."""
        return urlsplit(self.url).netloc if self.url else self.data_center

    @property
    def is_local(self) -> bool:
        """Whether the site is on this machine."""
        return bool(self.url) and urlsplit(self.url).hostname in LOOPBACK

    @property
    def is_encrypted(self) -> bool:
        """Whether https is spoken."""
        return not self.url.startswith("http://")

    @property
    def secrets(self) -> frozenset[str]:
        """What must not show up in any message."""
        return frozenset(value for value in (self.secret, self.private_key) if value)

    def address(self, method: str) -> str:
        """Where a method answers: the first word of its name is the host's first label."""
        name = method if "." in method else f"socialize.{method}"
        if self.url:
            return f"{self.url.rstrip('/')}/{name}"
        return f"https://{name.partition('.')[0]}.{self.data_center}/{name}"

    @cached_property
    def rsa_key(self) -> rsa.RSAPrivateKey:
        """The private key.

        Raises:
            FlowError: LB-1503, it cannot be read.
        """
        try:
            key = serialization.load_pem_private_key(pem_text(self.private_key or "").encode(), None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise FlowError(
                "LB-1503",
                "privateKey is not an RSA private key without a passphrase",
                hint="Paste the key as issued: PEM text that begins with -----BEGIN RSA PRIVATE KEY-----.",
            )
        return key


def percent_encoded(text: str) -> str:
    """RFC 3986 encoding, as signatures need it: only letters, digits and ``-_.~`` stay."""
    return quote(text, safe=_SAFE)


def signature(secret: str, *, verb: str, url: str, parameters: Mapping[str, str]) -> str:
    """The signature of a request; ``secret`` is base64.

    Raises:
        FlowError: LB-1504, the secret is not base64.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    port = f":{parts.port}" if parts.port and parts.port != {"http": 80, "https": 443}[parts.scheme] else ""
    address = f"{parts.scheme}://{host}{port}{parts.path}"
    pairs = "&".join(f"{name}={percent_encoded(parameters[name])}" for name in sorted(parameters) if name != "sig")
    text = f"{verb.upper()}&{percent_encoded(address)}&{percent_encoded(pairs)}"
    try:
        key = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raise FlowError(
            "LB-1504", "the secret is not base64", hint="Copy the application's secret as the console shows it."
        ) from None
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha1).digest()).decode()


def signed(login: SiteLogin, *, url: str, parameters: Mapping[str, str], now_s: float) -> dict[str, str]:
    """The parameters with user key, timestamp, nonce and signature.

    Raises:
        FlowError: LB-1504; see ``signature``.
    """
    whole = {
        **parameters,
        "userKey": login.user_key,
        "timestamp": str(int(now_s)),
        "nonce": secrets.token_hex(16),
    }
    whole["sig"] = signature(login.secret or "", verb="POST", url=url, parameters=whole)
    return whole


def bearer_token(login: SiteLogin, *, now_s: float) -> str:
    """A token for one call.

    Raises:
        FlowError: LB-1503; the private key cannot be read.
    """
    head = {"alg": "RS256", "typ": "JWT", "kid": login.user_key}
    claims = {"iat": int(now_s), "jti": secrets.token_hex(16)}
    text = ".".join(_base64url(msgspec.json.encode(part)) for part in (head, claims))
    return f"{text}.{_base64url(login.rsa_key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
