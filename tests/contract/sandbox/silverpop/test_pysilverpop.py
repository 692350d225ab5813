"""The emulated Silverpop against a client of other people (pysilverpop)."""

import re
from pathlib import Path

import pytest
from silverpop.api import Silverpop, SilverpopResponseException

from tests.contract.sandbox.silverpop.parts import columns_of, contacts


@pytest.fixture
def client(connection, monkeypatch):
    """pysilverpop, led to the sandbox as its authors would: by its class attributes."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")

    class Local(Silverpop):
        oauth_endpoint = connection["url"] + "/oauth/token?pod=%s"
        api_endpoint = connection["url"] + "/XMLAPI?pod=%s"

    made = Local(connection["clientId"], connection["clientSecret"], connection["refreshToken"], "1")
    yield made
    made.session.close()


def test_pysilverpop_adds_finds_changes_and_removes_a_contact(client, connection, sandbox):
    list_id = connection["listId"]
    columns = {"UID": "u1", "EMAIL": "ä@example.com", "First Name": "Zoë & <Co>"}
    added = client.add_recipient(list_id, 1, columns=columns, update_if_found="true", sync_fields={"UID": "u1"})
    assert int(added.RecipientId) > 2**32
    found = client.select_recipient_data(list_id, email="Ä@example.com")
    assert found.RecipientId == added.RecipientId
    assert found.COLUMNS["First Name"] == "Zoë & <Co>"
    assert (found.EMAIL, found.Email, found.OptedOut) == ("ä@example.com", "ä@example.com", {})
    assert re.fullmatch(r"\d{1,2}/\d{1,2}/\d\d \d{1,2}:\d\d [AP]M", found.LastModified)
    client.update_recipient(list_id, recipient_id=added.RecipientId, columns={"EMAIL": "new@example.com"})
    assert contacts(sandbox)["u1"]["EMAIL"] == "new@example.com"
    client.remove_recipient(list_id, "new@example.com")
    assert contacts(sandbox) == {}


def test_pysilverpop_opts_a_contact_out_and_the_confirmation_opts_in(client, connection, sandbox):
    list_id = connection["listId"]
    client.add_recipient(list_id, 1, columns={"UID": "u1", "EMAIL": "a@example.com"}, update_if_found="true")
    client.opt_out_recipient(list_id, "a@example.com")
    assert contacts(sandbox)["u1"]["opted out"]
    client.double_opt_in_recipient(list_id, columns={"EMAIL": "a@example.com"})
    assert contacts(sandbox)["u1"]["opted out"] is None


def test_pysilverpop_sees_lists(client, connection):
    # Its get_list_meta_data wants a VALUE in each COLUMN, which the vendor's page does not have.
    lists = client.get_lists(visibility=1, list_type=2, folder_id=None)
    assert connection["listId"] in str(lists.LIST)


def test_pysilverpop_makes_a_contact_list_and_fills_it(client, connection):
    added = client.add_recipient(connection["listId"], 1, columns={"UID": "u1", "EMAIL": "a@example.com"})
    made = client.create_contact_list(connection["listId"], f"Friends {added.RecipientId}", 1)
    client.add_contact_to_contact_list(made.CONTACT_LIST_ID, contact_id=added.RecipientId)
    found = client.select_recipient_data(connection["listId"], email="a@example.com", return_contact_lists="true")
    assert made.CONTACT_LIST_ID in str(found.CONTACT_LISTS)


def test_pysilverpop_puts_a_new_contact_on_a_contact_list(client, connection, sandbox):
    made = client.create_contact_list(connection["listId"], f"New friends {id(client)}", 1)
    columns = {"UID": "u1", "EMAIL": "a@example.com"}
    client.add_recipient(connection["listId"], 1, columns=columns, contact_lists=[made.CONTACT_LIST_ID])
    found = client.select_recipient_data(connection["listId"], email="a@example.com", return_contact_lists="true")
    assert found.CONTACT_LISTS == {"CONTACT_LIST_ID": made.CONTACT_LIST_ID}
    with pytest.raises(SilverpopResponseException, match="Does Not Exist"):
        client.add_recipient(connection["listId"], 1, columns={**columns, "UID": "u2"}, contact_lists=["77"])
    assert set(contacts(sandbox)) == {"u1"}


def test_pysilverpop_finds_a_contact_by_each_way_that_it_has(client, connection):
    list_id = connection["listId"]
    added = client.add_recipient(list_id, 1, columns={"UID": "u1", "EMAIL": "a@example.com", "City": "Bern"})
    ways = ({"email": "a@example.com"}, {"recipient_id": added.RecipientId}, {"columns": {"UID": "u1"}})
    ways += ({"encoded_recipient_id": added.RecipientId},)
    assert [client.select_recipient_data(list_id, **way).COLUMNS["City"] for way in ways] == ["Bern"] * 4
    with pytest.raises(SilverpopResponseException, match="not a member"):
        client.select_recipient_data(list_id, columns={"UID": "u9"})


@pytest.mark.parametrize("way", ["old_email", "recipient_id", "encoded_recipient_id", "key"])
def test_pysilverpop_changes_an_address_by_each_way_that_it_has(client, connection, sandbox, way):
    list_id = connection["listId"]
    added = client.add_recipient(list_id, 1, columns={"UID": "u1", "EMAIL": "a@example.com", "City": "Bern"})
    by = {way: "a@example.com" if way == "old_email" else added.RecipientId} if way != "key" else {}
    client.update_recipient(list_id, columns={"EMAIL": "b@example.com"} | ({} if by else {"UID": "u1"}), **by)
    [row] = contacts(sandbox).values()
    assert (row["UID"], row["EMAIL"], row["City"]) == ("u1", "b@example.com", "Bern")


def test_pysilverpop_adds_again_only_with_leave_to_update(client, connection, sandbox):
    list_id, columns = connection["listId"], {"UID": "u1", "EMAIL": "a@example.com"}
    client.add_recipient(list_id, 1, columns=columns)
    client.add_recipient(list_id, 1, columns={**columns, "City": "Bern"}, update_if_found=True)
    assert contacts(sandbox)["u1"]["City"] == "Bern", "its empty element means true"
    sandbox.switch("silverpop", empty_flag_is_true=False)
    with pytest.raises(SilverpopResponseException, match="Error Adding Recipient"):
        client.add_recipient(list_id, 1, columns={**columns, "City": "Rom"}, update_if_found=True)
    assert contacts(sandbox)["u1"]["City"] == "Bern"


def test_pysilverpop_opts_out_one_contact_or_all_of_an_address(client, connection, sandbox):
    list_id = connection["listId"]
    for uid, address in (("u1", "a@example.com"), ("u2", "a@example.com"), ("u3", "c@example.com")):
        added = client.add_recipient(list_id, 1, columns={"UID": uid, "EMAIL": address})
    client.opt_out_recipient(list_id, recipient_id=added.RecipientId, mailing_id="1", job_id="2")
    assert [uid for uid, row in contacts(sandbox).items() if row["opted out"]] == ["u3"]
    client.opt_out_recipient(list_id, email="a@example.com")
    assert all(row["opted out"] for row in contacts(sandbox).values())


def test_pysilverpop_removes_by_the_key_every_contact_that_matches(client, connection, sandbox):
    list_id = connection["listId"]
    for uid in ("u1", "u2"):
        client.add_recipient(list_id, 1, columns={"UID": uid, "EMAIL": "a@example.com"})
    client.remove_recipient(list_id, None, columns={"UID": "u1"})
    assert set(contacts(sandbox)) == {"u2"}
    client.add_recipient(list_id, 1, columns={"UID": "u3", "EMAIL": "a@example.com"})
    client.remove_recipient(list_id, "a@example.com")
    assert contacts(sandbox) == {}


@pytest.mark.parametrize(("kind", "wanted"), [(0, "Customers"), (15, "Table"), (18, "Part")])
def test_pysilverpop_sees_databases_tables_and_contact_lists(client, connection, sandbox, kind, wanted):
    name = f"{wanted} {id(client)}" if kind else wanted
    if kind:
        sandbox.do(lambda s: s["silverpop"].tables_.create(f"Table {id(client)}", columns_of("UID")))
        client.create_contact_list(connection["listId"], f"Part {id(client)}", 1)
    found = client.get_lists(visibility=1, list_type=kind or "0", folder_id=None)
    rows = found.LIST if isinstance(found.LIST, list) else [found.LIST]
    assert name in {row["NAME"] for row in rows}
    assert {row["TYPE"] for row in rows} == {str(kind)}


SENDING = {
    "send_mailing": ("1", "a@example.com"),
    "schedule_mailing": ("1", "2", "News"),
    "save_mailing": ("News", "Hello", "1", "Me", "me@example.com", "me@example.com", 1, "UTF-8", 3),
    "get_report_id_by_date": ("1", "01/01/2026", "01/02/2026"),
    "get_sent_mailings_for_org": ("01/01/2026", "01/02/2026"),
    "get_sent_mailings_for_list": ("1", "01/01/2026", "01/02/2026"),
    "get_aggregate_tracking_for_mailing": ("1", "2"),
}
"""What pysilverpop has besides contacts, lists and tables, with arguments."""


@pytest.mark.parametrize("name", SENDING)
def test_pysilverpop_is_told_that_the_sandbox_sends_nothing(client, name):
    with pytest.raises(SilverpopResponseException, match="Invalid XML Request"):
        getattr(client, name)(*SENDING[name])


def test_all_calls_of_pysilverpop_are_played_here():
    offered = {name for name in vars(Silverpop) if callable(getattr(Silverpop, name)) and not name.startswith("_")}
    played = {name for name in offered if f"client.{name}(" in Path(__file__).read_text()}
    assert offered == played | set(SENDING)


def test_pysilverpop_writes_rows_of_a_table(client, sandbox):
    table = sandbox.do(lambda s: s["silverpop"].tables_.create(f"t{id(client)}", columns_of("UID", "NAME")).id)
    client.insert_update_relational_table(table, [{"UID": "u1", "NAME": "Opera"}, {"UID": "u1", "NAME": "Ski"}])
    assert sandbox.do(lambda s: len(s["silverpop"].tables_[table].rows)) == 2


def test_pysilverpop_is_told_what_went_wrong(client, connection):
    with pytest.raises(SilverpopResponseException, match="Does Not Exist"):
        client.get_list_meta_data("1")
    with pytest.raises(SilverpopResponseException, match="not a member"):
        client.remove_recipient(connection["listId"], "nobody@example.com")
    columns = {"UID": "u1", "EMAIL": "a@example.com"}
    client.add_recipient(connection["listId"], 1, columns=columns)
    with pytest.raises(SilverpopResponseException, match="Error Adding Recipient"):
        client.add_recipient(connection["listId"], 1, columns=columns)
