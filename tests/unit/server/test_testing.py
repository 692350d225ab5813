"""Tests of far sides: what becomes of one that does not end."""

import time

import anyio
import pytest

from landbridge.errors import StorageError
from landbridge.server.api import testing


def test_a_test_that_does_not_end_is_answered_like_a_service_that_is_busy():
    with pytest.raises(StorageError, match=r"takes too long.*LB-7508"):
        anyio.run(testing.Tests(timeout_s=0.01).run, lambda _: time.sleep(0.5) or [])
