"""The emulated Silverpop against a client of other people (pysilverpop), and against raw requests."""

import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from xml.etree import ElementTree as ET

import anyio
import asyncssh
import pytest
from silverpop.api import Silverpop, SilverpopResponseException

from landbridge.sandbox import Sandbox
from tests.contract.sandbox.running import running_sandbox


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox("silverpop") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox):
    one_sandbox.do(empty)
    yield one_sandbox
    one_sandbox.calm("silverpop")


def empty(sandbox):
    database = sandbox["silverpop"].database
    for number in list(database.contacts):
        database.remove(number)


@pytest.fixture
def connection(sandbox):
    return sandbox.connection("silverpop")


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


def token(connection):
    form = {
        "grant_type": "refresh_token",
        "client_id": connection["clientId"],
        "client_secret": connection["clientSecret"],
        "refresh_token": connection["refreshToken"],
    }
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(connection["url"] + "/oauth/token", body, timeout=30) as reply:
        return reply.read()


def access(connection):
    return re.search(r'"access_token":"([^"]+)"', token(connection).decode())[1]


def call(connection, body, *, path="/XMLAPI", raw=True, bearer=None):
    """One request with our own hands; gives the reply's text."""
    document = f"<Envelope><Body>{body}</Body></Envelope>"
    headers = {"Authorization": f"Bearer {bearer or access(connection)}"} if path == "/XMLAPI" else {}
    if raw:
        data, headers["Content-Type"] = document.encode(), "text/xml;charset=utf-8"
    else:
        data = urllib.parse.urlencode({"xml": document}).encode()
    request = urllib.request.Request(connection["url"] + path, data, headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.status == 200
        return reply.read().decode()


def add(uid, list_id, **columns):
    cells = "".join(
        f"<COLUMN><NAME>{name}</NAME><VALUE>{value}</VALUE></COLUMN>"
        for name, value in {"UID": uid, "EMAIL": f"{uid}@example.com", **columns}.items()
    )
    return (
        f"<AddRecipient><LIST_ID>{list_id}</LIST_ID><CREATED_FROM>1</CREATED_FROM>"
        f"<UPDATE_IF_FOUND>true</UPDATE_IF_FOUND>{cells}</AddRecipient>"
    )


def error_ids(reply):
    return [each.text for each in ET.fromstring(reply.strip()).iter("errorid")]


def contacts(sandbox):
    return {row["UID"]: row for row in sandbox.rows("silverpop", "contacts")}


# -- pysilverpop -------------------------------------------------------------------------------------------------------


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


def columns_of(*names):
    return [{"name": name, "type": "TEXT", "key": True, "required": True} for name in names]


def test_pysilverpop_is_told_what_went_wrong(client, connection):
    with pytest.raises(SilverpopResponseException, match="Does Not Exist"):
        client.get_list_meta_data("1")
    with pytest.raises(SilverpopResponseException, match="not a member"):
        client.remove_recipient(connection["listId"], "nobody@example.com")
    columns = {"UID": "u1", "EMAIL": "a@example.com"}
    client.add_recipient(connection["listId"], 1, columns=columns)
    with pytest.raises(SilverpopResponseException, match="Error Adding Recipient"):
        client.add_recipient(connection["listId"], 1, columns=columns)


# -- the wire ----------------------------------------------------------------------------------------------------------


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


# -- opt state ---------------------------------------------------------------------------------------------------------


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


# -- jobs and files ----------------------------------------------------------------------------------------------------


def sftp(connection, action):
    async def run():
        async with (
            asyncssh.connect(
                connection["host"],
                int(connection["port"]),
                username=connection["username"],
                password=connection["password"],
                known_hosts=None,
                config=None,
            ) as ssh,
            ssh.start_sftp_client() as files,
        ):
            return await action(files)

    return anyio.run(run)


def put(connection, name, text):
    async def write(files):
        async with files.open(f"upload/{name}", "wb") as file:
            await file.write(text.encode())

    sftp(connection, write)


def got(connection, path):
    async def read(files):
        async with files.open(path, "rb") as file:
            return (await file.read()).decode()

    return sftp(connection, read)


def map_file(list_id, columns, *, action="ADD_AND_UPDATE", separator=0):
    mapping = "".join(
        f"<COLUMN><INDEX>{at}</INDEX><NAME>{name}</NAME><INCLUDE>true</INCLUDE></COLUMN>"
        for at, name in enumerate(columns, 1)
    )
    return (
        f"<LIST_IMPORT><LIST_INFO><ACTION>{action}</ACTION><LIST_ID>{list_id}</LIST_ID>"
        f"<FILE_TYPE>{separator}</FILE_TYPE><HASHEADERS>true</HASHEADERS></LIST_INFO>"
        f"<MAPPING>{mapping}</MAPPING></LIST_IMPORT>"
    )


def imported(connection, sandbox, lines, columns=("UID", "EMAIL"), **options):
    put(connection, "m.xml", map_file(connection["listId"], columns, **options))
    put(connection, "d.csv", "".join(line + "\n" for line in lines))
    reply = call(
        connection,
        "<ImportList><MAP_FILE>m.xml</MAP_FILE><SOURCE_FILE>d.csv</SOURCE_FILE>"
        "<FILE_ENCODING>UTF-8</FILE_ENCODING></ImportList>",
    )
    return finished(connection, sandbox, reply)


def finished(connection, sandbox, reply):
    number = re.search(r"<JOB_ID>(\d+)</JOB_ID>", reply)[1]
    sandbox.idle()
    status = ET.fromstring(call(connection, f"<GetJobStatus><JOB_ID>{number}</JOB_ID></GetJobStatus>").strip())
    assert status.findtext(".//JOB_ID") == number
    values = {each.findtext("NAME"): each.findtext("VALUE") for each in status.iter("PARAMETER")}
    return status.findtext(".//JOB_STATUS"), values


def test_an_import_adds_and_updates_by_position_and_tells_what_it_refused(connection, sandbox):
    lines = ["anything,at all", "u1,a@example.com", "u2,not an address", ",b@example.com", '"u3","c@example.com"']
    status, values = imported(connection, sandbox, lines)
    assert status == "COMPLETE"
    assert (values["TOTAL_ROWS"], values["TOTAL_VALID"], values["SQL_ADDED"]) == ("4", "2", "2")
    assert (values["BAD_ADDRESSES"], values["BAD_RECORDS"]) == ("1", "1")
    assert got(connection, f"download/{values['ERROR_FILE_NAME']}").splitlines() == [
        "u2,not an address",
        ",b@example.com",
    ]
    assert set(contacts(sandbox)) == {"u1", "u3"}


def test_an_import_leaves_opt_outs_alone_unless_the_switch_says_otherwise(connection, sandbox):
    imported(connection, sandbox, ["h,h", "u1,a@example.com"])
    imported(connection, sandbox, ["h", "u1", "nobody"], ("UID",), action="OPT_OUT")
    assert contacts(sandbox)["u1"]["opted out"]
    imported(connection, sandbox, ["h,h", "u1,b@example.com"])
    assert contacts(sandbox)["u1"]["opted out"]
    assert contacts(sandbox)["u1"]["EMAIL"] == "b@example.com"
    sandbox.switch("silverpop", import_resubscribes=True)
    imported(connection, sandbox, ["h,h", "u1,b@example.com"])
    assert contacts(sandbox)["u1"]["opted out"] is None


@pytest.mark.parametrize("columns", [("UID", "Nonsense"), ("uid", "EMAIL"), ("EMAIL",), ("UID", "Opted Out")])
def test_an_import_with_a_wrong_mapping_ends_in_an_error(connection, sandbox, columns):
    assert imported(connection, sandbox, ["h,h", "u1,a@example.com"], columns)[0] == "ERROR"
    assert contacts(sandbox) == {}


def test_an_export_names_its_file_with_blanks_and_keeps_to_its_window(connection, sandbox):
    imported(connection, sandbox, ["h,h", "u1,a@example.com", 'u2,"b@example.com"'])
    columns = "<EXPORT_COLUMNS><COLUMN>UID</COLUMN><COLUMN>First Name</COLUMN></EXPORT_COLUMNS>"

    def export(kind, window=""):
        return call(
            connection,
            f"<ExportList><LIST_ID>{connection['listId']}</LIST_ID><EXPORT_TYPE>{kind}</EXPORT_TYPE>"
            f"<EXPORT_FORMAT>CSV</EXPORT_FORMAT><FILE_ENCODING>UTF-8</FILE_ENCODING>{window}{columns}</ExportList>",
        )

    reply = export("ALL")
    path = re.search(r"<FILE_PATH>(.*?)</FILE_PATH>", reply)[1]
    status, values = finished(connection, sandbox, reply)
    assert (status, values["NUM_PROCESSED"]) == ("COMPLETE", "2")
    assert re.fullmatch(r"/download/Customers - All - \w{3} \d+ \d{4} \d\d-\d\d-\d\d [AP]M \d+\.CSV", path)
    assert got(connection, path).splitlines() == ["UID,First Name", "u1,", "u2,"]
    late = export("ALL", "<DATE_START>01/01/2100 00:00:00</DATE_START>")
    assert finished(connection, sandbox, late)[1]["NUM_PROCESSED"] == "0"
    assert finished(connection, sandbox, export("OPT_OUT"))[1]["NUM_PROCESSED"] == "0"


def test_dates_are_those_of_the_api_users_zone(connection, sandbox):
    imported(connection, sandbox, ["h,h", "u1,a@example.com"])
    wanted = f"<LIST_ID>{connection['listId']}</LIST_ID><EMAIL>a@example.com</EMAIL>"
    one = f"<SelectRecipientData>{wanted}</SelectRecipientData>"
    before = re.search(r"<LastModified>(.*?)</LastModified>", call(connection, one))[1]
    sandbox.switch("silverpop", api_user_zone="Asia/Tokyo")
    assert re.search(r"<LastModified>(.*?)</LastModified>", call(connection, one))[1] != before


# -- tables ------------------------------------------------------------------------------------------------------------


def rows(*rows_, cell="COLUMN"):
    written = "".join(
        "<ROW>" + "".join(f'<{cell} name="{name}">{value}</{cell}>' for name, value in row.items()) + "</ROW>"
        for row in rows_
    )
    return f"<ROWS>{written}</ROWS>"


def new_table(sandbox, name, **kinds):
    columns = [
        {"name": column, "type": kind, "key": column in ("UID", "NAME"), "required": False}
        for column, kind in {"UID": "TEXT", "NAME": "TEXT", **kinds}.items()
    ]
    return sandbox.do(lambda s: s["silverpop"].tables_.create(name, columns).id)


def test_rows_are_judged_one_by_one(connection, sandbox):
    table = new_table(sandbox, "Judged", WHEN="DATE")
    put_rows = rows({"UID": "u1", "NAME": "a", "WHEN": "02/03/2026"}, {"UID": "u1", "NAME": "b", "WHEN": "2026"})
    reply = call(
        connection, f"<InsertUpdateRelationalTable><TABLE_ID>{table}</TABLE_ID>{put_rows}</InsertUpdateRelationalTable>"
    )
    assert 'description="Invalid Date Value in column: WHEN"' in reply
    assert "TRUE" in reply
    delete = rows({"UID": "u1", "NAME": "a"}, {"UID": "u1", "NAME": "x"}, cell="KEY_COLUMN")
    reply = call(
        connection, f"<DeleteRelationalTableData><TABLE_ID>{table}</TABLE_ID>{delete}</DeleteRelationalTableData>"
    )
    assert reply.count("Row Not Found") == 1
    assert sandbox.rows("silverpop", "table Judged") == []


def test_a_call_takes_no_more_than_a_hundred_rows(connection, sandbox):
    table = new_table(sandbox, "Hundred")
    many = rows(*({"UID": "u", "NAME": str(n)} for n in range(101)))
    reply = call(
        connection, f"<InsertUpdateRelationalTable><TABLE_ID>{table}</TABLE_ID>{many}</InsertUpdateRelationalTable>"
    )
    assert "ROWS must hold" in reply


def test_state_with_contacts_tables_and_jobs_survives_a_restart(tmp_path):
    async def first():
        async with Sandbox("silverpop", folder=tmp_path) as sandbox:
            vendor = sandbox["silverpop"]
            number = vendor.database.insert(
                {"UID": "u1", "EMAIL": "a@b.example"}, opted_in=True, details="", created_from=1
            )
            vendor.database.opt_out(number, "link")
            vendor.tables_.create("T", columns_of("UID")).put({"UID": "u1"}, budget=10)
            vendor.jobs.begin("Slow", forever, {})
            return [(table.name, table.rows) for table in vendor.tables()][:2]

    async def forever(_):
        await anyio.sleep_forever()

    async def second():
        async with Sandbox("silverpop", folder=tmp_path) as sandbox:
            vendor = sandbox["silverpop"]
            assert vendor.database.matches({"UID": "u1"})
            return [(table.name, table.rows) for table in vendor.tables()]

    before, after = anyio.run(first), anyio.run(second)
    assert after[:2] == before
    assert [job["status"] for job in dict(after)["jobs"]] == ["ERROR"]
