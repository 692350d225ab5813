"""Upload to S3 or Azure with obstore alone, by its streaming writer."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.store import AzureStore, ObjectStore, S3Store

from benchmarks.pipeline import chunks

if TYPE_CHECKING:
    from obstore.store import ClientConfig


def work(file: Path, values: dict[str, str]) -> None:
    with obstore.open_writer(opened(values), file.name, buffer_size=8 << 20, max_concurrency=4) as writer:
        for chunk in chunks(file):
            writer.write(chunk)


def opened(values: dict[str, str]) -> ObjectStore:
    plain: ClientConfig = {"allow_http": True}
    if "bucket" in values:
        return S3Store(
            values["bucket"],
            endpoint=values["endpoint"],
            access_key_id=values["accessKey"],
            secret_access_key=values["secretKey"],
            region="us-east-1",
            client_options=plain,
        )
    return AzureStore(
        values["container"],
        account_name=values["account"],
        account_key=values["accountKey"],
        endpoint=values["endpoint"],
        client_options=plain,
    )


if __name__ == "__main__":
    began = time.perf_counter()
    work(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
    print(json.dumps({"work_s": time.perf_counter() - began}))
