"""Upload by SFTP with asyncssh on uvloop alone: AES-GCM, requests of 255 KiB, 8 of them under way."""

import json
import sys
import time
from pathlib import Path

import asyncssh
import uvloop


async def work(file: Path, values: dict[str, str]) -> None:
    host_key = asyncssh.import_public_key(values["hostKey"])
    async with (
        asyncssh.connect(
            values["host"],
            int(values["port"]),
            username=values["username"],
            client_keys=[asyncssh.import_private_key(values["privateKey"])],
            known_hosts=([host_key], [], []),
            encryption_algs=["aes128-gcm@openssh.com"],
            config=None,
        ) as connection,
        connection.start_sftp_client() as client,
    ):
        await client.put(file, f"{values['folder']}/{file.name}", block_size=255 << 10, max_requests=8)


if __name__ == "__main__":
    began = time.perf_counter()
    uvloop.run(work(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())))
    print(json.dumps({"work_s": time.perf_counter() - began}))
