"""A load generator: as many calls as the site takes with the same number of connections."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import uvloop

from benchmarks.pipeline import timed

CONNECTIONS = 20


def bodies(source: Path, values: dict[str, str]) -> list[bytes]:
    keys = {name: values[name] for name in ("apiKey", "userKey", "secret")}
    made = []
    for path in sorted(source.glob("*.json")):
        for line in path.read_text().splitlines():
            change = json.loads(line)
            made.append(urlencode({**keys, "UID": change["UID"], "data": json.dumps(change["data"])}).encode())
    return made


async def send(url: str, texts: Iterator[bytes]) -> int:
    done = 0
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as http:

        async def work() -> None:
            nonlocal done
            for text in texts:
                async with http.post(f"{url}/accounts.setAccountInfo", data=text, headers=headers) as reply:
                    done += b'"errorCode":0' in (await reply.read()).replace(b" ", b"")

        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONNECTIONS):
                tasks.create_task(work())
    return done


def work(source: Path, target: Path) -> None:
    values = json.loads(Path(os.environ["BENCH_SITE"]).read_text())
    texts = bodies(source, values)
    done = uvloop.run(send(values["url"], iter(texts)))
    if done != len(texts):
        raise SystemExit(f"{len(texts) - done} calls failed")
    (target / "done.txt").write_text(str(done))


if __name__ == "__main__":
    timed(work)
