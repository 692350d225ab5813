"""Silverpop against the emulated platform: rows of relational tables."""

import pytest

from landbridge.errors import GuardTripped
from tests.integration.silverpop.parts import findings, import_flow, storm, table, write


@pytest.fixture
def likes(api):
    findings(table(api).create_missing())
    return api


def liker(number, *names):
    return {
        "UID": f"u{number}",
        "profile": {"likes": [{"name": each, "time": "2023-05-01T10:00:00Z"} for each in names]},
    }


def rows(sandbox, name="Likes"):
    return {(row["UID"], row["NAME"]): row for row in sandbox.rows("silverpop", f"table {name}")}


def test_each_element_becomes_a_row_of_its_account(likes, sandbox):
    people = [liker(1, "Opera", "Chess"), {"UID": "u2"}, liker(3, "Opera"), liker(4)]
    done, refused = write(table(likes), people)
    assert (len(done), refused) == (4, [])
    found = rows(sandbox)
    assert set(found) == {("u1", "Opera"), ("u1", "Chess"), ("u3", "Opera")}
    assert found["u1", "Chess"] == {"UID": "u1", "NAME": "Chess", "WHEN": "05/01/2023 10:00:00", "POSITION": "2"}
    write(table(likes, action="delete"), [liker(1, "Opera", "Nothing")])
    assert set(rows(sandbox)) == {("u1", "Chess"), ("u3", "Opera")}


def test_a_deadlock_is_tried_again_and_a_storm_does_no_harm(likes, sandbox):
    storm(sandbox)
    sandbox.fail("partial_failure", operation="InsertUpdateRelationalTable", times=2)
    done, refused = write(table(likes), [liker(n, "Opera", "Chess", "Ski") for n in range(150)], size=50)
    assert (len(done), refused) == (150, [])
    assert len(rows(sandbox)) == 450


def test_a_record_fails_with_its_refused_row_and_the_others_are_written(likes, sandbox):
    bad = {"UID": "u2", "profile": {"likes": [{"name": "Opera", "time": "nonsense"}, {"name": "Ski"}]}}
    done, refused = write(table(likes), [liker(1, "Opera"), bad, {"profile": {"likes": []}}, liker(3, "a\x00")])
    assert [row["UID"] for row in done] == ["u1"]
    assert [code for code, _ in refused] == ["LB-4631"] * 3
    assert set(rows(sandbox)) == {("u1", "Opera"), ("u2", "Ski")}


def test_objects_of_objects_and_plain_values_have_rows_too(api, sandbox):
    columns = [{"sourceField": "@", "targetField": "NAME"}, {"sourceField": "points", "targetField": "POINTS"}]
    achievements = {"tableName": "Loyalty", "elements": "data.won", "columns": columns}
    findings(table(api, **achievements).create_missing())
    write(table(api, **achievements), [{"UID": "u1", "data": {"won": {"a": {"points": 3}, "b": {"points": 4}}}}])
    assert {key: row["POINTS"] for key, row in rows(sandbox, "Loyalty").items()} == {("u1", "a"): "3", ("u1", "b"): "4"}
    plain = {"tableName": "Tags", "elements": "tags", "columns": [{"sourceField": ".", "targetField": "NAME"}]}
    findings(table(api, **plain).create_missing())
    write(table(api, **plain), [{"UID": "u1", "tags": ["x", "y"]}])
    assert set(rows(sandbox, "Tags")) == {("u1", "x"), ("u1", "y")}


def test_the_budget_of_rows_stops_the_job_before_it_is_exceeded(likes, sandbox):
    write(table(likes), [liker(1, "a", "b", "c")])
    with pytest.raises(GuardTripped, match="LB-5101"):
        write(table(likes, maxTableRows=5), [liker(2, "a", "b", "c")])
    assert len(rows(sandbox)) == 3


def test_a_column_called_email_is_refused_before_anything_is_sent(api):
    with pytest.raises(ValueError, match="email"):
        table(api, columns=[{"sourceField": "x", "targetField": "Email"}])


def test_a_file_goes_into_a_table(api, connection, sandbox, command, folders, likes):
    [found] = sandbox.do(lambda s: [each.id for each in s["silverpop"].tables_])
    data = [{"UID": f"u{n}", "NAME": "Opera", "WHEN": "05/01/2023 10:00:00", "POSITION": "1"} for n in range(200)]
    outcome = command.run(import_flow(command, folders, connection, data, tableId=found))
    assert outcome.code == 0, outcome.err
    assert len(rows(sandbox)) == 200
    outcome = command.run(import_flow(command, folders, connection, data, tableId=found, maxTableRows=100))
    assert "LB-5101" in outcome.err
