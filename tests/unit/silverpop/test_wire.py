"""The XML of Silverpop's API, its hosts, its faults, its map files: what goes out and how what comes in is read."""

from contextlib import suppress
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, strategies as st

from landbridge.errors import AuthError, ConnectionFailed, DataError, FlowError
from landbridge.remote import silverpop_errors as codes
from landbridge.remote.http import Attempt
from landbridge.remote.silverpop_contacts import add, by_key, opted_out_at
from landbridge.remote.silverpop_errors import OperationRefused, SessionExpired
from landbridge.remote.silverpop_import import Target, map_of
from landbridge.remote.silverpop_jobs import Export, FinishedJob, MapFile
from landbridge.remote.silverpop_lists import ListFacts
from landbridge.remote.silverpop_pods import PODS, api_url, sftp_host
from landbridge.remote.silverpop_xml import Fault, NotXml, envelope, outcomes, pairs, row, written

FACTS = ListFacts("1", "Customers", {"UID": "0", "EMAIL": "9", "First Name": "0", "a,b": "0"}, ["UID"], 5)
TARGET = Target(FACTS, is_table=False, keys=["UID"])


@given(st.text())
def test_a_text_arrives_as_it_was_or_is_refused(text):
    try:
        document = envelope([f"<X>{pairs('COLUMN', {'n': text})}{row('COLUMN', {text: text})}</X>"])
    except NotXml:
        with pytest.raises(NotXml):
            written(text)
        return
    found = ET.fromstring(document)
    # XML reads every line break as one newline, and blanks in an attribute as blanks.
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert (found.findtext(".//VALUE") or "") == plain
    assert found.find(".//ROW/COLUMN").get("name") == plain.replace("\n", " ").replace("\t", " ")


@given(st.binary())
def test_whatever_comes_back_is_understood_or_told_to_be_something_else(body):
    with suppress(NotXml):
        outcomes(body)


def reply(*parts):
    return f"\n <Envelope><Body>{''.join(parts)}</Body></Envelope>\n".encode()


def fault(text, number=""):
    return (
        f"<RESULT><SUCCESS>False</SUCCESS></RESULT><Fault><FaultString><![CDATA[{text}]]></FaultString>"
        f"<detail><error><errorid>{number}</errorid><class>SP.X</class></error></detail></Fault>"
    )


def done(success):
    return f"<RESULT><SUCCESS> {success} </SUCCESS><RecipientId>5</RecipientId></RESULT>"


def test_results_and_faults_are_told_apart_in_any_spelling_and_order():
    found = outcomes(reply(done("TRUE"), fault("a", 128), done("true"), "<RESULT><SUCCESS>false</SUCCESS></RESULT>"))
    assert [type(each) is Fault for each in found] == [False, True, False, True]
    assert found[1] == Fault("a", 128, "SP.X")
    assert found[3].text == "failure without a reason"


def test_a_document_type_is_never_expanded():
    with pytest.raises(NotXml):
        outcomes(b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Envelope><Body>&a;</Body></Envelope>')


@pytest.mark.parametrize(
    ("text", "number", "kind", "code"),
    [
        ("List ID is not valid.", 106, FlowError, "LB-1521"),
        ("List with id 7 Does Not Exist", 108, FlowError, "LB-1521"),
        ("Recipient is not a member of the list.", 128, OperationRefused, "LB-4631"),
        ("Unable to login user. 10.1.2.3", 140, AuthError, "LB-2104"),
        ("Invalid XML Request", 51, ConnectionFailed, "LB-2321"),
        ("The Contact Source is shared and you are not a member of it", None, ConnectionFailed, "LB-2321"),
        ("Error Adding Recipient: |a@example.com|", None, OperationRefused, "LB-4631"),
    ],
)
def test_a_fault_says_whose_it_is(text, number, kind, code):
    error = codes.failure(Fault(text, number, ""), "X", place="host", secrets=(), uncertain=False)
    assert type(error) is kind
    assert error.code == code


def test_an_expired_session_and_a_busy_organisation_may_be_tried_again():
    expired = codes.failure(Fault("Session has expired", 145, ""), "X", place="h", secrets=(), uncertain=False)
    assert isinstance(expired, SessionExpired)
    text = "…reached its max number of concurrent authenticated requests…"
    busy = codes.failure(Fault(text, None, ""), "X", place="h", secrets=(), uncertain=False)
    assert isinstance(busy, Attempt)
    assert busy.is_certain


def test_messages_hold_neither_addresses_nor_ids_nor_secrets():
    text = 'Error Adding Recipient: |Zoë Müller| zoe@example.com 33535067000 "City" s3cret'
    shown = codes.told(text, ("s3cret",))
    assert not any(part in shown for part in ("Zoë", "zoe@", "33535067", "s3cret", "City"))


def test_every_pod_has_its_hosts_old_and_new():
    assert api_url("5") == "https://api-campaign-us-5.goacoustic.com"
    assert api_url("6") == "https://api-campaign-eu-1.goacoustic.com"
    assert api_url("a") == "https://api-campaign-ap-1.goacoustic.com"
    assert api_url("3", legacy=True) == "https://api3.silverpop.com"
    assert sftp_host("5") == "transfer-campaign-us-5.goacoustic.com"
    assert sftp_host("5", legacy=True) == "transfer5.silverpop.com"
    assert len({api_url(pod) for pod in PODS}) == len(PODS)
    with pytest.raises(FlowError, match="LB-1522"):
        api_url("12")


def test_a_map_file_takes_columns_by_position_and_leaves_out_what_is_not_wanted():
    mapped = MapFile(columns=["UID", None, "a & b"], separator="|", keys=["UID"])
    tree = ET.fromstring(mapped.for_list("7", "OPT_OUT"))
    found = [(each.findtext("INDEX"), each.findtext("NAME")) for each in tree.iter("COLUMN")]
    assert found == [("1", "UID"), ("3", "a & b")]
    assert (tree.findtext(".//FILE_TYPE"), tree.findtext(".//ACTION"), tree.findtext(".//SYNC_FIELD/NAME")) == (
        "2",
        "OPT_OUT",
        "UID",
    )
    assert ET.fromstring(mapped.for_table("9")).findtext("TABLE_INFO/TABLE_ID") == "9"


@pytest.mark.parametrize(
    ("header", "separator", "columns"),
    [
        (b"UID,EMAIL", ",", ["UID", "EMAIL"]),
        (b"UID\tEMAIL", "\t", ["UID", "EMAIL"]),
        (b"UID|First Name", "|", ["UID", "First Name"]),
        (b'"UID","a,b"', ",", ["UID", "a,b"]),
        (b"UID", ",", ["UID"]),
    ],
)
def test_a_header_becomes_a_map(header, separator, columns):
    mapped = map_of(header, TARGET, file="d.csv")
    assert (mapped.separator, mapped.columns, mapped.keys) == (separator, columns, ["UID"])


@pytest.mark.parametrize("header", [b"UID;EMAIL", b"UID,UID", b"UID,", b"EMAIL", b"UID,Gone", b"\xff\xfe", b""])
def test_a_header_that_cannot_be_mapped_is_an_error_of_the_file(header):
    with pytest.raises(DataError, match="LB-4633"):
        map_of(header, TARGET, file="d.csv")


def test_an_export_asks_for_its_window_in_gmt_and_always_names_the_character_set():
    since = datetime.fromisoformat("2026-03-02T05:30:15+01:00")
    tree = ET.fromstring(f"<X>{Export('7', 'OPT_OUT', ['UID'], since=since).request()}</X>")
    assert tree.findtext("DATE_START") == "03/02/2026 04:30:15"
    assert tree.findtext("FILE_ENCODING") == "UTF-8"
    assert tree.find("DATE_END") is None


def test_created_from_is_always_written():
    text = add("7", {"UID": "u", "EMAIL": "a@example.com"}, {"UID": "u"}, created_from=1, update=True)
    assert "<CREATED_FROM>1</CREATED_FROM>" in text
    assert "<SYNC_FIELD><NAME>UID</NAME><VALUE>u</VALUE></SYNC_FIELD>" in text
    assert by_key("7", {"EMAIL": "a@example.com"}) == "<LIST_ID>7</LIST_ID><EMAIL>a@example.com</EMAIL>"


def test_the_moment_of_an_opt_out_is_read_in_gmt():
    contact = ET.fromstring("<RESULT><OptedOut>5/11/09 9:43 PM</OptedOut></RESULT>")
    assert opted_out_at(contact) == datetime(2009, 5, 11, 21, 43, tzinfo=UTC)
    assert opted_out_at(ET.fromstring("<RESULT><OptedOut/></RESULT>")) is None


def test_refused_rows_are_counted_by_what_the_job_says():
    assert FinishedJob("1", {"TOTAL_ROWS": "9", "TOTAL_VALID": "7", "BAD_RECORDS": "5"}).refused_rows == 2
    assert FinishedJob("1", {"BAD_RECORDS": "2", "BAD_ADDRESSES": "1"}).refused_rows == 3
    assert FinishedJob("1", {}).refused_rows == 0
