"""The emulated Connect of Responsys: jobs defined over HTTP, files brought and fetched by SFTP with a key."""

import base64
import csv
import gzip
import io
import zipfile

import anyio
import asyncssh
import pytest

from tests.contract.sandbox.running import running_sandbox

STATUS = "EMAIL_PERMISSION_STATUS_"
IMPORT = {"kind": "import", "name": "Accounts", "filePattern": "accounts*"}
CHECKED = {**IMPORT, "countFile": "{stem}.count", "readyFile": "{stem}.ready"}
EXPORT = {"kind": "export", "name": "Members", "fileName": "members", "fields": ["CUSTOMER_ID_", "SCORE"]}
ROWS = "CUSTOMER_ID_,EMAIL_ADDRESS_,SCORE\nu1,a@example.com,1\nu2,b@example.com,2\n"


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox("responsys") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox):
    def clear(own):
        responsys = own["responsys"]
        responsys.connect.forget()
        responsys.members.records.clear()
        responsys.members.events.all.clear()
        for folder in responsys.folders:
            for path in (responsys.frame.folder / folder).iterdir():
                path.unlink()

    one_sandbox.do(clear)
    one_sandbox.switch("responsys", job_delay_s=0)
    yield one_sandbox
    one_sandbox.calm("responsys")


@pytest.fixture
def act(sandbox):
    def call(action, **given):
        return sandbox.send(f"/_sandbox/responsys/do/{action}", given)

    return call


@pytest.fixture
def files(sandbox):
    """Does something with an SFTP session, logged in with the key."""
    given = sandbox.do(lambda own: own["responsys"].file_connection())

    def session(work):
        async def run():
            async with (
                asyncssh.connect(
                    given["host"],
                    int(given["port"]),
                    username=given["username"],
                    client_keys=[asyncssh.import_private_key(base64.b64decode(given["privateKey"]))],
                    known_hosts=asyncssh.import_known_hosts(f"* {given['hostKey']}"),
                    config=None,
                ) as connection,
                connection.start_sftp_client() as sftp,
            ):
                return await work(sftp)

        return anyio.run(run)

    return session


@pytest.fixture
def bring(files, sandbox):
    """Upload files in their order; a data file is written under another name first."""

    def upload(**contents):
        async def work(sftp):
            for name, content in contents.items():
                async with sftp.open(f"/upload/.{name}.part", "wb") as file:
                    await file.write(content.encode() if isinstance(content, str) else content)
                await sftp.posix_rename(f"/upload/.{name}.part", f"/upload/{name}")

        files(work)
        sandbox.idle()

    return lambda contents: upload(**contents)


@pytest.fixture
def folder(files):
    """The names in a folder, and the content of its files."""

    def look(name):
        async def work(sftp):
            found = {}
            for entry in await sftp.listdir(f"/{name}"):
                if not entry.startswith("."):
                    async with sftp.open(f"/{name}/{entry}", "rb") as file:
                        found[entry] = await file.read()
            return found

        return files(work)

    return look


def runs(sandbox):
    return sandbox.rows("responsys", "connect runs")


def members(sandbox):
    return {member["CUSTOMER_ID_"]: member for member in sandbox.rows("responsys", "members")}


def test_a_file_that_matches_is_imported_archived_and_its_result_told(sandbox, act, bring, folder):
    assert act("define-job", **IMPORT)[0] == 200
    bring({"other.csv": ROWS, "accounts_1.csv": ROWS})
    assert {uid: member["SCORE"] for uid, member in members(sandbox).items()} == {"u1": "1", "u2": "2"}
    [run] = runs(sandbox)
    assert (run["file"], run["status"], run["rows"], run["inserted"]) == ("accounts_1.csv", "COMPLETE", 2, 2)
    assert list(folder("upload")) == ["other.csv"]
    assert folder("archive") == {"accounts_1.csv": ROWS.encode()}


def test_the_password_of_the_sandbox_opens_no_session(sandbox):
    address = sandbox.do(lambda own: own["responsys"].frame.sftp)

    async def log_in():
        async with asyncssh.connect(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            client_keys=None,
            known_hosts=None,
            config=None,
        ):
            pass

    with pytest.raises(asyncssh.PermissionDenied):
        anyio.run(log_in)


def test_an_import_waits_for_its_ready_file_and_checks_the_number_of_rows(sandbox, act, bring, folder):
    act("define-job", **CHECKED)
    bring({"accounts_1.csv": ROWS, "accounts_1.count": "2"})
    assert runs(sandbox) == []
    bring({"accounts_1.ready": ""})
    assert [run["status"] for run in runs(sandbox)] == ["COMPLETE"]
    bring({"accounts_2.csv": ROWS, "accounts_2.count": "3", "accounts_2.ready": ""})
    last = runs(sandbox)[-1]
    assert (last["status"], last["message"]) == ("FAILED", "the file has 2 rows, the count file says 3")
    assert folder("upload") == {}, "a file of another count is removed"
    bring({"accounts_3.csv": ROWS, "accounts_3.ready": ""})
    last = runs(sandbox)[-1]
    assert last["message"] == "the count file accounts_3.count is missing"
    assert "accounts_3.csv" in folder("upload")
    bring({"accounts_3.count": "2"})
    assert len(runs(sandbox)) == 3, "what has failed waits for somebody"
    act("run-job", name="Accounts")
    sandbox.idle()
    assert runs(sandbox)[-1]["status"] == "COMPLETE"
    assert folder("upload") == {}


@pytest.mark.parametrize(
    ("content", "change", "reason"),
    [
        ("", {}, "empty"),
        ("CUSTOMER_ID_,NONSENSE\nu1,x\n", {}, "NONSENSE is not a column"),
        ("EMAIL_ADDRESS_\na@example.com\n", {}, "cannot be matched"),
        ("A,B\nu1,x\n", {"mapping": {"A": "CUSTOMER_ID_", "C": "SCORE"}}, "no column C"),
        (b"CUSTOMER_ID_\n\xff\n", {}, "not UTF-8"),
        (b"not gzip", {"packing": {"compression": "gzip"}}, "not a complete gzip file"),
        (b"not zip", {"packing": {"compression": "zip"}}, "not a complete zip file"),
    ],
)
def test_a_file_that_does_not_fit_fails_its_run_with_the_reason(sandbox, act, bring, content, change, reason):
    act("define-job", **{**IMPORT, **change})
    bring({"accounts.csv": content})
    [run] = runs(sandbox)
    assert run["status"] == "FAILED"
    assert reason in run["message"]
    assert members(sandbox) == {}


@pytest.mark.parametrize(
    ("rule", "status", "city"),
    [
        ({}, {"u1": "I", "u2": "O", "u3": "O"}, "Bern"),
        ({"defaultPermissionStatus": "OPTIN"}, {"u1": "I", "u2": "O", "u3": "I"}, "Bern"),
        ({"insertOnNoMatch": False}, {"u1": "I"}, "Bern"),
        ({"updateOnMatch": "NO_UPDATE"}, {"u1": "O", "u2": "O", "u3": "O"}, "Oslo"),
    ],
)
def test_rows_are_merged_by_the_rule_of_the_job(sandbox, act, bring, rule, status, city):
    sandbox.do(lambda own: own["responsys"].members.put(None, {"CUSTOMER_ID_": "u1", "CITY_": "Oslo"}))
    act("define-job", **IMPORT, optinValue="yes", optoutValue="no", delimiter="pipe", **rule)
    bring({"accounts.csv": f"CUSTOMER_ID_|CITY_|{STATUS}\nu1|Bern|yes\nu2|Rome|no\nu3|Graz|\n"})
    found = members(sandbox)
    assert {uid: member[STATUS] for uid, member in found.items()} == status
    assert found["u1"]["CITY_"] == city


@pytest.mark.parametrize("clears", [True, False])
def test_an_empty_cell_empties_a_field_or_not_as_the_switch_says(sandbox, act, bring, clears):
    sandbox.switch("responsys", empty_cells_clear=clears)
    sandbox.do(lambda own: own["responsys"].members.put(None, {"CUSTOMER_ID_": "u1", "CITY_": "Oslo", STATUS: "I"}))
    act("define-job", **IMPORT)
    bring({"accounts.csv": f"CUSTOMER_ID_,CITY_,{STATUS}\nu1,,\n"})
    member = members(sandbox)["u1"]
    assert (member["CITY_"], member[STATUS]) == ("" if clears else "Oslo", "I")


def test_compressed_files_without_header_are_read(sandbox, act, bring):
    act("define-job", **IMPORT, packing={"compression": "gzip"}, hasHeader=False, columns=["CUSTOMER_ID_", "SCORE"])
    bring({"accounts.csv.gz": gzip.compress(b'u1,"one ""or"" two"\n')})
    assert members(sandbox)["u1"]["SCORE"] == 'one "or" two'


def test_some_rows_may_be_refused_and_a_file_may_arrive_cut_off(sandbox, act, bring):
    act("define-job", **CHECKED)
    sandbox.fail("partial_failure", operation="import", times=1)
    sandbox.fail("broken_file", operation="import", skip=1, times=1)
    bring({"accounts_1.csv": ROWS, "accounts_1.count": "2", "accounts_1.ready": ""})
    [run] = runs(sandbox)
    assert (run["rejected"], run["reasons"]) == (1, {"The record is locked": 1})
    assert list(members(sandbox)) == ["u2"]
    bring({"accounts_2.csv": ROWS, "accounts_2.count": "2", "accounts_2.ready": ""})
    assert runs(sandbox)[-1]["status"] == "FAILED"


def exported(sandbox, act, folder, **again):
    """The rows of the file that the next run of the export leaves."""
    before = set(folder("download"))
    assert act("run-job", name="Members", **again)[0] == 200
    sandbox.idle()
    (name,) = [name for name in folder("download") if name not in before and name.endswith(".csv")]
    return [row["CUSTOMER_ID_"] for row in csv.DictReader(io.StringIO(folder("download")[name].decode()))]


def test_an_export_has_what_changed_since_the_last_one_and_the_same_again_when_asked(sandbox, act, folder):
    put = sandbox.do(lambda own: own["responsys"].members.put(None, {"CUSTOMER_ID_": "u1", "MODIFIED_DATE_": ""}))
    act("define-job", **EXPORT)
    assert exported(sandbox, act, folder) == ["u1"]

    def age(own):
        """Time passes: what is there was changed long ago."""
        kept = own["responsys"].members.records
        kept[put] = {**kept[put], "MODIFIED_DATE_": "2020-01-01 00:00:00"}
        own["responsys"].members.put(None, {"CUSTOMER_ID_": "u2"})

    sandbox.do(age)
    assert exported(sandbox, act, folder) == ["u2"]
    assert exported(sandbox, act, folder, again=True) == ["u2"]
    act("define-job", **{**EXPORT, "changesOnly": False})
    assert exported(sandbox, act, folder) == ["u1", "u2"]


def test_an_export_is_packed_and_tells_when_it_is_complete(sandbox, act, folder):
    sandbox.do(lambda own: own["responsys"].members.put(None, {"CUSTOMER_ID_": "u1", "SCORE": "a;b"}))
    change = {"packing": {"compression": "zip"}, "delimiter": "semicolon", "readyFile": "{file}.ready"}
    act("define-job", **{**EXPORT, **change, "dated": "prefix", "extension": "txt"})
    act("run-job", name="Members")
    sandbox.idle()
    data, ready = sorted(folder("download"))
    assert data.endswith("_members.txt.zip")
    assert (ready, folder("download")[ready]) == (f"{data}.ready", b"1")
    with zipfile.ZipFile(io.BytesIO(folder("download")[data])) as archive:
        [inner] = archive.namelist()
        assert archive.read(inner).decode() == 'CUSTOMER_ID_;SCORE\nu1;"a;b"\n'


def test_a_ready_file_may_be_late(sandbox, act, folder):
    act("define-job", **EXPORT, readyFile="{stem}.ready")
    sandbox.fail("late_file", operation="export", delay_s=1.0)
    act("run-job", name="Members")
    while not folder("download"):
        pass
    assert [name for name in folder("download") if name.endswith(".ready")] == []
    sandbox.idle()
    assert [name for name in folder("download") if name.endswith(".ready")] != []


def test_feeds_tell_each_event_once_in_the_vendors_form(sandbox, act, folder):
    sandbox.do(
        lambda own: own["responsys"].members.put(None, {"CUSTOMER_ID_": "u1", "EMAIL_ADDRESS_": "a@example.com"})
    )
    assert act("happen", event="OPT_OUT", customerId="u1", reason="link\nin a mail")[0] == 200
    act("happen", event="BOUNCE", customerId="u1", reason="unknown", isHard=True)
    assert act("happen", event="OPT_OUT", customerId="nobody")[1]["error"] == "there is no such member"
    act("define-job", kind="feed", name="Events", delimiter="tab")
    act("run-job", name="Events")
    sandbox.idle()
    found = folder("download")
    bounce, opt_out = sorted(found)
    assert bounce.startswith("4711_BOUNCE_")
    assert opt_out.startswith("4711_OPT_OUT_")
    [row] = csv.DictReader(io.StringIO(found[opt_out].decode()), delimiter="\t")
    assert (row["CUSTOMER_ID"], row["EMAIL"], row["REASON"]) == ("u1", "a@example.com", "link in a mail")
    assert row["EVENT_CAPTURED_DT"].count(":") == 2
    [row] = csv.DictReader(io.StringIO(found[bounce].decode()), delimiter="\t")
    assert (row["CUSTOMER_ID"], row["BOUNCE_TYPE"]) == ("", "H"), "bounces do not tell the customer's id"
    act("run-job", name="Events", again=True)
    sandbox.idle()
    assert len(folder("download")) == 4
    act("run-job", name="Events")
    sandbox.idle()
    assert len(folder("download")) == 4
    sandbox.switch("responsys", empty_feeds=True)
    act("run-job", name="Events")
    sandbox.idle()
    assert len(folder("download")) == 7, "one for each kind of event"


@pytest.mark.parametrize(
    "job",
    [
        {},
        {"kind": "import", "name": "x"},
        {**IMPORT, "name": "a/b"},
        {**IMPORT, "name": "x" * 101},
        {**IMPORT, "delimiter": "#"},
        {**IMPORT, "nonsense": 1},
        {**EXPORT, "fileName": "../x"},
        {**EXPORT, "readyFile": "../x"},
        {**CHECKED, "countFile": "../x"},
    ],
)
def test_a_job_that_cannot_be_is_refused_with_the_reason(sandbox, act, job):
    status, reply = act("define-job", **job)
    assert status == 400
    assert reply["error"]
    assert sandbox.rows("responsys", "connect jobs") == []


def test_an_expired_job_does_nothing_until_it_is_renewed(sandbox, act, bring):
    act("define-job", **IMPORT, isActive=False)
    bring({"accounts.csv": ROWS})
    assert runs(sandbox) == []
    assert "has expired" in act("run-job", name="Accounts")[1]["error"]
    act("define-job", **IMPORT)
    sandbox.idle()
    assert [run["status"] for run in runs(sandbox)] == ["COMPLETE"]
    assert act("remove-job", name="Accounts")[0] == 200
    assert act("run-job", name="Accounts")[0] == 400
    assert act("nonsense")[0] == 400


def test_keys_of_jobs_are_not_shown(sandbox, act):
    _, shown = act("define-job", **IMPORT, packing={"privateKey": "hunter2"})
    assert "hunter2" not in str(shown)
    assert "hunter2" not in str(sandbox.rows("responsys", "connect jobs"))
