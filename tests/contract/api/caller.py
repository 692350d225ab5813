"""Requests to the API as programs and browsers send them, written without the code they test."""

import http.client
import json
import ssl
import urllib.parse
from dataclasses import dataclass
from http.cookies import SimpleCookie

TIMEOUT_S = 30


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The code of a problem; empty for anything else."""
        is_problem = self.headers.get("Content-Type", "") == "application/problem+json"
        return self.json["code"] if is_problem else ""

    @property
    def cookie(self):
        """The session's cookie with its attributes, where one was set."""
        return SimpleCookie(self.headers.get("Set-Cookie", "")).get("landbridge_session")


class Api:
    """Calls a service: without a login, by a token, or as a browser with a session."""

    def __init__(self, url, *, token=None, authority=None):
        self.url = url
        self.token = token
        self.authority = authority
        self.cookie = None
        self.csrf = None

    def __call__(self, method, path, body=None, *, headers=None, root="/api/v1", read=True):
        sent = {"Host": urllib.parse.urlsplit(self.url).netloc}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if self.cookie:
            sent["Cookie"] = f"landbridge_session={self.cookie}"
        if self.csrf and method not in ("GET", "HEAD"):
            sent["X-CSRF-Token"] = self.csrf
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        connection = self._connection()
        try:
            sent = {name: value for name, value in sent.items() if value is not None}
            connection.putrequest(method, f"{root}{path}", skip_host=True, skip_accept_encoding=True)
            if body is not None:
                sent.setdefault("Content-Length", str(len(body)))
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            reply = connection.getresponse()
            # An endless reply is not read, only begun.
            read = read or reply.getheader("Content-Type") == "application/problem+json"
            return Reply(reply.status, reply.headers, reply.read() if read else b"")
        finally:
            connection.close()

    def get(self, path, **options):
        return self("GET", path, **options)

    def post(self, path, body=None, **options):
        return self("POST", path, body, **options)

    def log_in(self, email, password, *, status=200):
        """Become a browser with a session."""
        reply = self.post("/session", {"email": email, "password": password})
        assert reply.status == status, reply.body
        if status == 200:
            self.take(reply)
        return reply

    def take(self, reply):
        """Keep the session that a reply has begun."""
        self.cookie, self.csrf = reply.cookie.value, reply.json["csrfToken"]

    def _connection(self):
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme == "https":
            context = ssl.create_default_context(cadata=self.authority)
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_S, context=context)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
