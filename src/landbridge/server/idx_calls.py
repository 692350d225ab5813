"""A call to ``idx.*`` on its way to its method, and the values that a client sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from landbridge.dataflow.model import JsonObject, parse_object
from landbridge.dataflow.problems import DataflowError, Problem, errors_of
from landbridge.gigya_wire.authentication import Caller
from landbridge.gigya_wire.replies import ApiError, Payload, invalid
from landbridge.gigya_wire.requests import Parameters
from landbridge.jobs.db import Database
from landbridge.jobs.documents import Documents, storable
from landbridge.server.idx_cursors import OpenSearches
from landbridge.server.idx_sites import Site

_MAX_ID: Final = 255
_MAX_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Call:
    """One call; ``site`` is the one whose API key it names."""

    parameters: Parameters
    caller: Caller
    site: Site
    database: Database
    documents: Documents
    searches: OpenSearches

    @property
    def by(self) -> str:
        """Who calls, as changes name them."""
        return f"idx {self.caller.user_key}"

    def object(self, name: str, *, noun: str) -> JsonObject:
        """A parameter that is the JSON text of an object.

        Raises:
            ApiError: 400002, it is missing; 400006, it is no JSON object.
        """
        document, problems = parse_object(self.parameters.required(name), source=name, noun=noun)
        if document is None:
            raise refused(problems, parameter=name)
        if not storable(document):
            raise invalid(name, "holds a character that cannot be stored: zero, or half of a surrogate pair")
        return document

    def id_in(self, document: JsonObject) -> str:
        """The id in an object, or else in the parameter ``id``.

        Raises:
            ApiError: 400002, it is missing; 400006, it is not a text.
        """
        value = document.get("id")
        if value is None or value == "":
            return identifier(self.parameters.required("id"))
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise invalid("id", "is not a text")
        return identifier(str(value))


Handler: TypeAlias = Callable[[Call], Payload]


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the API; ``parameters`` are the names that it knows, in small letters."""

    name: str
    handler: Handler
    parameters: frozenset[str]


def method(name: str, handler: Handler, parameters: str) -> Method:
    """Declare a method; ``parameters`` are separated by blanks."""
    return Method(name, handler, frozenset(parameters.lower().split()))


def identifier(text: str) -> str:
    """An id that may be one.

    Raises:
        ApiError: 404000; nothing can have it.
    """
    text = text.strip()
    if not text or len(text) > _MAX_ID or not text.isprintable():
        raise ApiError(404000, "There is nothing with this id")
    return text


def refused(problems: Iterable[Problem], *, parameter: str) -> ApiError:
    """The error for a dataflow or scheduling that cannot be understood."""
    found = errors_of(problems)
    listed = [
        {
            "errorCode": 400006,
            "message": f"{problem.message}  [{problem.code}]",
            "fieldName": problem.field or parameter,
        }
        for problem in found[:_MAX_NAMED]
    ]
    first = found[0].message if found else "cannot be understood"
    return ApiError(400006, f"Invalid argument: {parameter}: {first}", payload={"validationErrors": listed})


def understood(error: DataflowError, *, parameter: str) -> ApiError:
    """The same for an error that was raised."""
    return refused(error.problems, parameter=parameter)


def without(document: JsonObject, names: frozenset[str]) -> dict[str, Any]:
    """An object without keys that the service sets itself; ``names`` are in small letters."""
    return {key: value for key, value in document.items() if key.lower() not in names}
