"""Silverpop against the emulated platform: opt-outs that imports undo there, and what is left of interrupted ones."""

import json
import time

import pytest

from landbridge.components.datasource.silverpop_login import SilverpopFileParams
from landbridge.remote.silverpop_jobs import Patience
from tests.integration.silverpop.parts import contact, contacts, import_flow, person, write

OUT = {"u1", "u2"}
NOTE = "landbridge-opt-outs"


@pytest.fixture
def resubscribing(sandbox, api):
    """Six contacts of whom two have opted out, at a platform that opts in whom an import names."""
    write(contact(api), [person(n) for n in range(6)])
    write(contact(api, action="optOut"), [{"UID": uid} for uid in sorted(OUT)])
    sandbox.switch("silverpop", import_resubscribes=True)
    return sandbox


@pytest.fixture
def patient(monkeypatch):
    """Sets how long jobs are waited for, in seconds; parameters begin at a minute."""

    def wait(timeout_s):
        monkeypatch.setattr(SilverpopFileParams, "patience", lambda _, progress: Patience(timeout_s, progress))

    return wait


def opted_out(sandbox):
    return {uid for uid, row in contacts(sandbox).items() if row["opted out"]}


def folder_of(sandbox, name):
    return sandbox.do(lambda s: s["silverpop"].frame.folder) / name


def names(sandbox, name):
    return sorted(file.name for file in folder_of(sandbox, name).iterdir())


def rows():
    return [person(n, City="Bern") for n in range(6)]


def test_an_import_that_takes_too_long_keeps_its_note_for_the_next_run(
    connection, resubscribing, command, folders, patient
):
    flow = import_flow(command, folders, connection, rows(), keepOptOuts=True)
    resubscribing.fail("slow_job", operation="ImportList", times=1, delay_s=2.0)
    patient(0.5)
    outcome = command.run(flow)
    assert (outcome.code, "LB-3222" in outcome.err) == (1, True), outcome.err
    assert "the next run" in outcome.err
    again = command.run(flow)
    assert "LB-3222" in again.err, again.err
    assert "nothing was imported" in again.err
    resubscribing.idle()
    assert opted_out(resubscribing) == set(), "the platform ended the import behind everything, and opted them in"
    patient(30)
    assert command.run(flow).code == 0
    assert opted_out(resubscribing) == OUT
    assert not names(resubscribing, "upload")
    assert not names(resubscribing, "download")


def test_the_next_run_of_any_dataflow_into_the_database_finishes_what_was_interrupted(
    connection, resubscribing, command, folders, patient
):
    resubscribing.fail("slow_job", operation="ImportList", times=1, delay_s=1.0)
    patient(0.3)
    command.run(import_flow(command, folders, connection, rows(), keepOptOuts=True))
    resubscribing.idle()
    assert opted_out(resubscribing) == set()
    patient(30)
    (folders / "in" / "d.csv").unlink()
    other = import_flow(command, folders, connection, [person(9)], name="other.csv")
    assert command.run(other, "--dry-run").code == 0
    assert opted_out(resubscribing) == set(), "a dry run changes nothing"
    assert command.run(other).code == 0
    assert opted_out(resubscribing) == OUT
    assert not [name for name in names(resubscribing, "upload") if name.startswith(NOTE)]


def test_a_note_is_taken_up_though_there_is_nothing_to_import(connection, resubscribing, command, folders, patient):
    resubscribing.fail("slow_job", operation="ImportList", times=1, delay_s=1.0)
    patient(0.3)
    flow = import_flow(command, folders, connection, rows(), keepOptOuts=True)
    command.run(flow)
    resubscribing.idle()
    patient(30)
    (folders / "in" / "d.csv").unlink()
    assert command.run(flow).code == 0
    assert opted_out(resubscribing) == OUT


def test_files_of_others_and_notes_of_other_databases_are_left_alone(connection, resubscribing, command, folders):
    upload = folder_of(resubscribing, "upload")
    claim = {"list_id": "777", "keys": ["UID"], "source": "x.csv", "writer": ".note.lb-00000000-1-1.uploading"}
    base = f"{NOTE}-50194-{'0' * 16}"
    foreign = {
        "d.csv.keep": "UID\nu3\n",
        f"{NOTE}.csv": "UID\nu3\n",
        f"{NOTE}-50194-notes.json": "{}",
        f"{base}.json": json.dumps(claim),
        f"{base}.csv": "UID\nu3\n",
        f"{base}.begun": "x",
        f"{NOTE}-50194-{'1' * 16}.json": "not ours",
        f"{NOTE}-50194-{'1' * 16}.csv": "UID\nu4\n",
    }
    for name, text in foreign.items():
        (upload / name).write_text(text)
    assert command.run(import_flow(command, folders, connection, rows(), keepOptOuts=True)).code == 0
    assert opted_out(resubscribing) == OUT
    assert names(resubscribing, "upload") == sorted(foreign)


def test_what_the_restoring_import_leaves_is_read_and_removed(connection, resubscribing, command, folders):
    flow = import_flow(command, folders, connection, rows(), keepOptOuts=True)
    resubscribing.fail("partial_failure", operation="ImportList", times=1, skip=1)
    outcome = command.run(flow, "--rejects", folders / "rejects.jsonl")
    kept = [json.loads(line) for line in (folders / "rejects.jsonl").read_text().splitlines()]
    assert (outcome.code, len(kept)) == (3, 1), "an opt-out that could not be restored is not passed over"
    assert (kept[0]["code"], "u1" in kept[0]["text"]) == ("LB-4631", True)
    assert not names(resubscribing, "upload")
    assert not names(resubscribing, "download")


def test_a_lost_answer_leaves_a_note_until_the_unknown_import_must_have_ended(
    connection, resubscribing, command, folders, patient
):
    patient(3)
    flow = import_flow(command, folders, connection, rows(), keepOptOuts=True)
    resubscribing.fail("lost_reply", operation="ImportList", times=1)
    resubscribing.fail("slow_job", operation="ImportList", times=1, delay_s=1.5)
    assert command.run(flow).code == 0
    assert [name for name in names(resubscribing, "upload") if name.endswith(".unsure")]
    resubscribing.idle()
    assert opted_out(resubscribing) == set(), "the first of the two imports ended last"
    for _ in range(2):
        assert command.run(flow).code == 0
        assert opted_out(resubscribing) == OUT
        if not names(resubscribing, "upload"):
            break
        time.sleep(3)
    assert not names(resubscribing, "upload")


def test_an_import_that_ends_in_an_error_undoes_no_opt_outs(connection, resubscribing, command, folders, monkeypatch):
    from landbridge.sandbox.silverpop import imports

    results = imports._Import._results

    def fail(self):
        if self._map.action == "OPT_OUT":
            return results(self)
        raise imports.JobFailed("Error executing import of list. Details: null")

    monkeypatch.setattr(imports._Import, "_results", fail)
    outcome = command.run(import_flow(command, folders, connection, rows(), keepOptOuts=True))
    assert "LB-4632" in outcome.err
    assert opted_out(resubscribing) == OUT
    assert not [name for name in names(resubscribing, "upload") if name.startswith(NOTE)]
