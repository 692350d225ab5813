"""Silverpop against the emulated platform: contacts read by exports."""

import pytest

from landbridge.errors import FlowError, LandbridgeError
from tests.integration.silverpop.parts import contact, person, read, write


def test_contacts_are_read_with_their_kind_and_numbers(connection, api, sandbox, tmp_path):
    write(contact(api), [person(1, Score=7.5, ZIP="02826"), person(2), person(3)])
    write(contact(api, action="optOut"), [{"UID": "u2"}])
    rows = read(
        connection,
        spool=tmp_path,
        columns="UID, Score, ZIP",
        exportType=["OPT_OUT", "OPT_IN"],
        statusField="status",
        numberColumns=["Score"],
    )
    assert rows == [
        {"UID": "u1", "Score": 7.5, "ZIP": "02826", "status": "OPT_IN"},
        {"UID": "u3", "status": "OPT_IN"},
        {"UID": "u2", "status": "OPT_OUT"},
    ]
    folder = sandbox.do(lambda s: s["silverpop"].frame.folder)
    assert not list((folder / "download").iterdir()), "an export holds personal data and is removed"
    assert not list(tmp_path.iterdir())


def test_changes_are_read_only_where_the_zone_is_confirmed(connection, tmp_path):
    from datetime import UTC, datetime

    since = datetime(2099, 1, 1, tzinfo=UTC)
    with pytest.raises(FlowError, match="LB-1523"):
        read(connection, since, spool=tmp_path, columns=["UID"])
    assert read(connection, since, spool=tmp_path, columns=["UID"], gmtConfirmed=True) == []


def test_an_export_that_is_cut_off_is_made_again_once(connection, api, sandbox, tmp_path):
    write(contact(api), [person(n) for n in range(50)])
    sandbox.fail("broken_file", operation="ExportList", times=1)
    assert len(read(connection, spool=tmp_path, columns=["UID", "EMAIL"])) == 50
    sandbox.fail("broken_file", operation="ExportList", times=2)
    with pytest.raises(LandbridgeError, match="LB-3223"):
        read(connection, spool=tmp_path, columns=["UID", "EMAIL"])


def test_an_unknown_column_is_an_error_of_the_flow(connection, tmp_path):
    with pytest.raises(FlowError, match="uid"):
        read(connection, spool=tmp_path, columns=["uid"])
