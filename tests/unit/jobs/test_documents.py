"""Dataflows as they are stored: nothing secret in the document, nothing lost."""

import json
from datetime import UTC

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, strategies as st

from landbridge.dataflow import Dataflow
from landbridge.errors import StorageError
from landbridge.jobs.db_dataflows import VersionRow
from landbridge.jobs.documents import Documents
from landbridge.jobs.job_options import JobOptions
from landbridge.jobs.jobs import remote_accounts
from landbridge.jobs.vault import KEY_VARIABLE, Vault

VAULT = Vault(Fernet.generate_key().decode())
DOCUMENTS = Documents(VAULT)
MASK = "********"

secrets = st.text(min_size=1).filter(lambda text: "${" not in text and "{{" not in text and text != MASK)
types = st.sampled_from(["datasource.write.sftp", "datasource.read.sftp", "datasource.write.s3", "partner.unknown"])
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.integers(), max_size=3))
params = st.fixed_dictionaries(
    {},
    optional={
        "host": st.text(),
        "password": secrets,
        "privateKey": secrets,
        "secretKey": secrets,
        "remotePath": st.text(),
        "other": plain,
        "nested": st.fixed_dictionaries({"password": secrets, "x": plain}),
        "list": st.lists(st.fixed_dictionaries({"secret": secrets}), max_size=2),
    },
)
steps = st.lists(st.fixed_dictionaries({"type": types, "params": params}), max_size=4)


def flow_of(listed, name="flow"):
    document = {"name": name, "steps": [{"id": f"s{number}", **step} for number, step in enumerate(listed)]}
    return Dataflow.load(json.dumps(document))


def row_of(content):
    return VersionRow("id", 1, content.name, content.document, None, "", content.sealed)


@given(steps)
def test_what_is_stored_is_masked_and_comes_back_whole(listed):
    flow = flow_of(listed)
    row = row_of(DOCUMENTS.content(flow))
    assert DOCUMENTS.whole(row).dump() == flow.dump()
    masked = json.loads(row.document)
    assert [step["type"] for step in masked["steps"]] == [step["type"] for step in listed]
    for step, before in zip(masked["steps"], listed, strict=True):
        for key in ("password", "secretKey"):
            if key in before["params"]:
                assert step["params"][key] == MASK
        for inner in step["params"].get("list", []):
            assert inner["secret"] == MASK
        assert step["params"].get("host") == before["params"].get("host")


@given(steps)
def test_sending_the_mask_back_keeps_every_secret(listed):
    flow = flow_of(listed)
    before = row_of(DOCUMENTS.content(flow))
    again = DOCUMENTS.content(DOCUMENTS.masked(before), before=before)
    assert DOCUMENTS.whole(row_of(again)).dump() == flow.dump()
    assert DOCUMENTS.same(before, again)


def test_secrets_follow_their_step_when_steps_change_places():
    first = {"id": "a", "type": "datasource.write.sftp", "params": {"password": "one"}}
    second = {"id": "b", "type": "datasource.write.sftp", "params": {"password": "two"}}
    before = row_of(DOCUMENTS.content(Dataflow.load(json.dumps({"name": "f", "steps": [first, second]}))))
    masked = json.loads(before.document)
    masked["steps"].reverse()
    after = row_of(DOCUMENTS.content(Dataflow.load(json.dumps(masked)), before=before))
    assert [step.params["password"] for step in DOCUMENTS.whole(after).steps] == ["two", "one"]


def test_a_new_secret_replaces_the_old_one_and_a_mask_without_one_stays():
    def flow(password):
        return Dataflow.load(
            json.dumps({"name": "f", "steps": [{"id": "a", "type": "x", "params": {"password": password}}]})
        )

    before = row_of(DOCUMENTS.content(flow("one")))
    content = DOCUMENTS.content(flow("two"), before=before)
    assert not DOCUMENTS.same(before, content)
    assert DOCUMENTS.whole(row_of(content)).steps[0].params == {"password": "two"}
    alone = DOCUMENTS.content(flow(MASK))
    assert alone.sealed is None
    assert DOCUMENTS.whole(row_of(alone)).steps[0].params == {"password": MASK}


def test_a_reference_to_a_secret_is_none_and_stays_readable():
    text = "${env:SFTP_PASSWORD}"
    flow = Dataflow.load(
        json.dumps({"name": "f", "steps": [{"id": "a", "type": "datasource.write.sftp", "params": {"password": text}}]})
    )
    content = DOCUMENTS.content(flow)
    assert content.sealed is None
    assert text in content.document


def test_keys_are_changed_by_giving_both(tmp_path):
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    sealed = Vault(old).seal({"a": 1})
    both = Vault.open(tmp_path, {KEY_VARIABLE: f"{new}, {old}"})
    assert both.unseal(sealed) == {"a": 1}
    assert Vault(new).unseal(both.seal([1])) == [1]
    with pytest.raises(StorageError, match="LB-7505"):
        Vault(new).unseal(sealed)


def test_a_data_folder_gets_one_key_that_only_its_owner_reads(tmp_path):
    folder = tmp_path / "data"
    sealed = Vault.open(folder, {}).seal("x")
    assert Vault.open(folder, {}).unseal(sealed) == "x"
    assert (folder / "key").stat().st_mode & 0o077 == 0
    assert [path.name for path in folder.iterdir()] == ["key"]


@pytest.mark.parametrize("keys", ["", "nonsense", "a,b", "\u00e4" * 44])
def test_what_is_no_key_is_an_error(tmp_path, keys):
    with pytest.raises(StorageError, match="LB-7504"):
        Vault(keys)
    (tmp_path / "key").write_text(keys, encoding="utf-8")
    with pytest.raises(StorageError, match="LB-7504"):
        Vault.open(tmp_path, {})


@given(
    st.builds(
        JobOptions,
        limit=st.none() | st.integers(min_value=1),
        full_extract=st.booleans(),
        since=st.none() | st.datetimes(timezones=st.just(UTC)),
        log_level=st.sampled_from(["info", "error", "debug"]),
        time_limit_s=st.none() | st.floats(min_value=1, max_value=1e9),
        may_overlap=st.booleans(),
        approvals=st.lists(st.text()).map(tuple),
        placeholders=st.lists(st.text()).map(tuple),
    )
)
def test_options_survive_the_database_and_ignore_what_a_newer_version_adds(options):
    document = json.loads(json.dumps(options.as_json()))
    assert JobOptions.from_json(document | {"comesLater": 1}) == options


def test_the_accounts_of_a_dataflow_are_told_apart_by_system_place_and_user():
    def flow(*listed):
        return flow_of([{"type": type_, "params": given} for type_, given in listed])

    sftp = {"host": "files.example.com", "username": "u", "password": "p", "remotePath": "out"}
    reading = {**sftp, "remotePath": "in"}
    assert remote_accounts(flow(("datasource.write.sftp", sftp))) == remote_accounts(
        flow(("datasource.read.sftp", reading), ("file.parse.json", {}))
    )
    other = {**sftp, "username": "v"}
    assert len(remote_accounts(flow(("datasource.write.sftp", sftp), ("datasource.write.sftp", other)))) == 2
    assert remote_accounts(flow(("datasource.read.gigya.account", {}), ("field.add", {"host": "x"}))) == frozenset()
