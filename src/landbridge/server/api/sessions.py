"""Who am I: log in, log out, one's own password, and the first admin."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Request, Response
from pydantic import Field

from landbridge.jobs import db_tokens, db_users, logins, tokens
from landbridge.jobs.roles import Role
from landbridge.jobs.tokens import Issued
from landbridge.server.api.access import Viewer, check_session
from landbridge.server.api.place import Here
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Instant, Shown
from landbridge.server.api.users import NewPassword, UserShown, logins_of, shown
from landbridge.server.proof import COOKIE, CSRF_HEADER, proof_of

router: Final = Routes(tag="session")

Typed = Annotated[str, Field(max_length=1000)]


class Login(Given):
    """Who wants to log in."""

    email: Typed
    password: Annotated[Typed, Field(json_schema_extra={"format": "password"})]


class Setup(Given):
    """The first admin."""

    token: Annotated[Typed, Field(description="What stands behind the # of the set-up link.")]
    email: Typed
    name: Typed = ""
    password: NewPassword


class OwnPassword(Given):
    """A new password of one's own."""

    current_password: Annotated[Typed, Field(json_schema_extra={"format": "password"})]
    new_password: NewPassword


class SessionShown(Shown):
    """Who makes the request."""

    name: Annotated[str, Field(description="As changes and the audit trail name the caller.")]
    role: Annotated[Role, Field(description="What the caller may do: for a token its own role.")]
    user: UserShown
    csrf_token: Annotated[
        str | None, Field(description=f"To be sent as {CSRF_HEADER} with every change; null for a token.")
    ] = None
    expires: Annotated[Instant | None, Field(description="When the session or token is over; null for never.")] = None


@router.post("/setup", status_code=201)
async def set_up(request: Request, body: Setup) -> UserShown:
    """Make the first admin, by the link that the service has printed."""
    user = await logins_of(request).first_admin(body.token, email=body.email, name=body.name, password=body.password)
    return shown(user)


@router.post("/session")
async def log_in(request: Request, response: Response, here: Here, body: Login) -> SessionShown:
    """Log in: begins a session, whose cookie comes with the reply."""
    old = request.cookies.get(COOKIE, "")
    begun = await logins_of(request).begin(body.email, body.password, address=_address(request), instead_of=old)
    return await _begun(request, response, here, begun)


@router.get("/session")
def show_session(request: Request, caller: Viewer, here: Here) -> SessionShown:
    """Tell who makes the request, and the token that changes of a browser must carry."""
    proof = proof_of(request)
    with here.database.read() as tx:
        user = db_users.get(tx, caller.user_id)
        row = db_tokens.with_hash(tx, tokens.hash_of(proof.secret)) if proof else None
    return SessionShown(
        name=caller.name,
        role=caller.role,
        user=shown(user),
        csrf_token=tokens.csrf_token(proof.secret) if proof and proof.by_cookie else None,
        expires=row.expires if row else None,
    )


@router.delete("/session", status_code=204)
def log_out(request: Request, response: Response, caller: Viewer, here: Here) -> None:
    """Log out."""
    check_session(caller, "log out")
    with here.database.write() as tx:
        logins.log_out(tx, request.cookies.get(COOKIE, ""), by=caller.name, user_id=caller.user_id)
    response.delete_cookie(COOKIE, path="/", secure=_is_secure(request), httponly=True, samesite="lax")


@router.put("/session/password")
async def change_own_password(
    request: Request, response: Response, caller: Viewer, here: Here, body: OwnPassword
) -> SessionShown:
    """Change one's own password. All other sessions end."""
    check_session(caller, "change a password")
    begun = await logins_of(request).change_password(
        caller.user_id, body.current_password, body.new_password, address=_address(request)
    )
    return await _begun(request, response, here, begun)


async def _begun(request: Request, response: Response, here: Here, begun: Issued) -> SessionShown:
    def read() -> UserShown:
        with here.database.read() as tx:
            return shown(db_users.get(tx, begun.row.user_id))

    user = await logins_of(request).checked(read)
    response.set_cookie(COOKIE, begun.secret, path="/", secure=_is_secure(request), httponly=True, samesite="lax")
    return SessionShown(
        name=user.email,
        role=user.role,
        user=user,
        csrf_token=tokens.csrf_token(begun.secret),
        expires=begun.row.expires,
    )


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"
