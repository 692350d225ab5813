"""From an HTTP request to the named parameters of a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from yarl import URL

from landbridge.gigya_wire.replies import ApiError, invalid, missing

MAX_BODY_BYTES: Final = 16 << 20
MAX_PARAMETERS: Final = 1000

_QUICKLY_DECODED_BYTES: Final = 64 << 10
_REPLACED: Final = "\ufffd"
_TRUE: Final = frozenset(("true", "1", "yes"))
_FALSE: Final = frozenset(("false", "0", "no"))


class Parameters:
    """A call's parameters; names are matched case-insensitively.

    ``""`` and the text ``null`` count as not given, because client libraries send them for null.
    """

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs
        self._values = {name.lower(): value for name, value in pairs}

    def __iter__(self) -> Iterator[str]:
        return iter(name for name, _ in self.pairs)

    def raw(self, name: str) -> str | None:
        """The text as it was sent, or None."""
        return self._values.get(name.lower())

    def text(self, name: str) -> str | None:
        """A text, or None where it is not given."""
        value = self._values.get(name.lower())
        return None if value is None or value in ("", "null") else value

    def required(self, name: str) -> str:
        """A text that must be given.

        Raises:
            ApiError: 400002.
        """
        value = self.text(name)
        if value is None:
            raise missing(name)
        return value

    def boolean(self, name: str) -> bool | None:
        """A boolean, or None where it is not given; ``true``, ``True``, ``1`` and their opposites.

        Raises:
            ApiError: 400006.
        """
        value = self.text(name)
        if value is None:
            return None
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
        raise invalid(name, "is neither true nor false")

    def integer(self, name: str) -> int | None:
        """A whole number, or None where it is not given.

        Raises:
            ApiError: 400006.
        """
        value = self.text(name)
        if value is None:
            return None
        if not value.lstrip("-").isdecimal() or not value.isascii() or len(value) > 18:  # noqa: PLR2004 - 64 bits
            raise invalid(name, "is not a whole number")
        return int(value)

    def json(self, name: str) -> Any:
        """A value that travels as JSON text, or None where it is not given.

        Raises:
            ApiError: 400006.
        """
        value = self.text(name)
        if value is None:
            return None
        if "\\u0000" in value or "\x00" in value:
            raise invalid(name, "holds a character that cannot be stored")
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise invalid(name, "is not valid JSON") from error

    def object(self, name: str) -> dict[str, Any] | None:
        """A JSON object, or None where it is not given.

        Raises:
            ApiError: 400006.
        """
        value = self.json(name)
        if value is not None and not isinstance(value, dict):
            raise invalid(name, "is not a JSON object")
        return value

    def names(self, name: str) -> list[str]:
        """A list of texts that travels as a JSON array or separated by commas; empty where it is not given.

        Raises:
            ApiError: 400006.
        """
        value = self.text(name)
        if value is None:
            return []
        if not value.startswith("["):
            return [part.strip() for part in value.split(",") if part.strip()]
        parts = self.json(name)
        if not all(isinstance(part, str) for part in parts):
            raise invalid(name, "is not an array of texts")
        return list(parts)

    def as_sent(self) -> Mapping[str, str]:
        """Names and texts as they came."""
        return dict(self.pairs)


async def read_body(receive: Any) -> bytes:
    """The whole body of a request.

    Raises:
        ApiError: 413001 where it is larger than 16 MiB.
        ConnectionError: The client went away.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError("the client went away")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise ApiError(413001, f"Request is larger than {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


async def decode(query: bytes, headers: Mapping[str, str], body: bytes) -> Parameters:
    """The parameters of the query string and of the body; where both name one, the body's counts.

    Raises:
        ApiError: 400001 where the body is not what its content type says, or where there are too many parameters.
    """
    pairs = _urlencoded(query)
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if body and kind == "multipart/form-data":
        pairs += await _multipart(headers, body)
    elif body and kind != "application/json":
        pairs += _urlencoded(body)
    if len(pairs) > MAX_PARAMETERS:
        raise ApiError(400001, f"More than {MAX_PARAMETERS} parameters")
    return Parameters(pairs)


def _urlencoded(text: bytes) -> list[tuple[str, str]]:
    if not text:
        return []
    if len(text) <= _QUICKLY_DECODED_BYTES and text.isascii():
        # The same pairs in a fifth of the time. What is not UTF-8 becomes U+FFFD, and then the strict way decides.
        query = URL.build(path="/", query_string=text.decode("ascii"), encoded=True).query
        pairs = [(name, value) for name, value in query.items() if name or value]
        if len(pairs) <= MAX_PARAMETERS and not any(_REPLACED in name or _REPLACED in value for name, value in pairs):
            return pairs
    try:
        return parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except (UnicodeError, ValueError) as error:
        raise ApiError(400001, "The parameters are not urlencoded UTF-8") from error


async def _multipart(headers: Mapping[str, str], body: bytes) -> list[tuple[str, str]]:
    async def one_chunk() -> Any:
        yield body

    try:
        form = await MultiPartParser(Headers(headers), one_chunk(), max_files=0, max_fields=MAX_PARAMETERS,
                                     max_part_size=MAX_BODY_BYTES).parse()  # fmt: skip
    except (MultiPartException, UnicodeError, KeyError) as error:
        raise ApiError(400001, "The body is not multipart/form-data") from error
    return [(name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile)]
