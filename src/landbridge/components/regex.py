r"""Regular expressions with the meaning that Java's ``String.replaceAll`` gives them.

RE2 does the work on whole columns where it knows the expression; what it refuses (look-around, back references,
possessive repetition) goes to the package ``regex``, once for each distinct value of a column. Unlike Python's ``re``
it lets other threads run meanwhile, and gives up when an expression backtracks without end.

Differences that are translated: ``\uXXXX``, ``(?<name>…)``, POSIX classes such as ``\p{Alpha}``, ``\h``, and in the
replacement ``$1``, ``${name}`` and ``\$``. Java's intersection of classes (``[a-z&&[^b]]``) is refused.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import regex as engine

from landbridge.errors import DataError
from landbridge.records import columns as col

_POSIX: Final = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": r"\x00-\x7F",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": r"!-/:-@\[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "Blank": r" \t",
    "Cntrl": r"\x00-\x1F\x7F",
    "XDigit": "0-9a-fA-F",
    "Space": r" \t\n\x0B\f\r",
}
_TOKEN: Final = re.compile(
    r"\\Q(?P<literal>.*?)(?:\\E|\Z)|\\u(?P<unicode>[0-9A-Fa-f]{4})|\\p\{(?:Is)?(?P<posix>[A-Za-z]+)\}"
    r"|\\P\{(?P<not_posix>[A-Za-z]+)\}|\\(?P<blank>h)|(?P<escape>\\.)|(?P<group>\(\?<(?=[A-Za-z]))|(?P<open>\[\^?\]?)"
    r"|(?P<close>\])|(?P<intersection>&&)",
    re.DOTALL,
)
_PROBE: Final = "a b\n1-_."
"""A text with a place for every assertion that has no length: begin and end, word boundary and none."""
TIMEOUT_S: Final = 5.0
"""Processor time for one value, as the package counts it; a sane expression needs microseconds."""

MOST_REPETITIONS: Final = 100_000
"""Counted repetitions within each other are written out when the expression is compiled."""

_PART: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]|\{(\d+)?,?(\d+)?\}|.", re.DOTALL)
_FLAGS: Final = re.compile(r"\(\?[a-z-]*i")
_REPLACEMENT: Final = re.compile(r"\\(.)|\$(\d)|\$\{(\w+)\}|(\$|\\\Z)", re.DOTALL)


class Pattern:
    """A compiled expression.

    Args:
        text: The expression in the form of Python.

    Raises:
        ValueError: It is malformed.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if _repetitions(text) > MOST_REPETITIONS:
            raise ValueError(f"it repeats something more than {MOST_REPETITIONS:,} times, which takes too much memory")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", FutureWarning)
                self._compiled = engine.compile(text, engine.ASCII | engine.VERSION0)
        except (engine.error, FutureWarning, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from None
        self.groups = self._compiled.groups
        self.named = self._compiled.groupindex

    def differs_in_re2(self, column: pa.Array) -> bool:
        r"""Whether RE2 could make something else of one of these texts.

        Its ``$`` does not match before a newline at the end, its ``\s`` is no vertical tab, and where case does not
        count it knows letters such as the Kelvin sign.
        """
        return (
            ("$" in self.text and bool(pc.any(pc.ends_with(column, "\n")).as_py()))
            or ("\\s" in self.text.lower() and col.has_any(column, b"\x0b"))
            or (_FLAGS.search(self.text) is not None and not bool(pc.all(pc.string_is_ascii(column)).as_py()))
        )

    def fullmatch(self, text: str) -> bool:
        """Whether the expression matches the whole text.

        Raises:
            DataError: LB-4612, it takes too long; so do the other methods.
        """
        with _patience():
            return self._compiled.fullmatch(text, timeout=TIMEOUT_S, concurrent=True) is not None

    def search(self, text: str) -> engine.Match[str] | None:
        """The first match in the text."""
        with _patience():
            return self._compiled.search(text, timeout=TIMEOUT_S, concurrent=True)

    def matches(self, text: str) -> list[engine.Match[str]]:
        """All matches in the text."""
        with _patience():
            return list(self._compiled.finditer(text, timeout=TIMEOUT_S, concurrent=True))

    def replace(self, text: str, expand: Callable[[engine.Match[str]], str]) -> str:
        """The text with every match replaced by what ``expand`` gives for it."""
        with _patience():
            return self._compiled.sub(expand, text, timeout=TIMEOUT_S, concurrent=True)


def _repetitions(text: str) -> int:
    """How long an expression becomes when its counted repetitions are written out, in single characters and classes."""
    groups, last = [0], 0  # the length of each open group so far, and of the last part
    for part in _PART.finditer(text):
        if part[0] == "(":
            groups.append(0)
            last = 0
        elif part[0] == ")":
            last = groups.pop() if len(groups) > 1 else 0
            groups[-1] += last
        elif part[1] or part[2]:
            times = max(int(number[:9]) for number in part.groups() if number)
            groups[-1] += last * (times - 1)
            last *= times
        else:
            last = 1
            groups[-1] += 1
    return max(groups)


@contextmanager
def _patience() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise DataError(
            "LB-4612",
            f"a regular expression takes more than {TIMEOUT_S:.0f} s of processor time for one value",
            hint="It probably repeats a group that itself repeats, such as (a+)+; write it without one of the two.",
        ) from None


class Replacement:
    """A compiled replacement.

    Args:
        pattern: The expression.
        parts: The replacement: texts, and group numbers.
        match_empty: Replace the empty text between characters, too, where the expression matches it.
    """

    def __init__(self, pattern: Pattern, parts: list[str | int], *, match_empty: bool) -> None:
        self._pattern = pattern
        self._parts = parts
        self._match_empty = match_empty
        self._re2 = "".join(_re2_part(part) for part in parts)
        self._in_re2 = not self._can_match_empty() and self._re2_accepts()

    def on_texts(self, column: pa.Array) -> pa.Array:
        """Replace in every value of a string column."""
        if self._in_re2 and not self._pattern.differs_in_re2(column):
            return pc.replace_substring_regex(column, pattern=self._pattern.text, replacement=self._re2)
        return col.map_values(column, self.on_text)

    def on_text(self, text: str) -> str:
        """Replace in one text."""
        return self._pattern.replace(text, self._expand)

    def _expand(self, match: engine.Match[str]) -> str:
        if not self._match_empty and match.start() == match.end():
            return ""
        return "".join(part if isinstance(part, str) else match[part] or "" for part in self._parts)

    def _can_match_empty(self) -> bool:
        """Whether there are matches of no length, of which RE2 makes less than Java does."""
        return any(match.start() == match.end() for text in ("", _PROBE) for match in self._pattern.matches(text))

    def _re2_accepts(self) -> bool:
        probe = pa.array([""])
        try:
            pc.replace_substring_regex(probe, pattern=self._pattern.text, replacement=self._re2)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return False
        return True


def compile_replacement(regex: str, replacement: str, *, match_empty: bool = False) -> Replacement:
    """Compile a Java expression and its replacement.

    Raises:
        ValueError: One of them is malformed, or uses what only Java has.
    """
    pattern = compile_pattern(regex)
    return Replacement(pattern, _replacement_parts(replacement, pattern), match_empty=match_empty)


def compile_pattern(regex: str) -> Pattern:
    """Compile a Java expression.

    Raises:
        ValueError: It is malformed, or uses what only Java has.
    """
    try:
        return Pattern(_translated(regex))
    except ValueError as error:
        raise ValueError(f'the regular expression "{regex}" is not understood: {error}') from None


def _translated(regex: str) -> str:
    result = []
    at = depth = 0
    for match in _TOKEN.finditer(regex):
        result.append(regex[at : match.start()])
        at = match.end()
        if match["open"] is not None:
            depth += 1
            result.append(match[0])
        elif match["close"] is not None:
            depth = max(0, depth - 1)
            result.append(match[0])
        elif match["intersection"] is not None and depth:
            raise ValueError("it intersects classes with &&, which is not supported")
        else:
            result.append(_translated_token(match, inside=depth > 0))
    result.append(regex[at:])
    return "".join(result)


def _translated_token(match: re.Match[str], *, inside: bool) -> str:
    if match["literal"] is not None:
        return re.escape(match["literal"])
    if match["unicode"]:
        return re.escape(chr(int(match["unicode"], 16)))
    if match["group"]:
        return "(?P<"
    if match["blank"]:
        return r" \t\xA0" if inside else r"[ \t\xA0]"
    for name, negation in (("posix", ""), ("not_posix", "^")):
        members = _POSIX.get(match[name] or "")
        if members:
            if inside and negation:
                raise ValueError(f"{match[0]} within a class is not supported")
            return members if inside else f"[{negation}{members}]"
    return match[0]


def _replacement_parts(replacement: str, pattern: Pattern) -> list[str | int]:
    parts: list[str | int] = []
    at = 0
    while match := _REPLACEMENT.search(replacement, at):
        parts.append(replacement[at : match.start()])
        at = match.end()
        escaped, digit, name, stray = match.groups()
        if stray is not None:
            raise ValueError(f"the replacement {replacement!r} holds a stray {stray!r}; write it as \\{stray}")
        if escaped is not None:
            parts.append(escaped)
        elif digit is not None:
            number, at = _group_number(replacement, match.start(2), pattern)
            parts.append(number)
        else:
            if name not in pattern.named:
                raise ValueError(
                    f'the replacement {replacement!r} names the group "{name}", which is not in the expression'
                )
            parts.append(pattern.named[name])
    parts.append(replacement[at:])
    return [part for part in parts if part != ""]


def _group_number(replacement: str, start: int, pattern: Pattern) -> tuple[int, int]:
    """As Java: the digits that follow belong to the number as long as there is such a group."""
    number = int(replacement[start])
    at = start + 1
    if number > pattern.groups:
        raise ValueError(f"the replacement {replacement!r} names the group {number}, which is not in the expression")
    while (
        at < len(replacement) and replacement[at].isdecimal() and number * 10 + int(replacement[at]) <= pattern.groups
    ):
        number = number * 10 + int(replacement[at])
        at += 1
    return number, at


def _re2_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"\\{part}" if part <= 9 else "\\x"  # noqa: PLR2004 - RE2 has no more; it refuses the latter
    return part.replace("\\", "\\\\")
