# mypy: disable-error-code="import-not-found,import-untyped"
"""CSV to CSV with dlt: its CSV source (pandas), one function a data frame, its file destination."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dlt
import pandas as pd
from dlt.sources.filesystem import filesystem

RENAMED = {
    "CUSTOMER_ID": "UID",
    "FIRST NAME": "firstName",
    "LAST NAME": "lastName",
    "EMAIL": "email",
    "OPT_IN": "subscribed",
}
SELECTED = ["UID", "email", "firstName", "lastName", "subscribed", "COUNTRY", "CITY", "ZIP", "STREET", "PHONE", "SCORE",
            "COMMENT"]  # fmt: skip


@dlt.transformer(name="table")  # type: ignore[untyped-decorator]
def frames(files: Iterable[Any]) -> Iterator[pd.DataFrame]:
    for file in files:
        with file.open() as opened:
            for frame in pd.read_csv(opened, chunksize=50_000, dtype=str):
                table = frame.rename(columns=RENAMED)
                table["COMMENT"] = table["COMMENT"].str.replace(r"[\r\n\t]+", " ", regex=True)
                table["PHONE"] = table["PHONE"].str.replace(r"^[+](\d\d) ", r"00\1", regex=True)
                yield table[SELECTED]


def work(source: Path, target: Path, scratch: Path) -> None:
    pipeline = dlt.pipeline(
        "table",
        destination=dlt.destinations.filesystem(target.as_uri()),
        dataset_name="out",
        pipelines_dir=str(scratch),
    )
    files = filesystem(source.as_uri(), file_glob="*.csv")
    pipeline.run(files | frames, loader_file_format="csv", write_disposition="replace")


if __name__ == "__main__":
    began = time.perf_counter()
    work(*map(Path, sys.argv[1:4]))
    print(json.dumps({"work_s": time.perf_counter() - began}))
