"""Every page of a search fetched and discarded: what any client needs at least."""

import json
import os
import re
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.pipeline import timed

CURSOR = re.compile(rb'"nextCursorId":\s*"([^"]+)"')


async def search(values: dict[str, str]) -> int:
    keys = {name: values[name] for name in ("apiKey", "userKey", "secret")}
    parameters = {"query": "SELECT * FROM accounts LIMIT 1000", "openCursor": "true"}
    pages = 0
    async with aiohttp.ClientSession(read_bufsize=1 << 20) as http:
        while True:
            async with http.post(f"{values['url']}/accounts.search", data={**keys, **parameters}) as reply:
                body = await reply.read()
            pages += 1
            found = CURSOR.search(body, max(0, len(body) - 1000))
            if found is None:
                return pages
            parameters = {"cursorId": found[1].decode()}


def work(_: Path, target: Path) -> None:
    pages = uvloop.run(search(json.loads(Path(os.environ["BENCH_SITE"]).read_text())))
    (target / "pages.txt").write_text(str(pages))


if __name__ == "__main__":
    timed(work)
