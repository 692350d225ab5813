"""What a route of the API needs of its caller: ``def show(caller: Viewer)`` in its signature is the whole check.

The gate before the application has authenticated the request and put the caller, or None, into ``request.state``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from landbridge.errors import AccessRefused
from landbridge.jobs.roles import Caller, Role


def requires(role: Role) -> Callable[[Request], Caller]:
    """A dependency that gives the caller, if they have this role.

    Raises:
        AccessRefused: LB-8001, nobody is logged in; LB-8002, the role does not allow it.
    """

    def caller_of(request: Request) -> Caller:
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is None:
            raise AccessRefused(
                "LB-8001", "this needs a login or a token", hint="Send Authorization: Bearer and a token.", status=401
            )
        if not caller.role.may(role):
            raise AccessRefused("LB-8002", f"this needs the role {role}; yours is {caller.role}", hint="Ask an admin.")
        return caller

    caller_of.role = role  # type: ignore[attr-defined]  # tests ask every route for the role that it needs
    return caller_of


def check_session(caller: Caller, action: str) -> None:
    """Refuse a token what would let somebody who has found it go on when it has ended.

    Args:
        caller: Who asks.
        action: What a token cannot do, in words.

    Raises:
        AccessRefused: LB-8009.
    """
    if not caller.is_session:
        raise AccessRefused(
            "LB-8009", f"a token cannot {action}", hint="Log in with e-mail address and password.", status=403
        )


Viewer = Annotated[Caller, Depends(requires(Role.VIEWER))]
Operator = Annotated[Caller, Depends(requires(Role.OPERATOR))]
Editor = Annotated[Caller, Depends(requires(Role.EDITOR))]
Admin = Annotated[Caller, Depends(requires(Role.ADMIN))]
