"""The local site as a process of its own, filled once with as many people as the case's file has changes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.case import PROJECT

_FILLED = "filled"
_PAGE = 1 << 20


@contextmanager
def filled(file: Path) -> Iterator[dict[str, str]]:
    """The site of the people in ``file``; what is measured may change their data, never their number."""
    folder = file.parent.with_name(f"{file.parent.name}-site")
    people = _lines(file) if not (folder / _FILLED).exists() else 0
    command = [str(Path(sys.executable).with_name("landbridge")), "site", "serve", "--data", str(folder), "--port", "0"]
    with subprocess.Popen(
        [*command, "--people", str(people), "--seed", "1"], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            (folder / _FILLED).touch()
            keys = json.loads((folder / "credentials.json").read_text())
            facts = {"url": url, "apiKey": keys["api_key"], "userKey": keys["user_key"], "secret": keys["secret"]}
            with tempfile.NamedTemporaryFile("w", suffix=".json") as values:
                json.dump(facts, values)
                values.flush()
                yield {"values": values.name}
        finally:
            process.terminate()
            process.wait(30)


def _lines(file: Path) -> int:
    with file.open("rb") as opened:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: opened.read(_PAGE), b""))
