"""What writing accounts would do: the accounts as they are, fetched in bulk, compared with what would be sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec

from landbridge.components.base import Forecast, RecordError, StepServices, Verdict
from landbridge.components.datasource import gigya_calls as calls, gigya_query as queries
from landbridge.remote.gigya import Client
from landbridge.remote.gigya_errors import UNKNOWN_UID

Account = Mapping[str, Any]

_PAGE: Final = 200
_OBJECTS: Final = ("profile", "data", "preferences", "subscriptions", "communications")
_FLAGS: Final = ("isActive", "isVerified", "isRegistered")
_TEXTS: Final = ("lang", "username", "phoneNumber", "regSource")
_NOT_SEARCHED: Final = ("subscriptions", "communications")
"""What a search leaves out, so that each account has to be asked for."""

_CONSENTS: Final = (("subscriptions", "isSubscribed"), ("preferences", "isConsentGranted"))
_POLICY: Final = frozenset(["UID", "importPolicy", "handleIdentityConflicts", "createUID"])
"""Parameters that are no part of the account."""


async def accounts(
    client: Client, requests: Sequence[Mapping[str, str]], *, connections: int, services: StepServices
) -> dict[str, Account | None]:
    """The accounts that requests name, by UID; None where the site could not tell. Unknown ones are missing."""
    uids = list(dict.fromkeys(uid for request in requests if (uid := request.get("UID"))))
    if any(name in request for request in requests for name in _NOT_SEARCHED):
        return await _asked(client, uids, connections=connections, services=services)
    found: dict[str, Account | None] = {}
    for start in range(0, len(uids), _PAGE):
        listed = ", ".join(queries.literal(uid) for uid in uids[start : start + _PAGE])
        query = queries.build(["*"], "accounts", conditions=[f"UID IN ({listed})"], limit=_PAGE)
        async with aclosing(client.pages("accounts.search", query)) as pages:
            async for page in pages:
                services.progress()
                for account in msgspec.json.decode(b"[" + page.elements + b"]", type=list[dict[str, Any]]):
                    found[account["UID"]] = account
    return found


def forecast(request: Mapping[str, str], account: Account, *, may_exist: bool) -> Forecast:
    """What a request would do to an account that is there.

    Args:
        request: The parameters of the call.
        account: As the site has it.
        may_exist: The call changes an account that exists; otherwise it is refused.
    """
    if not may_exist:
        return Forecast(Verdict.INVALID)
    wanted = _wanted(request)
    if not all(_same(account.get(name), value) for name, value in wanted.items()):
        verdict = Verdict.UPDATE
    else:
        verdict = Verdict.UNCHANGED if wanted.keys() | _POLICY >= request.keys() else Verdict.CANNOT_TELL
    return Forecast(
        verdict,
        opts_out=any(_withdraws(account.get(name), wanted.get(name), flag) for name, flag in _CONSENTS),
        deactivates=wanted.get("isActive") is False and account.get("isActive") is not False,
        before=account,
    )


async def _asked(
    client: Client, uids: Sequence[str], *, connections: int, services: StepServices
) -> dict[str, Account | None]:
    """Every account by a call of its own, with what a search leaves out."""
    include = {"include": "profile,data,preferences,subscriptions", "includeCommunications": "all"}

    async def ask(parameters: Mapping[str, str]) -> bytes:
        return (await client.call("accounts.getAccountInfo", parameters, may_repeat=True)).body

    outcomes = await calls.outcomes(
        [{"UID": uid, **include} for uid in uids],
        ask,
        connections=connections,
        key=lambda number: uids[number],
        services=services,
    )
    found: dict[str, Account | None] = {}
    for uid, outcome in zip(uids, outcomes, strict=True):
        if not isinstance(outcome, RecordError):
            found[uid] = msgspec.json.decode(outcome, type=dict[str, Any])
        elif outcome.code not in UNKNOWN_UID:
            found[uid] = None
    return found


def _wanted(request: Mapping[str, str]) -> dict[str, Any]:
    """The parts of the account that a request names, as values; what cannot be compared is left out."""
    wanted: dict[str, Any] = {}
    for name, text in request.items():
        if name in _OBJECTS:
            try:
                value = msgspec.json.decode(text)
            except msgspec.DecodeError:
                continue
            if isinstance(value, dict):
                wanted[name] = value
        elif name in _FLAGS and text in ("true", "false"):
            wanted[name] = text == "true"
        elif name in _TEXTS:
            wanted[name] = text
    return wanted


def _same(value: Any, wanted: Any) -> bool:
    """Whether writing ``wanted`` leaves ``value`` as it is; null takes a field away."""
    if isinstance(wanted, dict):
        members = value if isinstance(value, dict) else {}
        return all(_same(members.get(name), member) for name, member in wanted.items())
    return bool(value == wanted)


def _withdraws(value: Any, wanted: Any, flag: str) -> bool:
    before = dict(_flags(value, flag))
    return any(granted is False and before.get(place) is True for place, granted in _flags(wanted, flag))


def _flags(value: Any, flag: str, place: str = "") -> Iterator[tuple[str, Any]]:
    """The members called ``flag`` by their dotted place."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            dotted = f"{place}.{name}" if place else name
            if dotted == flag or dotted.endswith(f".{flag}"):
                yield dotted, member
            else:
                yield from _flags(member, flag, dotted)
