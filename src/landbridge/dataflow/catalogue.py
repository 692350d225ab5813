"""What the language needs to know of the components: their ids, ports and parameters, not how they work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel

Port = Literal["none", "records", "files"]
Kind = Literal[
    "record_reader",
    "file_reader",
    "parser",
    "transform",
    "lookup",
    "formatter",
    "file_transform",
    "file_writer",
    "record_writer",
]


@dataclass(frozen=True, slots=True)
class ComponentInfo:
    """One component as the language sees it.

    Attributes:
        id: IdentitySync component id, such as ``file.format.dsv``.
        title: Name for people.
        kind: What sort of step it makes.
        inputs: What flows into it; ``none`` for readers.
        outputs: What it hands on to ``next``.
        has_error_edge: Whether it handles single records, so that failed ones can go to ``error``.
        params_model: Its parameters; None when they are not known, so that they are not checked.
    """

    id: str
    title: str
    kind: Kind
    inputs: Port
    outputs: Port
    has_error_edge: bool
    params_model: type[BaseModel] | None = None


class Catalogue(Protocol):
    """Where the language looks components up."""

    def ids(self) -> Sequence[str]:
        """All component ids that can be used."""

    def describe(self, id: str, /) -> ComponentInfo | None:
        """The component ``id``, or None when there is no such component.

        Raises:
            LandbridgeError: The component exists but cannot be used here, for example because the package it
                needs is not installed.
        """
