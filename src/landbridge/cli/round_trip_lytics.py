"""Lytics to the site: memberships of an audience, then again after people entered and left it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from landbridge.cli.round_trip import Comparison, Scene, compared, promised
from landbridge.sandbox.faults import Fault
from landbridge.sandbox.lytics import Lytics

_SECRETS: Final = ("accessToken",)
_FIELD: Final = "lytics_segments"
_IDS_FIELD: Final = "lytics_segment_ids"
_STRANGERS: Final = 20
_LEAVING_OF: Final = 10
_ENTERING_OF: Final = 7
_GROWING_OF: Final = 5
_FORGOTTEN: Final = 3
_ACTIVE: Final = 50
_BUYING: Final = 20
_HIGH: Final = 90


class LyticsRoundTrip:
    """What the integration promises, played with people of the local site."""

    vendor = "lytics"
    faults: ClassVar[Sequence[Fault]] = (
        Fault("rate_limit", operation="user", probability=0.01, times=3),
        Fault("rate_limit", operation="scan", skip=1, times=1),
        Fault("concurrency", operation="*", probability=0.01, times=2),
        Fault("lost_reply", operation="user", probability=0.02),
        Fault("lost_reply", operation="scan", times=2),
    )

    async def run(self, scene: Scene) -> Comparison:
        """Out, changes there, out again; then compare."""
        platform = scene.sandbox[self.vendor]
        assert isinstance(platform, Lytics)  # noqa: S101 - the sandbox was started with it
        own = platform.audiences
        audience = own.create("Active readers", f"FILTER score > {_ACTIVE}")
        own.create("Frequent buyers", f"FILTER orders > {_BUYING}")
        own.create("Champions", f"FILTER score > {_HIGH} AND orders > {_BUYING}")
        before = await scene.accounts("UID, profile.email")
        _collect(platform, before)
        form = {**scene.connection(self.vendor, _SECRETS), "audience": audience}
        scene.say(f"1. {_count(platform, audience):,} of {len(before):,} people are in the audience: lytics > site")
        first = await scene.run("lytics-audience", form)
        scene.say(f"   {_written(first):,} lists were sent")
        scene.say("2. the same again: nothing has changed")
        second = await scene.run("lytics-audience", form)
        left, forgotten = _changed(platform, audience)
        own.change(audience, name="Keen readers", slug_name="keen_readers")
        scene.say(
            f"3. at Lytics {len(left):,} people leave the audience, others enter it or further ones, {len(forgotten)} "
            "are removed, and the audience is renamed: lytics > site"
        )
        third = await scene.run("lytics-audience", form)
        scene.say(f"   {_written(third):,} lists were sent")
        scene.say("4. and once more")
        fourth = await scene.run("lytics-audience", form)
        accounts = await scene.accounts("UID, data")
        return Comparison(
            (
                *_lines(platform, audience, accounts, left | forgotten),
                promised(
                    "nothing is sent when nothing has changed",
                    {"second run": not _written(second), "fourth run": not _written(fourth)},
                ),
                promised("nobody was created", {uid: uid in before for uid in accounts}),
            )
        )


def _collect(platform: Lytics, accounts: Mapping[str, Any]) -> None:
    """Everybody is known at Lytics, and so are some who have no account, or another one."""
    for number, uid in enumerate(sorted(accounts)):
        platform.audiences.collect({"gigya_uid": uid, "score": number * 37 % 101, "orders": number * 13 % 31})
    for number in range(_STRANGERS):
        stranger = {"gigya_uid": f"stranger-{number}"} if number % 2 else {"_uid": f"visitor-{number}"}
        platform.audiences.collect({**stranger, "score": 99, "orders": 0})


def _changed(platform: Lytics, audience: str) -> tuple[set[str], set[str]]:
    """What happens at Lytics: who leaves the audience, and whose user is removed."""
    own = platform.audiences
    left: set[str] = set()
    forgotten: set[str] = set()
    members = {uid for _, user in own.members(own.segments[audience]) if (uid := user.get("gigya_uid"))}
    for number, (key, user) in enumerate(list(own.users.items())):
        uid = user.get("gigya_uid", "")
        if not uid or uid.startswith("stranger"):
            continue
        if uid in members and len(forgotten) < _FORGOTTEN:
            own.forget(key)
            forgotten.add(uid)
        elif uid in members and number % _LEAVING_OF == 0:
            own.collect({"gigya_uid": uid, "score": 1})
            left.add(uid)
        elif uid not in members and number % _ENTERING_OF == 0:
            own.collect({"gigya_uid": uid, "score": 80})
        elif number % _GROWING_OF == 0:
            own.collect({"gigya_uid": uid, "orders": 30})
    return left, forgotten


def _lines(platform: Lytics, audience: str, accounts: Mapping[str, Mapping[str, Any]], gone: set[str]) -> list[Any]:
    own = platform.audiences
    ids = {each["slug_name"]: key for key, each in own.segments.items()}
    members: dict[str, list[str]] = {}
    for _, user in own.members(own.segments[audience]):
        uid = str(user.get("gigya_uid"))
        if uid in accounts:
            members[uid] = own.memberships(user, with_private=False)
    users = {user["gigya_uid"]: user for user in own.users.values() if "gigya_uid" in user}
    leavers = {uid: own.memberships(users[uid], with_private=False) if uid in users else [] for uid in gone}
    held = {uid: account.get("data", {}) for uid, account in accounts.items()}
    slugs = {uid: data.get(_FIELD) for uid, data in held.items()}
    return [
        compared("slugs of the audience's people", members, {uid: slugs[uid] for uid in members}, equal=_same),
        compared("slugs of those who left it", leavers, {uid: slugs[uid] for uid in leavers}, equal=_same),
        compared(
            "ids of all of them",
            {uid: [ids[slug] for slug in of] for uid, of in {**members, **leavers}.items()},
            {uid: held[uid].get(_IDS_FIELD) for uid in {**members, **leavers}},
            equal=_same,
        ),
        compared(
            "the site names nobody else in the audience",
            dict.fromkeys(members),
            {uid: None for uid, of in slugs.items() if own.segments[audience]["slug_name"] in (of or [])},
        ),
    ]


def _same(one: Any, other: Any) -> bool:
    return isinstance(other, list) and sorted(one) == sorted(other)


def _count(platform: Lytics, audience: str) -> int:
    own = platform.audiences
    return sum(1 for _ in own.members(own.segments[audience]))


def _written(report: Any) -> int:
    return int(report.steps["account"].records_in)
