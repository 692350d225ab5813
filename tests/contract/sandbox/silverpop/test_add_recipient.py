"""What adding a contact does to its opt-out, and how it is matched."""

from tests.contract.sandbox.silverpop.parts import add, call, contacts, error_ids


def test_profile_writes_leave_an_opt_out_alone_and_created_from_2_takes_it_back(connection, sandbox):
    list_id = connection["listId"]
    call(connection, add("u1", list_id))
    call(connection, f"<OptOutRecipient><LIST_ID>{list_id}</LIST_ID><EMAIL>u1@example.com</EMAIL></OptOutRecipient>")
    call(connection, add("u1", list_id, City="Oslo"))
    assert contacts(sandbox)["u1"]["opted out"]
    again = add("u1", list_id).replace("<CREATED_FROM>1", "<CREATED_FROM>2")
    sandbox.switch("silverpop", created_from_2_resubscribes=False)
    call(connection, again)
    assert contacts(sandbox)["u1"]["opted out"]
    sandbox.switch("silverpop", created_from_2_resubscribes=True)
    call(connection, again)
    assert contacts(sandbox)["u1"]["opted out"] is None


def test_an_empty_flag_means_what_the_switch_says(connection, sandbox):
    empty_flag = add("u1", connection["listId"]).replace(
        "<UPDATE_IF_FOUND>true</UPDATE_IF_FOUND>", "<UPDATE_IF_FOUND/>"
    )
    call(connection, empty_flag)
    assert error_ids(call(connection, empty_flag)) == []
    sandbox.switch("silverpop", empty_flag_is_true=False)
    assert "Error Adding Recipient" in call(connection, empty_flag)


def test_a_flexible_database_wants_sync_fields(connection, sandbox):
    flexible = sandbox.do(lambda s: s["silverpop"].create_database("Flexible", {"UID": 0}).id)
    assert "SYNC_FIELDS" in call(connection, add("u1", flexible))
    sync = "<SYNC_FIELDS><SYNC_FIELD><NAME>UID</NAME><VALUE>u1</VALUE></SYNC_FIELD></SYNC_FIELDS></AddRecipient>"
    for _ in range(2):
        assert "TRUE" in call(connection, add("u1", flexible).replace("</AddRecipient>", sync))
    assert len(sandbox.rows("silverpop", "contacts of Flexible")) == 1
