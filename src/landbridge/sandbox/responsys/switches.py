"""What nobody outside knows for certain of Responsys."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switches:
    """How Responsys behaves where nobody outside knows for certain, and its limits.

    Attributes:
        token_life_s: How long a token is good; the vendor's pages say two hours, and three.
        expired_status: HTTP status of a call with a token that is not good: 401, or 500 as an UNEXPECTED_EXCEPTION.
        limit_status: HTTP status of API_LIMIT_EXCEEDED; 400 by the pages, 401 and 429 have been seen.
        call_delay_s: How long a call takes at least.
        job_delay_s: How long a Connect job takes at least.
        empty_cells_clear: An empty cell of an imported file empties the field; otherwise it leaves it alone. An empty
            EMAIL_PERMISSION_STATUS_ says nothing either way.
        archives: An imported file is kept in ``archive``.
        feed_zone: Time zone of the dates in event feeds; UTC by one who looked.
        first_row_counts: Of several rows with one key in a call to a supplemental table the first one counts; otherwise
            the last one does.
        empty_feeds: A feed without events leaves a file that holds the names of its columns only.
    """

    token_life_s: int = 7200
    expired_status: int = 401
    limit_status: int = 400
    call_delay_s: float = 0.0
    job_delay_s: float = 0.05
    empty_cells_clear: bool = True
    archives: bool = True
    feed_zone: str = "UTC"
    empty_feeds: bool = False
    first_row_counts: bool = False
