"""Logins over HTTP: slowed down when they fail, two at a time, since each takes 64 MiB and much of a processor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from landbridge.errors import AccessRefused
from landbridge.jobs import first_admin, logins, passwords
from landbridge.jobs.db import Database
from landbridge.jobs.db_users import UserRow
from landbridge.jobs.tokens import Issued, SessionLife
from landbridge.server.api.routing import Threads
from landbridge.server.throttling import LoginThrottle

T = TypeVar("T")

_LOG: Final = logging.getLogger("landbridge.access")

_AT_ONCE: Final = 2


class Logins:
    """The logins of a service.

    Args:
        database: Where users are.
        life: How long sessions last.
    """

    def __init__(self, database: Database, *, life: SessionLife) -> None:
        self._database = database
        self._life = life
        self._throttle = LoginThrottle()
        self._threads = Threads(_AT_ONCE)

    async def begin(self, email: str, password: str, *, address: str, instead_of: str) -> Issued:
        """Begin a session; see ``jobs.logins.log_in``.

        Raises:
            AccessRefused: LB-8006, the address or the password is wrong; LB-8007, too many were.
        """
        self._throttle.begin(email, address)
        try:
            begun = await self.checked(
                lambda: logins.log_in(self._database, email, password, life=self._life, instead_of=instead_of)
            )
        except AccessRefused as refused:
            _LOG.warning("a login from %s was refused", address, extra={"code": refused.code})
            raise
        self._throttle.succeeded(email, address)
        return begun

    async def change_password(self, user_id: str, old: str, new: str, *, address: str) -> Issued:
        """Change one's own password; see ``jobs.logins.change_own_password``.

        Raises:
            AccessRefused: LB-8006, the old one is wrong; LB-8007, too many were; LB-8021, the new one is not good.
        """
        self._throttle.begin(user_id, address)
        try:
            begun = await self.checked(
                lambda: logins.change_own_password(self._database, user_id, old, new, life=self._life)
            )
        except AccessRefused as refused:
            if refused.code == passwords.UNFIT:
                self._throttle.succeeded(user_id, address)  # the old one was right
            raise
        self._throttle.succeeded(user_id, address)
        return begun

    async def first_admin(self, secret: str, *, email: str, name: str, password: str) -> UserRow:
        """Make the first admin; see ``jobs.first_admin.make``.

        Raises:
            AccessRefused: LB-8008, the link is not valid; LB-8021 or LB-8022, something of the user cannot be used.
        """

        def made() -> UserRow:
            with self._database.read() as tx:
                first_admin.check(tx, secret)
            hashed = passwords.hashed(password, email=email)
            with self._database.write() as tx:
                return first_admin.make(tx, secret, email=email, name=name, password_hash=hashed)

        return await self.checked(made)

    async def checked(self, work: Callable[[], T]) -> T:
        """Do something with a password, when it is its turn.

        Raises:
            StorageError: LB-7508, too many wait.
        """
        return await self._threads.run(work)
