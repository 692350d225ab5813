"""Addresses of servers that a step may name: encrypted, or on this machine."""

from __future__ import annotations

from urllib.parse import urlsplit

from landbridge.errors import FlowError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def checked_endpoint(url: str, *, otherwise: str = "") -> str:
    """Give ``url`` back without a trailing slash when credentials may be sent to it.

    Args:
        url: The address.
        otherwise: What else one can do about an unencrypted one, for the hint.

    Raises:
        FlowError: LB-1303, it is no address, or unencrypted and not on this machine.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FlowError("LB-1303", f"{url!r} is not an address", hint="Write it like https://s3.example.com")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise FlowError(
            "LB-1303",
            f"the address {parts.hostname} would be reached without encryption",
            hint=f"Use https://; http:// is allowed only for a server on this machine. {otherwise}".rstrip(),
        )
    return url.rstrip("/")
