"""One person on the way to CheetahMail: what the platform is asked first, and which calls follow.

The platform knows people by their address. So it is asked who has the address before anything is written: that keeps
apart two people of one address, finds whom to give a new one, keeps those off a list who have left it, and saves the
call where nothing differs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from landbridge.components.base import RecordError
from landbridge.remote.cheetahmail import Client, Subscriber
from landbridge.remote.cheetahmail_errors import OutcomeUnknown, RecordRefused

EMAIL: Final = "EMAIL"
_REFUSED: Final = "LB-4631"
_UNKNOWN: Final = "LB-4636"


@dataclass(slots=True)
class Person:
    """One record on its way.

    Attributes:
        email: The address.
        fields: The other columns.
        uid: The UID, where the record has one.
        previous: The address that the platform knew last; the address itself where nobody knows.
        was_known: The platform had this person before.
        wants: What the record says of the list; None for nothing.
        error: Why it was refused.
        is_taken: It was refused because somebody else had the address at that moment.
    """

    email: str
    fields: dict[str, str] = field(repr=False)
    uid: str
    previous: str
    was_known: bool
    wants: bool | None
    error: RecordError | None = None
    is_taken: bool = False

    @property
    def has_moved(self) -> bool:
        """Whether the platform knew another address than the site."""
        return self.previous.lower() != self.email.lower()


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written of a person.

    Attributes:
        known: The subscriber; None where one is made.
        is_move: The subscriber gets another address.
        is_needed: Something differs, as far as the platform tells.
        subscribe: Lists to join.
        unsubscribe: Lists to leave.
    """

    known: Subscriber | None
    is_move: bool
    is_needed: bool
    subscribe: tuple[str, ...]
    unsubscribe: tuple[str, ...]


class SubscriberWrites:
    """Writes people, one at a time.

    Args:
        client: An open client.
        uid_column: Column with the UID; None for none.
        list_id: The list that wishes are about.
        creates: Makes a subscriber where there is none.
        resubscribes: Also puts those on the list who have left it.
    """

    def __init__(
        self, client: Client, *, uid_column: str | None, list_id: str | None, creates: bool, resubscribes: bool
    ) -> None:
        self._client = client
        self._uid_column = uid_column
        self._list = list_id
        self._creates = creates
        self._resubscribes = resubscribes

    async def planned(self, person: Person) -> Change | None:
        """Ask the platform, and decide; None where the record is refused, which ``person`` then tells.

        Raises:
            LandbridgeError: See ``Client.set_user``.
        """
        known = await self._client.get_user(person.email)
        if known is not None and not self._is_own(person, known):
            person.is_taken = True
            person.error = RecordError(_REFUSED, "another subscriber has the address")
            return None
        is_move = False
        if known is None and person.has_moved:
            old = await self._client.get_user(person.previous)
            if old is not None and self._is_own(person, old):
                known, is_move = old, True
        if known is None and (person.was_known or not self._creates):
            # Somebody has corrected the address there, or has removed the subscriber: neither is undone from here.
            reason = "the platform does not know the address any more: bring its changes back first"
            nobody = "there is no subscriber with the address"
            person.error = RecordError(_REFUSED, reason if person.was_known else nobody)
            return None
        subscribe, unsubscribe = self._lists_of(person, known)
        differs = known is None or any(known.fields.get(name, "") != text for name, text in person.fields.items())
        is_needed = differs or is_move or bool(subscribe or unsubscribe)
        return Change(known, is_move, is_needed, subscribe, unsubscribe)

    async def write(self, person: Person) -> None:
        """Make or change a subscriber; what is refused is told by ``person.error``, or raised.

        A call whose outcome is not known is not simply made again: the platform is asked anew, and what it then lacks
        is written.

        Raises:
            LandbridgeError: See ``Client.set_user``.
        """
        lost: OutcomeUnknown | None = None
        is_moving = is_open = False
        retries = self._client.retries
        for number in range(1, retries.attempts + 1):
            if number > 1:
                await asyncio.sleep(retries.delay_s(number - 1))
            person.error = None
            change = await self.planned(person)
            is_open = is_moving and lost is not None and _is_open(person, change, lost)
            if not is_open:
                if change is None or not change.is_needed:
                    return
                try:
                    await self._set(person, change)
                    return
                except OutcomeUnknown as unknown:
                    lost, is_moving = unknown, change.is_move
                except RecordRefused as refused:
                    # The call whose reply was lost may be done by now, and then the old address is gone.
                    if not (is_moving and refused.is_gone):
                        raise
        if lost is not None and not is_open:
            raise lost.cause
        person.error = RecordError(_UNKNOWN, "the platform was told a new address and does not tell what became of it")

    async def leave(self, person: Person) -> None:
        """Take a subscriber off the list; who is not there is off it.

        Raises:
            LandbridgeError: See ``Client.set_user``.
        """
        for address in await self.addresses_of(person):
            await self._client.set_user(address, {}, unsubscribe=self._lists())

    async def addresses_of(self, person: Person) -> list[str]:
        """The addresses by which the platform has this person: two where it cannot tell that both are one.

        Raises:
            LandbridgeError: See ``Client.set_user``.
        """
        found = []
        for address in dict.fromkeys((person.email, person.previous)):
            known = await self._client.get_user(address)
            if known is not None and self._is_own(person, known):
                found.append(address)
        return found

    async def _set(self, person: Person, change: Change) -> None:
        await self._client.set_user(
            person.previous if change.is_move else person.email,
            person.fields,
            new_email=person.email if change.is_move else None,
            subscribe=change.subscribe,
            unsubscribe=change.unsubscribe,
        )

    def _lists_of(self, person: Person, known: Subscriber | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The lists to join and to leave."""
        if person.wants is None or self._list is None:
            return (), ()
        if not person.wants:
            return (), self._lists()
        # How the platform tells that somebody has left a list is not published: any word on the list stops it.
        is_known = known is not None and known.knows(self._list)
        return (() if is_known and not self._resubscribes else self._lists()), ()

    def _lists(self) -> tuple[str, ...]:
        return (self._list,) if self._list else ()

    def _is_own(self, person: Person, known: Subscriber) -> bool:
        """Whether a subscriber may be this person: nothing says that it is somebody else."""
        theirs = known.fields.get(self._uid_column, "") if self._uid_column else ""
        return not theirs or not person.uid or theirs == person.uid


def _is_open(person: Person, change: Change | None, lost: OutcomeUnknown) -> bool:
    """Whether a change of address whose reply was lost is neither seen to be done nor may be made again."""
    return (change is None and not person.is_taken) or (change is not None and change.is_move and lost.may_still_come)
