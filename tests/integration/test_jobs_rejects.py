"""Records that fail in the service: kept sealed, shown masked, and given a second try, each once."""

import json
import os
import stat

import pytest

from landbridge.jobs.db_jobs import JobStatus
from tests.integration.command import step
from tests.integration.service.parts import InProcess, chained
from tests.servers.landbridge_service import Process, State

PERSON = "Zoë Planted"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("rejects") / "data"


@pytest.fixture(scope="module")
def service(data):
    service = Process(["serve", "--port", "0", "--data", str(data)], dict(os.environ), data.parent / "log")
    yield service
    service.stop()


@pytest.fixture
def state(data, service):
    state = State(data, data)
    yield state
    state.close()


@pytest.fixture
def command(tmp_path, data, monkeypatch):
    monkeypatch.setenv("LANDBRIDGE_DATA", str(data))
    return InProcess(tmp_path)


def strict(folder, *, words=("bad",), file_name="out_${jobId}.jsonl", parse=None):
    """A flow whose script rejects records with certain words; one of four records is bad."""
    (folder / "in").mkdir(exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    rows = [{"UID": "1", "word": "good"}, {"UID": "2", "word": "bad", "name": PERSON, "n": [1, None, {"a": ""}]}]
    rows += [{"UID": "3", "word": "good"}, {"UID": "4", "word": "ugly", "name": PERSON}]
    (folder / "in" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + (parse or ""))
    test = " || ".join(f"record.word === '{word}'" for word in words) or "false"
    script = (
        f"function process(record, ctx, logger, next) {{ if ({test}) throw new Error('no such word'); return record }}"
    )
    steps = [
        step("read", "datasource.read.local", path=str(folder / "in")),
        step("parse", "file.parse.json"),
        step("check", "record.evaluate", script=script),
        step("format", "file.format.json", fileName=file_name, layout="lines"),
        step("write", "datasource.write.local", path=str(folder / "out")),
    ]
    return chained(folder.name, steps)


def run(state, flow):
    return state.wait_for(state.start(state.add_flow(flow), full_extract=True))


def written(folder):
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in sorted((folder / "out").iterdir())]


def test_a_rejected_record_is_listed_masked_shown_on_demand_and_lies_sealed(tmp_path, state, command, data):
    job = run(state, strict(tmp_path))
    assert (job.status, job.rejected) == (JobStatus.SUCCEEDED_WITH_ERRORS, 1)
    [row] = json.loads(command("rejects", "list", "--job", job.id, "--json").out)
    assert (row["step"], row["number"], row["code"], row["replayedBy"]) == ("check", 1, "LB-4603", None)
    assert "record" not in row
    shown = command("rejects", "show", row["id"]).out
    assert PERSON not in shown
    assert json.loads(shown)["record"] == {"UID": "***", "word": "***", "name": "***", "n": ["***", None, {"a": "***"}]}
    whole = json.loads(command("rejects", "show", row["id"], "--reveal").out)["record"]
    assert whole == {"UID": "2", "word": "bad", "name": PERSON, "n": [1, None, {"a": ""}]}
    files = [path.read_bytes() for path in data.parent.rglob("*") if path.is_file()]
    assert not any(PERSON.encode() in content or b"Planted" in content for content in files)
    assert "[LB-1771]" in command("rejects", "show", 4711).err


def test_rejects_are_exported_for_their_owner_only(tmp_path, state, command):
    job = run(state, strict(tmp_path, words=("bad", "ugly")))
    target = tmp_path / "rejects.jsonl"
    assert command("rejects", "export", job.id, "-o", target).out.startswith("2 rejects")
    assert [json.loads(line)["record"]["UID"] for line in target.read_text().splitlines()] == ["2", "4"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_replay_sends_the_rejects_through_the_mended_dataflow_from_where_they_failed_once(tmp_path, state, command):
    job = run(state, strict(tmp_path, words=("bad", "ugly")))
    state.add_flow(strict(tmp_path, words=("ugly",)))  # mended for one of the two
    outcome = command("rejects", "replay", job.id)
    assert outcome.code == 0, outcome
    replay = state.wait_for(outcome.out.strip())
    assert (replay.kind, replay.status, replay.rejected) == ("replay", JobStatus.SUCCEEDED_WITH_ERRORS, 1)
    assert (replay.records_in, replay.dataflow_version) == (2, 2)
    assert [sorted(row["UID"] for row in rows) for rows in written(tmp_path)] == [["1", "3"], ["2"]]
    [mended] = written(tmp_path)[1]
    assert mended == {"UID": "2", "word": "bad", "name": PERSON, "n": [1, None, {"a": ""}]}
    again = command("rejects", "replay", job.id)
    assert (again.code, "[LB-1772]" in again.err, replay.id in again.err) == (1, True, True)
    listed = json.loads(command("rejects", "list", "--job", job.id, "--json").out)
    assert {row["replayedBy"] for row in listed} == {replay.id}
    state.add_flow(strict(tmp_path, words=()))
    last = state.wait_for(command("rejects", "replay", replay.id).out.strip())
    assert last.status is JobStatus.SUCCEEDED
    assert [row["UID"] for row in written(tmp_path)[2]] == ["4"]


def test_a_replay_that_failed_is_repeated_with_the_same_records(tmp_path, state, command):
    job = run(state, strict(tmp_path))
    flow = strict(tmp_path, words=())
    flow["steps"][4]["params"]["path"] = str(tmp_path / "missing")
    state.add_flow(flow)
    failed = state.wait_for(command("rejects", "replay", job.id).out.strip())
    assert failed.status is JobStatus.FAILED
    (tmp_path / "missing").mkdir()
    done = state.wait_for(command("jobs", "retry", failed.id).out.split()[0])
    assert (done.kind, done.status) == ("replay", JobStatus.SUCCEEDED)
    [file] = (tmp_path / "missing").iterdir()
    assert json.loads(file.read_text())["UID"] == "2"


def test_a_replay_does_not_move_the_mark(tmp_path, state, command):
    flow = state.add_flow(strict(tmp_path))
    job = state.wait_for(state.start(flow))
    before = state.mark(flow)
    state.add_flow(strict(tmp_path, words=()))
    assert state.wait_for(command("rejects", "replay", job.id).out.strip()).status is JobStatus.SUCCEEDED
    assert state.mark(flow) == before


def test_what_cannot_be_replayed_says_why(tmp_path, state, command):
    fixed = run(state, strict(tmp_path, file_name="out.jsonl"))
    assert "[LB-1774]" in command("rejects", "replay", fixed.id).err
    flow = strict(tmp_path)
    flow["steps"][2]["id"] = "renamed"
    flow["steps"][1]["next"] = ["renamed"]
    state.add_flow(flow)
    assert "[LB-1773]" in command("rejects", "replay", fixed.id).err
    assert "[LB-1772]" in command("rejects", "replay", fixed.id, "--code", "LB-1").err
    texts = run(state, strict(tmp_path, words=(), parse="42\n"))
    assert texts.rejected == 1
    refused = command("rejects", "replay", texts.id)
    assert (refused.code, "[LB-1772]" in refused.err, "pieces of files" in refused.err) == (1, True, True)
    assert "[LB-1705]" in command("rejects", "replay", "nobody").err
