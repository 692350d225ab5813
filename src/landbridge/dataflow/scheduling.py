"""When a dataflow runs, as the JSON object that clients send and read; the clock itself is elsewhere.

Clients differ in what they send, so that loading is tolerant: names match without regard to case
(``dataFlowId``), null means "not given", numbers may be texts, and unknown keys are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar, cast, get_args

from landbridge.dataflow import problems as codes
from landbridge.dataflow.model import JsonObject, dump_json, parse_object
from landbridge.dataflow.problems import DataflowError, Problem, did_you_mean, error, errors_of
from landbridge.records.mail_address import ADDRESS

FrequencyType = Literal["once", "minute", "hour", "day", "week", "month"]
LogLevel = Literal["info", "error", "debug"]

T = TypeVar("T")

_ID_TO_COME: Final = "will be generated"
"""How the form's text for an id that the server has not given yet begins."""

_KEYS: Final[Mapping[str, str]] = {
    "id": "id",
    "name": "name",
    "dataflow_id": "dataflowId",
    "frequency_type": "frequencyType",
    "frequency_interval": "frequencyInterval",
    "days_of_week": "daysOfWeek",
    "next_job_start_time": "nextJobStartTime",
    "log_level": "logLevel",
    "success_emails": "successEmailNotification",
    "failure_emails": "failureEmailNotification",
    "limit": "limit",
    "full_extract": "fullExtract",
    "enabled": "enabled",
    "status": "schedulingStatus",
    "job_id": "jobId",
}


@dataclass(frozen=True, slots=True)
class Scheduling:
    """When and how a dataflow runs.

    Attributes:
        name: Unique name.
        dataflow_id: The dataflow to run.
        id: Given by the server; empty before. A client's id counts for nothing when a scheduling is created.
        frequency_type: ``once`` or the unit of the interval.
        frequency_interval: Every so many units; 1 when not given; without meaning for ``once``.
        days_of_week: Days of weekly runs as the client writes them; their public form is not known.
        next_job_start_time: First start, in UTC; None for now. A time in the past means at once.
        log_level: ``info``, ``error`` or ``debug``.
        success_emails: Whom to tell of a success.
        failure_emails: Whom to tell of a failure.
        limit: Most records to read; None for all.
        full_extract: Read all records and ignore the last run.
        enabled: False for a scheduling that is kept and does not run.
        status: ``ready``, ``busy`` or ``succeeded``.
        job_id: The current or last job; empty before the first.
        raw: The JSON object the scheduling comes from.
    """

    name: str
    dataflow_id: str
    id: str = ""
    frequency_type: FrequencyType = "once"
    frequency_interval: int = 1
    days_of_week: tuple[str, ...] = ()
    next_job_start_time: datetime | None = None
    log_level: LogLevel = "info"
    success_emails: tuple[str, ...] = ()
    failure_emails: tuple[str, ...] = ()
    limit: int | None = None
    full_extract: bool = False
    enabled: bool = True
    status: str = "ready"
    job_id: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, text: str | bytes, source: str = "scheduling.json") -> Scheduling:
        """Read a scheduling from JSON text.

        Raises:
            DataflowError: With all problems, LB-1060 for a value that cannot be understood.
        """
        document, problems = parse_object(text, source=source, noun="a scheduling")
        if document is None:
            raise DataflowError(problems)
        return cls.from_json(document)

    @classmethod
    def from_json(cls, document: JsonObject) -> Scheduling:
        """Read a scheduling from a JSON object.

        Raises:
            DataflowError: See ``load``.
        """
        reader = _Reader(document)
        identity = reader.text("id")
        result = cls(
            name=reader.text("name"),
            dataflow_id=reader.text("dataflowId"),
            id="" if identity.lower().startswith(_ID_TO_COME) else identity,
            frequency_type=cast("FrequencyType", reader.choice("frequencyType", get_args(FrequencyType))),
            frequency_interval=reader.value("frequencyInterval", _positive, 1),
            days_of_week=reader.value("daysOfWeek", _words, ()),
            next_job_start_time=reader.value("nextJobStartTime", _time, None),
            log_level=cast("LogLevel", reader.choice("logLevel", get_args(LogLevel))),
            success_emails=reader.emails("successEmailNotification", "successEmails"),
            failure_emails=reader.emails("failureEmailNotification", "failureEmails"),
            limit=reader.value("limit", _positive, None),
            full_extract=reader.value("fullExtract", _truth, False),
            enabled=reader.value("enabled", _truth, True),
            status=reader.text("schedulingStatus") or "ready",
            job_id=reader.text("jobId"),
            raw=document,
        )
        if not result.dataflow_id and not reader.problems:
            message = "the scheduling names no dataflow"
            reader.problems.append(
                error(codes.BAD_SCHEDULING, message, field="dataflowId", hint='Set "dataflowId" to its id.')
            )
        if errors_of(reader.problems):
            raise DataflowError(reader.problems)
        return result

    def as_json(self) -> JsonObject:
        """The scheduling as a JSON object: ``raw`` with the changed values, in the names it uses."""
        before = Scheduling.from_json(self.raw) if self.raw else None
        result = dict(self.raw)
        for attribute in fields(self):
            key = _KEYS.get(attribute.name)
            value = getattr(self, attribute.name)
            if key is None:
                continue
            known = getattr(before, attribute.name) if before else attribute.default
            if value != known:
                result[_spelling(result, key)] = _written(value)
        return result

    def dump(self) -> str:
        """The scheduling as canonical JSON text, formed like a dataflow's."""
        return dump_json(self.as_json())


@dataclass(slots=True)
class _Reader:
    """Reads values by name without regard to case and collects what cannot be understood."""

    document: JsonObject
    problems: list[Problem] = field(default_factory=list)

    def value(self, key: str, read: Callable[[Any], T], default: T) -> T:
        found = self.document.get(_spelling(self.document, key))
        if found is None or found == "":
            return default
        try:
            return read(found)
        except ValueError as failure:
            self.problems.append(error(codes.BAD_SCHEDULING, f"{key} {failure}", field=key))
            return default

    def text(self, key: str) -> str:
        return self.value(key, _text, "")

    def choice(self, key: str, words: tuple[str, ...]) -> str:
        """One of ``words`` in any case; the first when not given."""
        word = self.text(key).strip().lower()
        if not word or word in words:
            return word or words[0]
        hint = did_you_mean(word, words)
        message = f"{key} must be one of {', '.join(words)}"
        self.problems.append(error(codes.BAD_SCHEDULING, message, field=key, hint=hint))
        return words[0]

    def emails(self, *keys: str) -> tuple[str, ...]:
        """Addresses of both the API's and the form's key, each once."""
        none: tuple[str, ...] = ()
        return tuple(dict.fromkeys(address for key in keys for address in self.value(key, _addresses, none)))


def _spelling(document: Mapping[str, Any], key: str) -> str:
    if key in document:
        return key
    return next((name for name in document if name.lower() == key.lower()), key)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError("must be a text")


def _positive(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("must be a whole number from 1")
    return value


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower(), value)
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _words(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or any(isinstance(item, bool | dict | list) for item in items):
        raise ValueError("must be a list or a text with commas")
    return tuple(word for item in items if item is not None and (word := str(item).strip()))


def _addresses(value: Any) -> tuple[str, ...]:
    words = _words(value)
    if any(not ADDRESS.fullmatch(word) for word in words):
        raise ValueError("must be e-mail addresses, such as ops@example.com, with commas between them")
    return words


def _time(value: Any) -> datetime:
    """``2021-12-01T10:03:14.607Z`` as clients send it, or ``2021-12-01 10:03:14``, as documented, in UTC."""
    message = "must be a time such as 2026-03-02T05:00:00Z, or 2026-03-02 05:00:00 in UTC"
    if not isinstance(value, str):
        raise ValueError(message)
    try:
        moment = datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(message) from None


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return ",".join(value) if isinstance(value, tuple) else value
