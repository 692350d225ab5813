"""ETags: what a reply shows, and which state a change is based on.

A tag is the number of the state, a dot, and a hash of what is shown. A change is compared by the number only: that a
dataflow has run meanwhile does not make an edit of it void.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from landbridge.errors import FlowError
from landbridge.server.api.problems import MATCH_FAILED, MATCH_MISSING

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Tagged:
    """Gives replies their tag."""

    request: Request
    response: Response

    def shown(self, state: int, content: T) -> T:
        """``content`` with its tag; where the client has it already the reply becomes 304 without a body.

        Args:
            state: Number of the version or revision.
            content: What is shown.
        """
        digest = hashlib.sha256(content.model_dump_json(by_alias=True).encode()).hexdigest()[:16]
        tag = f'"{state}.{digest}"'
        known = [each.strip().removeprefix("W/") for each in self.request.headers.get("if-none-match", "").split(",")]
        self.response.headers["ETag"] = tag
        if self.request.method == "GET" and (tag in known or "*" in known):
            raise NotModified(tag)
        return content


class NotModified(Exception):
    """The client has what it asks for."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


@dataclass(frozen=True, slots=True)
class Base:
    """The state on which a change is based; None for whatever it is."""

    states: frozenset[int] | None

    def check(self, state: int) -> None:
        """Refuse the change of something that has changed since.

        Raises:
            FlowError: LB-1793.
        """
        if self.states is not None and state not in self.states:
            raise FlowError(
                MATCH_FAILED, "it was changed since it was read", hint="Read it again and repeat the change."
            )


async def _tagged(request: Request, response: Response) -> Tagged:
    return Tagged(request, response)


def _states(header: str) -> Base:
    if header.strip() == "*":
        return Base(None)
    numbers = (each.strip().removeprefix('"').partition(".")[0] for each in header.split(","))
    return Base(frozenset(int(number) for number in numbers if number.isascii() and number.isdecimal()))


async def _required(
    if_match: Annotated[
        str | None, Header(max_length=2000, description="The ETag of what was read; * for whatever there is.")
    ] = None,
) -> Base:
    if if_match is None:
        raise FlowError(
            MATCH_MISSING,
            "the request does not say which state it is based on",
            hint="Send If-Match with the ETag of what was read, or * to change whatever there is.",
        )
    return _states(if_match)


async def _optional(
    if_match: Annotated[str | None, Header(max_length=2000, description="The ETag of what was read.")] = None,
) -> Base:
    return Base(None) if if_match is None else _states(if_match)


Tags = Annotated[Tagged, Depends(_tagged)]
BasedOn = Annotated[Base, Depends(_required)]
MaybeBasedOn = Annotated[Base, Depends(_optional)]
