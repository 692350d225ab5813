"""The XML of Silverpop's API: operations out, results and faults in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

Element: TypeAlias = ET.Element

_UNWRITABLE: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry, not even escaped."""


class NotXml(ValueError):
    """A text holds a character that XML cannot carry, or a reply is not of this API."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an operation was not done.

    Attributes:
        text: The vendor's words; may repeat what was sent.
        error_id: The vendor's number, where there is one.
        origin: The vendor's class that refused.
    """

    text: str
    error_id: int | None
    origin: str


Outcome: TypeAlias = Element | Fault
"""What became of one operation: its RESULT, or why not."""


def element(name: str, text: object) -> str:
    """One element with a text.

    Raises:
        NotXml: The text has a character that XML cannot carry.
    """
    return f"<{name}>{written(str(text))}</{name}>"


def elements(values: Mapping[str, object]) -> str:
    """Elements with texts, in order."""
    return "".join(element(name, text) for name, text in values.items())


def pairs(name: str, values: Mapping[str, str]) -> str:
    """Each value as ``<name><NAME/><VALUE/></name>``."""
    return "".join(
        f"<{name}><NAME>{written(key)}</NAME><VALUE>{written(text)}</VALUE></{name}>" for key, text in values.items()
    )


def row(name: str, values: Mapping[str, str]) -> str:
    """A row of a relational table: each value as ``<name name="…">``."""
    cells = (f'<{name} name="{_attribute(key)}">{written(text)}</{name}>' for key, text in values.items())
    return f"<ROW>{''.join(cells)}</ROW>"


def envelope(operations: Iterable[str]) -> bytes:
    """A request with these operations."""
    return f"<Envelope><Body>{''.join(operations)}</Body></Envelope>".encode()


def written(text: str) -> str:
    """A text as it stands in XML.

    Raises:
        NotXml: It has a character that XML cannot carry.
    """
    if _UNWRITABLE.search(text):
        raise NotXml("the value has a control character, which XML cannot carry")
    return escape(text)


def _attribute(text: str) -> str:
    return written(text).replace('"', "&quot;")


def outcomes(body: bytes) -> list[Outcome]:
    """The results and faults of a reply, in the order of the operations.

    Raises:
        NotXml: It is not a reply of this API.
    """
    if b"<!DOCTYPE" in body:
        raise NotXml("a reply with a document type")
    try:
        root = ET.fromstring(body.strip())  # noqa: S314 - without a document type there are no entities to expand
    except ET.ParseError:
        raise NotXml("not XML") from None
    found = root.find("Body") if root.tag == "Envelope" else None
    if found is None:
        raise NotXml("not an envelope")
    return list(_paired(found))


def _paired(body: Element) -> Iterator[Outcome]:
    failed = False
    for each in body:
        if each.tag == "RESULT":
            if failed:
                yield Fault("failure without a reason", None, "")
            failed = text_of(each, "SUCCESS").lower() != "true"
            if not failed:
                yield each
        elif each.tag == "Fault":
            failed = False
            number = text_of(each, "detail/error/errorid")
            yield Fault(
                text_of(each, "FaultString"),
                int(number) if number.isdecimal() else None,
                text_of(each, "detail/error/class"),
            )
    if failed:
        yield Fault("failure without a reason", None, "")


def text_of(parent: Element, path: str) -> str:
    """The text at a path, without blanks around it; empty where there is none."""
    return (parent.findtext(path) or "").strip()


def named_values(parent: Element, path: str) -> dict[str, str]:
    """The values of ``<X><NAME/><VALUE/></X>`` elements at a path, by name."""
    return {text_of(each, "NAME"): each.findtext("VALUE") or "" for each in parent.findall(path)}
