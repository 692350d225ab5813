"""A call on its way to its handler, and what a method of the API declares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from landbridge.gigya_wire.authentication import Caller
from landbridge.gigya_wire.replies import Payload
from landbridge.gigya_wire.requests import Parameters

if TYPE_CHECKING:
    from landbridge.site.repository import Repository


class Access(StrEnum):
    """Who may call a method."""

    ANYONE = "anyone"
    """Also a client that only knows the API key."""
    USER = "user"
    """An application, or a person with a session or registration token."""
    APPLICATION = "application"


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what it asks, who asks, and when."""

    method: str
    parameters: Parameters
    caller: Caller
    call_id: str
    now_ms: int
    address: str = ""
    user_agent: str = ""
    is_audited: bool = False


Handler: TypeAlias = "Callable[[Repository, Call], Awaitable[Payload]]"


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the API."""

    name: str
    handler: Handler
    parameters: frozenset[str]
    access: Access = Access.APPLICATION
    is_search: bool = False
    is_audited: bool = False


def method(
    name: str,
    handler: Handler,
    parameters: str = "",
    *,
    access: Access = Access.APPLICATION,
    is_search: bool = False,
    is_audited: bool = False,
) -> Method:
    """Declare a method; ``parameters`` are the names it knows, separated by blanks."""
    known = frozenset(parameters.lower().split())
    return Method(name, handler, known, access=access, is_search=is_search, is_audited=is_audited)
