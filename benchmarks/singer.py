"""A Singer pipeline, tap | target, as one program: ``python -m benchmarks.singer TAP TARGET CONFIGURATION FOLDER...``.

The configuration is a JSON file with the members ``tap`` and ``target``; ``{input}``, ``{output}`` and ``{file}`` in it
stand for the folders and the file that are given after it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Run the pipeline; 0 when both programs end well."""
    tap, target, configuration, source, output, file = sys.argv[1:]
    text = Path(configuration).read_text()
    for name, value in {"input": source, "output": output, "file": file}.items():
        text = text.replace("{" + name + "}", value)
    parts = json.loads(text)
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in parts.items():
            (Path(folder) / f"{name}.json").write_text(json.dumps(settings))
        first = subprocess.Popen(
            [tap, "--config", f"{folder}/tap.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        second = subprocess.Popen(
            [target, "--config", f"{folder}/target.json"], stdin=first.stdout, stdout=subprocess.DEVNULL
        )
        if first.stdout:
            first.stdout.close()
        said = first.communicate()[1]
        codes = (first.wait(), second.wait())
    if any(codes):
        sys.stderr.buffer.write(said[-2000:])
    return max(map(abs, codes))


if __name__ == "__main__":
    sys.exit(main())
