"""What the tests of the emulated Silverpop share: requests with our own hands, and what came of them."""

import re
import urllib.parse
import urllib.request
from xml.etree import ElementTree as ET


def token(connection):
    form = {
        "grant_type": "refresh_token",
        "client_id": connection["clientId"],
        "client_secret": connection["clientSecret"],
        "refresh_token": connection["refreshToken"],
    }
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(connection["url"] + "/oauth/token", body, timeout=30) as reply:
        return reply.read()


def access(connection):
    return re.search(r'"access_token":"([^"]+)"', token(connection).decode())[1]


def call(connection, body, *, path="/XMLAPI", raw=True, bearer=None):
    """One request with our own hands; gives the reply's text."""
    document = f"<Envelope><Body>{body}</Body></Envelope>"
    headers = {"Authorization": f"Bearer {bearer or access(connection)}"} if path == "/XMLAPI" else {}
    if raw:
        data, headers["Content-Type"] = document.encode(), "text/xml;charset=utf-8"
    else:
        data = urllib.parse.urlencode({"xml": document}).encode()
    request = urllib.request.Request(connection["url"] + path, data, headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.status == 200
        return reply.read().decode()


def add(uid, list_id, **columns):
    cells = "".join(
        f"<COLUMN><NAME>{name}</NAME><VALUE>{value}</VALUE></COLUMN>"
        for name, value in {"UID": uid, "EMAIL": f"{uid}@example.com", **columns}.items()
    )
    return (
        f"<AddRecipient><LIST_ID>{list_id}</LIST_ID><CREATED_FROM>1</CREATED_FROM>"
        f"<UPDATE_IF_FOUND>true</UPDATE_IF_FOUND>{cells}</AddRecipient>"
    )


def error_ids(reply):
    return [each.text for each in ET.fromstring(reply.strip()).iter("errorid")]


def contacts(sandbox):
    return {row["UID"]: row for row in sandbox.rows("silverpop", "contacts")}


def columns_of(*names):
    return [{"name": name, "type": "TEXT", "key": True, "required": True} for name in names]
