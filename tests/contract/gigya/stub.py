"""A stub of the API for what the local site does not have: fixed answers, and a note of what was asked."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


@contextmanager
def stub(answer):
    """A server that gives ``answer(method, parameters, headers)``: (status, object or bytes)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            parameters = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
            method = self.path.strip("/")
            asked.append((method, parameters, dict(self.headers)))
            status, found = answer(method, parameters, self.headers)
            content = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

        def date_time_string(self, timestamp=None):
            return getattr(server, "date", None) or super().date_time_string(timestamp)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    server.params = {"url": server.url, "apiKey": "4_key", "userKey": "user", "secret": "c2VjcmV0c2VjcmV0"}
    server.asked = asked
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
