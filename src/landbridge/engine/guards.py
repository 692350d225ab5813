"""Guards: what a writer is about to do is counted before it does anything, and too much of it stops the job.

A guard compares with the last good run of the same dataflow where somebody remembers it; otherwise only absolute
numbers count. What a guard has stopped a person may approve once, by a code that stands for the guard, the step and
the very counts that were seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import pyarrow.compute as pc

from landbridge.components.base import RecordError
from landbridge.engine.consent import CONSENT_OBJECTS, ConsentField, ConsentLedger, opting_out, raised, withdrawn
from landbridge.engine.glance import Glance
from landbridge.engine.guard_settings import FlowGuards, GuardSettings
from landbridge.engine.repeats import Repeats, texts_of
from landbridge.errors import GuardTripped
from landbridge.records import Batch, columns as col

CHANGES: Final = ("optOuts", "deactivations", "deletes")

_CODES: Final = {
    "emptySource": "LB-5201",
    "optOuts": "LB-5202",
    "deactivations": "LB-5203",
    "deletes": "LB-5204",
    "duplicates": "LB-5205",
    "consent": "LB-5206",
}
_WORDS: Final = {"optOuts": "opt-outs", "deactivations": "deactivations", "deletes": "deletes"}


class Tally(msgspec.Struct):
    """What one writer was about to do, in records.

    Attributes:
        records: All.
        opt_outs: Those that withdraw some consent.
        deactivations: Those that deactivate an account.
        deletes: Those that delete something.
        duplicates: Those whose identifier has occurred before in the job.
        raises: Those that would raise a consent without a newer yes than the last known opt-out.
    """

    records: int = 0
    opt_outs: int = 0
    deactivations: int = 0
    deletes: int = 0
    duplicates: int = 0
    raises: int = 0

    def as_json(self) -> dict[str, int]:
        """As reports show it."""
        return {
            "records": self.records,
            "optOuts": self.opt_outs,
            "deactivations": self.deactivations,
            "deletes": self.deletes,
            "duplicates": self.duplicates,
            "raises": self.raises,
        }

    @classmethod
    def from_json(cls, shown: Mapping[str, int]) -> Tally:
        """What ``as_json`` gave."""
        return cls(
            records=shown.get("records", 0),
            opt_outs=shown.get("optOuts", 0),
            deactivations=shown.get("deactivations", 0),
            deletes=shown.get("deletes", 0),
            duplicates=shown.get("duplicates", 0),
            raises=shown.get("raises", 0),
        )


class History(Protocol):
    """Remembers the last good run of a dataflow."""

    def last(self, step: str) -> Mapping[str, int] | None:
        """What a writer did in it, as ``Tally.as_json`` shows it; None where there was no such run."""


def _approve_by_code(codes: Sequence[str]) -> str:
    return f"approve {', '.join(codes)}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What guards go by in one job.

    Attributes:
        settings: The thresholds.
        history: The last good run; None where nobody remembers one.
        ledger: Who has opted out; None where nobody keeps it.
        approved: Codes of what a person has approved.
        is_delta: The job reads only what has changed, so that reading nothing means nothing.
        how_to_approve: From codes, what a person has to do where the job runs; a function of a module, so that rules
            may go to another process.
    """

    settings: FlowGuards = field(default_factory=FlowGuards)
    history: History | None = None
    ledger: ConsentLedger | None = None
    approved: Collection[str] = ()
    is_delta: bool = False
    how_to_approve: Callable[[Sequence[str]], str] = _approve_by_code


@dataclass(frozen=True, slots=True)
class Trip:
    """A guard that stops the job.

    Attributes:
        guard: Its name, as in the settings.
        step: Id of the writer.
        counts: What was seen, and what was allowed.
        message: What would have happened.
        approval: Approves exactly this, once.
    """

    guard: str
    step: str
    counts: Mapping[str, int]
    message: str
    approval: str

    @property
    def code(self) -> str:
        """The error code."""
        return _CODES[self.guard]

    def as_json(self) -> dict[str, Any]:
        """As reports show it."""
        return {
            "guard": self.guard,
            "step": self.step,
            "code": self.code,
            "message": self.message,
            "counts": dict(self.counts),
            "approval": self.approval,
        }


class Watch:
    """Counts what one writer is about to do.

    Args:
        step: Id of the writer.
        rules: What guards go by.
        folder: For identifiers that do not fit into memory.
        at: The job's start, from which opt-outs without a time count.
        writes_files: It delivers files, which carry a state and not changes.
        deletes: All its records are deletions.
        remembers: The opt-outs that pass are news for the ledger.
        only_tells: A dry run, which tells the counts though nothing is compared with them.
    """

    def __init__(
        self,
        step: str,
        rules: Rules,
        *,
        folder: Path,
        at: datetime,
        writes_files: bool,
        deletes: bool = False,
        remembers: bool = True,
        only_tells: bool = False,
    ) -> None:
        self.step = step
        self.tally = Tally()
        self._rules = rules
        self._settings = rules.settings.of(step)
        self._at = at
        self._deletes = deletes
        self._remembers = remembers
        repeated = self._settings.repeated(by_default=not writes_files)
        self._field = repeated.field if repeated else None
        self._repeats = Repeats(folder) if repeated else None
        settings = self._settings
        self._compares = any((settings.opt_outs, settings.deactivations, settings.deletes)) and not writes_files
        self._guards_consent = rules.ledger is not None and settings.consent.action != "off"
        # Where somebody remembers this run, the next one is compared with it.
        self.looks = (
            only_tells or rules.history is not None or self._compares or self._guards_consent or repeated is not None
        )
        """Whether anything depends on what the records say; otherwise they are only counted."""
        rule = settings.consent
        self._glance = Glance(
            objects=CONSENT_OBJECTS,
            fields=[
                "isActive",
                *([repeated.field] if repeated else ()),
                *([rule.uid, *rule.address] if self._guards_consent else ()),
                *(name for field in rule.fields for name in (field.field, field.time) if name),
            ],
        )

    @property
    def declared(self) -> tuple[ConsentField, ...]:
        """The fields that the dataflow declares as consents."""
        return self._settings.consent.declared

    @property
    def is_idle(self) -> bool:
        """Whether no guard is switched on, so that nothing has to be known before the first write."""
        settings = self._settings
        return (
            settings.empty_source == "never"
            and not any((settings.opt_outs, settings.deactivations, settings.deletes))
            and self._repeats is None
            and not self._guards_consent
        )

    def look(self, batch: Batch) -> tuple[Batch, list[tuple[Batch, Sequence[RecordError]]]]:
        """Count a batch; gives what goes on, and what the consent guard rejects."""
        self.tally.records += batch.num_rows
        if self._deletes:
            self.tally.deletes += batch.num_rows
        if not self.looks:
            return batch, []
        refused: list[tuple[Batch, Sequence[RecordError]]] = []
        seen = self._glance.of(batch)
        rule = self._settings.consent
        ledger = self._rules.ledger
        if ledger is not None and rule.action != "off":
            rows = raised(seen, ledger, declared=rule.declared, person=rule.person)
            if self._remembers:
                ledger.keep(withdrawn(seen, at=self._at, declared=rule.declared, person=rule.person))
            if rows and rule.action == "reject":
                batch, bad = _parted(batch, rows)
                seen, _ = _parted(seen, rows)
                refused = [(bad, [_undoes()] * bad.num_rows)]
                self.tally.records -= bad.num_rows
                if self._deletes:
                    self.tally.deletes -= bad.num_rows
            self.tally.raises += len(rows)
        self._count(seen)
        return batch, refused

    def finish(self) -> Tally:
        """The counts, when all records have been seen."""
        if self._repeats is not None:
            self.tally.duplicates = self._repeats.count()
            self._repeats.close()
            self._repeats = None
        return self.tally

    def close(self) -> None:
        """Let go of temporary files."""
        if self._repeats is not None:
            self._repeats.close()
            self._repeats = None

    def _count(self, batch: Batch) -> None:
        tally = self.tally
        tally.opt_outs += opting_out(batch, self._settings.consent.declared)
        for name in batch.names:
            if name.lower() == "isactive":
                text = pc.utf8_lower(col.plain_text(batch.column(name)))
                tally.deactivations += pc.sum(pc.equal(text, "false")).as_py() or 0
        if self._repeats is not None and self._field is not None:
            self._repeats.add(texts_of(batch, self._field))


def trips_of(watch_step: str, tally: Tally, rules: Rules, *, writes_files: bool) -> list[Trip]:
    """The guards that stop a writer which is about to do what ``tally`` says, without those that are approved."""
    settings = rules.settings.of(watch_step)
    shown = rules.history.last(watch_step) if rules.history else None
    last = Tally.from_json(shown) if shown is not None else None
    found = [
        *_empty(watch_step, tally, settings, last, is_delta=rules.is_delta),
        *_changes(watch_step, tally, settings, last, writes_files=writes_files),
    ]
    repeated = settings.repeated(by_default=not writes_files)
    if repeated and tally.duplicates > repeated.more:
        message = (
            f"{tally.duplicates:,} of {tally.records:,} records have a {repeated.field} that occurred before in the job"
        )
        found.append(_trip("duplicates", watch_step, message, duplicates=tally.duplicates, records=tally.records))
    if tally.raises and settings.consent.action == "stop":
        message = (
            f"{tally.raises:,} of {tally.records:,} records would opt a person in again who has opted out, "
            "without a newer consent"
        )
        found.append(_trip("consent", watch_step, message, raises=tally.raises, records=tally.records))
    return [trip for trip in found if trip.approval not in rules.approved]


def tripped(trips: Sequence[Trip], rules: Rules) -> GuardTripped:
    """The error for guards that stop the job."""
    first = trips[0]
    told = [f'step "{trip.step}": {trip.message}' if trip.step != first.step else trip.message for trip in trips]
    how = rules.how_to_approve([trip.approval for trip in trips])
    return GuardTripped(
        first.code,
        f"a guard stopped the job before it wrote anything: {'; '.join(told)}",
        hint=f"Check the source. If this is meant, approve it once: {how}",
        step=first.step,
    )


def _empty(step: str, tally: Tally, settings: GuardSettings, last: Tally | None, *, is_delta: bool) -> list[Trip]:
    if tally.records or settings.empty_source == "never":
        return []
    if settings.empty_source == "afterRecords" and (is_delta or last is None or not last.records):
        return []
    before = f"; the last good run had {last.records:,}" if last else ""
    return [_trip("emptySource", step, f"the source is empty{before}", records=0, before=last.records if last else 0)]


def _changes(step: str, tally: Tally, settings: GuardSettings, last: Tally | None, *, writes_files: bool) -> list[Trip]:
    """Too many more changes than in the last good run.

    A file carries a state: an export of everybody names all who ever opted out. So without a run to compare with
    files are let pass.
    """
    if writes_files and last is None:
        return []
    found = []
    seen = {"optOuts": tally.opt_outs, "deactivations": tally.deactivations, "deletes": tally.deletes}
    before = (last or Tally()).as_json()
    for change in CHANGES:
        more = seen[change] - before[change]
        threshold = settings.threshold(change)
        limits = [] if threshold.more is None else [threshold.more]
        if threshold.percent is not None and last is not None and last.records:
            limits.append(max(_FEW, int(last.records * threshold.percent / 100)))
        if limits and more > min(limits):
            compared = f", {more:,} more than in the last good run" if last else ""
            message = (
                f"{seen[change]:,} {_WORDS[change]} of {tally.records:,} records{compared}; {min(limits):,} are allowed"
            )
            counts = {change: seen[change], "records": tally.records, "more": more, "allowed": min(limits)}
            found.append(_trip(change, step, message, **counts))
    return found


_FEW: Final = 20
"""So few changes are never too large a part of the last run, which may have been a very small one."""


def _trip(guard: str, step: str, message: str, **counts: int) -> Trip:
    seen = msgspec.json.encode([guard, step, sorted(counts.items())])
    return Trip(guard, step, counts, message, approval=hashlib.sha256(seen).hexdigest()[:12])


def _parted(batch: Batch, rows: Sequence[int]) -> tuple[Batch, Batch]:
    bad = set(rows)
    return batch.take([row for row in range(batch.num_rows) if row not in bad]), batch.take(list(rows))


def _undoes() -> RecordError:
    return RecordError("LB-5206", "it would opt a person in again who has opted out, without a newer consent")
