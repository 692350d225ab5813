"""The XML of the API: an envelope with one or several operations in, results and faults in the same order out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

Element: TypeAlias = ET.Element

LIST_MANAGER = "SP.ListManager"
ADMIN = "SP.Admin"
API = "SP.API"


class Fault(Exception):
    """What an operation answers when it cannot be done.

    Args:
        text: The FaultString.
        error_id: The vendor's number; None where it gives none.
        origin: The class that the vendor names.
    """

    def __init__(self, text: str, error_id: int | None = None, origin: str = LIST_MANAGER) -> None:
        super().__init__(text)
        self.text = text
        self.error_id = error_id
        self.origin = origin


@dataclass(frozen=True, slots=True)
class Result:
    """What an operation answers when it is done.

    Attributes:
        content: XML within RESULT.
        success: As this operation writes it; the platform mixes cases.
    """

    content: str = ""
    success: str = "TRUE"


def operations(document: bytes) -> list[Element]:
    """The operations in a request, in order.

    Raises:
        Fault: 51; it is not a request of this API.
    """
    if b"<!DOCTYPE" in document:
        raise Fault("Invalid XML Request", 51, API)
    try:
        root = ET.fromstring(document)  # noqa: S314 - without a document type there are no entities to expand
    except ET.ParseError:
        raise Fault("Invalid XML Request", 51, API) from None
    body = root.find("Body") if root.tag == "Envelope" else None
    if body is None or not len(body):
        raise Fault("Invalid XML Request", 51, API)
    return list(body)


def document(outcomes: Iterable[Result | Fault]) -> bytes:
    """The reply to a request."""
    parts = "".join(_fault(each) if isinstance(each, Fault) else _result(each) for each in outcomes)
    # Replies of the vendor have line breaks around the document.
    return f"\n<Envelope><Body>{parts}</Body></Envelope>\n".encode()


def _result(result: Result) -> str:
    return f"<RESULT>\n<SUCCESS>{result.success}</SUCCESS>\n{result.content}</RESULT>"


def _fault(fault: Fault) -> str:
    number = "" if fault.error_id is None else str(fault.error_id)
    return (
        "<RESULT><SUCCESS>false</SUCCESS></RESULT>"
        f"<Fault><Request/><FaultCode/><FaultString><![CDATA[{fault.text.replace(']]>', ']] >')}]]></FaultString>"
        f"<detail><error><errorid>{number}</errorid><module/><class>{fault.origin}</class><method/></error></detail>"
        "</Fault>"
    )


def tag(name: str, value: object) -> str:
    """One element with a text; an empty one where there is no value."""
    return f"<{name}/>" if value in (None, "") else f"<{name}>{escape(_visible(str(value)))}</{name}>\n"


def tags(values: Mapping[str, object]) -> str:
    """Elements with texts."""
    return "".join(tag(name, value) for name, value in values.items())


def _visible(text: str) -> str:
    return "".join(character for character in text if character >= " " or character in "\t\n\r")


def text_of(parent: Element, name: str, default: str = "") -> str:
    """The text of the first child of this name."""
    found = parent.find(name)
    return default if found is None or found.text is None else found.text.strip()


def flag_of(parent: Element, name: str, *, empty: bool) -> bool:
    """A flag; ``empty`` is what an element without text means."""
    found = parent.find(name)
    if found is None:
        return False
    text = (found.text or "").strip().lower()
    return text in ("true", "1", "yes") if text else empty


def named_values(parent: Element, name: str) -> dict[str, str]:
    """The values of ``<COLUMN><NAME/><VALUE/></COLUMN>`` children, by name."""
    found = {}
    for child in parent.findall(name):
        value = child.find("VALUE")
        found[text_of(child, "NAME")] = (value.text or "") if value is not None else ""
    return found
