"""Times in the pattern language of Java, as dataflows write them: ``yyyy-MM-dd'T'HH:mm:ss.SSSZ``.

The letters follow Joda-Time, because public dataflows write ``${now:YYMMdd_HHmm}``: there ``Y`` is the year
of the era, not the year of the week. ``X`` comes from java.time. Names of months and days are English.

=======  ==========================  ==========================================================
letter   meaning                     number of letters
=======  ==========================  ==========================================================
y Y      year                        2: the last two digits; otherwise the least number of digits
M        month                       1, 2: number; 3: ``Jan``; more: ``January``
d D      day of the month, the year  least number of digits
E        day of the week             up to 3: ``Mon``; more: ``Monday``
H h      hour 0-23, 1-12             least number of digits
m s      minute, second              least number of digits
S        fraction of the second      digits: ``SSS`` are milliseconds
a        ``AM`` or ``PM``
z        name of the zone            ``UTC``
Z        offset                      1: ``+0130``; 2: ``+01:30``
X        offset, ``Z`` for UTC       1: ``+01`` or ``+0130``; 2: ``+0130``; 3: ``+01:30``
=======  ==========================  ==========================================================

Text stands in single quotes, a single quote is written twice. The pattern ``unix`` stands for whole seconds
since 1970. A time without a zone is taken as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from landbridge.dataflow.problems import BAD_TIME
from landbridge.errors import FlowError

UNIX: Final = "unix"
"""The pattern that means whole seconds since 1970."""

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_DIGITS: Final[Mapping[str, int]] = {
    "y": 4,
    "M": 2,
    "d": 2,
    "D": 3,
    "H": 2,
    "h": 2,
    "m": 2,
    "s": 2,
    "S": 9,
}
_MOST_LETTERS: Final[Mapping[str, int]] = {"Z": 2, "X": 3, "a": 1}
_KNOWN = "y Y M d D E H h m s S a z Z X"
_SHORT = 3
_OFFSET = r"Z|[+-][0-9]{2}(?::?[0-9]{2})?"
_ZONE = r"[A-Za-z][A-Za-z0-9_/+:-]*"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PIVOT = 69
_LEAP_YEAR = 2000


@dataclass(frozen=True, slots=True)
class _Part:
    """A run of one letter, or literal text when ``letter`` is empty."""

    letter: str
    count: int
    text: str = ""

    @property
    def numeric(self) -> bool:
        return self.letter in _MOST_DIGITS and not (self.letter == "M" and self.count >= _SHORT)


def compile_format(pattern: str) -> Callable[[datetime], str]:
    """A function that writes a time by ``pattern``, in the time's own zone.

    Raises:
        FlowError: LB-1041, the pattern cannot be understood.
    """
    if pattern == UNIX:
        return lambda moment: str((_aware(moment) - _EPOCH) // timedelta(seconds=1))
    writers = [_writer(part) for part in _parts(pattern)]

    def write(moment: datetime) -> str:
        moment = _aware(moment)
        return "".join([writer(moment) for writer in writers])

    return write


def compile_parse(pattern: str) -> Callable[[str], datetime]:
    """A function that reads a time by ``pattern`` and gives it with its zone, UTC where the text has none.

    What the pattern leaves out is that of 2000-01-01 00:00 (Joda-Time's default, so that 29 February can be
    read). Two digits of a year mean 1969 to 2068. Without ``a``, ``h`` is an hour of the morning. Numbers
    without leading zeros and names in any case are read, too.

    The function raises ValueError when a text does not fit; the message does not hold the text, which may be
    somebody's date of birth.

    Raises:
        FlowError: LB-1041, the pattern cannot be understood, or two numbers stand side by side so that it is
            open where the first ends.
    """
    if pattern == UNIX:
        return _read_unix
    parts = list(_parts(pattern))
    expression = re.compile("".join(_expressions(pattern, parts)), re.IGNORECASE)
    letters = [part for part in parts if part.letter]

    def read(text: str) -> datetime:
        match = expression.fullmatch(text)
        if match is None:
            raise ValueError(f"the text does not have the form {pattern}")
        try:
            return _assemble(list(zip(letters, match.groups(), strict=True)))
        except (ValueError, OverflowError) as failure:
            raise ValueError(f"the text has the form {pattern} but is no time: {failure}") from None

    return read


def _parts(pattern: str) -> Iterator[_Part]:
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        if letter == "'":
            text, position = _quoted_text(pattern, position)
            yield _Part("", 0, text)
        elif letter.isascii() and letter.isalpha():
            end = position
            while end < len(pattern) and pattern[end] == letter:
                end += 1
            yield _letter(pattern, letter, end - position)
            position = end
        else:
            yield _Part("", 0, letter)
            position += 1


def _letter(pattern: str, letter: str, count: int) -> _Part:
    if letter not in _KNOWN:
        message = f'the letter "{letter}" in the time pattern {pattern} has no meaning'
        hint = f"The letters are {_KNOWN}. Text stands in single quotes: '{letter * count}'."
        raise FlowError(BAD_TIME, message, hint=hint)
    letter = "y" if letter == "Y" else letter
    most = 9 if letter in _MOST_DIGITS and letter != "M" else _MOST_LETTERS.get(letter, 5)
    if count > most:
        message = f'the letter "{letter}" stands {count} times in the time pattern {pattern}, which has no meaning'
        raise FlowError(BAD_TIME, message, hint=f"Write it at most {most} times.")
    return _Part(letter, count)


def _quoted_text(pattern: str, start: int) -> tuple[str, int]:
    """The text that begins with the quote at ``start``, and where the pattern goes on."""
    if pattern.startswith("''", start):
        return "'", start + 2
    text = ""
    position = start + 1
    while position < len(pattern):
        if pattern.startswith("''", position):
            text += "'"
            position += 2
        elif pattern[position] == "'":
            return text, position + 1
        else:
            text += pattern[position]
            position += 1
    message = f"a single quote in the time pattern {pattern} is not closed"
    raise FlowError(BAD_TIME, message, hint="Close it, or write it twice to mean a single quote.")


def _writer(part: _Part) -> Callable[[datetime], str]:
    count = part.count
    match part.letter:
        case "":
            return lambda _: part.text
        case "y" if count == 2:  # noqa: PLR2004 - "yy"
            return lambda t: f"{t.year % 100:02d}"
        case "M" if count >= _SHORT:
            return lambda t: _MONTHS[t.month - 1][: _SHORT if count == _SHORT else None]
        case "E":
            return lambda t: _DAYS[t.weekday()][: _SHORT if count <= _SHORT else None]
        case "S":
            return lambda t: f"{t.microsecond:06d}".ljust(count, "0")[:count]
        case "a":
            return lambda t: "AM" if t.hour < 12 else "PM"  # noqa: PLR2004 - noon
        case "z":
            return lambda t: t.tzname() or "UTC"
        case "Z":
            return lambda t: _offset(t, ":" if count == 2 else "")  # noqa: PLR2004 - "ZZ"
        case "X":
            return lambda t: _iso_offset(t, count)
    numbers: dict[str, Callable[[datetime], int]] = {
        "y": lambda t: t.year,
        "M": lambda t: t.month,
        "d": lambda t: t.day,
        "D": lambda t: t.timetuple().tm_yday,
        "H": lambda t: t.hour,
        "h": lambda t: t.hour % 12 or 12,
        "m": lambda t: t.minute,
        "s": lambda t: t.second,
    }
    number = numbers[part.letter]
    return lambda t: f"{number(t):0{count}d}"


def _offset(moment: datetime, colon: str) -> str:
    minutes = (moment.utcoffset() or timedelta()) // timedelta(minutes=1)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}{colon}{abs(minutes) % 60:02d}"


def _iso_offset(moment: datetime, count: int) -> str:
    if not moment.utcoffset():
        return "Z"
    text = _offset(moment, ":" if count == _SHORT else "")
    return text.removesuffix("00") if count == 1 else text


def _expressions(pattern: str, parts: list[_Part]) -> Iterator[str]:
    for index, part in enumerate(parts):
        following = parts[index + 1] if index + 1 < len(parts) else _Part("", 0)
        tight = following.numeric or following.text[:1].isdigit()
        match part.letter:
            case "":
                yield re.escape(part.text)
            case "M" if not part.numeric:
                yield f"({_names(_MONTHS)})"
            case "E":
                yield f"({_names(_DAYS)})"
            case "a":
                yield "(AM|PM)"
            case "z":
                yield f"({_ZONE})"
            case "Z" | "X":
                yield f"({_OFFSET})"
            case "y" if part.count > 1:
                yield f"([0-9]{{{4 if part.count == _SHORT else part.count}}})"
            case "S":
                yield f"([0-9]{{{part.count}}})"
            case letter if tight:
                if part.count < _MOST_DIGITS[letter]:
                    message = f'in the time pattern {pattern} it is open where the number of "{letter}" ends'
                    hint = f"Write {letter * _MOST_DIGITS[letter]}, or put a separator behind it."
                    raise FlowError(BAD_TIME, message, hint=hint)
                yield f"([0-9]{{{part.count}}})"
            case letter:
                yield f"([0-9]{{1,{max(part.count, _MOST_DIGITS[letter])}}})"


def _names(names: tuple[str, ...]) -> str:
    return "|".join(f"{name}|{name[:_SHORT]}" for name in names)


def _assemble(found: list[tuple[_Part, str]]) -> datetime:
    values: dict[str, int] = {}
    zone: tzinfo = UTC
    for part, text in found:
        letter = part.letter
        if letter == "z":
            zone = _zone(text)
        elif letter in ("Z", "X"):
            zone = _fixed_zone(text)
        else:
            value = _value(part, text)
            if values.setdefault(letter, value) != value:
                raise ValueError(f'two values for "{letter}"')
    return _date(values).replace(
        hour=_hour(values),
        minute=values.get("m", 0),
        second=values.get("s", 0),
        microsecond=values.get("S", 0),
        tzinfo=zone,
    )


def _value(part: _Part, text: str) -> int:
    match part.letter:
        case "M" if not part.numeric:
            return _position(text, _MONTHS) + 1
        case "E":
            return _position(text, _DAYS)
        case "a":
            return int(text.upper() == "PM")
        case "S":
            return int(text[:6].ljust(6, "0"))
        case "y" if part.count == 2:  # noqa: PLR2004 - "yy"
            return int(text) + (2000 if int(text) < _PIVOT else 1900)
    return int(text)


def _date(values: Mapping[str, int]) -> datetime:
    year = values.get("y", _LEAP_YEAR)
    if "D" in values and not ("M" in values and "d" in values):
        date = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=values["D"] - 1)
        if values["D"] < 1 or date.year != year:
            raise ValueError("the day of the year is out of range")
    else:
        date = datetime(year, values.get("M", 1), values.get("d", 1), tzinfo=UTC)
    # Without a year nothing tells how many days there are before a date in March or later.
    told = {"D": date.timetuple().tm_yday, "M": date.month, "d": date.day} if "y" in values else {}
    if any(values.get(letter, value) != value for letter, value in told.items()):
        raise ValueError("the day of the year is that of another date")
    if "y" in values and ("d" in values or "D" in values) and values.get("E", date.weekday()) != date.weekday():
        raise ValueError("the day of the week is that of another date")
    return date


def _hour(values: Mapping[str, int]) -> int:
    if "H" in values or "h" not in values:
        return values.get("H", 0)
    if not 1 <= values["h"] <= 12:  # noqa: PLR2004 - the clock face
        raise ValueError("hour must be in 1..12")
    return values["h"] % 12 + 12 * values.get("a", 0)


def _position(text: str, names: tuple[str, ...]) -> int:
    return [name[:_SHORT].lower() for name in names].index(text[:_SHORT].lower())


def _zone(text: str) -> tzinfo:
    name = text.upper()
    if name in ("UTC", "GMT", "Z"):
        return UTC
    if name.startswith(("UTC", "GMT")) and re.fullmatch(r"[+-][0-9]{2}:?[0-9]{2}", name[3:]):
        return _fixed_zone(name[3:])
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError("the name of its time zone is not known") from None


def _fixed_zone(text: str) -> tzinfo:
    if text.upper() == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    if int(digits[2:]) > 59:  # noqa: PLR2004 - minutes
        raise ValueError("the offset is out of range")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _read_unix(text: str) -> datetime:
    if not re.fullmatch(r"-?[0-9]{1,12}", text):
        raise ValueError("the text is not a number of seconds since 1970")
    try:
        return _EPOCH + timedelta(seconds=int(text))
    except OverflowError:
        raise ValueError("the number of seconds is out of range") from None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
