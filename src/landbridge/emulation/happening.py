"""When a fault happens: which calls it skips, how often, with what probability. The same seed gives the same faults."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Generic, Protocol, TypeVar


class Occasional(Protocol):
    """A fault.

    Attributes:
        skip: Leave the first calls alone.
        times: How often it happens; None for always.
        probability: The share of calls it happens to.
    """

    @property
    def skip(self) -> int: ...  # noqa: D102 - see above

    @property
    def times(self) -> int | None: ...  # noqa: D102 - see above

    @property
    def probability(self) -> float: ...  # noqa: D102 - see above


FaultT = TypeVar("FaultT", bound=Occasional)


class _Armed(Generic[FaultT]):
    __slots__ = ("fault", "happened", "seen")

    def __init__(self, fault: FaultT) -> None:
        self.fault, self.seen, self.happened = fault, 0, 0


class Happening(Generic[FaultT]):
    """The faults that are switched on, in the order in which they were.

    Args:
        seed: For those that happen by chance.
    """

    def __init__(self, seed: int = 1) -> None:
        self._armed: list[_Armed[FaultT]] = []
        self._random = Random(seed)  # noqa: S311 - no secrets

    def add(self, *faults: FaultT) -> None:
        """Switch faults on."""
        self._armed += [_Armed(fault) for fault in faults]

    def clear(self) -> None:
        """Switch all faults off."""
        self._armed.clear()

    def all(self) -> list[FaultT]:
        """The faults that are on."""
        return [armed.fault for armed in self._armed]

    def counted(self) -> list[tuple[FaultT, int]]:
        """The faults that are on, each with how often it has happened since."""
        return [(armed.fault, armed.happened) for armed in self._armed]

    def count(self, concerned: Callable[[FaultT], bool]) -> int:
        """How often some of the faults have happened since they were switched on."""
        return sum(armed.happened for armed in self._armed if concerned(armed.fault))

    def next(self, concerned: Callable[[FaultT], bool]) -> FaultT | None:
        """The first fault that happens to a call now; ``concerned`` tells those that could."""
        for armed in self._armed:
            fault = armed.fault
            if not concerned(fault):
                continue
            armed.seen += 1
            spent = fault.times is not None and armed.happened >= fault.times
            if armed.seen <= fault.skip or spent or self._random.random() >= fault.probability:
                continue
            armed.happened += 1
            return fault
        return None
