"""The npm package ``gigya``, a client that others have written."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.process import ROOT, MissingPart, find_program

_SDK = ROOT / ".tools" / "node_modules" / "gigya"


class NodeSdk:
    """A process that calls a server on loopback in the way of that client."""

    def __init__(self, port: int, api_key: str, credentials: dict[str, str]) -> None:
        self.credentials = credentials
        self._place = [str(port), api_key]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by __exit__
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        if not _SDK.is_dir():
            raise MissingPart("the npm package gigya")
        command = [find_program("node"), str(Path(__file__).with_suffix(".js")), str(_SDK), *self._place]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.communicate(timeout=60)
        self._errors.close()

    def answer(self, method: str, **params: Any) -> dict[str, Any]:
        """What a call gives: ``reply``, or ``failure`` with an error code."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps({"credentials": self.credentials, "method": method, "params": params}), file=process.stdin)
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"the client has ended: {self._errors.read()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __call__(self, method: str, **params: Any) -> Any:
        """What a call that succeeds replies."""
        answer = self.answer(method, **params)
        assert "reply" in answer, f"{method}: {answer}"
        return answer["reply"]
