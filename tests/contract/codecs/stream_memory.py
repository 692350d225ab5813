"""Sends a long stream through a pair of codecs and prints how much memory that took.

Run as a program of its own, so that nothing else counts: ``stream_memory.py TASK MEGABYTES``.
"""

import json
import random
import resource
import sys
from datetime import UTC, datetime

from landbridge.components.base import FileStart
from landbridge.components.registry import get

BLOCK = 1_000_000


class Services:
    """Just enough of what a running step gets."""

    started = datetime(2026, 3, 2, tzinfo=UTC)

    def log(self, level, message):
        raise AssertionError(message)


def blocks(count):
    chance = random.Random(2)
    half = chance.randbytes(BLOCK // 2).hex().encode()
    for number in range(count):
        yield str(number).encode().ljust(20) + half[20:]


def content(events):
    return (event for event in events if isinstance(event, bytes))


def step(component_id, params):
    kind = get(component_id)
    return kind(kind.Params.model_validate(params), Services())


def peak_mb():
    """The largest memory so far of this process, and of the largest process that it started."""
    own, started = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own / 1024 + started / 1024


task, megabytes = json.loads(sys.argv[1]), int(sys.argv[2])
shrink, expand = step(*task["shrink"]), step(*task["expand"])


def run(count):
    packed = content(shrink.transform(FileStart("a"), blocks(count)))
    return sum(map(len, content(expand.transform(FileStart("a"), packed))))


run(40)
before = peak_mb()
total = run(megabytes)
json.dump({"bytes": total, "growth_mb": peak_mb() - before}, sys.stdout)
