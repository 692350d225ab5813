"""The program's log on standard error, without secrets."""

from __future__ import annotations

import logging

from landbridge.engine.redaction import Redaction


def log_to_stderr(redaction: Redaction, *, debug: bool) -> None:
    """Send warnings to standard error as plain lines, or with ``debug`` everything with the place it comes from."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s") if debug else _Plain())
    handler.addFilter(redaction)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("landbridge").setLevel(logging.DEBUG if debug else logging.WARNING)
    # What the SSH library says of a connection and a login; its own debug level is too much.
    logging.getLogger("asyncssh").setLevel(logging.INFO if debug else logging.WARNING)


class _Plain(logging.Formatter):
    """``warning: js: …``: the level and what was said."""

    def format(self, record: logging.LogRecord) -> str:
        """See Formatter; tracebacks are for ``--debug``."""
        return f"{record.levelname.lower()}: {record.getMessage()}"
