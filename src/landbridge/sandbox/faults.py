"""What goes wrong on purpose in a sandbox, so that a dataflow is proven against it before a vendor shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeAlias, get_args

from landbridge.emulation.happening import Happening

FaultKind = Literal[
    "token_expiry",
    "concurrency",
    "rate_limit",
    "partial_failure",
    "lost_reply",
    "slow_job",
    "broken_file",
    "late_file",
]
"""What can go wrong; each vendor says in its own words what it then answers.

- ``token_expiry``: the login is not valid any more.
- ``concurrency``: too many calls at a time.
- ``rate_limit``: too many calls in a while.
- ``partial_failure``: some records of a call or file are refused, the others are taken.
- ``lost_reply``: the work is done and the connection is cut in the middle of the reply.
- ``slow_job``: a job needs ``delay_s`` longer; where a vendor has few jobs, a call may, too.
- ``broken_file``: a file that the vendor writes or reads is cut off.
- ``late_file``: the file that tells that another one is complete comes ``delay_s`` later.
"""

KINDS: Final = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with some operations.

    Attributes:
        kind: What goes wrong.
        vendor: With whom: the sandbox's name, or a pattern.
        operation: With what: the vendor's name of a call or job (``AddRecipient``), or a pattern.
        skip: Leave the first operations alone.
        times: How often it happens; None for always.
        probability: The share of operations it happens to.
        delay_s: For ``slow_job`` and ``late_file``: how much longer, in seconds.
    """

    kind: FaultKind
    vendor: str = "*"
    operation: str = "*"
    skip: int = 0
    times: int | None = None
    probability: float = 1.0
    delay_s: float = 5.0

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Fault:
        """The fault that a JSON object describes.

        Raises:
            ValueError: It has another member, or a value of another type; the text says which.
        """
        texts, counts, numbers = ("kind", "vendor", "operation"), ("skip", "times"), ("probability", "delay_s")
        types: dict[str, Any] = {
            **dict.fromkeys(texts, str),
            **dict.fromkeys(counts, int),
            **dict.fromkeys(numbers, int | float),
        }
        for name, value in given.items():
            if name not in types:
                raise ValueError(f"a fault has no {name}; it has {', '.join(types)}")
            if value is not None and (not isinstance(value, types[name]) or isinstance(value, bool)):
                raise ValueError(f"{name} does not take this value")
        if given.get("kind") not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        return cls(**{name: value for name, value in given.items() if value is not None})

    def as_json(self) -> dict[str, Any]:
        """The fault as a JSON object."""
        return asdict(self)


Strikes: TypeAlias = Mapping[FaultKind, tuple[str, ...]]
"""With which operations each kind of fault happens; ``*`` stands for any call."""


def can_strike(known: Mapping[str, Strikes], fault: Fault) -> None:
    """Make sure that a fault could happen.

    Args:
        known: What can happen at each running vendor.
        fault: The fault.

    Raises:
        ValueError: It never could; the text names what could.
    """
    vendors = [name for name in known if fnmatchcase(name, fault.vendor)]
    if not vendors:
        raise ValueError(f"no running vendor is called {fault.vendor}; there are {', '.join(known)}")
    places = {name: known[name].get(fault.kind, ()) for name in vendors}
    if any(place == "*" or fnmatchcase(place, fault.operation) for own in places.values() for place in own):
        return
    told = [f"{name} has it with {', '.join(own)}" for name, own in places.items() if own]
    others = [f"{name} has {', '.join(known[name])}" for name in vendors]
    raise ValueError(f"{fault.kind} would never happen to {fault.operation}: {'; '.join(told or others)}")


class Faults(Happening[Fault]):
    """The faults that are switched on."""

    def happened(self, kind: FaultKind) -> int:
        """How often faults of a kind have happened since they were switched on."""
        return self.count(lambda fault: fault.kind == kind)

    def strike(self, kind: FaultKind, vendor: str, operation: str) -> Fault | None:
        """The fault of this kind that happens to this operation now, if any."""
        return self.next(
            lambda fault: (
                fault.kind == kind and fnmatchcase(vendor, fault.vendor) and fnmatchcase(operation, fault.operation)
            )
        )


def changed_switches(switches: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes to a vendor's switches, checked.

    Args:
        switches: A frozen dataclass of flags, numbers and texts.
        changes: New values by name.

    Raises:
        ValueError: There is no such switch, or the value is not of its type.
    """
    known = {each.name: getattr(switches, each.name) for each in fields(switches)}
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"there is no switch {name}; there are {', '.join(known) or 'none'}")
        present = known[name]
        if isinstance(present, int | float) and not isinstance(present, bool):
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        else:
            fits = type(value) is type(present)
        if not fits:
            raise ValueError(f"{name} does not take this value; it is {present!r} now")
    return dict(changes)
