"""Credentials, envelopes, limits and faults of the XML API."""

import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from xml.etree import ElementTree as ET

import anyio
import pytest

from tests.contract.sandbox.silverpop.parts import access, add, call, contacts, error_ids, token


def test_a_token_is_given_again_while_it_is_young_and_counts_its_seconds(connection):
    first, second = token(connection), token(connection)
    assert first == second or b'"expires_in":' in first
    assert re.search(rb'"expires_in":\d+', first)
    assert access(connection) == access(connection)


@pytest.mark.parametrize("wrong", ["clientId", "clientSecret", "refreshToken"])
def test_wrong_credentials_get_no_token(connection, wrong):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        token({**connection, wrong: "nonsense"})


def test_form_and_raw_requests_and_a_legacy_session_are_understood(connection, sandbox):
    list_id = connection["listId"]
    assert "TRUE" in call(connection, add("u1", list_id))
    assert "TRUE" in call(connection, add("u2", list_id), raw=False)
    login = f"<Login><USERNAME>{connection['username']}</USERNAME><PASSWORD>{connection['password']}</PASSWORD></Login>"
    encoding = re.search(r"<SESSION_ENCODING>(.*?)</SESSION_ENCODING>", call(connection, login, bearer="none"))[1]
    assert "TRUE" in call(connection, add("u3", list_id), path=f"/XMLAPI{encoding}")
    assert set(contacts(sandbox)) == {"u1", "u2", "u3"}
    assert error_ids(call(connection, login.replace(connection["password"], "x"), bearer="none")) == ["140"]


def test_several_operations_in_a_body_are_answered_in_their_order(connection):
    list_id = connection["listId"]
    gone = f"<RemoveRecipient><LIST_ID>{list_id}</LIST_ID><EMAIL>no@example.com</EMAIL></RemoveRecipient>"
    reply = ET.fromstring(call(connection, add("u1", list_id) + gone + add("u2", list_id)).strip())
    assert [each.tag for each in reply.find("Body")] == ["RESULT", "RESULT", "Fault", "RESULT"]
    assert [each.text for each in reply.iter("SUCCESS")] == ["TRUE", "false", "TRUE"]


@pytest.mark.parametrize("body", ["<addrecipient/>", "<Nonsense/>", "<broken", ""])
def test_what_is_no_operation_is_error_51(connection, body):
    assert error_ids(call(connection, body)) == ["51"]


def test_a_document_type_is_refused(connection):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Envelope><Body>&a;</Body></Envelope>'
    headers = {"Authorization": f"Bearer {access(connection)}", "Content-Type": "text/xml"}
    request = urllib.request.Request(connection["url"] + "/XMLAPI", bomb, headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert error_ids(reply.read().decode()) == ["51"]


def test_an_unknown_token_is_error_145_and_the_fault_expires_a_good_one(connection, sandbox):
    assert error_ids(call(connection, add("u1", connection["listId"]), bearer="x")) == ["145"]
    good = access(connection)
    sandbox.fail("token_expiry", times=1)
    assert error_ids(call(connection, add("u1", connection["listId"]), bearer=good)) == ["145"]
    assert access(connection) != good


def test_the_eleventh_call_at_a_time_is_refused_and_not_queued(connection, sandbox):
    sandbox.switch("silverpop", call_delay_s=0.5)
    bearer = access(connection)

    async def both():
        async def one(number):
            return await anyio.to_thread.run_sync(
                lambda: call(connection, add(f"u{number}", connection["listId"]), bearer=bearer)
            )

        replies = []

        async def keep(number):
            replies.append(await one(number))

        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(keep, number)
        return replies

    replies = anyio.run(both)
    refused = [reply for reply in replies if "max number of concurrent authenticated requests" in reply]
    assert len(refused) == 2
    assert len(contacts(sandbox)) == 10


def test_a_lost_reply_comes_after_the_work(connection, sandbox):
    bearer = access(connection)
    sandbox.fail("lost_reply", operation="AddRecipient", times=1)
    with pytest.raises(http.client.IncompleteRead):
        call(connection, add("u1", connection["listId"]), bearer=bearer)
    assert set(contacts(sandbox)) == {"u1"}


def test_what_people_enter_is_escaped_on_the_page(connection, sandbox):
    call(connection, add("u1", connection["listId"], City="&lt;script&gt;alert(1)&lt;/script&gt;"))
    with urllib.request.urlopen(f"{sandbox.sandbox.url}/_sandbox/silverpop", timeout=30) as reply:
        page = reply.read().decode()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
