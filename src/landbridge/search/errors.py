"""The one error of the search language."""

from __future__ import annotations

from landbridge.errors import FlowError


class QueryError(FlowError):
    """A query that cannot be read or that asks for what the language does not have (LB-1801).

    Args:
        message: What is wrong, without the query's values.
        position: Character of the query it was noticed at, counted from 1; None where no place can be named.
        hint: What to do next.
    """

    def __init__(self, message: str, *, position: int | None = None, hint: str = "") -> None:
        where = f" at position {position}" if position is not None else ""
        super().__init__("LB-1801", f"the query cannot be read: {message}{where}", hint=hint)
        self.reason = message
        self.position = position
