"""Calls for several things at a time."""

import anyio
import pytest

from landbridge.components.datasource.parallel import for_each
from landbridge.errors import TransientError


def test_all_are_begun_in_their_order_and_no_more_at_a_time_than_allowed():
    begun, under_way, most = [], 0, 0

    async def work(number):
        nonlocal under_way, most
        begun.append(number)
        under_way += 1
        most = max(most, under_way)
        await anyio.sleep(0.001)
        under_way -= 1

    async def run():
        await for_each(range(20), work, at_a_time=3)
        await for_each([], work, at_a_time=3)

    anyio.run(run)
    assert (begun, most) == (list(range(20)), 3)


def test_the_first_failure_gives_up_what_is_under_way_and_begins_nothing_more():
    begun, ended = [], []

    async def work(number):
        begun.append(number)
        if number == 1:
            raise TransientError("LB-3221", "no more calls")
        await anyio.sleep(5)
        ended.append(number)

    async def run():
        with anyio.fail_after(4):
            await for_each(range(20), work, at_a_time=2)

    with pytest.raises(TransientError, match="no more calls"):
        anyio.run(run)
    assert (begun, ended) == ([0, 1], [])
