"""Silverpop, there and back: accounts out, opt-outs, scores and corrected addresses back, new addresses out again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import anyio

from landbridge.cli.round_trip import Comparison, Scene, compared, pairs, promised, value_at
from landbridge.sandbox.faults import Fault
from landbridge.sandbox.silverpop import Silverpop

_SECRETS: Final = ("clientSecret", "refreshToken", "password")
_FIELDS: Final = {
    "profile.email": "EMAIL",
    "profile.firstName": "First Name",
    "profile.lastName": "Last Name",
    "profile.city": "City",
    "profile.zip": "ZIP",
    "profile.country": "Country",
    "profile.gender": "Gender",
}
_BACK: Final = {"Score": "data.silverpop.score", "Lead Rank": "data.silverpop.rank", "EMAIL": "profile.email"}
_SECOND_S: Final = 1.0
_OPT_OUT_OF: Final = 8
_SCORED_OF: Final = 10
_CORRECTED_OF: Final = 40
_MOVED_OF: Final = 9


class SilverpopRoundTrip:
    """What the integration promises, played with people of the local site."""

    vendor = "silverpop"
    faults: ClassVar[Sequence[Fault]] = (
        Fault("token_expiry", probability=0.05),
        Fault("concurrency", probability=0.1),
        Fault("rate_limit", probability=0.02, times=3),
        Fault("lost_reply", operation="[!t]*", probability=0.05),
        Fault("partial_failure", operation="ImportList", times=1),
        Fault("slow_job", operation="*List", times=2, delay_s=1.0),
        Fault("broken_file", operation="ExportList", times=1),
    )

    async def run(self, scene: Scene) -> Comparison:
        """Out, changes there, back, changes here, out again; then compare."""
        platform = scene.sandbox[self.vendor]
        assert isinstance(platform, Silverpop)  # noqa: S101 - the sandbox was started with it
        connection = scene.connection(self.vendor, _SECRETS)
        out = {**connection, "fields": pairs(_FIELDS), "subscription": "column", "subscriptionColumn": "Newsletter"}
        scene.say("1. accounts > DSV > SFTP > ImportList: every active account becomes a contact")
        await scene.run("silverpop-outbound", out, may_reject=True)
        if scene.sandbox.faults.happened("partial_failure"):
            scene.say("   the import refused some rows; they are kept as rejects, and the flow runs again")
            await scene.run("silverpop-outbound", out)
        await anyio.sleep(_SECOND_S)  # the platform's windows count whole seconds
        begun = datetime.now(UTC).replace(microsecond=0)
        opted_out, corrected = _live(platform)
        scene.say(
            f"2. at the platform {len(opted_out):,} opt out, {len(corrected):,} correct their address, some are scored"
        )
        back = {**connection, "gmtConfirmed": True}
        scene.say("3. ExportList > SFTP > site: opt-outs, then scores and addresses, both changed since then")
        await scene.run("silverpop-opt-outs", {**back, "mostOptOuts": len(opted_out)}, since=begun)
        await scene.run("silverpop-scores", {**back, "fields": pairs(_BACK)}, since=begun)
        accounts = await scene.accounts()
        moved = [uid for uid in sorted(accounts) if uid not in corrected and accounts[uid]["isActive"]][::_MOVED_OF]
        scene.say(f"4. on the site {len(moved):,} people change their address")
        await scene.change({uid: {"profile": {"email": f"moved-{uid}@example.com"}} for uid in moved})
        scene.say("5. accounts > DSV > SFTP > ImportList once more")
        await scene.run("silverpop-outbound", out)
        return _compared(await scene.accounts(), platform, opted_out, {**corrected, **_addresses(moved)})


def _addresses(moved: Sequence[str]) -> dict[str, str]:
    return {uid: f"moved-{uid}@example.com" for uid in moved}


def _live(platform: Silverpop) -> tuple[set[str], dict[str, str]]:
    """What happens at the platform meanwhile: who opted out, and who has which new address."""
    database = platform.database
    opted_out, corrected = set(), {}
    for number, recipient in enumerate(list(database.contacts)):
        uid = database.contacts[recipient]["columns"]["UID"]
        if number % _OPT_OUT_OF == 0:
            database.opt_out(recipient, "unsubscribe link")
            opted_out.add(uid)
        if number % _SCORED_OF == 0:
            database.update(recipient, {"Score": str(number % 100), "Lead Rank": "ABC"[number % 3]})
        if number % _CORRECTED_OF == 1:
            corrected[uid] = f"corrected-{uid}@example.com"
            database.update(recipient, {"EMAIL": corrected[uid]})
    return opted_out, corrected


def _compared(
    accounts: Mapping[str, Mapping[str, Any]], platform: Silverpop, opted_out: set[str], addresses: Mapping[str, str]
) -> Comparison:
    active = {uid: account for uid, account in accounts.items() if account["isActive"]}
    contacts = {each["columns"]["UID"]: each for each in platform.database.contacts.values()}
    numbers = Counter(each["columns"]["UID"] for each in platform.database.contacts.values())
    emails = Counter(each["columns"]["EMAIL"].lower() for each in platform.database.contacts.values())
    lines = [compared("contacts and active accounts", dict.fromkeys(active), dict.fromkeys(contacts))]
    paths = {
        **_FIELDS,
        "data.subscribed": "Newsletter",
        "data.silverpop.score": "Score",
        "data.silverpop.rank": "Lead Rank",
    }
    for path, column in paths.items():
        here = {uid: value_at(account, path) for uid, account in active.items()}
        there = {uid: contact["columns"].get(column, "") for uid, contact in contacts.items()}
        lines.append(compared(f"{path} = {column}", here, there))
    lines += [
        promised("one contact for each UID", {uid: number == 1 for uid, number in numbers.items()}),
        promised("one contact for each address", {email: number == 1 for email, number in emails.items()}),
        promised(
            "new addresses are on both sides",
            {
                uid: value_at(active[uid], "profile.email") == email == contacts[uid]["columns"]["EMAIL"]
                for uid, email in addresses.items()
            },
        ),
        promised("who opted out is still out", {uid: contacts[uid]["optedOut"] is not None for uid in opted_out}),
        promised(
            "and unsubscribed on the site",
            {uid: value_at(active[uid], "data.subscribed") is False for uid in opted_out},
        ),
        promised(
            "nobody else was opted out",
            {uid: contact["optedOut"] is None for uid, contact in contacts.items() if uid not in opted_out},
        ),
    ]
    return Comparison(tuple(lines))
