"""Silverpop against the emulated platform: contacts imported by files."""

import json

import pytest

from tests.integration.silverpop.parts import contact, contacts, import_flow, person, storm, write


def test_a_file_is_imported_and_its_refused_rows_are_rejects(connection, sandbox, command, folders):
    rows = [person(n, City="L'Haÿ\n2nd line") for n in range(50)]
    rows += [person(60, EMAIL="nonsense"), {"EMAIL": "x@example.com"}]
    outcome = command.run(import_flow(command, folders, connection, rows), "--rejects", folders / "rejects.jsonl")
    assert (outcome.code, outcome.status) == (3, "succeeded_with_errors"), outcome.err
    kept = [json.loads(line) for line in (folders / "rejects.jsonl").read_text().splitlines()]
    assert [each["code"] for each in kept] == ["LB-4631", "LB-4631"]
    assert "nonsense" in kept[0]["text"]
    assert len(contacts(sandbox)) == 50
    vendor = sandbox.do(lambda s: s["silverpop"].frame.folder)
    assert not list((vendor / "upload").iterdir()), "imported files hold personal data and are removed"
    assert not list((vendor / "download").iterdir())


def test_files_stay_where_the_step_says_so(connection, sandbox, command, folders):
    assert command.run(import_flow(command, folders, connection, [person(1)], keepFiles=True)).code == 0
    folder = sandbox.do(lambda s: s["silverpop"].frame.folder)
    assert sorted(file.name for file in (folder / "upload").iterdir()) == ["d.csv", "d.csv.map.xml"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"UID": "u1", "Nonsense": "x"}], "has no column Nonsense"),
        ([{"uid": "u1"}], "has no column uid"),
        ([{"EMAIL": "a@example.com"}], "lacks the key column UID"),
        ([{"UID;EMAIL": "u1;a@example.com"}], "semicolons"),
    ],
)
def test_a_header_that_does_not_fit_stops_the_job_before_anything_is_sent(
    connection, sandbox, command, folders, rows, told
):
    outcome = command.run(import_flow(command, folders, connection, rows))
    assert (outcome.code, "LB-4633" in outcome.err) == (1, True), outcome.err
    assert told in outcome.err
    folder = sandbox.do(lambda s: s["silverpop"].frame.folder)
    assert not list((folder / "upload").iterdir())
    assert not contacts(sandbox)


def test_a_compressed_file_is_told_apart(connection, command, folders):
    flow = import_flow(command, folders, connection, [person(1)])
    (folders / "in" / "d.csv").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe\n")
    outcome = command.run(flow)
    assert "not UTF-8 text" in outcome.err


def test_the_wish_in_a_file_becomes_three_imports(connection, sandbox, api, command, folders):
    write(contact(api), [person(1), person(2), person(3)])
    write(contact(api, action="optOut"), [{"UID": "u3"}])
    rows = [
        person(1, Subscribed="No", City="Bern"),
        person(2, Subscribed="", City="Bern"),
        person(3, Subscribed="Yes", City="Bern"),
        person(4, Subscribed="Yes"),
        person(5, Subscribed="No"),
    ]
    outcome = command.run(import_flow(command, folders, connection, rows, newsletterField="Subscribed"))
    assert outcome.code == 0, outcome.err
    found = contacts(sandbox)
    assert set(found) == {"u1", "u2", "u3", "u4"}, "u5 has never subscribed and is not made reachable"
    assert [bool(found[f"u{n}"]["opted out"]) for n in (1, 2, 3, 4)] == [True, False, True, False]
    assert {found[f"u{n}"]["City"] for n in (1, 2, 3)} == {"Bern"}


def test_the_wish_in_a_file_may_add_those_who_say_no(connection, sandbox, command, folders):
    flow = import_flow(
        command, folders, connection, [person(5, Subscribed="No")], newsletterField="Subscribed", addOptedOut=True
    )
    assert command.run(flow).code == 0
    assert contacts(sandbox)["u5"]["opted out"]


@pytest.mark.parametrize("keeps", [False, True])
def test_opt_outs_are_kept_even_if_imports_undid_them(connection, sandbox, api, command, folders, keeps):
    write(contact(api), [person(n) for n in range(6)])
    write(contact(api, action="optOut"), [{"UID": "u1"}, {"UID": "u2"}])
    sandbox.switch("silverpop", import_resubscribes=True)
    sandbox.fail("broken_file", operation="ExportList", times=1)
    flow = import_flow(command, folders, connection, [person(n, City="Bern") for n in range(6)], keepOptOuts=keeps)
    assert command.run(flow).code == 0
    out = {uid for uid, row in contacts(sandbox).items() if row["opted out"]}
    assert out == ({"u1", "u2"} if keeps else set()), "without it, this platform opts people in again"
    folder = sandbox.do(lambda s: s["silverpop"].frame.folder)
    assert not list((folder / "upload").iterdir())


def test_a_job_that_fails_there_fails_here_with_its_words(connection, sandbox, command, folders):
    flow = import_flow(command, folders, connection, [person(1)])
    sandbox.do(lambda s: setattr(s["silverpop"], "jobs", Failing(s["silverpop"])))
    try:
        outcome = command.run(flow)
    finally:
        sandbox.do(lambda s: setattr(s["silverpop"], "jobs", Failing.__base__(s["silverpop"])))
    assert (outcome.code, "LB-4632" in outcome.err) == (1, True)
    assert "Details: null" in outcome.err


class Failing(__import__("landbridge.sandbox.silverpop.jobs", fromlist=["Jobs"]).Jobs):
    """Jobs that all end in an error."""

    def begin(self, operation, work, parameters):
        from landbridge.sandbox.silverpop.jobs import JobFailed

        async def fail(_):
            raise JobFailed(f"Error executing {operation}. Details: null")

        return super().begin(operation, fail, parameters)


def test_a_dry_run_logs_in_and_sends_nothing(connection, sandbox, command, folders):
    flow = import_flow(command, folders, connection, [person(1)])
    assert command.run(flow, "--dry-run").code == 0
    assert not contacts(sandbox)
    wrong = import_flow(command, folders, {**connection, "password": "wrong"}, [person(1)])
    outcome = command.run(wrong, "--dry-run")
    assert "LB-2104" in outcome.err


def test_a_storm_around_an_import_loses_and_doubles_nobody(connection, sandbox, command, folders):
    storm(sandbox)
    sandbox.fail("slow_job", operation="ImportList", times=1, delay_s=0.5)
    outcome = command.run(import_flow(command, folders, connection, [person(n) for n in range(300)]))
    assert outcome.code == 0, outcome.err
    assert len(contacts(sandbox)) == 300


def test_rows_that_the_platform_refuses_without_saying_which_are_counted(connection, sandbox, command, folders):
    sandbox.fail("partial_failure", operation="ImportList", times=1)
    sandbox.fail("broken_file", operation="ImportList", times=1)
    flow = import_flow(command, folders, connection, [person(n) for n in range(300)])
    outcome = command.run(flow, "--rejects", folders / "rejects.jsonl")
    assert outcome.code == 3
    assert outcome.report["rejects"] == 3
    assert outcome.step("import")["rejected"] == 3
