"""One person on the way to CheetahMail: what the platform is asked first, and which calls follow.

The platform knows people by their address. So it is asked who has the address before anything is written: that keeps
apart two people of one address, finds whom to give a new one, keeps those off a list who have left it, and saves the
call where nothing differs.

An opt-out waits for nothing: it is passed on first, in a call of its own, under the address by which the platform knows
the person. What else is written may then be refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from landbridge.components.base import RecordError
from landbridge.remote.cheetahmail import Client, Subscriber
from landbridge.remote.cheetahmail_errors import OutcomeUnknown, RecordRefused

EMAIL: Final = "EMAIL"
_REFUSED: Final = "LB-4631"
_UNKNOWN: Final = "LB-4636"
_TAKEN: Final = (
    "another subscriber has the address: send that person's change, too, or look at the platform to whom it belongs"
)


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
        holder: UID of that one.
    """

    email: str
    fields: dict[str, str] = field(repr=False)
    uid: str
    previous: str
    was_known: bool
    wants: bool | None
    error: RecordError | None = None
    is_taken: bool = False
    holder: str = ""

    @property
    def parked(self) -> str:
        """An address that is nobody's, for as long as somebody else has the person's: of people who swap theirs.

        It follows from the UID, so that whoever was left there by a job that was ended is found again.
        """
        return f"landbridge-{hashlib.sha256(self.uid.encode()).hexdigest()[:32]}@example.com"

    @property
    def has_moved(self) -> bool:
        """Whether the platform knew another address than the site."""
        return self.previous.lower() != self.email.lower()


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written of a person.

    Attributes:
        known: The subscriber; None where one is made.
        address: By which the platform knows the subscriber.
        is_move: The subscriber gets another address.
        differs: A field differs, as far as the platform tells.
        subscribe: Lists to join.
        unsubscribe: Lists to leave.
    """

    known: Subscriber | None
    address: str
    is_move: bool
    differs: bool
    subscribe: tuple[str, ...]
    unsubscribe: tuple[str, ...]

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.differs or self.is_move or self.subscribe or self.unsubscribe)


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
        """Ask the platform, and decide; None where there is nobody to write to, as ``person`` then tells.

        Where somebody else has the address, ``person`` tells it, too, and what is planned is the rest: it goes to the
        subscriber under the address that the platform knows.

        Raises:
            LandbridgeError: See ``Client.set_user``.
        """
        known, address = await self._client.get_user(person.email), person.email
        if known is not None and not self._is_own(person, known):
            person.is_taken = True
            person.holder = known.fields.get(self._uid_column or "", "")
            person.error = RecordError(_REFUSED, _TAKEN)
            known = None
        if known is None and (found := await self._elsewhere(person)):
            known, address = found
        if known is None and person.is_taken:
            return None
        if known is None and (person.was_known or not self._creates):
            # Somebody has corrected the address there, or has removed the subscriber: neither is undone from here.
            reason = "the platform does not know the address any more: bring its changes back first"
            nobody = "there is no subscriber with the address"
            person.error = RecordError(_REFUSED, reason if person.was_known else nobody)
            return None
        subscribe, unsubscribe = self._lists_of(person, known)
        return Change(
            known,
            address,
            is_move=address != person.email and not person.is_taken,
            differs=known is None or any(known.fields.get(name, "") != text for name, text in person.fields.items()),
            subscribe=() if person.is_taken else subscribe,
            unsubscribe=unsubscribe,
        )

    async def _elsewhere(self, person: Person) -> tuple[Subscriber, str] | None:
        """The subscriber under another address than the person's, and that address."""
        addresses = [person.previous] if person.has_moved else []
        addresses += [person.parked] if person.was_known and person.uid else []
        for address in addresses:
            known = await self._client.get_user(address)
            if known is not None and self._is_own(person, known):
                return known, address
        return None

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
            person.error, person.is_taken = None, False
            try:
                change = await self.planned(person)
            except RecordRefused:
                await self.withdraw(person)
                raise
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
        found: list[str] = []
        refused: RecordRefused | None = None
        for address in filter(None, dict.fromkeys((person.email, person.previous))):
            try:
                known = await self._client.get_user(address)
            except RecordRefused as error:
                refused = error  # what the account has now may be no address; the one before is
            else:
                if known is not None and self._is_own(person, known):
                    found.append(address)
        if not found and person.was_known and person.uid:
            known = await self._client.get_user(person.parked)
            found += [person.parked] if known is not None and self._is_own(person, known) else []
        if not found and refused is not None:
            raise refused
        return found

    async def withdraw(self, person: Person) -> None:
        """Pass on the opt-out of somebody whose record is refused otherwise, as far as the platform lets.

        Raises:
            LandbridgeError: See ``Client.set_user``, but for what the platform refuses.
        """
        if person.wants is False:
            with suppress(RecordRefused):
                await self.leave(person)

    async def park(self, person: Person) -> bool:
        """Give a subscriber an address that is nobody's, so that another one gets the present one; whether it was done.

        Raises:
            LandbridgeError: See ``Client.set_user``.
        """
        return await self._moved(person, person.previous, person.parked)

    async def unpark(self, person: Person) -> bool:
        """Give a subscriber the previous address back, where it is still free.

        Raises:
            LandbridgeError: See ``Client.set_user``.
        """
        return await self._moved(person, person.parked, person.previous)

    async def _moved(self, person: Person, old: str, new: str) -> bool:
        known = await self._client.get_user(old)
        if known is None or not self._is_own(person, known) or await self._client.get_user(new) is not None:
            return False
        try:
            await self._client.set_user(old, {}, new_email=new)
        except RecordRefused:
            return False
        except OutcomeUnknown:
            known = await self._client.get_user(new)
            return known is not None and self._is_own(person, known)
        return True

    async def _set(self, person: Person, change: Change) -> None:
        leaving = change.unsubscribe
        if change.known is not None and leaving:
            await self._client.set_user(change.address, {}, unsubscribe=leaving)
            if not (change.differs or change.is_move):
                return
            leaving = ()
        await self._client.set_user(
            change.address,
            person.fields,
            new_email=person.email if change.is_move else None,
            subscribe=change.subscribe,
            unsubscribe=leaving,
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
