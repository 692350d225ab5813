"""Responsys by its API, there and back: accounts out, opt-outs back, new addresses and resubscriptions out again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from landbridge.cli.round_trip import Comparison, Line, Scene, compared, pairs, promised, value_at
from landbridge.sandbox.faults import Fault
from landbridge.sandbox.responsys import Responsys

_SECRETS: Final = ("password",)
_FIELDS: Final = {
    "profile.email": "EMAIL_ADDRESS_",
    "profile.city": "CITY_",
    "profile.zip": "POSTAL_CODE_",
    "profile.country": "COUNTRY_",
    "profile.firstName": "FIRST_NAME",
    "profile.lastName": "LAST_NAME",
}
_STATUS: Final = "EMAIL_PERMISSION_STATUS_"
_OPT_OUT_OF: Final = 8
_MOVED_OF: Final = 10


class ResponsysRoundTrip:
    """What the integration promises, played with people of the local site."""

    vendor = "responsys"
    faults: ClassVar[Sequence[Fault]] = (
        Fault("token_expiry", operation="members*", probability=0.2, times=4),
        Fault("lost_reply", operation="members*", probability=0.2),
        Fault("partial_failure", operation="members", times=5),
    )

    async def run(self, scene: Scene) -> Comparison:
        """Out, changes there, back, changes here, out again; then compare."""
        platform = scene.sandbox[self.vendor]
        assert isinstance(platform, Responsys)  # noqa: S101 - the sandbox was started with it
        connection = scene.connection(self.vendor, _SECRETS)
        out = {**connection, "fields": pairs(_FIELDS)}
        scene.say("1. accounts > list merge, 200 in a call: every active account becomes a member")
        await scene.run("responsys-members", out, may_reject=True)
        if scene.sandbox.faults.happened("partial_failure"):
            scene.say("   some records were refused; they are kept as rejects, and the flow runs again")
            await scene.run("responsys-members", out, may_reject=True)
        opted_out = _live(platform)
        scene.say(f"2. at the platform {len(opted_out):,} people opt out; the site does not know yet: once more out")
        await scene.run("responsys-members", out)
        scene.say("3. opt-outs > site")
        await scene.run("responsys-opt-outs", connection)
        accounts = await scene.accounts()
        active = sorted(uid for uid, account in accounts.items() if account["isActive"])
        moved = {uid: f"moved-{uid}@example.com" for uid in active[::_MOVED_OF]}
        scene.say(f"4. on the site {len(moved):,} people change their address: out again")
        await scene.change({uid: {"profile": {"email": address}} for uid, address in moved.items()})
        await scene.run("responsys-members", out)
        return Comparison(tuple(_lines(await scene.accounts(), platform, opted_out, moved)))


def _live(platform: Responsys) -> set[str]:
    """Who opts out at the platform meanwhile, of those who were opted in."""
    opted_out = set()
    for number, (riid, member) in enumerate(list(platform.members.records.items())):
        if number % _OPT_OUT_OF == 0 and member[_STATUS] == "I":
            platform.members.opt_out(riid, "unsubscribe link")
            opted_out.add(member["CUSTOMER_ID_"])
    return opted_out


def _lines(
    accounts: Mapping[str, Mapping[str, Any]], platform: Responsys, opted_out: set[str], moved: Mapping[str, str]
) -> list[Line]:
    active = {uid: account for uid, account in accounts.items() if account["isActive"]}
    records = list(platform.members.records.values())
    members = {record["CUSTOMER_ID_"]: record for record in records}
    numbers = Counter(record["CUSTOMER_ID_"] for record in records)
    lines = [compared("members and active accounts", dict.fromkeys(active), dict.fromkeys(members))]
    for path, column in _FIELDS.items():
        here = {uid: value_at(account, path) for uid, account in active.items()}
        lines.append(compared(f"{path} = {column}", here, {uid: each.get(column) for uid, each in members.items()}))
    wants = {uid: "I" if value_at(account, "data.subscribed") is True else "O" for uid, account in active.items()}
    return [
        *lines,
        compared(f"data.subscribed = {_STATUS}", wants, {uid: each[_STATUS] for uid, each in members.items()}),
        promised("one member for each UID", {uid: number == 1 for uid, number in numbers.items()}),
        promised("new addresses are there", {uid: members[uid]["EMAIL_ADDRESS_"] == to for uid, to in moved.items()}),
        promised("who opted out is still out", {uid: members[uid][_STATUS] == "O" for uid in opted_out}),
        promised(
            "and unsubscribed on the site",
            {uid: value_at(active[uid], "data.subscribed") is False for uid in opted_out},
        ),
    ]
