# mypy: disable-error-code="import-not-found,import-untyped"
"""CSV.gz to JSON lines with dlt: its CSV source (pandas) and its file destination."""

import json
import sys
import time
from pathlib import Path

import dlt
from dlt.sources.filesystem import filesystem, read_csv


def work(source: Path, target: Path, scratch: Path) -> None:
    pipeline = dlt.pipeline(
        "table",
        destination=dlt.destinations.filesystem(target.as_uri()),
        dataset_name="out",
        pipelines_dir=str(scratch),
    )
    files = filesystem(source.as_uri(), file_glob="*.csv.gz")
    records = (files | read_csv(chunksize=50_000, dtype=str)).with_name("table")
    pipeline.run(records, loader_file_format="jsonl", write_disposition="replace")


if __name__ == "__main__":
    began = time.perf_counter()
    work(*map(Path, sys.argv[1:4]))
    print(json.dumps({"work_s": time.perf_counter() - began}))
