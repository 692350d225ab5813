"""What can be switched at a running site: rate limits, quirks and faults, so that clients can be proven."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from landbridge.emulation.happening import Happening
from landbridge.gigya_wire.replies import ApiError

_MINUTE_S: Final = 60.0
_MAX_TRACKED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Switches:
    """How a site behaves where the vendor's behaviour differs from case to case.

    Attributes:
        empty_last_page: A cursor is still given when everything has been returned, and a last page is empty.
        index_delay_s: Searches do not see what was written in the last seconds.
        secret_over_http: A secret may travel over plain http; the vendor answers 403006.
        encrypted_fields: Encrypted fields can only be compared as a whole, as at the vendor.
        clock_skew_s: How far a signed request's timestamp may be off.
        searches_per_s: Searches a second, beyond which 403048 is answered; None for no limit.
        calls_per_s: Other calls a second; None for no limit.
        imports_per_uid_per_minute: importFullAccount calls per UID, beyond which 503001 is answered.
        concurrent_reads_per_uid: getAccountInfo calls per UID at a time, beyond which 409030 is answered.
        duplicate_webhooks: Every webhook is delivered twice.
    """

    empty_last_page: bool = False
    index_delay_s: float = 0.0
    secret_over_http: bool = True
    encrypted_fields: bool = True
    clock_skew_s: float = 180.0
    searches_per_s: float | None = None
    calls_per_s: float | None = None
    imports_per_uid_per_minute: int | None = None
    concurrent_reads_per_uid: int | None = None
    duplicate_webhooks: bool = False

    def changed(self, changes: Mapping[str, Any]) -> Switches:
        """The switches with some of them set anew.

        Raises:
            ApiError: 400006; there is no such switch, or the value is not of its type.
        """
        known = {switch.name: getattr(Switches, switch.name, switch.default) for switch in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ApiError(400006, f"Invalid argument: there is no switch {name}")
            is_flag = isinstance(switch_default(name), bool)
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            may_be_off = switch_default(name) is None and value is None
            if not (isinstance(value, bool) if is_flag else is_number or may_be_off):
                raise ApiError(400006, f"Invalid argument: {name} does not take this value")
        return replace(self, **changes)


def switch_default(name: str) -> Any:
    """The value of a switch that nobody has set."""
    return next(switch.default for switch in fields(Switches) if switch.name == name)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with some calls.

    Attributes:
        method: Which calls: a method's name, or a pattern such as ``accounts.*``.
        error_code: Answer with this code in place of doing the work.
        drop: Cut the connection in the middle of the reply.
        after_work: Do the work first, so that only the reply is wrong.
        delay_s: Wait before the work.
        skip: Leave the first calls alone.
        times: How many calls it happens to; None for all.
        probability: The share of calls it happens to.
    """

    method: str = "*"
    error_code: int | None = None
    drop: bool = False
    after_work: bool = False
    delay_s: float = 0.0
    skip: int = 0
    times: int | None = None
    probability: float = 1.0

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Fault:
        """The fault that a JSON object describes.

        Raises:
            ApiError: 400006; it names what a fault does not have.
        """
        names = {"method": str, "error_code": int, "drop": bool, "after_work": bool, "delay_s": int | float,
                 "skip": int, "times": int, "probability": int | float}  # fmt: skip
        for name, value in given.items():
            if name not in names or not (isinstance(value, names[name]) or value is None):
                raise ApiError(400006, f"Invalid argument: a fault does not have this {name}")
        return cls(**{name: value for name, value in given.items() if value is not None})

    def as_json(self) -> dict[str, Any]:
        """The fault as a JSON object."""
        return asdict(self)


class Faults(Happening[Fault]):
    """The faults that are switched on."""

    def strike(self, method: str) -> Fault | None:
        """The fault that happens to this call of a method."""
        return self.next(lambda fault: fnmatchcase(method, fault.method))


class Limits:
    """Counts calls against the rate limits of the switches."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}
        self._imports: dict[str, deque[float]] = {}
        self._reading: dict[str, int] = {}

    def count_call(self, switches: Switches, *, is_search: bool) -> None:
        """Count one call.

        Raises:
            ApiError: 403048; there were too many in this second.
        """
        rate = switches.searches_per_s if is_search else switches.calls_per_s
        if rate is None:
            return
        kind = "search" if is_search else "call"
        now = time.monotonic()
        tokens, since = self._buckets.get(kind, (rate, now))
        tokens = min(max(rate, 1.0), tokens + (now - since) * rate)
        self._buckets[kind] = (tokens - 1 if tokens >= 1 else tokens, now)
        if tokens < 1:
            raise ApiError(403048, "API rate limit exceeded")

    def count_import(self, switches: Switches, uid: str) -> None:
        """Count one import of an account.

        Raises:
            ApiError: 503001; there were too many for this UID in this minute.
        """
        allowed = switches.imports_per_uid_per_minute
        if allowed is None:
            return
        now = time.monotonic()
        if len(self._imports) > _MAX_TRACKED:
            self._imports = {key: times for key, times in self._imports.items() if times[-1] > now - _MINUTE_S}
        times = self._imports.setdefault(uid, deque(maxlen=allowed))
        if len(times) == allowed and times[0] > now - _MINUTE_S:
            raise ApiError(503001, "Too many calls for the same UID")
        times.append(now)

    def begin_read(self, switches: Switches, uid: str) -> None:
        """Count a getAccountInfo that begins; ``end_read`` must follow.

        Raises:
            ApiError: 409030; too many of them are under way for this UID.
        """
        count = self._reading.get(uid, 0)
        if switches.concurrent_reads_per_uid is not None and count >= switches.concurrent_reads_per_uid:
            raise ApiError(409030, "Too many requests for same user")
        self._reading[uid] = count + 1

    def end_read(self, uid: str) -> None:
        """Count a getAccountInfo that has ended."""
        count = self._reading.get(uid, 0) - 1
        if count > 0:
            self._reading[uid] = count
        else:
            self._reading.pop(uid, None)
