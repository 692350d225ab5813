"""Profiles as files for CheetahMail's load1."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

from landbridge.components.datasource.cheetahmail_subscriber import EMAIL, Person

MAX_ROWS: Final = 10_000
"""Rows of one file; the vendor publishes no limit."""


def load_files(people: Iterable[Person]) -> Iterator[bytes]:
    """Files for the master list, each with people who have the same fields: an empty cell there empties the field.

    Of several records of one person, each goes into a later file than the one before.
    """
    groups: dict[tuple[int, tuple[str, ...]], list[Person]] = {}
    seen: dict[str, int] = {}
    for person in people:
        key = person.uid or person.email.lower()
        turn = seen[key] = seen.get(key, -1) + 1
        groups.setdefault((turn, tuple(person.fields)), []).append(person)
    for (_, names), together in sorted(groups.items(), key=lambda group: group[0][0]):
        for begin in range(0, len(together), MAX_ROWS):
            text = io.StringIO(newline="")
            writer = csv.writer(text, lineterminator="\r\n")
            writer.writerow([EMAIL, *names])
            writer.writerows([person.email, *person.fields.values()] for person in together[begin : begin + MAX_ROWS])
            yield text.getvalue().encode()
