"""Starts planned jobs until it is killed: ``python -m tests.crash.schedule_until_killed PLACE``."""

import sys
from pathlib import Path

import anyio

from landbridge.jobs.db import Database
from landbridge.jobs.schedules import Scheduler


def main() -> None:
    place = sys.argv[1]
    database = Database.open(place if "://" in place else Path(place))
    anyio.run(Scheduler(database).run)


if __name__ == "__main__":
    main()
