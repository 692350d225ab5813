"""Keeps secrets out of the log: by value, at the last handler."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from itertools import chain

MASK = "********"
_SHORTEST = 4
_OWN_SITE = ("LANDBRIDGE_SITE_SECRET", "LANDBRIDGE_SITE_PRIVATE_KEY")
"""Variables by which the environment tells the credentials of the own site; no dataflow refers to them."""


class Redaction(logging.Filter):
    """Replaces known secret values in every log record; shorter ones than four characters would hit ordinary text.

    Args:
        secrets: What a dataflow's references and parameters hold; the own site's credentials are added.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        known = set(chain(secrets, _of_own_site(os.environ)))
        self._secrets = sorted((secret for secret in known if len(secret) >= _SHORTEST), key=len, reverse=True)

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


def _of_own_site(environ: Mapping[str, str]) -> Iterable[str]:
    for name in _OWN_SITE:
        if value := environ.get(name):
            yield value
            # A key of many lines may be told line by line; its first and last line are no secret.
            yield from value.splitlines()[1:-1]
