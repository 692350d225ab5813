"""It is a real store: nothing acknowledged is lost, nobody's write undoes another's."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from landbridge.errors import ConnectionFailed, FlowError, StorageError
from landbridge.site import Site
from landbridge.site.filling import _put_all
from landbridge.site.people import people, population
from landbridge.site.store_sqlite import SqliteStore
from tests.contract.site.client import Client, run
from tests.servers import free_port

WRITERS = 8


def test_concurrent_writers_lose_nothing(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u1")
        await client.ok("accounts.registerCounters", counters=[{"class": "_n"}])

        async def write(writer: int) -> None:
            for number in range(25):
                await client.ok("accounts.setAccountInfo", UID="u1", data={f"w{writer}": {f"n{number}": number}})
                await client.ok("accounts.incrementCounters", UID="u1", counters=[{"class": "_n", "value": 1}])
                await client.ok("ds.store", type="log", oid="one", data={"all": [f"{writer}-{number}"]})

        await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
        (account,) = await client.find("SELECT * FROM accounts")
        assert account["data"] == {f"w{writer}": {f"n{n}": n for n in range(25)} for writer in range(WRITERS)}
        (counter,) = (await client.ok("accounts.getCounters", UID="u1"))["counters"]
        assert (counter["count"], counter["value"]) == (WRITERS * 25, WRITERS * 25)
        entries = (await client.ok("ds.get", type="log", oid="one"))["data"]["all"]
        assert sorted(entries) == sorted(f"{writer}-{n}" for writer in range(WRITERS) for n in range(25))

    run(scenario, folder)


class Process:
    """``landbridge site serve`` as a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "landbridge", "site", "serve", "--data", str(folder), "--port", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.credentials = json.loads((folder / "credentials.json").read_text())

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=60)

    async def call(self, http: aiohttp.ClientSession, method: str, **parameters: str) -> dict[str, Any]:
        known = {"apiKey": "api_key", "userKey": "user_key", "secret": "secret"}
        form = {name: self.credentials[key] for name, key in known.items()} | parameters
        async with http.post(f"http://127.0.0.1:{self.port}/{method}", data=form) as reply:
            body: dict[str, Any] = json.loads(await reply.read())
            return body

    async def wait(self, http: aiohttp.ClientSession) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                await self.call(http, "accounts.isAvailableLoginID", loginID="x")
            except aiohttp.ClientError:
                assert time.monotonic() < deadline, "the site does not start"
                await asyncio.sleep(0.05)
            else:
                return


def test_a_killed_site_has_every_write_it_acknowledged(folder: Path) -> None:
    acknowledged: list[str] = []

    async def write_until_killed(process: Process, http: aiohttp.ClientSession, writer: int) -> None:
        number = 0
        while True:
            uid = f"w{writer}-{number}"
            try:
                reply = await process.call(http, "accounts.importFullAccount", UID=uid, data=json.dumps({"n": number}))
            except (aiohttp.ClientError, OSError):
                return
            assert reply["errorCode"] == 0
            acknowledged.append(uid)
            number += 1

    async def scenario() -> None:
        process = Process(folder)
        try:
            async with aiohttp.ClientSession() as http:
                await process.wait(http)
                async with asyncio.TaskGroup() as group:
                    for writer in range(WRITERS):
                        group.create_task(write_until_killed(process, http, writer))
                    while len(acknowledged) < 200:  # noqa: ASYNC110 - the writers only append
                        await asyncio.sleep(0.01)
                    process.kill()
        finally:
            process.kill()

    async def look(client: Client) -> None:
        found = await client.find("SELECT UID, data.n FROM accounts LIMIT 10000")
        stored = {row["UID"]: row["data"]["n"] for row in found}
        assert set(acknowledged) <= set(stored)
        assert len(stored) - len(acknowledged) <= WRITERS
        assert all(uid.endswith(f"-{number}") for uid, number in stored.items())

    anyio.run(scenario)
    run(look, folder)


def test_a_restarted_site_has_its_keys_and_its_accounts(folder: Path) -> None:
    keys: list[str] = []

    async def scenario(client: Client) -> None:
        keys.append(client.site.secret)
        await client.ok("accounts.importFullAccount", UID=f"u{len(keys)}")
        assert await client.find("SELECT count(*) FROM accounts") == [{"count(*)": len(keys)}]

    run(scenario, folder)
    run(scenario, folder)
    assert keys[0] == keys[1]


def test_credentials_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Site(tmp_path / "new", https_port=0):
            for name in ("credentials.json", "server.key", "authority.key"):
                assert stat.S_IMODE((tmp_path / "new" / name).stat().st_mode) == 0o600

    anyio.run(scenario)


def test_one_folder_belongs_to_one_site_at_a_time(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(StorageError, match="another site uses it") as refused:
            await Site(folder).start()
        assert refused.value.code == "LB-7301"
        assert (await client.call("accounts.isAvailableLoginID", loginID="x"))["errorCode"] == 0

    run(scenario, folder)


def test_a_site_that_cannot_start_says_why(folder: Path, tmp_path: Path) -> None:
    async def refused(site: Site) -> str:
        with pytest.raises((StorageError, ConnectionFailed, FlowError)) as error:
            await site.start()
        return error.value.code

    async def scenario() -> None:
        file = tmp_path / "file"
        file.touch()
        assert await refused(Site(folder, database="mysql://x/y")) == "LB-1901"
        async with Site(folder) as running:
            other = tmp_path / "other"
            assert await refused(Site(other, port=running.port)) == "LB-2901"
        (folder / "credentials.json").write_text("{")
        assert await refused(Site(folder)) == "LB-7302"
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "site.db").write_bytes(b"no database" * 1000)
        assert await refused(Site(tmp_path / "broken")) == "LB-7301"

    anyio.run(scenario)


def test_the_same_seed_gives_the_same_people() -> None:
    assert list(people(50, seed=3)) == list(people(50, seed=3))
    assert list(people(50, seed=3)) != list(people(50, seed=4))
    assert list(people(20, seed=3)) == list(people(50, seed=3))[:20]


def test_invented_people_fit_the_schema_of_a_fresh_site(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        for person in people(100, seed=5):
            content = {name: person[name] for name in ("profile", "data", "preferences", "loginIDs", "emails")}
            await client.ok("accounts.importFullAccount", UID=person["UID"], **content)
        (found,) = await client.find(f"SELECT profile, data FROM accounts WHERE UID = '{person['UID']}'")
        assert found == {"profile": person["profile"], "data": person["data"]}

    run(scenario, folder)


def test_a_filling_that_was_interrupted_is_finished_by_the_next_start(folder: Path) -> None:
    async def interrupted() -> None:
        store = await SqliteStore.open(folder)
        await store.write(lambda session: session.put_document("filling", "5", "{}"))
        first = population(2, seed=5)
        await store.write(lambda session: _put_all(session, people=tuple(first), now_ms=1))
        await store.close()

    async def look(client: Client) -> None:
        found = await client.find("SELECT * FROM accounts")
        assert found == json.loads(json.dumps(list(people(6, seed=5))))

    anyio.run(interrupted)
    run(look, folder, people=6, seed=5)
    run(look, folder, people=9, seed=5)


def test_a_site_without_a_folder_leaves_nothing_behind() -> None:
    async def scenario() -> Path:
        site = Site(people=3)
        async with site:
            assert site.folder is not None
            assert list(site.folder.iterdir())
            return site.folder

    assert not anyio.run(scenario).exists()
