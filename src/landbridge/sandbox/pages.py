"""What the sandbox shows and lets switch: a page for people, the same as JSON, and the doors for faults."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from landbridge.sandbox.faults import Fault, can_strike
from landbridge.sandbox.vendor import Table, Vendor

if TYPE_CHECKING:
    from landbridge.sandbox.sandbox import Sandbox

_SHOWN_ROWS: Final = 100
_STYLE: Final = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#222}table{border-collapse:collapse;margin:.5em 0 2em}"
    "td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left;vertical-align:top}th{background:#f3f3f3}"
    "code{background:#f3f3f3;padding:0 .3em}h2{margin-top:1.5em}"
)
_Answer = Callable[[Request], Awaitable[Response]]


class Pages:
    """The sandbox's own pages, for this machine only.

    ``GET /`` lists the vendors, ``GET /_sandbox/NAME`` shows what one holds, ``GET /_sandbox/NAME.json`` gives it as
    JSON. ``GET /_sandbox/state`` shows faults, how often each has happened, and switches; ``POST /_sandbox/faults``
    adds a fault that can happen, ``DELETE`` clears them; ``POST /_sandbox/NAME/switches`` changes switches; ``POST
    /_sandbox/NAME/do/ACTION`` does what people do in the vendor's own pages.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[BaseRoute]:
        """What to answer where."""
        return [
            Route("/", _local(self._index), methods=["GET"]),
            Route("/_sandbox/state", _local(self._state), methods=["GET"]),
            Route("/_sandbox/faults", _local(self._add_fault), methods=["POST"]),
            Route("/_sandbox/faults", _local(self._clear_faults), methods=["DELETE"]),
            Route("/_sandbox/{vendor}.json", _local(self._json), methods=["GET"]),
            Route("/_sandbox/{vendor}", _local(self._page), methods=["GET"]),
            Route("/_sandbox/{vendor}/switches", _local(self._switch), methods=["POST"]),
            Route("/_sandbox/{vendor}/do/{action}", _local(self._do), methods=["POST"]),
        ]

    async def _index(self, request: Request) -> Response:
        del request
        rows = "".join(
            f'<tr><td><a href="/_sandbox/{name}">{escape(vendor.title)}</a></td>'
            f"<td>{escape(', '.join(f'{len(table.rows):,} {table.name}' for table in vendor.tables()))}</td></tr>"
            for name, vendor in self._sandbox.vendors.items()
        )
        return _page("Sandbox", f"<table><tr><th>vendor</th><th>holds</th></tr>{rows}</table>")

    async def _page(self, request: Request) -> Response:
        vendor = self._vendor(request)
        tables = "".join(map(_html_table, vendor.tables()))
        return _page(
            vendor.title, f'<p><a href="/">all vendors</a> · <a href="{vendor.name}.json">JSON</a></p>{tables}'
        )

    async def _json(self, request: Request) -> Response:
        vendor = self._vendor(request)
        return _json({table.name: list(table.rows) for table in vendor.tables()})

    async def _state(self, request: Request) -> Response:
        del request
        switches = {name: asdict(vendor.switches) for name, vendor in self._sandbox.vendors.items()}
        faults = [{**fault.as_json(), "happened": number} for fault, number in self._sandbox.faults.counted()]
        return _json({"faults": faults, "switches": switches})

    async def _add_fault(self, request: Request) -> Response:
        fault = Fault.of(await _given(request))
        can_strike({name: vendor.faults for name, vendor in self._sandbox.vendors.items()}, fault)
        self._sandbox.faults.add(fault)
        return await self._state(request)

    async def _clear_faults(self, request: Request) -> Response:
        self._sandbox.faults.clear()
        return await self._state(request)

    async def _switch(self, request: Request) -> Response:
        self._sandbox.switch(self._vendor(request).name, **await _given(request))
        return await self._state(request)

    async def _do(self, request: Request) -> Response:
        actions = self._vendor(request).actions()
        name = request.path_params["action"]
        if name not in actions:
            raise ValueError(f"there is no action {name}; there are {', '.join(actions) or 'none'}")
        return _json(actions[name](await _given(request)))

    def _vendor(self, request: Request) -> Vendor:
        name = request.path_params["vendor"]
        if name not in self._sandbox.vendors:
            raise ValueError(f"no sandbox {name} is running")
        return self._sandbox.vendors[name]


def _local(answer: _Answer) -> _Answer:
    """Answer only clients on this machine; what is wrong with a request is told in the reply."""

    async def guarded(request: Request) -> Response:
        if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
            return _json({"error": "only this machine may do this"}, status=403)
        is_json = request.headers.get("content-type", "").startswith("application/json")
        if request.method in ("POST", "DELETE") and not is_json:
            # A web page cannot send this type to another site without being asked first.
            return _json({"error": "the content type must be application/json"}, status=400)
        try:
            return await answer(request)
        except (ValueError, TypeError) as error:
            return _json({"error": str(error)}, status=400)

    return guarded


async def _given(request: Request) -> Mapping[str, Any]:
    given = msgspec.json.decode(await request.body() or b"{}")
    if not isinstance(given, dict):
        raise ValueError("send a JSON object")
    return given


def _json(value: Any, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


def _page(title: str, body: str) -> Response:
    return HTMLResponse(
        f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}</h1>{body}"
    )


def _html_table(table: Table) -> str:
    head = list(dict.fromkeys(name for row in table.rows[:_SHOWN_ROWS] for name in row))
    rows = "".join(f"<tr>{_cells(row.get(name) for name in head)}</tr>" for row in table.rows[:_SHOWN_ROWS])
    more = f"<p>the first {_SHOWN_ROWS} of {len(table.rows):,}</p>" if len(table.rows) > _SHOWN_ROWS else ""
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<h2>{escape(table.name)} ({len(table.rows):,})</h2><table><tr>{names}</tr>{rows}</table>{more}"


def _cells(values: Iterable[Any]) -> str:
    return "".join(f"<td>{escape(_text(value))}</td>" for value in values)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
