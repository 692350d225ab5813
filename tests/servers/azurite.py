"""Azurite, Microsoft's emulator of Azure Blob Storage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import tempfile
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.process import ROOT, ServerProcess, find_program, free_port


class AzuriteServer:
    """The blob service of Azurite, with the account and key that it is known for."""

    account = "devstoreaccount1"
    # Published in Azurite's README; it opens nothing but emulators.
    account_key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/{self.account}"
        self._folder = tempfile.TemporaryDirectory(prefix="lb-azurite-")

    def container(self, name: str) -> str:
        """Make a container and give its name back."""
        path, date = f"/{self.account}/{name}", formatdate(usegmt=True)
        headers = {"x-ms-date": date, "x-ms-version": "2021-12-02"}
        # "Authorize with Shared Key" (Azure Storage reference): method, headers, resource.
        text = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:2021-12-02\n"
        text += f"/{self.account}{path}\nrestype:container"
        digest = hmac.new(base64.b64decode(self.account_key), text.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {self.account}:{base64.b64encode(digest).decode()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("PUT", f"{path}?restype=container", headers=headers)
            answer = connection.getresponse()
            if answer.status not in (201, 409):
                raise RuntimeError(f"Azurite made no container: {answer.status} {answer.read()!r}")
        finally:
            connection.close()
        return name

    def __enter__(self) -> Self:
        program = find_program("azurite-blob", ROOT / ".tools" / "node_modules" / ".bin")
        folder = Path(self._folder.name)
        command = [program, "--blobHost", "127.0.0.1", "--blobPort", str(self.port)]
        command += ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence"]
        self._process = ServerProcess(command, port=self.port, log=folder / "log", folder=folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
        self._folder.cleanup()
