# mypy: disable-error-code="import-not-found,import-untyped"
"""Upload by SFTP with paramiko's own put, which keeps many requests under way."""

import json
import sys
import time
from pathlib import Path

import paramiko


def work(file: Path, values: dict[str, str], known: str) -> None:
    with paramiko.SSHClient() as client:
        client.load_host_keys(known)
        key = Path(known).with_name("key")
        client.connect(values["host"], int(values["port"]), values["username"], key_filename=str(key))
        with client.open_sftp() as sftp:
            sftp.put(str(file), f"{values['folder']}/{file.name}")


if __name__ == "__main__":
    began = time.perf_counter()
    work(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), sys.argv[3])
    print(json.dumps({"work_s": time.perf_counter() - began}))
