"""A database and its key belong together, and whoever has only one of them is told so before anything begins."""

import shutil

import pytest
from cryptography.fernet import Fernet

from landbridge.errors import StorageError
from landbridge.jobs import connections
from landbridge.jobs.connections import Values
from landbridge.jobs.db import Database
from landbridge.jobs.key_check import opened_vault, service_vault
from landbridge.jobs.key_rotation import rotate
from tests.integration.command import Command
from tests.integration.service.parts import InProcess


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def database(data):
    database = Database.open(data)
    yield database
    database.close()


@pytest.fixture
def command(tmp_path, data, monkeypatch):
    monkeypatch.setenv("LANDBRIDGE_DATA", str(data))
    return InProcess(tmp_path)


def add_connection(database, vault):
    with database.write() as tx:
        values = Values(params={"host": "127.0.0.1"}, secrets={"password": "p" * 9})
        connections.add(tx, vault, "c", kind="sftp", values=values, by="t")


@pytest.mark.parametrize("service_ran", [False, True])
def test_a_database_without_its_key_is_refused_and_gets_no_other(database, data, service_ran):
    vault = (service_vault if service_ran else opened_vault)(database, data, *(() if service_ran else ({},)))
    add_connection(database, vault)
    key = (data / "key").read_text()
    (data / "key").unlink()
    for attempt in (lambda: opened_vault(database, data, {}), lambda: rotate(database, data, {}, by="t")):
        with pytest.raises(
            StorageError, match=r"(?s)missing.*LB-7505.*Put the file key of the old data folder back"
        ) as one:
            attempt()
        assert str(data / "key") in str(one.value)
    assert not (data / "key").exists()
    (data / "key").write_text(key)
    opened_vault(database, data, {})


@pytest.mark.parametrize("service_ran", [False, True])
def test_a_wrong_key_is_told_at_the_start(database, data, service_ran, monkeypatch):
    monkeypatch.delenv("LANDBRIDGE_KEY", raising=False)
    add_connection(database, service_vault(database, data) if service_ran else opened_vault(database, data))
    wrong = Fernet.generate_key().decode()
    with pytest.raises(StorageError, match=r"another key.*LB-7505"):
        opened_vault(database, data, {"LANDBRIDGE_KEY": wrong})
    right = (data / "key").read_text()
    opened_vault(database, data, {"LANDBRIDGE_KEY": f"{wrong}, {right}"})
    (data / "key").write_text(wrong)
    with pytest.raises(StorageError, match=r"another key.*LB-7505"):
        service_vault(database, data)


def test_a_second_machine_with_a_key_of_its_own_is_refused_before_anything_is_sealed(database, data, tmp_path):
    service_vault(database, data)
    with pytest.raises(StorageError, match=r"LB-7505"):
        service_vault(database, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere" / "key").exists()


def test_the_check_survives_a_change_of_the_key(database, data):
    service_vault(database, data)
    old = (data / "key").read_text()
    rotate(database, data, {}, by="t")
    opened_vault(database, data, {})
    with pytest.raises(StorageError, match=r"LB-7505"):
        opened_vault(database, data, {"LANDBRIDGE_KEY": old})


def test_a_command_that_reads_makes_no_key(command, data):
    for arguments in (["connections", "list"], ["jobs", "list"], ["connections", "show", "c"], ["alerts", "rules"]):
        command(*arguments)
    assert data.exists()
    assert not (data / "key").exists()


def test_commands_and_services_say_what_a_restored_database_lacks(command, database, data, tmp_path):
    add_connection(database, opened_vault(database, data))
    restored = tmp_path / "restored"
    restored.mkdir()
    database.close()
    for file in data.glob("landbridge.db*"):
        shutil.copy(file, restored)
    for arguments in (
        ["connections", "show", "c"],
        ["connections", "add", "d", "--type", "sftp", "--set", "host=127.0.0.1"],
        ["idx", "credentials"],
        ["connections", "rotate-key"],
    ):
        outcome = command(*arguments, "--data", str(restored))
        assert (outcome.code, "[LB-7505]" in outcome.err) == (1, True), (arguments, outcome)
        assert "Traceback" not in outcome.err
        assert not (restored / "key").exists(), arguments
    outcome = Command(tmp_path)("serve", "--port", "0", "--data", restored)
    assert (outcome.code, "[LB-7505]" in outcome.err) == (1, True), outcome
    assert not (restored / "key").exists()
