"""New scripts in the text of a dataflow, with everything else left as somebody has written it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from landbridge.dataflow import Dataflow

_SCRIPT = re.compile(r'(?<!\\)"script"(\s*:\s*)("(?:[^"\\]|\\.)*")')
"""The key and its text as JSON has them; within another text the quotes would have backslashes."""


def embedded(before: bytes, flow: Dataflow) -> bytes:
    """The file of a dataflow with the scripts that ``flow`` has.

    Only the scripts are replaced. Where they cannot be found for certain, such as in a file that is not UTF-8 or has
    a key twice, the whole is written anew with the indent it has.

    Args:
        before: The file as it is.
        flow: The same dataflow with other scripts.
    """
    document = flow.as_json()
    try:
        text = before.decode()
        after = _with_scripts(text, list(_scripts(document)))
        if json.loads(after.removeprefix("\ufeff")) == document:
            return after.encode()
    except ValueError:
        text = before.decode(json.detect_encoding(before)).removeprefix("\ufeff")
    return _dumped(document, text).encode()


def _scripts(value: Any) -> Iterator[str]:
    """All texts under a key ``script``, in the order of the document."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "script" and isinstance(item, str):
                yield item
            else:
                yield from _scripts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _scripts(item)


def _with_scripts(text: str, scripts: list[str]) -> str:
    """The text with its scripts replaced in order; too few of them is a ValueError."""
    rest = iter(scripts)
    is_ascii = text.removeprefix("\ufeff").isascii()

    def replaced(match: re.Match[str]) -> str:
        script = next(rest, None)
        if script is None:
            raise ValueError("more scripts in the text than in the dataflow")
        if json.loads(match[2]) == script:
            return match[0]
        literal = json.dumps(script, ensure_ascii=is_ascii)
        return f'"script"{match[1]}{literal}'

    return _SCRIPT.sub(replaced, text)


def _dumped(document: Any, before: str) -> str:
    """JSON text, indented as the text before."""
    match = re.search(r"\n([ \t]+)", before)
    indent: int | str | None = None
    if match:
        indent = match[1] if "\t" in match[1] else len(match[1])
    end = "\n" if before.endswith("\n") else ""
    return json.dumps(document, indent=indent, ensure_ascii=False) + end
