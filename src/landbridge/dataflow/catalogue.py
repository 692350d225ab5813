"""What the language needs to know of the components: their ids, ports and parameters, not how they work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from pydantic import BaseModel

from landbridge.dataflow.problems import UNKNOWN_COMPONENT, did_you_mean
from landbridge.errors import FlowError

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

IDENTITYSYNC: Final = frozenset(
    [
        *(
            f"datasource.read.{name}"
            for name in (
                *("amazon.s3", "azure.blob", "azure.sas", "ftp", "sftp"),
                *("gigya.account", "gigya.audit", "gigya.comment", "gigya.ds"),
                *("campaignmonitor", "constantcontact", "mailchimp", "marketo", "silverpop"),
            )
        ),
        *(
            f"datasource.write.{name}"
            for name in (
                *("amazon.s3", "azure.blob", "azure.sas", "ftp", "sftp"),
                *("gigya.account", "gigya.ds", "gigya.generic", "gigya.importaccount"),
                *("bluekai", "campaignmonitor", "constantcontact", "exacttarget"),
                *("mailchimp", "marketo", "salesforce", "silverpop"),
            )
        ),
        *(f"datasource.lookup.{name}" for name in ("gender", "gigya.account", "gigya.gm")),
        *(f"file.{way}.{name}" for way in ("compress", "uncompress") for name in ("gzip", "lzo", "zip")),
        *("file.decrypt.pgp", "file.empty", "file.encrypt.pgp", "file.parse.dsv", "file.parse.json"),
        *(f"file.format.{name}" for name in ("aam", "count", "dsv", "json", "krux")),
        *(
            f"field.{name}"
            for name in (
                *("add", "array.extract", "array.join", "copy", "date.format", "evaluate"),
                *("flatten", "move", "remove", "rename", "replace", "select"),
            )
        ),
        "record.evaluate",
    ]
)
"""The ids that IdentitySync has, as its public dataflows and palettes name them."""

_LIKENESS: Final = 0.85
"""Ids share long beginnings, so that only a close likeness is a slip and not another component."""


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


def unknown_component(id: str, ids: Iterable[str]) -> FlowError:
    """The error for an id that is none of ``ids`` (LB-1101): another platform's, one to come, or a slip."""
    if id in IDENTITYSYNC:
        return FlowError(
            UNKNOWN_COMPONENT,
            f'the component "{id}" is known to IdentitySync, but not in this version of landbridge',
            hint="`landbridge components` lists what there is; until then, exchange files with the platform.",
        )
    otherwise = "`landbridge components` lists what there is."
    hint = did_you_mean(id, ids, otherwise=otherwise, cutoff=_LIKENESS)
    return FlowError(UNKNOWN_COMPONENT, f'unknown component "{id}"', hint=hint)
