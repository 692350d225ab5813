"""Tokens: by which programs prove who they are. Everybody has their own; admins see and revoke all."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from fastapi import Query
from pydantic import Field

from landbridge.errors import AccessRefused
from landbridge.jobs import db_tokens, tokens
from landbridge.jobs.db_tokens import TokenRow
from landbridge.jobs.roles import Caller, Role
from landbridge.server.api.access import Viewer, check_session
from landbridge.server.api.pages import Page, Pages
from landbridge.server.api.place import Here
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Instant, Key, Shown

router: Final = Routes(tag="tokens")

_DEFAULT_DAYS: Final = tokens.DEFAULT_LIFE.days


class TokenShown(Shown):
    """A token, without its secret."""

    id: str
    name: str
    user_id: str
    email: Annotated[str, Field(description="Its user's.")]
    role: Annotated[Role | None, Field(description="The most it may do; null for what its user may.")]
    created: Instant
    expires: Instant | None
    last_used: Annotated[Instant | None, Field(description="To the minute.")]
    revoked: Instant | None


class NewToken(Given):
    """A token to be made."""

    name: Annotated[str, Field(max_length=1000, description="What it is for.")]
    role: Annotated[Role | None, Field(description="The most it may do; null for what its user may at each time.")] = (
        None
    )
    days: Annotated[
        int | None,
        Field(ge=1, le=tokens.MAX_LIFE.days, description="When it ends; null for never, which only admins may."),
    ] = _DEFAULT_DAYS
    user_id: Annotated[
        str | None, Field(max_length=255, description="Whose it is; one's own when it is left out. For admins.")
    ] = None


class TokenMade(TokenShown):
    """A new token."""

    secret: Annotated[str, Field(description="Shown this once.")]


def _shown(row: TokenRow) -> TokenShown:
    return TokenShown.model_validate(row)


@router.get("/tokens")
def list_tokens(
    caller: Viewer,
    here: Here,
    pages: Pages,
    everybody: Annotated[bool, Query(alias="all", description="Those of all users; for admins.")] = False,
) -> Page[TokenShown]:
    """List one's tokens, or those of everybody. A token sees itself, unless it is an admin's."""
    if everybody and not caller.role.may(Role.ADMIN):
        raise AccessRefused("LB-8002", "only an admin sees the tokens of others", hint="Leave out all.")
    with here.database.read() as tx:
        rows = tokens.seen_by(tx, caller, everybody=everybody, after=pages.position(str), limit=pages.limit + 1)
    return pages.page(rows, place=lambda row: row.id, shown=_shown)


@router.post("/tokens", status_code=201)
def add_token(caller: Viewer, here: Here, body: NewToken) -> TokenMade:
    """Make a token of one's own, or as an admin another user's. Its secret is in the reply, and nowhere else."""
    check_session(caller, "make tokens")
    if body.user_id not in (None, caller.user_id) and not caller.role.may(Role.ADMIN):
        raise AccessRefused("LB-8002", "only an admin makes tokens for others", hint="Leave out userId.")
    with here.database.write() as tx:
        made = tokens.add(
            tx,
            user_id=body.user_id or caller.user_id,
            name=body.name,
            most=caller.role,
            role=body.role,
            life=None if body.days is None else timedelta(days=body.days),
            by=caller.name,
        )
    return TokenMade(**_shown(made.row).model_dump(), secret=made.secret)


@router.get("/tokens/{token_id}")
def get_token(token_id: Key, caller: Viewer, here: Here) -> TokenShown:
    """Show a token."""
    tokens.check_reach(caller, token_id)
    with here.database.read() as tx:
        return _shown(db_tokens.get(tx, token_id, user_id=_whose(caller)))


@router.delete("/tokens/{token_id}", status_code=204)
def revoke_token(token_id: Key, caller: Viewer, here: Here) -> None:
    """Revoke a token; it ends at once. A token may revoke itself, an admin's any."""
    tokens.check_reach(caller, token_id)
    with here.database.write() as tx:
        tokens.revoke(tx, token_id, by=caller.name, user_id=_whose(caller))


def _whose(caller: Caller) -> str | None:
    """Whose tokens a caller may touch: None for everybody's."""
    return None if caller.role.may(Role.ADMIN) else caller.user_id
