"""The sites of a service, and who may call ``idx.*`` for them.

A site is an API key with an application's credentials beside it. The service makes the first one when it starts. What
carries the API key of no site here, such as a dataflow that the command line has stored, belongs to the first site.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from landbridge.errors import FlowError
from landbridge.gigya_wire.authentication import Authentication, Caller, is_api_key, unknown_api_key
from landbridge.gigya_wire.keys import new_api_key, new_rsa_key, new_secret, new_user_key, pem_of
from landbridge.gigya_wire.requests import Parameters
from landbridge.jobs import db_audit, db_sites
from landbridge.jobs.db import Transaction, exclusive
from landbridge.jobs.db_idx import SiteScope
from landbridge.jobs.db_sites import SiteRow
from landbridge.jobs.vault import Vault

CLOCK_SKEW_S: Final = 180.0
"""The vendor does not publish its window; its documents warn of gaps from two minutes on."""

_FIRST_NAME: Final = "Landbridge"


@dataclass(frozen=True, slots=True)
class Site:
    """A site as it is called.

    Attributes:
        site_id: Its number.
        user_key: Names the application.
        secret: The application's secret, base64.
        partner_secret: The site's own secret, base64, which signs calls without a user key.
        private_key: The application's RSA key for bearer tokens, PEM.
        scope: What belongs to it.
    """

    api_key: str
    site_id: int
    name: str
    user_key: str
    secret: str = field(repr=False)
    partner_secret: str = field(repr=False)
    private_key: str = field(repr=False)
    scope: SiteScope


@dataclass(frozen=True, slots=True)
class _Rules:
    secret_over_http: bool
    clock_skew_s: float = CLOCK_SKEW_S


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What the credentials of a call are checked against besides its parameters.

    Attributes:
        verb: ``GET`` or ``POST``.
        scheme: ``http`` or ``https``.
        client: The address it comes from.
    """

    verb: str
    scheme: str
    path: str
    headers: Mapping[str, str]
    client: str

    @property
    def is_local(self) -> bool:
        """Whether it comes from this machine, so that nobody can listen to it."""
        try:
            return ipaddress.ip_address(self.client).is_loopback
        except ValueError:
            return False


class Sites:
    """Knows who calls. It may be used by several threads at once."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._lock = threading.Lock()
        self._known: dict[str, tuple[SiteRow, Authentication]] = {}

    def caller(self, tx: Transaction, parameters: Parameters, request: HttpRequest) -> tuple[Site, Caller]:
        """The site that is called, and who calls it.

        Raises:
            ApiError: The API key or the credentials are missing, wrong, too old or used before.
            StorageError: LB-7505, the site's credentials were sealed by another key.
        """
        api_key = parameters.required("apiKey")
        rows = db_sites.listing(tx)
        row = next((row for row in rows if row.api_key == api_key), None)
        if row is None:
            raise unknown_api_key(api_key)
        site = opened(row, self._vault, first=row is rows[0], keys=[each.api_key for each in rows])
        with self._lock:
            known = self._known.get(api_key)
            if known is None or known[0] != row:
                known = self._known[api_key] = (row, Authentication(site))
            caller = known[1].caller(
                parameters,
                verb=request.verb,
                scheme=request.scheme,
                path=request.path,
                headers=request.headers,
                rules=_Rules(secret_over_http=request.is_local),
                now_ms=time.time_ns() // 1_000_000,
            )
        return site, caller


def opened(row: SiteRow, vault: Vault, *, first: bool, keys: list[str]) -> Site:
    """A site with its credentials; ``keys`` are the API keys of all sites.

    Raises:
        StorageError: LB-7505, its credentials were sealed by another key.
    """
    sealed: dict[str, Any] = vault.unseal(row.settings["sealed"].encode())
    others = frozenset(keys) - {row.api_key} if first else None
    return Site(
        row.api_key, row.site_id, row.name, row.settings["userKey"], **sealed, scope=SiteScope(row.api_key, others)
    )


def add(tx: Transaction, vault: Vault, *, by: str, api_key: str | None = None, name: str = "") -> SiteRow:
    """Make a site with new credentials.

    Args:
        tx: The transaction.
        vault: Seals the secrets.
        by: Who makes it.
        api_key: That of a site which exists elsewhere, so that exported dataflows keep theirs; None for a new one.
        name: For people.

    Raises:
        FlowError: LB-1781, the API key has not the form of one; LB-1782, there is a site with it.
    """
    if api_key is not None and not is_api_key(api_key):
        raise FlowError(
            "LB-1781",
            "this is not an API key",
            hint="One begins with 2_, 3_ or 4_ and has 10 or more characters behind.",
        )
    row = db_sites.add(tx, api_key or new_api_key(), name=name, settings=_new_settings(vault))
    db_audit.note(tx, "site.add", actor=by, object_kind="site", object_id=row.api_key)
    return row


def add_first(tx: Transaction, vault: Vault) -> None:
    """Make a site where there is none yet."""
    if not db_sites.listing(tx) and exclusive(tx, "site"):
        add(tx, vault, by="service", name=_FIRST_NAME)


def all_sites(tx: Transaction, vault: Vault) -> list[Site]:
    """All sites with their credentials, the first one first."""
    rows = db_sites.listing(tx)
    keys = [row.api_key for row in rows]
    return [opened(row, vault, first=row is rows[0], keys=keys) for row in rows]


def find(tx: Transaction, vault: Vault, api_key: str | None = None) -> Site:
    """The site with an API key; the first one without.

    Raises:
        FlowError: LB-1781, there is none.
        StorageError: LB-7505, its credentials were sealed by another key.
    """
    for site in all_sites(tx, vault):
        if api_key in (None, site.api_key):
            return site
    raise FlowError("LB-1781", "no site has this API key", hint="`landbridge idx list` shows all.")


def renew(tx: Transaction, vault: Vault, api_key: str, *, by: str) -> None:
    """Give a site new credentials; the old ones are worthless at once."""
    db_sites.put_settings(tx, api_key, _new_settings(vault))
    db_audit.note(tx, "site.renew_credentials", actor=by, object_kind="site", object_id=api_key)


def note_shown(tx: Transaction, api_key: str, *, by: str) -> None:
    """A line in the audit trail: somebody saw the credentials of a site."""
    db_audit.note(tx, "site.show_credentials", actor=by, object_kind="site", object_id=api_key)


def _new_settings(vault: Vault) -> dict[str, Any]:
    secrets = {"secret": new_secret(), "partner_secret": new_secret(), "private_key": pem_of(new_rsa_key())}
    return {"userKey": new_user_key(), "sealed": vault.seal(secrets).decode()}
