"""A local identity site: an embedded repository of accounts that speaks Gigya's REST API.

With it a dataflow is developed, tested and shown without a vendor's account. In a test or a demo it runs in the same
process::

    async with Site(folder, people=10_000, seed=1) as site:
        async with aiohttp.ClientSession() as http:
            reply = await http.post(
                f"{site.url}/accounts.search",
                data={
                    "apiKey": site.api_key,
                    "userKey": site.user_key,
                    "secret": site.secret,
                    "query": "SELECT * FROM accounts LIMIT 1000",
                    "openCursor": "true",
                },
            )
            page = await reply.json()  # results, objectsCount, totalCount, nextCursorId

``Site()`` without a folder keeps its data in a temporary one. ``site.private_key`` signs bearer tokens (``kid`` is
``site.user_key``), ``Site(https_port=0)`` also answers at ``site.https_url`` with a certificate of
``site.authority_file``. A method is found by the path alone, so a client may send any host name.

What goes wrong can be chosen: ``site.faults.add(Fault(method="accounts.search", error_code=403048, times=2))`` answers
the next two searches with 403048, ``Fault(drop=True, after_work=True)`` does the work and cuts the connection in the
middle of the reply, and ``site.switches = replace(site.switches, empty_last_page=True, searches_per_s=10)`` changes
quirks and limits. A process of its own (``landbridge site serve``) takes the same as JSON at ``/_site/faults`` and
``/_site/switches``, from this machine only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from landbridge.site.faults import Fault, Switches
    from landbridge.site.site import Site

__all__ = ["Fault", "Site", "Switches"]

_PLACES = {"Fault": "faults", "Site": "site", "Switches": "faults"}


def __getattr__(name: str) -> Any:
    # Loaded when asked for, so that who only wants ``landbridge.site.people`` does not wait for a web server.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
