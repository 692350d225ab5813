# mypy: disable-error-code="import-not-found,import-untyped"
"""Upload to S3 with boto3's ``upload_file`` as it comes: parts of 8 MiB on 10 threads."""

import json
import sys
import time
from pathlib import Path

import boto3


def work(file: Path, values: dict[str, str]) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=values["endpoint"],
        aws_access_key_id=values["accessKey"],
        aws_secret_access_key=values["secretKey"],
        region_name="us-east-1",
    )
    client.upload_file(str(file), values["bucket"], file.name)


if __name__ == "__main__":
    began = time.perf_counter()
    work(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
    print(json.dumps({"work_s": time.perf_counter() - began}))
