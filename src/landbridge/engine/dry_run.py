"""What writers would have done: counts by what the target says of each record."""

from __future__ import annotations

import msgspec

from landbridge.components.base import Forecast, Verdict
from landbridge.engine.guards import Tally


class Planned(msgspec.Struct, rename="camel"):
    """What one writer would have done, in records.

    Attributes:
        creates: Would be new at the target.
        updates: Would change something there.
        unchanged: Are there as they are.
        invalid: Would be refused.
        cannot_tell: The target cannot be asked, or did not answer for them.
        opt_outs: Would withdraw a consent that the target has; where it cannot be asked, those that say no.
        deactivations: Would deactivate an account; likewise.
        deletes: Would delete something; likewise.
    """

    creates: int = 0
    updates: int = 0
    unchanged: int = 0
    invalid: int = 0
    cannot_tell: int = 0
    opt_outs: int = 0
    deactivations: int = 0
    deletes: int = 0

    def add(self, forecasts: list[Forecast]) -> None:
        """Count what the target says of some records."""
        for forecast in forecasts:
            match forecast.verdict:
                case Verdict.CREATE:
                    self.creates += 1
                case Verdict.UPDATE:
                    self.updates += 1
                case Verdict.UNCHANGED:
                    self.unchanged += 1
                case Verdict.INVALID:
                    self.invalid += 1
                case Verdict.CANNOT_TELL:
                    self.cannot_tell += 1
            self.opt_outs += forecast.opts_out
            self.deactivations += forecast.deactivates
            self.deletes += forecast.deletes

    @classmethod
    def untold(cls, tally: Tally) -> Planned:
        """Of a target that cannot be asked only the records themselves tell something."""
        return cls(
            cannot_tell=tally.records,
            opt_outs=tally.opt_outs,
            deactivations=tally.deactivations,
            deletes=tally.deletes,
        )

    def as_json(self) -> dict[str, int]:
        """As reports show it."""
        shown: dict[str, int] = msgspec.to_builtins(self)
        return shown
