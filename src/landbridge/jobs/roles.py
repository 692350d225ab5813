"""Who may do what: four roles, each of which may do all that the one before it may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a user or a token may do.

    ``viewer`` looks, personal data masked. ``operator`` starts, stops, repeats and approves jobs, and sees rejected
    records. ``editor`` changes dataflows, schedulings, connections and alerts. ``admin`` also users, everybody's
    tokens, the audit trail and settings.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether it covers what needs ``needed``."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request.

    Attributes:
        name: As changes and the audit trail name them: an e-mail address, for a token with its name.
        role: What they may do in this request: for a token the smaller one of its own and its user's.
        user_id: The user.
        address: The address that the request came from.
        is_session: Whether they have logged in with a password; False for a token.
        token_id: The id of the token or session.
    """

    name: str
    role: Role
    user_id: str
    address: str = ""
    is_session: bool = False
    token_id: str = ""
