"""The site that a gigya step talks to: from its own parameters, or from the environment of this machine.

A dataflow of the original lives on a site and names it only when it means another one. Here the own site is what the
environment variables say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from landbridge.components.params import Address, ComponentParams, Param
from landbridge.errors import FlowError
from landbridge.remote.endpoint import checked_endpoint
from landbridge.remote.gigya import DEFAULT_TIMEOUT_S, Client, client
from landbridge.remote.gigya_limits import TIERS, Tier
from landbridge.remote.gigya_login import SiteLogin, data_center_host

PREFIX: Final = "LANDBRIDGE_SITE_"


class SiteParams(ComponentParams):
    """Parameters of every step that talks to a site; what is not given is taken from the environment."""

    api_key: str | None = Param(
        "API key of the site; empty for the own one (LANDBRIDGE_SITE_API_KEY).",
        default=None,
        example="4_AbCdEfGhIjKlMnOpQrStUv",
    )
    user_key: str | None = Param(
        "Key of the application that calls; empty for the own one (LANDBRIDGE_SITE_USER_KEY).",
        default=None,
        example="AKExAmPlEkEy",
    )
    secret: str | None = Param(
        "Secret of the application; empty for the own one (LANDBRIDGE_SITE_SECRET).",
        default=None,
        secret=True,
        example="bXkgYXBwbGljYXRpb24gc2VjcmV0",
    )
    private_key: str | None = Param(
        "RSA key of the application, in place of the secret (LANDBRIDGE_SITE_PRIVATE_KEY).",
        default=None,
        secret=True,
    )
    data_center: str | None = Param(
        "Data center of the site, such as eu1 (LANDBRIDGE_SITE_DATA_CENTER).", default=None, example="eu1"
    )
    url: Address | None = Param(
        "Address of the API, in place of the data center's (LANDBRIDGE_SITE_URL). http:// only on this machine.",
        default=None,
        example="http://127.0.0.1:8080",
    )
    sign_requests: bool = Param("Sign calls with the secret in place of sending it.", default=False)
    rate_tier: Tier | None = Param(
        "How many calls the site allows, by its number of contacts (LANDBRIDGE_SITE_RATE_TIER): 5M, 10M, 20M, 50M, "
        "over50M, or none. Without it 5M, and none for a site on this machine.",
        default=None,
        example="10M",
    )


def login_of(params: SiteParams, environ: Mapping[str, str] | None = None) -> SiteLogin:
    """The site and the credentials of a step.

    Args:
        params: The step's parameters.
        environ: Where to look for what they leave out; the environment when None.

    Raises:
        FlowError: LB-1501, something is missing; it names every place that was looked at. LB-1303 or LB-1502, the
            address or data center cannot be used.
    """
    own = os.environ if environ is None else environ

    def look(name: str) -> str:
        given = getattr(params, name)
        return given or own.get(PREFIX + name.upper(), "")

    # A step that names a key of one kind does not get the own site's key of the other kind on top.
    private_key = look("private_key") if params.private_key or not params.secret else ""
    secret = look("secret") if not private_key else ""
    # Likewise an address in the step counts more than a data center in the environment.
    url = look("url") if params.url or not params.data_center else ""
    data_center = "" if url else look("data_center")
    wanted = {
        "apiKey": (look("api_key"), ("api_key",)),
        "userKey": (look("user_key"), ("user_key",)),
        "secret": (secret or private_key, ("secret", "private_key")),
        "dataCenter": (url or data_center, ("data_center", "url")),
    }
    missing = [
        f"{name}: neither a parameter of the step nor {' or '.join(PREFIX + place.upper() for place in places)}"
        for name, (value, places) in wanted.items()
        if not value
    ]
    if missing:
        raise FlowError(
            "LB-1501",
            f"the step does not know its site: {'; '.join(missing)}",
            hint="Set the environment variables for the own site, or the parameters for another one.",
        )
    return SiteLogin(
        api_key=wanted["apiKey"][0],
        user_key=wanted["userKey"][0],
        secret=secret or None,
        private_key=private_key or None,
        data_center=data_center_host(data_center) if data_center else "",
        url=checked_endpoint(url) if url else "",
        signs=params.sign_requests,
    )


def tier_of(params: SiteParams, login: SiteLogin, environ: Mapping[str, str] | None = None) -> Tier:
    """How many calls the site allows.

    Raises:
        FlowError: LB-1507, the environment names an unknown tier.
    """
    if params.rate_tier is not None:
        return params.rate_tier
    own = (os.environ if environ is None else environ).get(f"{PREFIX}RATE_TIER", "")
    for tier in TIERS:
        if own == tier:
            return tier  # type: ignore[return-value]  # the keys are the tiers
    if own:
        raise FlowError(
            "LB-1507", f"{PREFIX}RATE_TIER is not one of {', '.join(TIERS)}", hint="Choose by the number of contacts."
        )
    return "none" if login.is_local else "5M"


def open_site(
    params: SiteParams, *, connections: int, timeout_s: float = DEFAULT_TIMEOUT_S
) -> AbstractAsyncContextManager[Client]:
    """A client for the step's site, with at most so many calls at a time.

    Raises:
        FlowError: See ``login_of`` and ``tier_of``.
    """
    login = login_of(params)
    return client(login, tier=tier_of(params, login), connections=connections, timeout_s=timeout_s)
