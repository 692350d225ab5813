"""Long lists, page by page.

A cursor holds the place of the last item, not its number: rows that are added meanwhile neither repeat an item nor hide
one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from fastapi import Depends, Query, Request, Response

from landbridge.errors import FlowError
from landbridge.jobs.documents import storable
from landbridge.server.api.problems import BAD_CURSOR
from landbridge.server.api.shapes import FIRST_YEAR, LAST_YEAR, Shown

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 50

_LAST_ROW: Final = 2**63

T = TypeVar("T")
Row = TypeVar("Row")


class Page(Shown, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None = None
    """Give it as ``after`` for the next page; null on the last one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page a request wants."""

    limit: int
    after: str | None
    request: Request
    response: Response

    def position(self, kind: Any) -> Any:
        """Where the page begins: the place of the last item before, or None for the first page.

        Args:
            kind: What a place in this list consists of: ``tuple[str, str]``, for example.

        Raises:
            FlowError: LB-1794, the cursor is none of this list.
        """
        if self.after is None:
            return None
        try:
            text = base64.urlsafe_b64decode(self.after.encode("ascii") + b"=" * (-len(self.after) % 4))
            place = msgspec.json.decode(text, type=kind)
        except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
            raise _no_cursor() from None
        if not all(map(_is_usable, place if isinstance(place, tuple) else (place,))):
            raise _no_cursor()
        return place

    def page(self, rows: Sequence[Row], *, place: Callable[[Row], Any], shown: Callable[[Row], T]) -> Page[T]:
        """A page of at most ``limit`` rows, and a link to the next one.

        Args:
            rows: One more than ``limit``, where there are so many.
            place: The place of a row in the list, of the kind that ``position`` is asked for.
            shown: A row as clients see it.
        """
        part = rows[: self.limit]
        cursor = _cursor(place(part[-1])) if len(rows) > self.limit else None
        if cursor is not None:
            following = self.request.url.include_query_params(after=cursor)
            self.response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
        return Page(items=[shown(row) for row in part], next=cursor)


def _is_usable(part: Any) -> bool:
    """Whether a part of a place can be compared in any database."""
    if isinstance(part, datetime):
        return part.tzinfo is not None and FIRST_YEAR < part.year < LAST_YEAR
    return storable(part) if isinstance(part, str) else 0 <= part < _LAST_ROW


def _no_cursor() -> FlowError:
    return FlowError(BAD_CURSOR, "the cursor is none of this list", hint="Begin without after.")


def _cursor(place: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode("ascii").rstrip("=")


async def _wanted(
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="At most so many.")] = DEFAULT_LIMIT,
    after: Annotated[
        str | None, Query(max_length=2000, description="The cursor that the page before gave as next.")
    ] = None,
) -> Wanted:
    return Wanted(limit, after, request, response)


Pages = Annotated[Wanted, Depends(_wanted)]

TimePlace = tuple[datetime, str]
"""Place in a list by time: the instant, and the id among those of the same instant."""

NamePlace = tuple[str, str]
"""Place in a list by name: the name, and the id among those of the same name."""
