"""Jobs that import and export files by SFTP."""

import re
from xml.etree import ElementTree as ET

import anyio
import asyncssh
import pytest

from tests.contract.sandbox.silverpop.parts import call, contacts


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
