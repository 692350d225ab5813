"""How tests start a real server: a missing part fails in CI and skips elsewhere, with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import pytest

from tests.servers.process import MissingPart

S = TypeVar("S")


@contextmanager
def started(server: AbstractContextManager[S]) -> Iterator[S]:
    """Run a server for the length of a ``with`` block.

    Raises:
        pytest.fail.Exception: A part is missing and ``CI`` is ``true``.
        pytest.skip.Exception: A part is missing elsewhere.
    """
    try:
        running = server.__enter__()
    except MissingPart as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    try:
        yield running
    finally:
        server.__exit__(None, None, None)
