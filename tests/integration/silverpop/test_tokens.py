"""Silverpop against the emulated platform: the token, and how many calls go at a time."""

import anyio
import pytest

from landbridge.errors import LandbridgeError
from landbridge.remote import silverpop as remote
from tests.integration.silverpop.parts import contact, contacts, person, write


def calls(sandbox):
    return {row["operation"]: row["number"] for row in sandbox.rows("silverpop", "calls")}


def test_a_token_is_asked_for_once_and_again_shortly_before_its_end(api, sandbox):
    remote._TOKENS.clear()
    before = calls(sandbox).get("token", 0)
    for _ in range(3):
        write(contact(api), [person(1)])
    assert calls(sandbox)["token"] == before + 1
    [(account, known)] = remote._TOKENS.items()
    remote._TOKENS[account] = remote._Token(known.text, 0.0)
    write(contact(api), [person(1)])
    assert calls(sandbox)["token"] == before + 2


def test_ten_calls_at_a_time_are_shared_by_all_steps_of_a_process(api, sandbox):
    from landbridge.records import Batch

    sandbox.switch("silverpop", call_delay_s=0.05)
    monkeys = [contact(api, contactsPerCall=1, maxConnections=10) for _ in range(2)]

    async def deliver(component, numbers):
        async with component.opened():
            await component.write(Batch.from_objects([person(number) for number in numbers]))

    async def both():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, monkeys[0], range(40))
            tasks.start_soon(deliver, monkeys[1], range(40, 80))

    before = calls(sandbox).get("AddRecipient", 0)
    anyio.run(both)
    assert len(contacts(sandbox)) == 80
    assert calls(sandbox)["AddRecipient"] - before == 80, "no call was refused and made again"


def test_hosts_that_do_not_exist_are_told_apart(api, monkeypatch):
    with pytest.raises(LandbridgeError, match="LB-2101"):
        write(contact({**api, "url": "http://127.0.0.1:9"}), [person(1)])
    with pytest.raises(ValueError, match="encrypt"):
        contact({**api, "url": "http://vendor.example.com"})
    with pytest.raises(ValueError, match="podNumber"):
        contact({name: value for name, value in api.items() if name != "url"})
