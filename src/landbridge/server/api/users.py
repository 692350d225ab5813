"""Users: who may log in, and what they may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Request
from pydantic import Field

from landbridge.jobs import db_users, passwords, users
from landbridge.jobs.db_users import UserRow
from landbridge.jobs.roles import Role
from landbridge.jobs.users import UserChange
from landbridge.server.api.access import Admin, check_session
from landbridge.server.api.pages import Page, Pages
from landbridge.server.api.place import Here
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Instant, Key, Shown

if TYPE_CHECKING:
    from landbridge.server.logins import Logins

router: Final = Routes(tag="users")

NewPassword = Annotated[
    str,
    Field(
        max_length=passwords.MAX_CHARS,
        description=f"At least {passwords.MIN_CHARS} characters.",
        json_schema_extra={"format": "password"},
    ),
]


class UserShown(Shown):
    """A user."""

    id: str
    email: str
    name: str
    role: Role
    enabled: bool
    created: Instant
    updated: Instant
    last_login: Instant | None


class NewUser(Given):
    """A user to be added."""

    email: Annotated[str, Field(max_length=1000)]
    name: Annotated[str, Field(max_length=1000)] = ""
    role: Role
    password: Annotated[NewPassword | None, Field(description="Without it they cannot log in yet.")] = None


class ChangedUser(Given):
    """What is to change of a user; what is left out stays."""

    name: Annotated[str | None, Field(max_length=1000)] = None
    role: Role | None = None
    enabled: bool | None = None


class SetPassword(Given):
    """A password for a user."""

    password: NewPassword


def shown(row: UserRow) -> UserShown:
    """A user as clients see one: without the hash of the password."""
    return UserShown.model_validate(row)


@router.get("/users")
def list_users(caller: Admin, here: Here, pages: Pages) -> Page[UserShown]:
    """List the users by e-mail address."""
    del caller
    with here.database.read() as tx:
        rows = db_users.listing(tx, after=pages.position(str), limit=pages.limit + 1)
    return pages.page(rows, place=lambda row: row.email, shown=shown)


@router.post("/users", status_code=201)
async def add_user(request: Request, caller: Admin, here: Here, body: NewUser) -> UserShown:
    """Add a user. A token adds only users without a password, such as programs."""
    if body.password is not None:
        check_session(caller, "give passwords")

    def added() -> UserShown:
        email = users.address(body.email)
        hashed = None if body.password is None else passwords.hashed(body.password, email=email)
        with here.database.write() as tx:
            return shown(
                users.add(tx, email=email, name=body.name, role=body.role, password_hash=hashed, by=caller.name)
            )

    return await logins_of(request).checked(added)


@router.get("/users/{user_id}")
def get_user(user_id: Key, caller: Admin, here: Here) -> UserShown:
    """Show a user."""
    del caller
    with here.database.read() as tx:
        return shown(db_users.get(tx, user_id))


@router.patch("/users/{user_id}")
def change_user(user_id: Key, caller: Admin, here: Here, body: ChangedUser) -> UserShown:
    """Change a user. Switching one off ends their sessions; the last admin stays one. A token changes names only."""
    if body.role is not None or body.enabled is not None:
        check_session(caller, "change what users may do")
    wanted = UserChange(name=body.name, role=body.role, enabled=body.enabled)
    with here.database.write() as tx:
        return shown(users.change(tx, user_id, wanted, by=caller.name))


@router.delete("/users/{user_id}", status_code=204)
def remove_user(user_id: Key, caller: Admin, here: Here) -> None:
    """Remove a user with their tokens. The last admin stays."""
    with here.database.write() as tx:
        users.remove(tx, user_id, by=caller.name)


@router.post("/users/{user_id}/password", status_code=204)
async def set_password(request: Request, user_id: Key, caller: Admin, here: Here, body: SetPassword) -> None:
    """Give a user another password. All their sessions end."""
    check_session(caller, "give passwords")

    def done() -> None:
        with here.database.read() as tx:
            email = db_users.get(tx, user_id).email
        hashed = passwords.hashed(body.password, email=email)
        with here.database.write() as tx:
            users.set_password(tx, user_id, hashed, by=caller.name)

    await logins_of(request).checked(done)


def logins_of(request: Request) -> Logins:
    """Those of the service that is asked."""
    found: Logins = request.app.state.logins
    return found
