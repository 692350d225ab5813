"""Opt-outs from elsewhere, compared with the consent that the account has: an old no does not undo a newer yes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_validator

from landbridge.components.base import Lookup, RecordError, StepServices
from landbridge.components.datasource import gigya_calls as calls
from landbridge.components.datasource.gigya_site import SiteParams, open_site
from landbridge.components.dates import reformat
from landbridge.components.params import FieldPath, Param
from landbridge.components.registry import component
from landbridge.dataflow.variables import holds_unresolved
from landbridge.errors import FlowError
from landbridge.records import Batch, columns as col, objects
from landbridge.records.consents import FLAGS, NO, YES, moment, yes_or_no
from landbridge.records.objects import ABSENT
from landbridge.records.path import Path, parse
from landbridge.remote.gigya import Client

_INCLUDE: Final = "profile,data,subscriptions,preferences"
_ISO: Final = "iso"
_WORDS: Final = (_ISO, "unix", "unixms")


class ConsentLookupParams(SiteParams):
    """Parameters of the comparison."""

    field: FieldPath = Param(
        "The consent, in the record and in the account. Records in which it is a no are compared.",
        example="subscriptions.newsletter.email.isSubscribed",
    )
    time_field: FieldPath = Param("Field of the record with the time of the opt-out.", example="EVENT_CAPTURED_DT")
    time_format: str = Param(
        "How that time is written: `iso`, or a pattern in the letters of SimpleDateFormat. Zeros at its end may come "
        "from rounding: a date counts as the end of its day, 10:15 as the end of that minute.",
        default=_ISO,
        example="dd-MMM-yyyy HH:mm:ss",
    )
    time_zone: str = Param("Zone of a time that names none.", default="UTC", example="Europe/Zurich")
    consent_time_field: FieldPath | None = Param(
        "Field of the account with the time of its consent. Without it the time that the site keeps beside "
        "`isSubscribed` and `isConsentGranted`; other fields then have none.",
        default=None,
        example="data.subscribedAt",
    )
    opt_in_note_field: FieldPath | None = Param(
        "Field of the account that notes when the last opt-in from the same place was given. Such a yes is written "
        "later than it was given, so an opt-out behind it is not compared with the site's time.",
        default=None,
        example="data.responsys.optedInAt",
    )
    opt_out_note_field: FieldPath | None = Param(
        "Field of the account that notes the time of the last opt-out from the same place.",
        default=None,
        example="data.responsys.optedOutAt",
    )
    older_behavior: Literal["skip", "process"] = Param(
        "Records with an opt-out that is older than the account's yes: skip leaves the record out, process only "
        "takes the consent out of it.",
        default="skip",
    )
    opt_ins: bool = Param(
        "Treat opt-ins likewise that are not newer than the account's no; one without a time on either side is let "
        "pass.",
        default=False,
    )
    max_connections: int = Param("Parallel calls.", default=10, ge=1, le=100)

    @model_validator(mode="after")
    def _compiles(self) -> ConsentLookupParams:
        if self.time_format not in _WORDS and not set("yY") & set(self.time_format):
            raise ValueError("timeFormat needs a year")
        if not holds_unresolved(self.time_format) and not holds_unresolved(self.time_zone):
            reformat(self.time_format, _ISO, source_zone=self.time_zone)
        return self


@component("datasource.lookup.gigya.consent", title="Leave out opt-outs that are too old")
class ConsentLookup(Lookup):
    """Leave out opt-outs that are older than the consent which the account has by now.

    An opt-out that comes back from elsewhere may be an old one: a file that is read again, or somebody who has
    subscribed again on the site meanwhile. Where both times are known and the yes is newer, the opt-out is left out.
    Without a time on either side the opt-out counts, and so it does where both are equal. With ``optIns`` an
    opt-in is left out where the account says no since then.

    Records need a ``UID``. Each account with a dated opt-out is asked for by a call of its own, because searches know
    neither subscriptions nor the last seconds.
    """

    Params = ConsentLookupParams
    params: ConsentLookupParams
    _client: Client

    def __init__(self, params: ConsentLookupParams, services: StepServices) -> None:
        super().__init__(params, services)
        self._field = parse(params.field)
        self._time_field = parse(params.time_field)
        self._read = reformat(params.time_format, _ISO, source_zone=params.time_zone)
        self._zone = ZoneInfo(params.time_zone)
        named = params.consent_time_field
        self._consent_times = [parse(named)] if named else _times_beside(self._field)
        self._opt_in_note = _path(params.opt_in_note_field)
        self._opt_out_note = _path(params.opt_out_note_field)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        """Hold connections to the site open."""
        async with open_site(self.params, connections=self.params.max_connections) as self._client:
            yield self._client

    async def look_up(self, batch: Batch) -> Batch:
        """Ask for the accounts whose opt-out has a time, and leave out what is older than their yes."""
        if not self._consent_times:
            return batch
        outs = self._dated(batch, granted=False)
        ins = self._dated(batch, granted=True) if self.params.opt_ins else {}
        asked = sorted({**outs, **ins})
        if not asked:
            return batch
        accounts = await self._accounts(batch, asked)
        older = [
            row
            for row, account in zip(asked, accounts, strict=True)
            if (self._is_older(outs[row], account) if row in outs else self._is_withdrawn(ins[row], account))
        ]
        if not older:
            return batch
        rows = pc.is_in(pa.array(range(batch.num_rows)), value_set=pa.array(older))
        what = "were left out" if self.params.older_behavior == "skip" else "were taken out of their records"
        which = "opt-outs or opt-ins" if self.params.opt_ins else "opt-outs"
        self.services.log("info", f"{len(older):,} {which} {what}: what the accounts say is newer")
        if self.params.older_behavior == "skip":
            return batch.filter(pc.invert(rows))
        kept, taken = batch.filter(pc.invert(rows)), batch.filter(rows).to_objects()
        for record in taken:
            objects.prune(record, self._field)
        order = pc.sort_indices(pa.array([*pc.indices_nonzero(pc.invert(rows)).to_pylist(), *older]))
        return Batch.concat([part for part in (kept, Batch.from_objects(taken)) if part.num_rows]).take(order)

    def _dated(self, batch: Batch, *, granted: bool) -> dict[int, datetime]:
        """For each record that says so when it was said, where that is known: a no as late as it may have been."""
        said = yes_or_no(batch.get(self._field))
        rows: list[int] = pc.indices_nonzero(pc.fill_null(said if granted else pc.invert(said), False)).to_pylist()
        if not rows:
            return {}
        texts = col.plain_text(batch.get(self._time_field).take(pa.array(rows, pa.int64()))).to_pylist()
        found = {row: self._moment(text, latest=not granted) for row, text in zip(rows, texts, strict=True) if text}
        return {row: at for row, at in found.items() if at is not None}

    def _moment(self, text: str, *, latest: bool) -> datetime | None:
        """The first or last moment that a time may mean; None where it cannot be read."""
        try:
            begin = moment(self._read(text))
            if not latest:
                return begin
            # Of an hour that occurs twice the second one.
            wall = None if begin is None else begin.astimezone(self._zone).replace(fold=1)
            return None if wall is None else wall.astimezone(UTC) + _rounded_by(wall)
        except (ValueError, FlowError, OverflowError):
            return None

    async def _accounts(self, batch: Batch, rows: Sequence[int]) -> list[Mapping[str, Any] | None]:
        uids = calls.texts_at(batch, "UID")
        asked = [uids[row] for row in rows]

        async def ask(parameters: Mapping[str, str]) -> bytes:
            if not parameters["UID"]:
                return b"{}"
            return (await self._client.call("accounts.getAccountInfo", parameters, may_repeat=True)).body

        found = await calls.outcomes(
            [{"UID": uid or "", "include": _INCLUDE} for uid in asked],
            ask,
            connections=self.params.max_connections,
            key=lambda number: asked[number],
            services=self.services,
        )
        return [None if isinstance(each, RecordError) else msgspec.json.decode(each) for each in found]

    def _is_older(self, out: datetime, account: Mapping[str, Any] | None) -> bool:
        if account is None or not _says(objects.get(account, self._field), YES):
            return False
        # Of several times the earliest counts: a consent that was only confirmed anew is an old one.
        times = self._times_of(account)
        if not times or min(times) <= out:
            return False
        brought_in, brought_out = _time_at(account, self._opt_in_note), _time_at(account, self._opt_out_note)
        is_from_there = brought_in is not None and (brought_out is None or brought_out < brought_in)
        return not is_from_there or (brought_in is not None and brought_in > out)

    def _is_withdrawn(self, given: datetime, account: Mapping[str, Any] | None) -> bool:
        """Whether the account says no, since the opt-in or later."""
        if account is None or not _says(objects.get(account, self._field), NO):
            return False
        times = self._times_of(account)
        return bool(times) and max(times) >= given

    def _times_of(self, account: Mapping[str, Any]) -> list[datetime]:
        return [time for path in self._consent_times if (time := _time_at(account, path)) is not None]


def _path(field: str | None) -> Path | None:
    return parse(field) if field else None


def _times_beside(field: Path) -> list[Path]:
    """Where the site keeps the times of one of its own consents."""
    flag, times = FLAGS.get(str(field[0]), ("", ()))
    return [(*field[:-1], time) for time in times] if field[-1] == flag else []


def _time_at(account: Mapping[str, Any], path: Path | None) -> datetime | None:
    value = ABSENT if path is None else objects.get(account, path)
    return moment(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _says(value: Any, words: Sequence[str]) -> bool:
    return isinstance(value, str | int) and str(value).strip().lower() in words


def _rounded_by(wall: datetime) -> timedelta:
    """How much later than it reads a time may have been: zeros at its end may come from rounding."""
    if wall.microsecond:
        return timedelta(milliseconds=1)
    if wall.second:
        return timedelta(seconds=1)
    if wall.minute:
        return timedelta(minutes=1)
    return timedelta(hours=1) if wall.hour else timedelta(days=1)
