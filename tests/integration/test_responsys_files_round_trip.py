"""Responsys by file, there and back, by its templates: ten thousand people, with and without faults; each choice."""

import csv
import gzip
import io
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from landbridge.cli.round_trip import FlowFailed, pairs
from landbridge.cli.round_trip_responsys_files import ResponsysFilesRoundTrip
from landbridge.sandbox import Fault
from tests.integration.round_trips import agreed, on_scene
from tests.servers.azurite import AzuriteServer
from tests.servers.pytest_support import started
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.usefixtures("own_environment")

STATUS = "EMAIL_PERMISSION_STATUS_"
ALL = {"kind": "import", "name": "All", "filePattern": "accounts_members_*"}
ALL |= {"countFile": "{stem}.count", "readyFile": "{stem}.ready"}
NEW = {**ALL, "name": "New", "filePattern": "accounts_new_*", "updateOnMatch": "NO_UPDATE"}
UPDATES = {**ALL, "name": "Updates", "filePattern": "accounts_updates_*", "insertOnNoMatch": False}
OPT_OUTS = {**UPDATES, "name": "Opt-outs", "filePattern": "accounts_optouts_*"}


@pytest.mark.timeout(300)
@pytest.mark.long
@pytest.mark.parametrize(("people", "with_faults"), [(10_000, False), (500, True)])
def test_both_sides_agree_in_every_field_after_a_round_trip(people, with_faults):
    lines = agreed(ResponsysFilesRoundTrip(), people=people, with_faults=with_faults)
    assert lines["members and active accounts"] > 0.95 * people
    assert lines["new addresses are on both sides"] > 0.1 * people
    assert lines["who opted out is still out"] > 0.05 * people


class Play:
    """A scene with what tests of single choices need."""

    def __init__(self, scene):
        self.scene = scene
        self.platform = scene.sandbox["responsys"]
        self.connect = self.platform.connect
        self.members = self.platform.members
        self.form = scene.file_connection("responsys", ("privateKey",))
        self.folder = self.platform.frame.folder

    async def out(self, *, may_reject=False, **values):
        report = await self.scene.run("responsys-files-out", {**self.form, **values}, may_reject=may_reject)
        await self.platform.frame.idle()
        return report

    async def back(self, template, *, since=None, **values):
        return await self.scene.run(f"responsys-files-{template}", {**self.form, **values}, since=since)

    async def left(self, job, **changes):
        """Let a job leave its file."""
        if changes:
            self.connect.define(changes)
        self.connect.run(job)
        await self.platform.frame.idle()

    def by_uid(self, column="CUSTOMER_ID_"):
        found = {}
        for member in self.members.records.values():
            assert member[column] not in found, "a member is there twice"
            found[member[column]] = member
        return found

    def riid(self, uid):
        [riid] = self.members.find("CUSTOMER_ID_", uid)
        return riid

    def uploaded(self, kind):
        """The rows of the latest archived file of a kind."""
        files = sorted((self.folder / "archive").glob(f"accounts_{kind}_*.csv*"))
        content = files[-1].read_bytes()
        text = gzip.decompress(content) if files[-1].suffix == ".gz" else content
        return list(csv.DictReader(io.StringIO(text.decode())))


def played(action, *, people, folder):
    return on_scene("responsys", lambda scene: action(Play(scene)), people=people, folder=folder)


def test_profiles_without_consent_leave_it_alone(tmp_path):
    async def play(it):
        it.connect.define(ALL)
        await it.out(subscription="none", deactivated="leave")
        assert {member[STATUS] for member in it.by_uid().values()} == {"O"}, "the job's explicit default"
        some = next(iter(it.members.records))
        it.members.put(some, {STATUS: "I", "CITY_": "elsewhere"})
        await it.out(subscription="none", deactivated="leave")
        assert it.members.records[some][STATUS] == "I"
        assert it.members.records[some]["CITY_"] != "elsewhere"
        assert STATUS not in it.uploaded("members")[0]

    played(play, people=30, folder=tmp_path)


def test_an_opt_out_at_the_platform_survives_unless_the_site_decides(tmp_path):
    async def play(it):
        for job in (ALL, NEW, UPDATES, OPT_OUTS):
            it.connect.define(job)
        await it.out()
        wanting = [uid for uid, member in it.by_uid().items() if member[STATUS] == "I"]
        it.members.opt_out(it.riid(wanting[0]), "link")
        await it.out()
        assert it.by_uid()[wanting[0]][STATUS] == "O"
        await it.out(subscription="siteDecides")
        assert it.by_uid()[wanting[0]][STATUS] == "I"

    played(play, people=30, folder=tmp_path)


@pytest.mark.parametrize("field", ["data.subscribed", "preferences.privacy.marketing.isConsentGranted"])
def test_where_the_site_decides_an_opt_out_that_is_known_is_not_undone_without_a_newer_consent(tmp_path, field):
    async def play(it):
        it.scene.consent_ledger = tmp_path / "consents.jsonl"
        it.connect.define(ALL)
        form = {"subscriptionField": field}
        await it.out(**form, subscription="siteDecides")
        uid = next(uid for uid, member in it.by_uid().items() if member[STATUS] == "I")
        it.members.opt_out(it.riid(uid), "link")
        await it.left("Events", **feeds())
        await it.back("events", account="4711", **form, lang="en")
        assert it.scene.consent_ledger.exists()
        # Somebody sets it, and nobody knows when or why.
        await it.scene.change({uid: nested(field, True)}, lang="en")
        report = await it.out(**form, subscription="siteDecides", may_reject=True)
        assert report.rejects > 0
        assert it.by_uid()[uid][STATUS] == "O"
        if field.startswith("preferences"):
            time = {"consentTimeField": "preferences.privacy.marketing.lastConsentModified"}
            await it.out(**form, **time, subscription="siteDecides")
            assert it.by_uid()[uid][STATUS] == "I", "the site tells when it was said, and that is newer"

    played(play, people=20, folder=tmp_path)


def nested(path, value):
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


@pytest.mark.parametrize("subscription", ["none", "optOuts", "siteDecides"])
def test_deactivated_accounts_are_opted_out_or_left_alone_as_the_form_says(tmp_path, subscription):
    async def play(it):
        for job in (ALL, NEW, UPDATES, OPT_OUTS):
            it.connect.define({**job, "defaultPermissionStatus": "OPTIN"})
        await it.out(subscription=subscription, deactivated="leave")
        leaving = [uid for uid, member in it.by_uid().items() if member[STATUS] == "I"][:3]
        before = {uid: member[STATUS] for uid, member in it.by_uid().items()}
        await it.scene.change({uid: {"isActive": False} for uid in leaving})
        await it.out(subscription=subscription, deactivated="leave")
        assert {uid: member[STATUS] for uid, member in it.by_uid().items()} == before
        await it.out(subscription=subscription)
        assert {uid: member[STATUS] for uid, member in it.by_uid().items()} == {**before, **dict.fromkeys(leaving, "O")}

    played(play, people=60, folder=tmp_path)


def test_a_column_of_ones_own_may_hold_the_uid_and_a_segment_is_sent_alone(tmp_path):
    async def play(it):
        mapping = {"GIGYA_UID": "GIGYA_UID", "MAIL": "EMAIL_ADDRESS_"}
        it.connect.define({**ALL, "matchColumn": "GIGYA_UID", "mapping": mapping})
        accounts = await it.scene.accounts()
        wanted = {
            uid
            for uid, account in accounts.items()
            if account["isActive"] and account["data"]["loyalty"]["tier"] == "gold"
        }
        form = {"subscription": "none", "uidColumn": "GIGYA_UID", "where": 'data.loyalty.tier = "gold"'}
        for _ in range(2):
            await it.out(**form, fields=pairs({"profile.email": "MAIL"}))
        assert set(it.by_uid("GIGYA_UID")) == wanted
        assert wanted
        for uid in wanted:
            [riid] = it.members.find("GIGYA_UID", uid)
            it.members.opt_out(riid, "link")
        await it.left("Events", **feeds())
        await it.back("events", account="4711", matchBy="email")
        after = await it.scene.accounts()
        assert {uid for uid in after if "responsys" in after[uid]["data"]} == wanted

    played(play, people=60, folder=tmp_path)


def test_a_run_without_records_leaves_no_file_behind(tmp_path):
    async def play(it):
        await it.out(where='data.loyalty.tier = "diamond"')
        assert list((it.folder / "upload").iterdir()) == []

    played(play, people=5, folder=tmp_path)


@pytest.mark.parametrize(("compression", "suffix"), [("none", ""), ("gzip", ".gz"), ("lzo", ".lzo")])
def test_files_are_compressed_and_encrypted_as_the_form_says(tmp_path, compression, suffix):
    pysequoia = pytest.importorskip("pysequoia")

    async def play(it):
        key = pysequoia.Tsk.generate("Responsys <responsys@example.com>")
        packing = {"compression": "gzip" if compression == "gzip" else "none", "privateKey": str(key)}
        it.connect.define({**ALL, "packing": packing})
        public = str(key.extract_certificate())
        form = {"subscription": "none", "deactivated": "leave", "encrypt": True, "pgpPublicKey": public}
        await it.out(**form, compression=compression)
        [run] = it.connect.runs.values()
        assert run["file"].endswith(f".csv{suffix}.pgp")
        expected = "FAILED" if compression == "lzo" else "COMPLETE"  # Connect does not open LZO
        assert run["status"] == expected
        assert bool(it.by_uid()) == (expected == "COMPLETE")

    played(play, people=10, folder=tmp_path)


def s3_store(server, monkeypatch):
    monkeypatch.setenv("STORE_KEY", server.access_key)
    monkeypatch.setenv("STORE_SECRET", server.secret_key)
    keys = {"accessKey": "${env:STORE_KEY}", "secretKey": "${env:STORE_SECRET}"}
    return {"store": "s3", "bucketName": server.bucket("exchange"), "endpoint": server.url, **keys}


def azure_store(server, monkeypatch):
    monkeypatch.setenv("STORE_KEY", server.account_key)
    account = {"accountName": server.account, "accountKey": "${env:STORE_KEY}"}
    return {"store": "azure", "container": server.container("exchange"), "endpoint": server.url, **account}


@pytest.mark.parametrize(("server", "store_of"), [(S3Server, s3_store), (AzuriteServer, azure_store)])
def test_object_stores_take_the_place_of_the_sftp_server(tmp_path, monkeypatch, server, store_of):
    """What goes out is read back from there, as if an export job had left it."""

    async def play(it):
        it.form = {**store_of(running, monkeypatch), "folder": "exchange/"}
        await it.out(subscription="none", deactivated="leave", compression="gzip")
        fields = pairs({"EMAIL_ADDRESS_": "data.responsys.address"})
        report = await it.back("back", fileName="accounts_members", compression="gzip", fields=fields)
        active = {uid: each for uid, each in (await it.scene.accounts()).items() if each["isActive"]}
        assert report.steps["account"].records_out == len(active)
        assert all(each["data"]["responsys"]["address"] == each["profile"]["email"] for each in active.values())

    with started(server()) as running:
        played(play, people=10, folder=tmp_path)


def export(**changes):
    job = {"kind": "export", "name": "Changes", "fileName": "members", "fields": ["CUSTOMER_ID_", "SCORE", STATUS]}
    return {**job, "readyFile": "{stem}.ready", **changes}


async def with_members(it):
    it.connect.define(ALL)
    await it.out(subscription="none", deactivated="leave")
    return sorted(it.by_uid())


def test_an_export_updates_accounts_that_exist_and_creates_others_only_when_asked(tmp_path):
    async def play(it):
        uids = await with_members(it)
        it.members.put(it.riid(uids[0]), {"SCORE": "7"})
        it.members.put(None, {"CUSTOMER_ID_": "f" * 32, "SCORE": "9", "EMAIL_ADDRESS_": "new@example.com"})
        fields = pairs({"SCORE": "data.responsys.score", "EMAIL_ADDRESS_": "profile.email"})
        columns = ["CUSTOMER_ID_", "SCORE", "EMAIL_ADDRESS_"]
        await it.left("Changes", **export(fields=columns))
        before = await it.scene.accounts()
        await it.back("back", fields=fields)
        after = await it.scene.accounts()
        assert set(after) == set(before)
        assert after[uids[0]]["data"]["responsys"] == {"score": 7}
        assert "responsys" not in after[uids[1]]["data"], "an empty cell changes nothing"
        await it.back("back", fields=fields, create=True)
        assert set(await it.scene.accounts()) == {*before, "f" * 32}

    played(play, people=20, folder=tmp_path)


def test_an_export_may_carry_opt_outs_and_never_subscribes(tmp_path):
    async def play(it):
        uids = await with_members(it)
        for number, uid in enumerate(uids):
            it.members.put(it.riid(uid), {STATUS: "IO"[number % 2]})
        await it.left("Changes", **export())
        before = await it.scene.accounts()
        await it.back("back")
        assert {uid: it["data"]["subscribed"] for uid, it in (await it.scene.accounts()).items()} == {
            uid: it["data"]["subscribed"] for uid, it in before.items()
        }
        await it.back("back", subscription="optOuts")
        after = await it.scene.accounts()
        for number, uid in enumerate(uids):
            expected = before[uid]["data"]["subscribed"] and number % 2 == 0
            assert after[uid]["data"]["subscribed"] is expected

    played(play, people=20, folder=tmp_path)


@pytest.mark.parametrize("compression", ["none", "gzip", "zip"])
@pytest.mark.parametrize("encrypted", [False, True])
def test_exports_are_read_as_they_are_packed(tmp_path, monkeypatch, compression, encrypted):
    pysequoia = pytest.importorskip("pysequoia")

    async def play(it):
        uids = await with_members(it)
        it.members.put(it.riid(uids[0]), {"SCORE": "7"})
        key = pysequoia.Tsk.generate("Site <site@example.com>")
        monkeypatch.setenv("PGP_KEY", str(key))
        packing = {"compression": compression, "publicKey": str(key.extract_certificate()) if encrypted else ""}
        await it.left("Changes", **export(packing=packing, delimiter="semicolon"))
        secret = {"encrypted": True, "pgpPrivateKey": "${env:PGP_KEY}"} if encrypted else {}
        report = await it.back("back", compression=compression, delimiter=";", **secret)
        assert report.steps["account"].records_out == len(uids)
        assert (await it.scene.accounts())[uids[0]]["data"]["responsys"] == {"score": 7}

    played(play, people=8, folder=tmp_path)


def test_a_file_that_was_cut_off_is_found_by_its_count_and_changes_nothing(tmp_path):
    async def play(it):
        uids = await with_members(it)
        for uid in uids:
            it.members.put(it.riid(uid), {"SCORE": "7"})
        it.scene.sandbox.faults.add(Fault("broken_file", operation="export", times=1))
        await it.left("Changes", **export())
        before = await it.scene.accounts()
        with pytest.raises(FlowFailed, match="the file beside it tells of 30") as failed:
            await it.back("back")
        assert failed.value.code == "LB-4307"
        assert await it.scene.accounts() == before

    played(play, people=30, folder=tmp_path)


def test_a_file_whose_ready_file_is_late_is_read_by_a_later_job(tmp_path):
    async def play(it):
        await with_members(it)
        it.scene.sandbox.faults.add(Fault("late_file", operation="export", delay_s=1.2))
        it.connect.define(export())
        it.connect.run("Changes")
        await anyio.sleep(0.3)
        assert (await it.back("back")).steps["account"].records_in == 0
        await it.platform.frame.idle()
        # A delta from after the data file was written: its ready file is newer, so it is not missed.
        [ready] = (it.folder / "download").glob("*.ready")
        since = datetime.fromtimestamp(int(ready.stat().st_mtime), UTC)
        assert (await it.back("back", since=since)).steps["account"].records_in > 0
        assert (await it.back("back", since=since + timedelta(days=1))).steps["account"].records_in == 0

    played(play, people=10, folder=tmp_path)


def feeds(**changes):
    return {"kind": "feed", "name": "Events", "readyFile": "{stem}.ready", **changes}


def test_opt_outs_of_a_feed_unsubscribe_and_strangers_are_left_out(tmp_path):
    async def play(it):
        uids = await with_members(it)
        stranger = it.members.put(None, {"CUSTOMER_ID_": "stranger", "EMAIL_ADDRESS_": "s@example.com"})
        for riid in (it.riid(uids[0]), it.riid(uids[0]), stranger):
            it.members.opt_out(riid, "link\nin a mail")
        await it.left("Events", **feeds(packing={"compression": "zip"}, delimiter="pipe"))
        before = await it.scene.accounts()
        await it.back("events", account="4711", compression="zip", delimiter="|")
        after = await it.scene.accounts()
        assert set(after) == set(before)
        assert after[uids[0]]["data"]["subscribed"] is False
        assert after[uids[0]]["data"]["responsys"]["optedOutAt"].endswith("Z")
        assert {uid for uid in uids if after[uid] != before[uid]} == {uids[0]}

    played(play, people=10, folder=tmp_path)


def test_opt_ins_are_noted_and_subscribe_only_when_asked_and_not_outdated(tmp_path):
    async def play(it):
        uids = await with_members(it)
        await it.scene.change({uid: {"data": {"subscribed": False}} for uid in uids[:3]})
        for uid in uids[:2]:
            it.members.opt_in(it.riid(uid), "form")
        await anyio.sleep(1.1)  # dates of feeds have whole seconds
        it.members.opt_out(it.riid(uids[1]), "link")
        await it.left("Events", **feeds())
        form = {"account": "4711", "feed": "OPT_IN"}
        await it.back("events", **form)
        accounts = await it.scene.accounts()
        assert [accounts[uid]["data"]["subscribed"] for uid in uids[:3]] == [False] * 3
        assert all("optedInAt" in accounts[uid]["data"]["responsys"] for uid in uids[:2])
        await it.back("events", account="4711")
        await it.back("events", **form, optIns="subscribe")
        accounts = await it.scene.accounts()
        assert [accounts[uid]["data"]["subscribed"] for uid in uids[:3]] == [True, False, False]

    played(play, people=10, folder=tmp_path)


@pytest.mark.parametrize("hard_bounces", ["note", "unsubscribe"])
def test_bounces_are_found_by_address(tmp_path, hard_bounces):
    async def play(it):
        uids = await with_members(it)
        await it.scene.change({uid: {"data": {"subscribed": True}} for uid in uids[:2]})
        it.members.bounce(it.riid(uids[0]), "unknown user", is_hard=True)
        it.members.bounce(it.riid(uids[1]), "mailbox full", is_hard=False)
        await it.left("Events", **feeds())
        await it.back("events", account="4711", feed="BOUNCE", hardBounces=hard_bounces)
        accounts = await it.scene.accounts()
        first, second = (accounts[uid]["data"] for uid in uids[:2])
        assert (first["responsys"]["bounceType"], first["responsys"]["bounceReason"]) == ("H", "unknown user")
        assert second["responsys"]["bounceType"] == "S"
        assert first["subscribed"] is (hard_bounces == "note")
        assert second["subscribed"] is True

    played(play, people=10, folder=tmp_path)
