# mypy: disable-error-code="import-not-found,import-untyped"
"""Upload to Azure with azure-storage-blob: blocks of 8 MiB, 4 at a time."""

import json
import sys
import time
from pathlib import Path

from azure.storage.blob import BlobServiceClient


def work(file: Path, values: dict[str, str]) -> None:
    credential = {"account_name": values["account"], "account_key": values["accountKey"]}
    part = 8 << 20
    service = BlobServiceClient(
        values["endpoint"], credential=credential, max_block_size=part, max_single_put_size=part
    )
    blob = service.get_blob_client(values["container"], file.name)
    with file.open("rb") as content:
        blob.upload_blob(content, length=file.stat().st_size, max_concurrency=4)


if __name__ == "__main__":
    began = time.perf_counter()
    work(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
    print(json.dumps({"work_s": time.perf_counter() - began}))
