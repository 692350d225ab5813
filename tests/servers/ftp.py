"""An FTP server (pyftpdlib) as a process of its own, with or without TLS."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.servers.certificate import Certificate, make_certificate
from tests.servers.process import ROOT, MissingPart, ServerProcess, free_port


class FtpServer:
    """A server with one user who sees ``root``."""

    host = "127.0.0.1"
    username = "landbridge"
    password = "Tr0ub4dor & 3"

    def __init__(
        self,
        root: Path,
        *,
        tls: Literal["none", "explicit", "implicit"] = "none",
        mlsd: bool = True,
        sizes: bool = True,
        permissions: str = "elradfmwMT",
        idle_timeout_s: float = 300,
    ) -> None:
        self.root = root
        self.port = free_port()
        self.certificate: Certificate | None = make_certificate() if tls != "none" else None
        self._tls = tls
        self._mlsd = mlsd
        self._sizes = sizes
        self._permissions = permissions
        self._idle_timeout_s = idle_timeout_s
        self._folder = tempfile.TemporaryDirectory(prefix="lb-ftp-")

    def __enter__(self) -> Self:
        folder = Path(self._folder.name)
        command = [sys.executable, "-W", "ignore", "-m", "tests.servers.ftp", str(self.root), str(self.port)]
        command += ["--idle-timeout", str(self._idle_timeout_s)]
        command += ["--user", self.username, "--password", self.password, "--permissions", self._permissions]
        if not self._mlsd:
            command += ["--without", "MLSD", "MLST"]
        if not self._sizes:
            command += ["--without", "SIZE"]
        if self.certificate is not None:
            try:
                import OpenSSL  # noqa: F401 - what pyftpdlib needs for TLS
            except ImportError:
                raise MissingPart("pyOpenSSL") from None
            (folder / "tls.pem").write_text(self.certificate.chain + self.certificate.key)
            command += ["--certificate", str(folder / "tls.pem"), "--tls", self._tls]
        self._process = ServerProcess(command, port=self.port, log=folder / "log", folder=ROOT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
        self._folder.cleanup()


def _serve() -> None:
    from pyftpdlib.authorizers import DummyAuthorizer  # type: ignore[import-untyped]
    from pyftpdlib.handlers import FTPHandler  # type: ignore[import-untyped]
    from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped]

    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("port", type=int)
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--permissions")
    parser.add_argument("--certificate")
    parser.add_argument("--tls")
    parser.add_argument("--idle-timeout", type=float)
    parser.add_argument("--without", action="extend", nargs="+", default=[], help="commands it does not know")
    options = parser.parse_args()
    authorizer = DummyAuthorizer()
    authorizer.add_user(options.user, options.password, options.root, perm=options.permissions)
    base: type[FTPHandler] = FTPHandler
    settings: dict[str, object] = {
        "authorizer": authorizer,
        "auth_failed_timeout": 0.1,
        "timeout": options.idle_timeout,
    }
    if options.certificate:
        from pyftpdlib.handlers import TLS_FTPHandler

        base = TLS_FTPHandler
        settings |= {"certfile": options.certificate, "tls_data_required": True, "tls_control_required": True}
        if options.tls == "implicit":

            def handle(self: FTPHandler) -> None:
                self.secure_connection(self.ssl_context)
                TLS_FTPHandler.handle(self)

            settings |= {"handle": handle, "ftp_AUTH": lambda self, line: self.respond("550 already secure")}
    commands = {name: value for name, value in base.proto_cmds.items() if name not in options.without}
    settings["proto_cmds"] = commands
    handler = type("Handler", (base,), settings)
    with FTPServer(("127.0.0.1", options.port), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    _serve()
