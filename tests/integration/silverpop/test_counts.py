"""Silverpop against the emulated platform: what a run counts, and what it says."""

import csv

from tests.integration.command import Command, step
from tests.integration.silverpop.parts import contact, contacts, person, write


def people():
    """One who is there, and of those who are not one who says yes, one who says no and one who says nothing."""
    return [
        person(1, Subscribed="", City="Bern"),
        person(2, Subscribed="Yes", City="Bern"),
        person(3, Subscribed="No", City="Bern"),
        person(4, Subscribed="", City="Bern"),
    ]


def parsed_flow(command, folders, *writer):
    with (folders / "in" / "d.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, list(people()[0]))
        rows.writeheader()
        rows.writerows(people())
    return command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")), step("parse", "file.parse.dsv"), *writer
    )


def test_an_import_counts_whom_it_leaves_out_as_filtered(connection, sandbox, api, command, folders):
    write(contact(api), [person(1)])
    flow = parsed_flow(
        command,
        folders,
        step("dsv", "file.format.dsv", fileName="d.csv"),
        step("import", "datasource.write.silverpop", **connection, newsletterField="Subscribed"),
    )
    outcome = command.run(flow)
    assert outcome.code == 0, outcome.err
    assert set(contacts(sandbox)) == {"u1", "u2"}
    counts = outcome.step("import")
    assert (counts["in"], counts["out"], counts["filtered"], counts["rejected"]) == (4, 2, 2, 0)
    assert [file["records"] for file in outcome.report["files"]] == [2]


def test_single_calls_count_whom_they_leave_out_as_filtered(api, sandbox, command, folders):
    write(contact(api), [person(1)])
    target = step("write", "datasource.write.silverpop.contact", **api, newsletterField="Subscribed")
    flow = parsed_flow(command, folders, target)
    for options in ((), ("--journal", folders / "journal")):  # at once, and in units whose outcome is kept
        outcome = Command.run(command, flow, *options)
        assert outcome.code == 0, outcome.err
        counts = outcome.step("write")
        assert (counts["in"], counts["out"], counts["filtered"]) == (4, 2, 2)
    assert set(contacts(sandbox)) == {"u1", "u2"}


def test_a_run_that_ends_in_the_middle_says_how_many_records_were_written(api, sandbox, command, folders):
    whole = [person(n) for n in range(3000)]
    with (folders / "in" / "d.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, list(whole[0]))
        rows.writeheader()
        rows.writerows(whole)
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("parse", "file.parse.dsv"),
        step("write", "datasource.write.silverpop.contact", **api),
    )
    sandbox.fail("token_expiry", operation="AddRecipient", skip=200, times=100_000)
    outcome = Command.run(command, flow)
    assert outcome.code == 1
    written = outcome.step("write")["out"]
    assert written > 0
    assert f"At least {written:,} records had been written before, and stay written." in outcome.err
    assert "Nothing was published" not in outcome.err


def test_a_check_takes_the_confirmed_time_zone(connection, command, folders):
    for confirmed, verdict in ((False, "WARNING  time zone"), (True, "ok       time zone")):
        flow = parsed_flow(
            command,
            folders,
            step("dsv", "file.format.dsv", fileName="d.csv"),
            step("import", "datasource.write.silverpop", **connection, gmtConfirmed=confirmed),
        )
        assert verdict in command("check", flow).out
