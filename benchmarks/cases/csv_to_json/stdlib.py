"""CSV.gz to JSON lines as a straightforward script on the standard library: gzip, csv, json."""

import csv
import gzip
import json
import sys
import time
from pathlib import Path


def work(source: Path, target: Path) -> None:
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    with (target / "table.jsonl").open("w", encoding="utf-8") as output:
        for path in sorted(source.iterdir()):
            with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
                for record in csv.DictReader(file):
                    output.write(encode({name: value for name, value in record.items() if value}) + "\n")


if __name__ == "__main__":
    began = time.perf_counter()
    work(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps({"work_s": time.perf_counter() - began}))
