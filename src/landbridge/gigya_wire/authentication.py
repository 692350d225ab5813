"""Who calls: the four ways in which a call shows its credentials, and the codes of their failures."""

from __future__ import annotations

import binascii
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from landbridge.gigya_wire.keys import base_string, from_pem, hmac_sha1, is_signed_by, read_jwt
from landbridge.gigya_wire.replies import ApiError
from landbridge.gigya_wire.requests import Parameters

DATA_CENTERS: Final = (
    "us1.gigya.com", "eu1.gigya.com", "au1.gigya.com", "eu2.gigya.com", "cn1.sapcdm.cn", "ru1.gigya.com",
    "il1.gigya.com", "global.gigya.com",
)  # fmt: skip
_MILLISECONDS_FROM: Final = 100_000_000_000
_WHOLE: Final = re.compile(r"\d{1,16}")
_API_KEY: Final = re.compile(r"[234]_[\w-]{10,}")
_SIGNED_AS_EMPTY: Final = frozenset(("false", "0"))


class Known(Protocol):
    """The credentials that calls are checked against; secrets are base64."""

    @property
    def api_key(self) -> str:
        """Names the site."""

    @property
    def user_key(self) -> str:
        """Names the application."""

    @property
    def secret(self) -> str:
        """The application's secret."""

    @property
    def partner_secret(self) -> str:
        """The site's own secret, which signs calls without a user key."""

    @property
    def private_key(self) -> str:
        """The application's RSA key, PEM; its public half checks bearer tokens."""


class Rules(Protocol):
    """What is decided for each call."""

    @property
    def secret_over_http(self) -> bool:
        """A secret may travel over plain http; the vendor answers 403006."""

    @property
    def clock_skew_s(self) -> float:
        """How far a signed request's timestamp may be off."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: an application by its user key, or a client without one."""

    user_key: str | None = None

    @property
    def is_application(self) -> bool:
        """Whether the call carries an application's credentials."""
        return self.user_key is not None


class Nonces:
    """The nonces of the last minutes, in two generations, so that a request cannot be replayed."""

    def __init__(self) -> None:
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._turned_ms = 0

    def use(self, nonce: str, now_ms: int, *, keep_ms: float) -> None:
        """Remember a nonce.

        Raises:
            ApiError: 403004; it has been used.
        """
        if now_ms - self._turned_ms > keep_ms:
            self._old, self._young, self._turned_ms = self._young, set(), now_ms
        if nonce in self._young or nonce in self._old:
            raise ApiError(403004, "Duplicate nonce")
        self._young.add(nonce)


class Authentication:
    """Checks the credentials of calls to one site."""

    def __init__(self, credentials: Known) -> None:
        self._credentials = credentials
        self._nonces = Nonces()
        self._public_key = from_pem(credentials.private_key).public_key()

    def caller(
        self,
        parameters: Parameters,
        *,
        verb: str,
        scheme: str,
        path: str,
        headers: Mapping[str, str],
        rules: Rules,
        now_ms: int,
    ) -> Caller:
        """The caller of a request.

        Raises:
            ApiError: The credentials are missing, wrong, too old or used before.
        """
        self._check_api_key(parameters)
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._bearer(token.strip(), rules, now_ms)
        if parameters.text("sig") is not None:
            urls = _candidate_urls(scheme, path, headers)
            return self._signed(parameters, verb=verb, urls=urls, rules=rules, now_ms=now_ms)
        if parameters.text("secret") is not None:
            return self._secret(parameters, scheme, rules)
        return Caller()

    def _check_api_key(self, parameters: Parameters) -> None:
        key = parameters.required("apiKey")
        if key != self._credentials.api_key:
            raise unknown_api_key(key)

    def _check_user_key(self, user_key: str) -> None:
        if user_key != self._credentials.user_key:
            raise ApiError(403005, "The supplied userkey was not found")

    def _secret(self, parameters: Parameters, scheme: str, rules: Rules) -> Caller:
        if scheme != "https" and not rules.secret_over_http:
            raise ApiError(403006, "Secret Sent Over Http")
        user_key = parameters.text("userKey")
        if user_key is None:
            # The site's own secret alone has not been accepted by the vendor since 2023.
            raise ApiError(403010, "Invalid parameter: secret")
        self._check_user_key(user_key)
        if not _equal(parameters.required("secret"), self._credentials.secret):
            raise ApiError(403010, "Invalid parameter: secret")
        return Caller(user_key)

    def _signed(self, parameters: Parameters, *, verb: str, urls: Iterator[str], rules: Rules, now_ms: int) -> Caller:
        user_key = parameters.text("userKey")
        secret = self._credentials.partner_secret
        if user_key is not None:
            self._check_user_key(user_key)
            secret = self._credentials.secret
        timestamp, nonce = parameters.required("timestamp"), parameters.required("nonce")
        if not _WHOLE.fullmatch(timestamp):
            raise ApiError(400006, "Invalid argument: timestamp: is not a whole number")
        _check_age(int(timestamp), rules, now_ms)
        wanted = parameters.required("sig")
        pairs = parameters.pairs
        emptied = [(name, "" if value in _SIGNED_AS_EMPTY else value) for name, value in pairs]
        forms = (pairs, emptied) if emptied != pairs else (pairs,)
        if not any(_equal(wanted, hmac_sha1(secret, base_string(verb, url, form))) for url in urls for form in forms):
            raise ApiError(403003, "Invalid request signature")
        self._nonces.use(f"{user_key}:{nonce}", now_ms, keep_ms=2000 * rules.clock_skew_s)
        return Caller(user_key or "site")

    def _bearer(self, token: str, rules: Rules, now_ms: int) -> Caller:
        try:
            header, claims = read_jwt(token)
        except (ValueError, binascii.Error) as error:
            raise ApiError(400008, "The bearer token is not a JSON web token") from error
        user_key = header.get("kid")
        if header.get("alg") != "RS256" or not isinstance(user_key, str):
            raise ApiError(403025, "The bearer token is not signed by RS256 or names no key")
        self._check_user_key(user_key)
        issued, nonce = claims.get("iat"), claims.get("jti")
        if not isinstance(issued, int) or not isinstance(nonce, str | int):
            raise ApiError(403025, "The bearer token has no iat or jti")
        if not is_signed_by(token, self._public_key):
            raise ApiError(403025, "The bearer token's signature is wrong")
        _check_age(issued, rules, now_ms)
        self._nonces.use(f"{user_key}:{nonce}", now_ms, keep_ms=2000 * rules.clock_skew_s)
        return Caller(user_key)


def is_api_key(text: str) -> bool:
    """Whether a text has the form of an API key."""
    return _API_KEY.fullmatch(text) is not None


def unknown_api_key(key: str) -> ApiError:
    """The error for an API key that names no site."""
    return ApiError(400093, "Invalid ApiKey parameter" if is_api_key(key) else "GSKeyBase is invalid, no version")


def check_access(caller: Caller, *, allowed: bool, method: str) -> None:
    """Refuse a call that its caller may not make.

    Raises:
        ApiError: 403007.
    """
    if not caller.is_application and not allowed:
        namespace, _, name = method.partition(".")
        raise ApiError(
            403007,
            f"Invalid namespace '{namespace}' or method '{name}' or you do not have the required permissions to call"
            " it. ",
        )


def _check_age(timestamp: int, rules: Rules, now_ms: int) -> None:
    # Some client libraries send milliseconds where the others send seconds.
    sent_ms = timestamp if timestamp > _MILLISECONDS_FROM else timestamp * 1000
    if abs(now_ms - sent_ms) > rules.clock_skew_s * 1000:
        raise ApiError(403002, "Request has expired")


def _candidate_urls(scheme: str, path: str, headers: Mapping[str, str]) -> Iterator[str]:
    # Client libraries disagree on the port, and behind a proxy they sign the vendor's own host name.
    host = headers.get("host", "").lower()
    bare = re.sub(r":\d+$", "", host)
    schemes = (scheme, "http" if scheme == "https" else "https")
    namespace = path.lstrip("/").split(".")[0]
    canonical = [f"{label}.{center}" for center in DATA_CENTERS for label in dict.fromkeys((namespace, "accounts"))]
    for name in dict.fromkeys((host, bare, *canonical)):
        for each in schemes:
            yield f"{each}://{name}{path}"


def _equal(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), known.encode())
