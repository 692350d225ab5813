"""Calls to ``idx.*`` in all the ways in which clients encode and sign them, written without the code they test."""

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import time
import urllib.parse
import urllib.request

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

TIMEOUT_S = 30


def enc(text):
    return urllib.parse.quote(text, safe="-_.~")


def signature(secret, verb, url, parameters):
    """HMAC-SHA1 over verb, URL and sorted parameters."""
    joined = "&".join(f"{key}={enc(parameters[key])}" for key in sorted(parameters) if key != "sig")
    base = f"{verb}&{enc(url)}&{enc(joined)}"
    return base64.b64encode(hmac.new(base64.b64decode(secret), base.encode(), hashlib.sha1).digest()).decode()


def token_of(key, *parts):
    """A JSON web token of header and claims, signed by RS256."""
    signed = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    private = serialization.load_pem_private_key(key.encode(), None)
    signature_bytes = private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{base64.urlsafe_b64encode(signature_bytes).rstrip(b'=').decode()}"


def texts(parameters):
    """Parameters as they travel: objects as JSON text."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in parameters.items()
        if value is not None
    }


class Client:
    """Calls one site."""

    def __init__(self, url, site):
        self.url = url
        self.site = site
        self.credentials = {"apiKey": site.api_key, "userKey": site.user_key, "secret": site.secret}

    def __call__(self, method, **parameters):
        """What a call answers; sent as a form, with the secret."""
        return self.form(method, self.credentials | texts(parameters))

    def ok(self, method, **parameters):
        reply = self(method, **parameters)
        assert reply["errorCode"] == 0, reply
        return reply

    def search(self, query, **parameters):
        return self.ok("idx.search", query=query, **parameters).get("result", [])

    def send(self, verb, path, body=b"", headers=None):
        """A request as it is; gives status, headers, body."""
        parts = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
        try:
            connection.request(verb, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def form(self, method, parameters, headers=None):
        body = urllib.parse.urlencode(parameters).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        status, _, reply = self.send("POST", f"/{method}", body, kind | (headers or {}))
        assert status == 200
        return json.loads(reply)

    def query(self, method, parameters):
        status, _, reply = self.send("GET", f"/{method}?{urllib.parse.urlencode(parameters)}")
        assert status == 200
        return json.loads(reply)

    def multipart(self, method, parameters):
        boundary = secrets.token_hex(8)
        parts = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in parameters.items()
        )
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        _, _, reply = self.send("POST", f"/{method}", f"{parts}--{boundary}--\r\n".encode(), kind)
        return json.loads(reply)

    def signed(
        self, method, *, url=None, secret=None, user_key=True, milliseconds=False, at=0, nonce=None, **parameters
    ):
        """A signed call, without the secret."""
        moment = time.time() + at
        sent = {
            "apiKey": self.site.api_key,
            **({"userKey": self.site.user_key} if user_key else {}),
            "timestamp": str(int(moment * 1000 if milliseconds else moment)),
            "nonce": nonce or secrets.token_hex(8),
            "format": "json",
            **texts(parameters),
        }
        sent["sig"] = signature(secret or self.site.secret, "POST", url or f"{self.url}/{method}", sent)
        return self.form(method, sent)

    def bearer(self, method, **parameters):
        """A call with a token that the application's private key signs."""
        claims = {"iat": int(time.time()), "jti": secrets.token_hex(8)}
        token = token_of(self.site.private_key, {"alg": "RS256", "typ": "JWT", "kid": self.site.user_key}, claims)
        sent = {"apiKey": self.site.api_key, **texts(parameters)}
        return self.form(method, sent, {"Authorization": f"Bearer {token}"})
