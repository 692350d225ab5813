"""CheetahMail by file and API, there and back: accounts out, unsubscribes and corrections back, moves out again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from landbridge.cli.round_trip import Comparison, FlowFailed, Line, Scene, compared, promised
from landbridge.sandbox.cheetahmail import CheetahMail
from landbridge.sandbox.faults import Fault
from landbridge.templates import load

_SECRETS: Final = ("apiPassword", "password")
_FIELDS: Final = {
    "profile.email": "EMAIL",
    "profile.firstName": "FNAME",
    "profile.lastName": "LNAME",
    "profile.city": "CITY",
    "profile.zip": "ZIP",
    "profile.country": "COUNTRY",
}
_LEAVING_OF: Final = 8
_LATE_OF: Final = 50
_CORRECTED_OF: Final = 20
_MOVED_OF: Final = 10
_SMALL_COUNTRY: Final = "IL"
"""Whose people travel by the API, too: about a tenth."""

_ON, _NEVER = "on", "never"


@dataclass(frozen=True, slots=True)
class _Meanwhile:
    """What people did at the platform.

    Attributes:
        left: Why people left the list.
        addresses: New addresses.
        cities: New cities.
    """

    left: dict[str, str]
    addresses: Mapping[str, str]
    cities: Mapping[str, str]


class CheetahMailRoundTrip:
    """What the integration promises, played with people of the local site."""

    vendor = "cheetahmail"
    faults: ClassVar[Sequence[Fault]] = (
        Fault("token_expiry", operation="*user1", skip=20, probability=0.1, times=4),
        Fault("rate_limit", operation="*user1", probability=0.02, times=4),
        Fault("concurrency", operation="*user1", probability=0.02, times=4),
        Fault("lost_reply", operation="*user1", probability=0.05, times=20),
        Fault("partial_failure", operation="setuser1", skip=10, times=3),
        Fault("partial_failure", operation="load", times=1),
        Fault("slow_job", operation="load", times=1, delay_s=1.0),
        Fault("broken_file", operation="*changes", times=2),
    )

    async def run(self, scene: Scene) -> Comparison:
        """Out by file, changes there, out by the API, back, moves here, out by both; then compare."""
        platform = scene.sandbox[self.vendor]
        assert isinstance(platform, CheetahMail)  # noqa: S101 - the sandbox was started with it
        connection = scene.connection(self.vendor, _SECRETS)
        scene.say("1. accounts > DSV > SFTP: the platform loads every active account into the list")
        await self._send_file(scene, platform, connection)
        scene.say("   some of them > API, which finds them there; their accounts keep the address that it knows")
        await self._send_calls(scene, connection)
        meanwhile = _live(platform)
        scene.say(
            f"2. at the platform {len(meanwhile.left):,} leave the list, {len(meanwhile.addresses):,} correct their "
            f"address, {len(meanwhile.cities):,} their city; the site does not know yet"
        )
        scene.say("3. some accounts > API, which asks first: nobody is put back on the list, or made a second time")
        await self._send_calls(scene, connection, may_reject=True)
        scene.say("4. exports > SFTP > site: unsubscribes, then changes")
        if scene.sandbox.faults.all():
            scene.sandbox.faults.add(Fault("broken_file", operation="unsubscribes", times=1))
        meanwhile.left.update(_late(platform))
        platform.export()
        await self._bring_back(scene, connection)
        accounts = await scene.accounts()
        active = sorted(uid for uid, each in accounts.items() if each["isActive"] and uid not in meanwhile.addresses)
        small = [uid for uid in active if _at(accounts[uid], "profile.country") == _SMALL_COUNTRY]
        by_api, by_file = small[::3], [uid for uid in active if uid not in small][::_MOVED_OF]
        moved = {uid: f"moved-{uid}@example.com" for uid in (*by_api, *by_file)}
        scene.say(
            f"5. on the site {len(moved):,} people change their address; {len(by_api):,} of them travel by the API"
        )
        await scene.change({uid: {"profile": {"email": address}} for uid, address in moved.items()})
        await self._send_calls(scene, connection)
        scene.say("6. all accounts > DSV > SFTP once more")
        await self._send_file(scene, platform, connection)
        return Comparison(tuple(_lines(await scene.accounts(), platform, meanwhile, {**meanwhile.addresses, **moved})))

    async def _send_file(self, scene: Scene, platform: CheetahMail, connection: Mapping[str, Any]) -> None:
        """Send all accounts; where the platform refused rows, once more."""
        for _ in range(3):
            known = len(platform.loads)
            await scene.run("cheetahmail-outbound", _form("cheetahmail-outbound", connection, fields=_pairs()))
            await scene.sandbox.idle()
            loads = list(platform.loads.values())[known:]
            if failed := [each["STATUS"] for each in loads if each["STATUS"] != "done"]:
                raise FlowFailed(f"the platform did not load the file: {failed[0]}")
            if not (refused := sum(int(each["REFUSED"]) for each in loads)):
                return
            scene.say(f"   the platform refused {refused} rows; the flow runs again")
        raise FlowFailed("the platform refuses rows again and again")

    async def _send_calls(self, scene: Scene, connection: Mapping[str, Any], *, may_reject: bool = False) -> None:
        """Send the accounts of a small country; where the platform refused some, once more."""
        where = f'isRegistered = true AND isActive = true AND profile.country = "{_SMALL_COUNTRY}"'
        form = _form("cheetahmail-subscribers", connection, fields=_pairs(), where=where)
        report = await scene.run("cheetahmail-subscribers", form, may_reject=True)
        if report.rejects and not may_reject:
            scene.say(f"   {report.rejects} records were refused; they are kept as rejects, and the flow runs again")
            await scene.run("cheetahmail-subscribers", form)

    async def _bring_back(self, scene: Scene, connection: Mapping[str, Any]) -> None:
        form = _form("cheetahmail-unsubscribes", connection)
        is_cut = bool(scene.sandbox.faults.happened("broken_file"))
        try:
            await scene.run("cheetahmail-unsubscribes", form, may_reject=is_cut)
        except FlowFailed:
            if not is_cut:
                raise
        if is_cut:
            scene.say("   an export was cut off; it is read again when it is whole")
            await scene.sandbox.idle()
            await scene.run("cheetahmail-unsubscribes", form)
        await scene.run("cheetahmail-changes", _form("cheetahmail-changes", connection))


def _form(template: str, connection: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """The values of a form: those of the connection that it asks for, and more."""
    form = load(template).form
    asked = {field.name for field in form.fields} if form else set()
    return {**{name: value for name, value in connection.items() if name in asked}, **values}


def _pairs() -> list[dict[str, str]]:
    return [{"sourceField": source, "targetField": target} for source, target in _FIELDS.items()]


def _live(platform: CheetahMail) -> _Meanwhile:
    """What people do at the platform meanwhile."""
    known, list_id = platform.subscribers, platform.connection()["listId"]
    left: dict[str, str] = {}
    addresses: dict[str, str] = {}
    cities: dict[str, str] = {}
    for place, (number, record) in enumerate(list(known.records.items())):
        uid = record["fields"]["UID"]
        if place % _LEAVING_OF == 0 and _state(record, list_id) == _ON:
            # Complaints and bounces would have the address suppressed, so that nothing of theirs travels any more.
            left[uid] = "werd"[len(left) % 3]
            known.unsubscribe(number, list_id, left[uid])
        if place % _CORRECTED_OF == 1:
            addresses[uid] = f"corrected-{uid}@example.com"
            known.write(number, addresses[uid], {}, by="person")
        # Where both sides write a column, the last one wins: the city of those who travel by the API is the site's.
        if place % _CORRECTED_OF == 2 and record["fields"]["COUNTRY"] != _SMALL_COUNTRY:  # noqa: PLR2004 - others
            cities[uid] = f"New {record['fields'].get('CITY', 'Town')}"
            known.write(number, record["email"], {"CITY": cities[uid]}, by="person")
    return _Meanwhile(left, addresses, cities)


def _late(platform: CheetahMail) -> dict[str, str]:
    """Who leaves the list right before the export."""
    known, list_id = platform.subscribers, platform.connection()["listId"]
    on_list = [number for number, record in known.records.items() if _state(record, list_id) == _ON]
    leaving = on_list[::_LATE_OF]
    for number in leaving:
        known.unsubscribe(number, list_id, "w")
    return {known.records[number]["fields"]["UID"]: "w" for number in leaving}


def _lines(
    accounts: Mapping[str, Mapping[str, Any]],
    platform: CheetahMail,
    meanwhile: _Meanwhile,
    addresses: Mapping[str, str],
) -> list[Line]:
    list_id = platform.connection()["listId"]
    active = {uid: account for uid, account in accounts.items() if account["isActive"]}
    records = list(platform.subscribers.records.values())
    known = {record["fields"]["UID"]: record for record in records}
    numbers = Counter(record["fields"]["UID"] for record in records)
    emails = Counter(record["email"].lower() for record in records)
    lines = [compared("subscribers and active accounts", dict.fromkeys(active), dict.fromkeys(known))]
    for path, column in _FIELDS.items():
        here = {uid: _at(account, path) for uid, account in active.items()}
        there = {uid: {**each["fields"], "EMAIL": each["email"]}.get(column, "") for uid, each in known.items()}
        lines.append(compared(f"{path} = {column}", here, there))
    wants = {uid: _at(account, "data.subscribed") is True for uid, account in active.items()}
    on_list = {uid: _state(each, list_id) == _ON for uid, each in known.items()}
    states = {uid: _state(known[uid], list_id) for uid in meanwhile.left}
    return [
        *lines,
        compared("data.subscribed = on the list", wants, on_list),
        promised("one subscriber for each UID", {uid: number == 1 for uid, number in numbers.items()}),
        promised("one subscriber for each address", {email: number == 1 for email, number in emails.items()}),
        promised(
            "new addresses are on both sides",
            {uid: _at(active[uid], "profile.email") == to == known[uid]["email"] for uid, to in addresses.items()},
        ),
        promised(
            "corrected cities are on the site",
            {uid: _at(active[uid], "profile.city") == city for uid, city in meanwhile.cities.items()},
        ),
        promised("who left the list is still off it", {uid: state != _ON for uid, state in states.items()}),
        promised(
            "and unsubscribed on the site",
            {uid: _at(active[uid], "data.subscribed") is False for uid in meanwhile.left},
        ),
    ]


def _state(record: Mapping[str, Any], list_id: str) -> str:
    fact = record["lists"].get(list_id)
    return _NEVER if fact is None else fact["reason"] or _ON


def _at(account: Mapping[str, Any], path: str) -> Any:
    value: Any = account
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
