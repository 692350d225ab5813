"""What a browser shows of the set-up link: in words, which command or call makes the first admin.

The secret of the link stands behind its ``#``, which browsers keep to themselves; the page neither gets nor needs it.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Landbridge: the first admin</title>
<h1>The first admin</h1>
<p>This service is running. As long as it has no user, there are two ways to make the first admin:</p>
<p>On the machine of the service, with the same --data or --database as the service:</p>
<pre>landbridge users add ADDRESS --role admin</pre>
<p>Or from here, with what stands behind the # in the link that you have opened:</p>
<pre>curl SERVICE/api/v1/setup -H 'Content-Type: application/json' -d @admin.json</pre>
<p>where admin.json holds</p>
<pre>{"token": "what stands behind the #", "email": "ADDRESS", "name": "NAME", "password": "PASSWORD"}</pre>
<p>The link is good for one hour and for one admin. <code>landbridge users setup-link</code> prints a new one.</p>
</html>
"""


@router.get("/setup")
def show_setup() -> HTMLResponse:
    """The page behind the set-up link."""
    return HTMLResponse(_PAGE)
