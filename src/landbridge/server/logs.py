"""The log of a service on standard error: lines for people, or JSON for programs, in both cases without secrets.

What a line is about stands beside its text, as ``extra`` of the logging call: ``job``, ``dataflow``, ``step`` and
``code``. An error of ours among its arguments tells its own code and step.

While the database is away one line says so, and what everybody else says of it is left out; see ``jobs.outage``.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Final

from landbridge.engine.redaction import Redaction
from landbridge.errors import LandbridgeError
from landbridge.jobs.db import AWAY
from landbridge.jobs.outage import LOGGER as OUTAGE_LOGGER, Outage

FACTS: Final = ("job", "dataflow", "step", "code")
"""Keys of a line besides time, level, logger and message; there where they are known."""

_VISIBLE: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {ord("\n"): "\n    "}
"""Control characters as text."""


class LogFormat(StrEnum):
    """How the lines of the log are written."""

    TEXT = "text"
    JSON = "json"


_LOG: Final = logging.getLogger("landbridge.service")

_DATABASE_LIBRARIES: Final = ("sqlalchemy", "psycopg", "dbos")


def install(log_format: LogFormat, *, outage: Outage | None = None) -> None:
    """Send the log to standard error: all that is ours from level info on, and warnings of the libraries.

    Args:
        log_format: How lines are written.
        outage: Knows when the database is away.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format is LogFormat.JSON else TextLines())
    handler.addFilter(_Facts())
    if outage is not None:
        handler.addFilter(_OneVoice(outage))
    handler.addFilter(Redaction(()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("landbridge").setLevel(logging.INFO)
    # The library of the queue writes to a handler of its own, unless it has one already.
    dbos = logging.getLogger("dbos")
    dbos.handlers[:], dbos.propagate = [logging.NullHandler()], True


@contextmanager
def uncaught_too() -> Iterator[None]:
    """For the length of a ``with`` block, what nobody caught and what Python warns of are lines of the log."""
    before = sys.excepthook, threading.excepthook
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda raised: _log_uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        sys.excepthook, threading.excepthook = before


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, SystemExit | KeyboardInterrupt):
        _LOG.critical("nobody expected this error", exc_info=(kind, error, trace))


class Announcements:
    """What a service tells whoever has started it, on standard output: words, or JSON lines like those of the log.

    Args:
        log_format: How lines are written.
    """

    def __init__(self, log_format: LogFormat) -> None:
        self._format = log_format

    def tell(self, text: str) -> None:
        """Write a line at once."""
        if self._format is LogFormat.JSON:
            text = JsonLines().format(_LOG.makeRecord(_LOG.name, logging.INFO, "", 0, text, (), None))
        print(text, flush=True)  # noqa: T201 - standard output is its purpose


class TextLines(logging.Formatter):
    """Each record as a line; further ones of it are indented, so that no name in a message passes for a line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging calls it
        """See Formatter."""
        return super().formatMessage(record).translate(_VISIBLE)


class JsonLines(logging.Formatter):
    """Each record as one JSON object in one line."""

    def format(self, record: logging.LogRecord) -> str:
        """See Formatter."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in FACTS if (value := getattr(record, name, None)) is not None}
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        return json.dumps(line, ensure_ascii=False, default=str)


class _OneVoice(logging.Filter):
    """Leaves out that somebody cannot reach the database while ``Outage`` says so for all."""

    def __init__(self, outage: Outage) -> None:
        super().__init__()
        self._outage = outage

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == OUTAGE_LOGGER or not self._outage.is_on:
            return True
        raised = record.exc_info[0] if isinstance(record.exc_info, tuple) else None
        library = raised.__module__.partition(".")[0] if raised else record.name.partition(".")[0]
        return getattr(record, "code", None) != AWAY and library not in _DATABASE_LIBRARIES


class _Facts(logging.Filter):
    """Takes code and step from an error of ours, before the text of the line is made."""

    def filter(self, record: logging.LogRecord) -> bool:
        given = record.args if isinstance(record.args, tuple) else ()
        raised = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        for each in (*given, raised):
            if isinstance(each, LandbridgeError):
                record.code = getattr(record, "code", None) or each.code
                record.step = getattr(record, "step", None) or each.step
        return True
