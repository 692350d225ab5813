"""The log of a service on standard error: lines for people, or JSON for programs, in both cases without secrets.

What a line is about stands beside its text, as ``extra`` of the logging call: ``job``, ``dataflow``, ``step`` and
``code``. An error of ours among its arguments tells its own code and step.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from landbridge.engine.redaction import Redaction
from landbridge.errors import LandbridgeError

FACTS: Final = ("job", "dataflow", "step", "code")
"""Keys of a line besides time, level, logger and message; there where they are known."""

_VISIBLE: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {ord("\n"): "\n    "}
"""Control characters as text."""


class LogFormat(StrEnum):
    """How the lines of the log are written."""

    TEXT = "text"
    JSON = "json"


def install(log_format: LogFormat) -> None:
    """Send the log to standard error: all that is ours from level info on, and warnings of the libraries."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format is LogFormat.JSON else TextLines())
    handler.addFilter(_Facts())
    handler.addFilter(Redaction(()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("landbridge").setLevel(logging.INFO)


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
