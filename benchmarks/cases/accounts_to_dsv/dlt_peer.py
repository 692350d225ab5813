# mypy: disable-error-code="import-not-found,import-untyped"
"""Accounts to DSV with dlt: its file source, one Python function a record, its file destination."""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.filesystem import filesystem, read_jsonl

RENAMED = {
    "EMAIL": ("profile", "email"),
    "FIRST_NAME": ("profile", "firstName"),
    "LAST_NAME": ("profile", "lastName"),
    "GENDER": ("profile", "gender"),
    "BIRTH_YEAR": ("profile", "birthYear"),
    "COUNTRY": ("profile", "country"),
    "ADDRESS": ("profile", "address"),
    "BIO": ("profile", "bio"),
    "PHONES": ("profile", "phones"),
    "SCORE": ("data", "score"),
    "MEMBER_CODE": ("data", "memberCode"),
    "OPT_IN": ("subscriptions", "weekly", "email", "isSubscribed"),
}
KEPT = ("UID", "created", "createdTimestamp", "lastUpdated", "isActive", "isVerified", "loginProvider")
LINE_BREAKS = re.compile(r"[\r\n]+")
SEPARATORS = re.compile(r"[|;]")


def get(record: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(record, dict) or key not in record:
            return None
        record = record[key]
    return record


def reshape(record: dict[str, Any]) -> dict[str, Any]:
    row = {name: record.get(name) for name in KEPT}
    row |= {name: get(record, path) for name, path in RENAMED.items()}
    if row["ADDRESS"] is not None:
        row["ADDRESS"] = LINE_BREAKS.sub(", ", str(row["ADDRESS"]))
    row["LAST_NAME"] = SEPARATORS.sub(" ", str(row["LAST_NAME"]))
    row["MEMBER_CODE"] = str(row["MEMBER_CODE"])
    return row


def work(source: Path, target: Path, scratch: Path) -> None:
    pipeline = dlt.pipeline(
        "accounts",
        destination=dlt.destinations.filesystem(target.as_uri()),
        dataset_name="out",
        pipelines_dir=str(scratch),
    )
    files = filesystem(source.as_uri(), file_glob="*.json")
    records = (files | read_jsonl(chunksize=10_000)).with_name("accounts")
    records.max_table_nesting = 0
    pipeline.run(records.add_map(reshape), loader_file_format="csv", write_disposition="replace")


if __name__ == "__main__":
    began = time.perf_counter()
    work(*map(Path, sys.argv[1:4]))
    print(json.dumps({"work_s": time.perf_counter() - began}))
