"""What every emulated vendor has: state that stays, doors for faults and switches, a page, files that are noticed."""

import importlib
import json
import urllib.request
from pathlib import Path

import anyio
import asyncssh
import pytest

from landbridge.errors import ConnectionFailed, FlowError, StorageError
from landbridge.sandbox import Fault, Sandbox
from landbridge.sandbox.faults import KINDS
from landbridge.sandbox.sftp import SftpAccount, SftpServer
from landbridge.sandbox.vendors import chosen, names
from tests.contract.sandbox.running import running_sandbox


@pytest.fixture(scope="module", params=names())
def vendor(request):
    return request.param


@pytest.fixture(scope="module")
def one_sandbox(vendor):
    with running_sandbox(vendor) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox, vendor):
    yield one_sandbox
    one_sandbox.calm(vendor)


def text(url):
    with urllib.request.urlopen(url, timeout=30) as reply:
        return reply.read().decode()


def test_the_first_page_leads_to_the_vendor_and_its_page_shows_what_it_holds(sandbox, vendor):
    url = sandbox.sandbox.url
    assert f"/_sandbox/{vendor}" in text(url)
    page = text(f"{url}/_sandbox/{vendor}")
    for table in sandbox.get(f"/_sandbox/{vendor}.json"):
        assert table in page


def test_faults_are_added_shown_and_cleared_over_http(sandbox):
    status, state = sandbox.send("/_sandbox/faults", {"kind": "lost_reply", "skip": 1, "times": 2})
    assert status == 200
    assert state["faults"] == [{**Fault("lost_reply", skip=1, times=2).as_json(), "happened": 0}]
    status, state = sandbox.send("/_sandbox/faults", {}, method="DELETE")
    assert (status, state["faults"]) == (200, [])


@pytest.mark.parametrize(
    "fault",
    [{}, {"kind": "nonsense"}, {"kind": "lost_reply", "times": "2"}, {"kind": "lost_reply", "what": 1}, ["x"], "x"],
)
def test_a_malformed_fault_is_refused_with_a_reason(sandbox, fault):
    status, reply = sandbox.send("/_sandbox/faults", fault)
    assert status == 400
    assert reply["error"]
    assert sandbox.get("/_sandbox/state")["faults"] == []


def test_a_fault_that_could_never_happen_is_refused_and_what_could_is_named(sandbox, vendor):
    known = sandbox.sandbox[vendor].faults
    for kind in KINDS:
        status, reply = sandbox.send("/_sandbox/faults", {"kind": kind, "vendor": vendor})
        assert (status == 200) is (kind in known), (kind, reply)
    named = {kind: places for kind, places in known.items() if "*" not in places}
    for kind, places in named.items():
        status, reply = sandbox.send("/_sandbox/faults", {"kind": kind, "operation": "Nonsense"})
        assert status == 400
        assert all(place in reply["error"] for place in places)
        assert sandbox.send("/_sandbox/faults", {"kind": kind, "operation": places[0]})[0] == 200
    status, reply = sandbox.send("/_sandbox/faults", {"kind": "lost_reply", "vendor": "nobody"})
    assert (status, vendor in reply["error"]) == (400, True)


def test_what_can_happen_is_what_the_vendor_asks_for(vendor):
    """A kind of fault that a vendor's module never asks for could not happen, and one that is asked for is declared."""
    folder = Path(importlib.import_module(f"landbridge.sandbox.{vendor}").__file__).parent
    code = "".join(file.read_text() for file in folder.glob("*.py"))
    asked = {kind for kind in KINDS if f'strike("{kind}"' in code}
    methods = {"lost_reply": ".reply(", "broken_file": ".broken("}
    asked |= {kind for kind, method in methods.items() if f"frame{method}" in code}
    assert asked == set(chosen([vendor])[0].faults)


def test_the_state_tells_how_often_a_fault_has_happened(sandbox, vendor):
    sandbox.send("/_sandbox/faults", {"kind": "lost_reply", "times": 2})
    for _ in range(3):
        sandbox.do(lambda own: own[vendor].frame.strike("lost_reply", next(iter(own[vendor].faults["lost_reply"]))))
    assert [each["happened"] for each in sandbox.get("/_sandbox/state")["faults"]] == [2]


def test_an_unknown_switch_or_vendor_is_refused(sandbox, vendor):
    assert sandbox.send(f"/_sandbox/{vendor}/switches", {"nonsense": True})[0] == 400
    assert sandbox.send("/_sandbox/nobody/switches", {})[0] == 400


def test_a_web_page_cannot_switch_faults_on(sandbox):
    status, reply = sandbox.send("/_sandbox/faults", {"kind": "lost_reply"}, kind="text/plain")
    assert (status, reply["error"]) == (400, "the content type must be application/json")


def test_a_fault_skips_counts_and_ends():
    async def play():
        async with Sandbox(names()[0], faults=(Fault("rate_limit", operation="A*", skip=1, times=2),)) as sandbox:
            strike = sandbox[names()[0]].frame.strike
            return [strike("rate_limit", name) is not None for name in ("Ab", "B", "Ab", "Ac", "Ad")]

    assert anyio.run(play) == [False, False, True, True, False]


def test_credentials_ids_and_state_are_the_same_after_a_restart(tmp_path, vendor):
    async def once(number):
        async with Sandbox(vendor, folder=tmp_path) as sandbox:
            frame = sandbox[vendor].frame
            kept = frame.collection("things")
            kept[f"n{number}"] = {"number": frame.number("thing")}
            moving = ("url", "port")
            given = sandbox[vendor].connection()
            connection = {name: value for name, value in given.items() if not name.lower().endswith(moving)}
            return connection, dict(kept), frame.sftp.host_key

    first, second = anyio.run(once, 1), anyio.run(once, 2)
    assert first[0] == second[0]
    assert first[2] == second[2]
    assert second[1] == {"n1": {"number": 1}, "n2": {"number": 2}}


def test_a_journal_whose_last_line_was_cut_by_a_kill_is_read_up_to_there(tmp_path, vendor):
    async def once(change):
        async with Sandbox(vendor, folder=tmp_path) as sandbox:
            kept = sandbox[vendor].frame.collection("things")
            change(kept)
            return dict(kept)

    anyio.run(once, lambda kept: kept.update({"a": {"x": 1}, "b": {"x": 2}}))
    journal = tmp_path / f"{vendor}.jsonl"
    journal.write_bytes(journal.read_bytes() + b'["things","c",{"x"')
    assert anyio.run(once, lambda kept: kept.pop("a")) == {"b": {"x": 2}}
    assert anyio.run(once, lambda kept: None) == {"b": {"x": 2}}


def test_a_damaged_journal_is_an_error_that_names_the_folder(tmp_path, vendor):
    (tmp_path / f"{vendor}.jsonl").write_text("nonsense\n[]\n")

    async def start():
        async with Sandbox(vendor, folder=tmp_path):
            pass

    with pytest.raises(StorageError, match="LB-7303"):
        anyio.run(start)


def test_a_taken_port_is_an_error_and_leaves_nothing_open(sandbox, vendor):
    async def start():
        async with Sandbox(vendor, port=sandbox.sandbox.port):
            pass

    with pytest.raises(ConnectionFailed, match="LB-2902"):
        anyio.run(start)


def test_an_unknown_vendor_is_an_error_that_lists_the_known_ones():
    with pytest.raises(FlowError, match="silverpop"):
        Sandbox("nonsense")


def test_a_file_is_announced_once_when_it_is_complete(tmp_path):
    seen = []

    async def play():
        async with SftpServer(None) as server:
            server.add(SftpAccount("u", tmp_path / "root", password="secret", on_file=seen.append))
            (tmp_path / "root" / "in").mkdir()
            async with (
                asyncssh.connect(
                    "127.0.0.1", server.port, username="u", password="secret", known_hosts=None, config=None
                ) as connection,
                connection.start_sftp_client() as client,
            ):
                async with client.open("in/plain.csv", "wb") as file:
                    await file.write(b"x" * 100_000)
                    assert seen == []
                async with client.open("in/.hidden.uploading", "wb") as file:
                    await file.write(b"y")
                await client.posix_rename("in/.hidden.uploading", "in/renamed.csv")
                async with client.open("in/other.tmp", "wb") as file:
                    await file.write(b"z")
                await client.rename("in/other.tmp", "in/other.csv")
                async with client.open("in/plain.csv", "rb") as file:
                    await file.read()

    anyio.run(play)
    assert seen == ["in/plain.csv", "in/renamed.csv", "in/other.csv"]


def test_users_see_their_own_folders_and_keys_count_as_credentials(tmp_path):
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)

    async def listing(server, **login):
        async with (
            asyncssh.connect("127.0.0.1", server.port, known_hosts=None, config=None, **login) as connection,
            connection.start_sftp_client() as client,
        ):
            return sorted(name for name in await client.listdir("/") if not name.startswith("."))

    async def play():
        async with SftpServer(tmp_path / "one", username="one", password="p1") as server:
            public = key.export_public_key().decode()
            server.add(SftpAccount("two", tmp_path / "two", authorized_keys=public))
            (tmp_path / "one" / "a").touch()
            (tmp_path / "two" / "b").touch()
            by_password = await listing(server, username="one", password="p1")
            by_key = await listing(server, username="two", client_keys=[key])
            with pytest.raises(asyncssh.PermissionDenied):
                await listing(server, username="two", password="p1", client_keys=None)
            with pytest.raises(asyncssh.PermissionDenied):
                await listing(server, username="nobody", password="p1")
            return by_password, by_key

    assert anyio.run(play) == (["a"], ["b"])


def test_the_state_of_a_vendor_is_plain_json(sandbox, vendor):
    tables = sandbox.get(f"/_sandbox/{vendor}.json")
    assert json.loads(json.dumps(tables)) == tables
