"""Keeps secrets out of the log: by value, at the last handler."""

from __future__ import annotations

import logging
from collections.abc import Iterable

MASK = "********"
_SHORTEST = 4


class Redaction(logging.Filter):
    """Replaces known secret values in every log record; shorter ones than four characters would hit ordinary text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = sorted((secret for secret in secrets if len(secret) >= _SHORTEST), key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record's message; always keeps the record."""
        record.msg, record.args = self.masked(record.getMessage()), None
        if record.exc_info:
            record.exc_text = self.masked(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True

    def masked(self, text: str) -> str:
        """``text`` without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def log_to_stderr(secrets: Iterable[str], *, debug: bool) -> None:
    """Send the program's log to standard error, redacted: warnings, or with ``debug`` everything."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(Redaction(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("landbridge").setLevel(logging.DEBUG if debug else logging.WARNING)
