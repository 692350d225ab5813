"""Stored connections from the command line to the far side, their key, and that no secret gets out."""

import io
import json
import os
import socketserver
import stat
import threading

import pytest
from cryptography.fernet import Fernet

from landbridge.errors import StorageError
from landbridge.jobs import db_dataflows, db_rejects, db_workers, vault
from landbridge.jobs.db import Database
from landbridge.jobs.db_jobs import JobStatus
from landbridge.jobs.documents import Documents
from landbridge.jobs.key_rotation import rotate
from landbridge.jobs.rejects import DatabaseRejects
from landbridge.jobs.vault import Vault
from tests.integration.command import Command, step
from tests.integration.service.parts import InProcess, chained
from tests.servers.embedded_sftp import EmbeddedSftpServer
from tests.servers.landbridge_service import Process, State
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def command(tmp_path, data, monkeypatch):
    monkeypatch.setenv("LANDBRIDGE_DATA", str(data))
    monkeypatch.setenv("LANDBRIDGE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LANDBRIDGE_KEY", raising=False)
    return InProcess(tmp_path)


@pytest.fixture
def typed(monkeypatch):
    """Puts a text on standard input."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.fixture
def sftp(tmp_path):
    with EmbeddedSftpServer(tmp_path / "sftp") as embedded:
        yield embedded.server


def store(command, typed, server, *, name="files", password=None):
    typed((password or server.password) + "\n")
    sets = {"host": server.host, "port": server.port, "username": server.username, "hostKey": server.public_key}
    pairs = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    outcome = command("connections", "add", name, "--type", "sftp", *pairs, "--secret", "password")
    assert outcome.code == 0, outcome
    return outcome


def flow_to(folder, target, *, name="flow", file_name="people.csv", **script):
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / "a.jsonl").write_text('{"UID": "1"}\n{"UID": "2"}\n')
    scripts = [step("script", "record.evaluate", **script)] if script else []
    steps = [
        step("read", "datasource.read.local", path=str(folder / "in")),
        step("parse", "file.parse.json"),
        *scripts,
        step("format", "file.format.dsv", fileName=file_name),
        target,
    ]
    file = folder / f"{name}.json"
    file.write_text(json.dumps(chained(name, steps)))
    return file


def test_a_stored_connection_is_tested_used_by_a_run_and_never_shown(tmp_path, command, typed, sftp, data):
    store(command, typed, sftp)
    assert "ok" in command("connections", "test", "files").out
    flow = flow_to(tmp_path, step("write", "datasource.write.sftp", connection="files", remotePath=""))
    assert command("lint", flow).code == 0
    assert "ok" in command("check", flow).out
    outcome = command("run", flow)
    assert outcome.code == 0, outcome
    assert (sftp.root / "people.csv").read_text().splitlines() == ["UID", "1", "2"]
    shown = command("connections", "show", "files")
    assert "password = ********" in shown.out
    assert sftp.host in command("connections", "list", "--json").out
    assert not any(sftp.password.encode() in path.read_bytes() for path in data.rglob("*") if path.is_file())


def test_a_wrong_password_fails_the_test_without_telling_it(command, typed, sftp):
    store(command, typed, sftp, password="planted-wrong-one")
    outcome = command("connections", "test", "files")
    assert (outcome.code, "[LB-2104]" in outcome.out) == (1, True)
    assert "planted-wrong-one" not in outcome.out + outcome.err
    typed(sftp.password)
    assert command("connections", "set", "files", "--secret", "password").code == 0
    assert command("connections", "test", "files").code == 0


def test_a_run_on_several_processes_uses_the_connection_in_all_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv("LANDBRIDGE_DATA", str(tmp_path / "data"))
    command = Command(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.jsonl").write_text(f'{{"UID": "{number}"}}\n')
    assert command("connections", "add", "in", "--type", "local", "--set", f"path={tmp_path / 'in'}").code == 0
    key = tmp_path / "secret"
    key.write_text("pa${now}{{x}}ss\n")
    assert command("connections", "add", "zip", "--type", "zip", "--secret", f"password=@{key}").code == 0
    steps = [
        step("read", "datasource.read.local", connection="in"),
        step("parse", "file.parse.json"),
        step("format", "file.format.dsv", fileName="o.csv"),
        step("zip", "file.compress.zip", connection="zip"),
        step("write", "datasource.write.local", path=str(tmp_path / "out")),
    ]
    (tmp_path / "f.json").write_text(json.dumps(chained("f", steps)))
    outcome = command("run", tmp_path / "f.json", "--processes", "2", "-q")
    assert outcome.code == 0, outcome
    back = [
        step("read", "datasource.read.local", path=str(tmp_path / "out")),
        step("unzip", "file.uncompress.zip", connection="zip"),
        step("write", "datasource.write.local", path=str(tmp_path)),
    ]
    (tmp_path / "b.json").write_text(json.dumps(chained("b", back)))
    assert command("run", tmp_path / "b.json", "-q").code == 0
    assert (tmp_path / "o.csv").read_text().splitlines() == ["UID", "0", "1", "2"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "a b", "--type", "sftp"), "LB-1762"),
        (("add", "x", "--type", "sfpt"), 'Did you mean "sftp"'),
        (("add", "x", "--type", "sftp", "--set", "hots=h"), 'Did you mean "host"'),
        (("add", "x", "--type", "sftp", "--set", "port=abc"), "LB-1765"),
        (("add", "x", "--type", "sftp", "--set", "password=planted"), "--secret password"),
        (("add", "x", "--type", "sftp", "--secret", "password=planted"), "history"),
        (("add", "x", "--type", "sftp", "--set", "planted"), "PARAM=VALUE"),
        (("add", "x", "--type", "sftp", "--secret", "password=@nowhere"), "cannot read"),
        (("show", "x"), "LB-1761"),
        (("set", "x", "--set", "host=h"), "LB-1761"),
        (("remove", "x"), "LB-1761"),
        (("test", "x"), "LB-1761"),
    ],
)
def test_what_cannot_be_stored_is_told_without_its_value(command, arguments, told):
    outcome = command("connections", *arguments)
    assert outcome.code != 0
    assert told in outcome.err
    assert "planted" not in outcome.err.partition("Error")[2]


def test_values_are_changed_one_by_one_and_removed(command, typed):
    typed("p")
    assert command("connections", "add", "x", "--type", "sftp", "--set", "host=h", "--secret", "password").code == 0
    assert "[LB-1763]" in command("connections", "add", "x", "--type", "sftp").err
    assert "[LB-1769]" in command("connections", "set", "x", "--set", "host=elsewhere").err
    assert "[LB-1769]" in command("connections", "set", "x", "--unset", "host").err
    typed("p")
    anew = ("--set", "username=u", "--unset", "host", "--secret", "password")
    assert command("connections", "set", "x", *anew).code == 0
    shown = json.loads(command("connections", "show", "x", "--json").out)
    assert (shown["params"], shown["revision"]) == ({"username": "u", "password": "********"}, 2)
    assert "[LB-1765]" in command("connections", "set", "x", "--set", "host=").err
    assert "[LB-1767]" in command("connections", "test", "x").err
    assert command("connections", "set", "x", "--set", "password=${env:P}").code == 0
    assert json.loads(command("connections", "show", "x", "--json").out)["params"]["password"] == "${env:P}"


def test_a_connection_in_use_is_not_removed_by_accident(tmp_path, command):
    assert command("connections", "add", "x", "--type", "sftp", "--set", "host=h").code == 0
    flow = flow_to(tmp_path, step("write", "datasource.write.sftp", connection="x"), name="uses it")
    assert command("dataflows", "add", flow).code == 0
    refused = command("connections", "remove", "x")
    assert ("[LB-1766]" in refused.err, '"uses it"' in refused.err) == (True, True)
    assert command("connections", "remove", "x", "--force").code == 0


def test_without_a_data_folder_a_run_tells_that_there_is_no_connection_and_makes_none(tmp_path, command, data):
    outcome = command("run", flow_to(tmp_path, step("write", "datasource.write.sftp", connection="x")))
    assert (outcome.code, "LB-1761" in outcome.err) == (1, True)
    assert not data.exists()


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server


@pytest.fixture(params=["file", "postgresql"])
def database(request, data):
    opened = Database.open(data if request.param == "file" else request.getfixturevalue("postgres").url)
    yield opened
    opened.close()


def all_sealed(database, keys):
    """Seals something of each kind; gives a function that opens all of it."""
    documents = Documents(keys)
    flow = {"name": "f", "steps": [{"id": "w", "type": "datasource.write.sftp", "params": {"password": "inline"}}]}
    from landbridge.dataflow import Dataflow
    from landbridge.jobs import connections, jobs

    with database.write() as tx:
        stored = db_dataflows.add(tx, documents.content(Dataflow.from_json(flow)[0]), by="t")
        values = connections.Values(secrets={"password": "stored"})
        name = f"c{stored.id[:8]}"
        connections.add(tx, keys, name, kind="sftp", values=values, by="t")
        job = jobs.start(tx, stored.id, by="t")
        rows = [db_rejects.NewReject("1", "m", keys.seal({"record": {"n": n}})) for n in range(1200)]
        db_rejects.add(tx, job.id, "w", rows)

    def opened(keys):
        with database.read() as tx:
            flow = Documents(keys).whole(db_dataflows.version(tx, stored.id))
            named = Dataflow.from_json(
                {"name": "f", "steps": [{"id": "w", "type": "datasource.write.sftp", "params": {"connection": name}}]}
            )[0]
            found = connections.connected(tx, keys, named).secrets
            choice = db_rejects.Choice(job_id=job.id, step="w")
            rows = db_rejects.listing(tx, choice, limit=2000)
        records = [keys.unseal(row.sealed)["record"]["n"] for row in rows]
        return flow.steps[0].params["password"], *found.values(), records == list(range(1200))

    return opened


def test_a_new_key_opens_everything_and_the_old_one_nothing(database, data):
    opened = all_sealed(database, Vault.open(data, {}))
    old = Vault((data / "key").read_text())
    assert rotate(database, data, {}, by="t") >= 1202
    assert stat.S_IMODE((data / "key").stat().st_mode) == 0o600
    assert "," not in (data / "key").read_text()
    assert opened(Vault.open(data, {})) == ("inline", "stored", True)
    with pytest.raises(StorageError, match=r"LB-7505"):
        opened(old)


def test_a_rotation_that_fails_changes_nothing(data, monkeypatch):
    database = Database.open(data)
    opened = all_sealed(database, Vault.open(data, {}))
    with database.write() as tx:
        job_id = db_rejects.newest(tx, db_rejects.Choice(), limit=1)[0].job_id
        db_rejects.add(tx, job_id, "z", [db_rejects.NewReject("1", "m", Vault(Fernet.generate_key().decode()).seal(1))])
    with pytest.raises(StorageError, match=r"LB-7505"):
        rotate(database, data, {}, by="t")
    assert opened(Vault.open(data, {})) == ("inline", "stored", True)
    # The machine stops just before the old key is removed.
    with database.write() as tx:
        db_rejects.forget(tx, job_id, ["z"])
    monkeypatch.setattr(vault, "keep_first_key", lambda folder: None)
    rotate(database, data, {}, by="t")
    assert opened(Vault.open(data, {})) == ("inline", "stored", True)
    database.close()


def test_keys_of_the_environment_are_rotated_by_their_order(data):
    database = Database.open(data)
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    opened = all_sealed(database, Vault(old))
    with pytest.raises(StorageError, match=r"LB-7507"):
        rotate(database, data, {"LANDBRIDGE_KEY": old}, by="t")
    rotate(database, data, {"LANDBRIDGE_KEY": f"{new},{old}"}, by="t")
    assert opened(Vault(new)) == ("inline", "stored", True)
    assert not (data / "key").exists()
    database.close()


def test_a_key_in_a_file_is_not_changed_under_a_running_worker(data):
    database = Database.open(data)
    with database.write() as tx:
        db_workers.add(tx, "w", host="there", process=1, landbridge_version="1", slots=1)
    with pytest.raises(StorageError, match=r"running on there.*LB-7507"):
        rotate(database, data, {}, by="t")
    with database.write() as tx:
        db_workers.stop(tx, "w", leaves_jobs=False)
    rotate(database, data, {}, by="t")
    database.close()


def test_rejects_of_several_threads_are_numbered_without_gaps(data):
    all_sealed(database := Database.open(data), Vault.open(data))
    with database.read() as tx:
        job_id = db_rejects.newest(tx, db_rejects.Choice(), limit=1)[0].job_id
    store = DatabaseRejects(data, data=data, job=job_id)
    reject = {"code": "1", "message": "m", "record": {"a": 1}}
    threads = [threading.Thread(target=store.add, args=("s", [reject] * 20)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as tx:
        rows = db_rejects.listing(tx, db_rejects.Choice(job_id=job_id, step="s"))
    assert [row.number for row in rows] == list(range(1201, 1361))
    store.forget(["s"])
    with database.read() as tx:
        assert db_rejects.by_step(tx, db_rejects.Choice(job_id=job_id)) == {"w": 1200}
    store.close()
    database.close()


class _Webhook(socketserver.StreamRequestHandler):
    """Keeps what it gets."""

    def handle(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.rfile.readline()
        length = int(
            next(line.split(b":")[1] for line in head.splitlines() if line.lower().startswith(b"content-length"))
        )
        self.server.got += head + self.rfile.read(length)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def webhook():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Webhook) as server:
        server.got = b""
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


PLANTED = {
    "environment": "planted-Env-4711",
    "reference": "planted-Ref-4712",
    "connection": "planted-Con-4713",
    "inline": "planted-Inl-4714",
    "script": "planted-Scr-4715",
}
SCRIPT = """function process(record, ctx, logger, next) {
    logger.info('the token is ' + ctx.parameters.token)
    if (record.UID === '2') throw new Error('cannot use ' + ctx.parameters.token)
    return record
}"""


@pytest.mark.long
def test_planted_secrets_come_out_nowhere(tmp_path, command, typed, sftp, data, webhook, monkeypatch):
    monkeypatch.setenv("PLANTED_PASSWORD", PLANTED["environment"])
    monkeypatch.setenv("LANDBRIDGE_SECRET_PLANTED", PLANTED["reference"])
    monkeypatch.setenv("LANDBRIDGE_SECRET_TOKEN", PLANTED["script"])
    outcomes = [store(command, typed, sftp, name="bad", password=PLANTED["connection"])]
    login = {"host": sftp.host, "port": sftp.port, "username": sftp.username, "hostKey": sftp.public_key}
    targets = {
        "environment": step("write", "datasource.write.sftp", **login, password="${env:PLANTED_PASSWORD}"),
        "reference": step("write", "datasource.write.sftp", **login, password="${secret:planted}"),
        "connection": step("write", "datasource.write.sftp", connection="bad"),
        "inline": step("write", "datasource.write.sftp", **login, password=PLANTED["inline"]),
        "script": step("write", "datasource.write.local", path=str(tmp_path / "out")),
    }
    (tmp_path / "out").mkdir()
    outcomes.append(command("alerts", "add", "--webhook", f"http://127.0.0.1:{webhook.server_address[1]}/", "--every"))
    service = Process(["serve", "--port", "0", "--data", str(data)], dict(os.environ), tmp_path / "service.log")
    state = State(data, data)
    try:
        jobs = []
        for name, target in targets.items():
            script = {"script": SCRIPT, "parameters": {"token": "${secret:token}"}} if name == "script" else {}
            flow = flow_to(tmp_path, target, name=name, file_name="${jobId}.csv", **script)
            outcomes.append(command("run", flow, "--report", tmp_path / f"{name}.report", "--debug"))
            assert outcomes[-1].code == (3 if script else 1), outcomes[-1]
            outcomes += [command("dataflows", "add", flow), command("dataflows", "export", name)]
            outcomes.append(command("jobs", "start", name, "--full", "--log-level", "debug"))
            jobs.append(outcomes[-1].out.strip())
            flow.unlink()
        for job_id in jobs:
            job = state.wait_for(job_id)
            outcomes += [command("jobs", "show", job_id, "--json"), command("jobs", "trace", job_id, "--samples")]
            if job.rejected:
                assert job.status is JobStatus.SUCCEEDED_WITH_ERRORS
                assert "the token is ********" in outcomes[-1].out
                outcomes.append(command("rejects", "list", "--job", job_id))
                assert "cannot use ********" in outcomes[-1].out
                outcomes.append(command("rejects", "replay", job_id))
                state.wait_for(outcomes[-1].out.strip())
            else:
                assert (job.status, job.error["code"]) == (JobStatus.FAILED, "LB-2104")
                outcomes.append(command("jobs", "retry", job_id, "--wait"))
        outcomes += [command("connections", "show", "bad"), command("connections", "test", "bad")]
        outcomes += [command("alerts", "list"), command("delta", "show", "inline")]
    finally:
        service.stop()
        state.close()
    assert b"inline" in webhook.got
    assert len(list((tmp_path / "out").iterdir())) in (2, 3)
    texts = [text for outcome in outcomes for text in (outcome.out, outcome.err)]
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.name == "landbridge.db" for path in files)
    assert any("jobs" in path.parts for path in files)
    for kind, secret in PLANTED.items():
        assert not any(secret in text for text in texts), kind
        assert [path.name for path, content in files.items() if secret.encode() in content] == [], kind
        assert secret.encode() not in webhook.got, kind
