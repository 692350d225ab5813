"""Responsys by file, there and back: files for import jobs out; an export and event feeds back; out again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import anyio

from landbridge.cli.round_trip import Comparison, FlowFailed, Line, Scene, compared, pairs, promised, value_at
from landbridge.sandbox.faults import Fault
from landbridge.sandbox.responsys import Responsys

_SECRETS: Final = ("privateKey",)
_FIELDS: Final = {
    "profile.email": "EMAIL_ADDRESS_",
    "profile.city": "CITY_",
    "profile.zip": "POSTAL_CODE_",
    "profile.country": "COUNTRY_",
    "profile.firstName": "FIRST_NAME",
    "profile.lastName": "LAST_NAME",
}
_BACK: Final = {"EMAIL_ADDRESS_": "profile.email", "SCORE": "data.responsys.score"}
_STATUS: Final = "EMAIL_PERMISSION_STATUS_"
_READY: Final = {"readyFile": "{stem}.ready"}
_IMPORT: Final = {"kind": "import", "packing": {"compression": "gzip"}, "countFile": "{stem}.count", **_READY}
_EVENTS: Final = ("OPT_OUT", "OPT_IN", "BOUNCE")
_JOBS: Final[Sequence[Mapping[str, Any]]] = (
    {**_IMPORT, "name": "New people", "filePattern": "accounts_new_*", "updateOnMatch": "NO_UPDATE"},
    {**_IMPORT, "name": "Updates", "filePattern": "accounts_updates_*", "insertOnNoMatch": False},
    {**_IMPORT, "name": "Opt-outs", "filePattern": "accounts_optouts_*", "insertOnNoMatch": False},
    {
        "kind": "export",
        "name": "Changes",
        "fileName": "members",
        "fields": ["CUSTOMER_ID_", *_BACK],
        "packing": {"compression": "zip"},
        **_READY,
    },
    *({"kind": "feed", "name": event, "events": [event], "delimiter": "tab", **_READY} for event in _EVENTS),
)
"""What somebody sets up in Connect; the guide says it in words."""

_BROKEN_FILE: Final = ("LB-43", "LB-44")
"""How the codes of flows begin whose file lacks records, or whose archive lacks bytes."""

_MOST_TRIES: Final = 4
_SECOND_S: Final = 1.1
_OPT_OUT_OF: Final = 8
_OPT_IN_OF: Final = 30
_CORRECTED_OF: Final = 10
_SCORED_OF: Final = 20
_BOUNCED_OF: Final = 50
_MOVED_OF: Final = 10
_REFUSING_OF: Final = 40
_LEAVING_OF: Final = 100


@dataclass(slots=True)
class _Happened:
    """What was done on both sides meanwhile: UIDs, and new addresses by UID."""

    opted_out: set[str] = field(default_factory=set)
    opted_in: set[str] = field(default_factory=set)
    bounced: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    deactivated: set[str] = field(default_factory=set)
    addresses: dict[str, str] = field(default_factory=dict)


class ResponsysFilesRoundTrip:
    """What the integration promises, played with people of the local site."""

    vendor = "responsys"
    faults: ClassVar[Sequence[Fault]] = (
        Fault("broken_file", operation="import", times=1),
        Fault("partial_failure", operation="import", times=1),
        Fault("slow_job", operation="import", times=2, delay_s=0.5),
        Fault("broken_file", operation="export", skip=1, times=1),
        Fault("broken_file", operation="feed", times=1),
        Fault("late_file", operation="feed", times=1, delay_s=1.0),
        Fault("late_file", operation="export", skip=1, times=1, delay_s=1.0),
    )

    async def run(self, scene: Scene) -> Comparison:
        """Out, changes there, back, changes here, out again; then compare."""
        platform = scene.sandbox[self.vendor]
        assert isinstance(platform, Responsys)  # noqa: S101 - the sandbox was started with it
        trip = _Trip(scene, platform)
        for job in _JOBS:
            platform.connect.define(job)
        done = _Happened()
        scene.say("1. accounts > DSV > gzip > SFTP > import jobs: every active account becomes a member")
        await trip.out()
        _opt_out(platform, done)
        scene.say(f"2. at the platform {len(done.opted_out):,} opt out; the site does not know yet: once more out")
        await trip.out()
        await trip.export_unread()
        begun = datetime.now(UTC).replace(microsecond=0)
        _live(platform, done)
        scene.say(
            f"3. {len(done.addresses):,} correct their address there, {len(done.opted_in):,} opt in, some are scored, "
            "mails bounce: event feeds and the changed members > SFTP > site"
        )
        await trip.back(begun)
        await _live_here(scene, done)
        scene.say(
            f"4. on the site people move ({len(done.addresses):,} new addresses in all), {len(done.refusing):,} "
            f"unsubscribe, {len(done.deactivated):,} are deactivated: out again"
        )
        await trip.out()
        return Comparison(tuple(_lines(await scene.accounts(), platform, done)))


class _Trip:
    """The flows of the round trip, with what people do where one of them is told of trouble."""

    def __init__(self, scene: Scene, platform: Responsys) -> None:
        self._scene = scene
        self._platform = platform
        self._connection = scene.file_connection(platform.name, _SECRETS)

    async def out(self) -> None:
        """Send all accounts; once more where an import failed or refused rows."""
        form = {**self._connection, "fields": pairs(_FIELDS), "compression": "gzip"}
        for _ in range(_MOST_TRIES):
            known = set(self._platform.connect.runs)
            await self._scene.run("responsys-files-out", form)
            await self._platform.frame.idle()
            runs = [run for number, run in self._platform.connect.runs.items() if number not in known]
            if runs and all(run["status"] == "COMPLETE" and not run.get("rejected") for run in runs):
                return
            self._scene.say("   Connect reports a failed import or refused rows: the flow runs again")
            await anyio.sleep(_SECOND_S)  # another second, other file names
        raise FlowFailed("the imports did not succeed")

    async def export_unread(self) -> None:
        """Export everybody once, so that later exports tell changes only."""
        self._platform.connect.run("Changes")
        await self._platform.frame.idle()
        await anyio.sleep(_SECOND_S)

    async def back(self, since: datetime) -> None:
        """Bring events, and then changed members."""
        note = {"account": "4711", "delimiter": "tab", "optIns": "subscribe"}
        for event in _EVENTS:
            own = {name: value for name, value in note.items() if name != "optIns" or event == "OPT_IN"}
            form = {**self._connection, **own, "feed": event}
            await self._brought(event, "responsys-files-events", form, since)
        form = {**self._connection, "compression": "zip", "fields": pairs(_BACK)}
        await self._brought("Changes", "responsys-files-back", form, since)

    async def _brought(self, job: str, template: str, form: Mapping[str, Any], since: datetime) -> None:
        connect = self._platform.connect
        [number] = connect.run(job)
        if self._scene.sandbox.faults.all():
            await anyio.sleep(_SECOND_S / 2)
            await self._tried(template, form, since)  # the ready file may be late: then nothing is read yet
        await self._platform.frame.idle()
        for _ in range(_MOST_TRIES):
            if await self._tried(template, form, since):
                return
            self._scene.say("   a file has fewer records than it tells: it is removed and asked for again")
            for file in str(connect.runs[number]["file"]).split(", "):
                (self._platform.frame.folder / "download" / file).unlink()
            [number] = connect.run(job, again=True)
            await self._platform.frame.idle()
        raise FlowFailed(f"the files of {job} stay broken")

    async def _tried(self, template: str, form: Mapping[str, Any], since: datetime) -> bool:
        try:
            await self._scene.run(template, form, since=since)
        except FlowFailed as failed:
            if not (failed.code or "").startswith(_BROKEN_FILE):
                raise
            return False
        return True


def _opt_out(platform: Responsys, done: _Happened) -> None:
    members = platform.members
    for number, (riid, member) in enumerate(list(members.records.items())):
        if number % _OPT_OUT_OF == 0 and member[_STATUS] == "I":
            members.opt_out(riid, "unsubscribe link")
            done.opted_out.add(member["CUSTOMER_ID_"])


def _live(platform: Responsys, done: _Happened) -> None:
    """What else happens at the platform meanwhile."""
    members = platform.members
    for number, (riid, member) in enumerate(list(members.records.items())):
        uid = member["CUSTOMER_ID_"]
        if number % _SCORED_OF == 0:
            members.put(riid, {"SCORE": str(number % 100)})
        if number % _CORRECTED_OF == 1:
            done.addresses[uid] = f"corrected-{uid}@example.com"
            members.put(riid, {"EMAIL_ADDRESS_": done.addresses[uid]})
        elif number % _BOUNCED_OF == 2:  # noqa: PLR2004 - others than those above
            done.bounced.add(uid)
            members.bounce(riid, "mailbox\nunknown", is_hard=True)
        elif number % _OPT_IN_OF == 3 and member[_STATUS] == "O" and uid not in done.opted_out:  # noqa: PLR2004 - likewise
            done.opted_in.add(uid)
            members.opt_in(riid, "form")


async def _live_here(scene: Scene, done: _Happened) -> None:
    """What happens on the site meanwhile."""
    accounts = await scene.accounts()
    active = sorted(uid for uid, account in accounts.items() if account["isActive"])
    moved = [uid for uid in active if uid not in done.addresses][::_MOVED_OF]
    done.addresses |= {uid: f"moved-{uid}@example.com" for uid in moved}
    subscribed = [uid for uid in active if value_at(accounts[uid], "data.subscribed") is True]
    done.refusing = set(subscribed[::_REFUSING_OF])
    done.deactivated = set(active[5::_LEAVING_OF])
    changes: dict[str, dict[str, Any]] = {uid: {"profile": {"email": done.addresses[uid]}} for uid in moved}
    for uid in done.refusing:
        changes.setdefault(uid, {})["data"] = {"subscribed": False}
    for uid in done.deactivated:
        changes.setdefault(uid, {})["isActive"] = False
    await scene.change(changes)


def _lines(accounts: Mapping[str, Mapping[str, Any]], platform: Responsys, done: _Happened) -> list[Line]:
    records = list(platform.members.records.values())
    members = {record["CUSTOMER_ID_"]: record for record in records}
    numbers = Counter(record["CUSTOMER_ID_"] for record in records)
    active = {uid: account for uid, account in accounts.items() if account["isActive"]}
    known = {uid: members[uid] for uid in members if uid not in done.deactivated}
    lines = [compared("members and active accounts", dict.fromkeys(active), dict.fromkeys(known))]
    for path, column in {**_FIELDS, "data.responsys.score": "SCORE"}.items():
        here = {uid: value_at(account, path) for uid, account in active.items()}
        lines.append(compared(f"{path} = {column}", here, {uid: each.get(column) for uid, each in known.items()}))
    wants = {uid: "I" if value_at(account, "data.subscribed") is True else "O" for uid, account in active.items()}
    stays_out = (done.opted_out | done.refusing) & set(active)
    return [
        *lines,
        compared(f"data.subscribed = {_STATUS}", wants, {uid: each[_STATUS] for uid, each in known.items()}),
        promised("one member for each UID", {uid: number == 1 for uid, number in numbers.items()}),
        promised(
            "new addresses are on both sides",
            {
                uid: value_at(active[uid], "profile.email") == to == members[uid]["EMAIL_ADDRESS_"]
                for uid, to in done.addresses.items()
                if uid in active
            },
        ),
        promised("who opted out is still out", {uid: members[uid][_STATUS] == "O" for uid in stays_out}),
        promised(
            "and unsubscribed on the site",
            {uid: value_at(active[uid], "data.subscribed") is False for uid in stays_out},
        ),
        promised(
            "who opted in there is subscribed here",
            {
                uid: value_at(active[uid], "data.subscribed") is True
                for uid in done.opted_in - done.refusing
                if uid in active
            },
        ),
        promised(
            "bounces are noted",
            {uid: value_at(accounts[uid], "data.responsys.bounceType") == "H" for uid in done.bounced},
        ),
        promised("deactivated accounts are opted out", {uid: members[uid][_STATUS] == "O" for uid in done.deactivated}),
    ]
