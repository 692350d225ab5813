"""The vendors that can be emulated, imported on first use."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Final

from landbridge.errors import FlowError
from landbridge.sandbox.vendor import Vendor

ALL: Final = "all"
_MODULES: Final[dict[str, str]] = {
    "cheetahmail": "landbridge.sandbox.cheetahmail",
    "lytics": "landbridge.sandbox.lytics",
    "responsys": "landbridge.sandbox.responsys",
    "silverpop": "landbridge.sandbox.silverpop",
}
"""Name to the module that holds the vendor's class."""


def names() -> list[str]:
    """All vendors, sorted."""
    return sorted(_MODULES)


def chosen(wanted: Iterable[str]) -> list[type[Vendor]]:
    """The classes of these vendors; ``all`` or none at all stands for every one.

    Raises:
        FlowError: LB-1902; there is no such vendor.
    """
    asked = list(dict.fromkeys(wanted))
    if not asked or ALL in asked:
        asked = names()
    return [_vendor(name) for name in asked]


def _vendor(name: str) -> type[Vendor]:
    if name not in _MODULES:
        raise FlowError("LB-1902", f'there is no sandbox "{name}"', hint=f"There are: {', '.join(names())}, {ALL}.")
    for candidate in vars(import_module(_MODULES[name])).values():
        if isinstance(candidate, type) and issubclass(candidate, Vendor) and getattr(candidate, "name", "") == name:
            return candidate
    raise TypeError(f"{_MODULES[name]} defines no vendor {name}")
