"""Keys through the API: the key that seals secrets, and host keys of SFTP servers."""

import subprocess

import pytest
from cryptography.fernet import Fernet

from landbridge.errors import StorageError
from landbridge.remote.known_hosts import known_hosts_file
from tests.contract.api.house import House
from tests.servers import free_port
from tests.servers.embedded_sftp import EmbeddedSftpServer

CONNECTION = {"name": "c", "type": "sftp", "params": {"host": "h", "username": "u"}, "secrets": {"password": "pw"}}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANDBRIDGE_HOME", str(home))
        with House(tmp_path_factory.mktemp("keys")) as house:
            yield house


@pytest.fixture(scope="module")
def sftp(tmp_path_factory):
    with EmbeddedSftpServer(tmp_path_factory.mktemp("sftp")) as embedded:
        yield embedded.server


def fingerprint_of(server, folder):
    """As OpenSSH prints it."""
    file = folder / "key.pub"
    file.write_text(server.public_key)
    shown = subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True)
    return shown.stdout.split()[1]


def test_a_host_key_is_shown_compared_and_pinned(house, sftp, tmp_path):
    editor, place = house.api("editor"), {"host": sftp.host, "port": sftp.port}
    fingerprint = fingerprint_of(sftp, tmp_path)
    shown = editor.post("/host-keys/offered", place)
    assert (shown.status, shown.json) == (200, {**place, "fingerprint": fingerprint})
    wrong = editor.post("/host-keys", {**place, "key": "SHA256:" + "A" * 43})
    assert (wrong.status, wrong.code) == (502, "LB-2112")
    pinned = editor.post("/host-keys", {**place, "key": fingerprint})
    assert (pinned.status, pinned.json) == (201, shown.json)
    params = {"host": sftp.host, "port": str(sftp.port), "username": sftp.username, "remotePath": "/"}
    new = {"name": "pinned", "type": "sftp", "params": params, "secrets": {"password": sftp.password}}
    assert editor.post("/connections", new).status == 201
    line = house.audited("host_key.pin")[0]
    assert (line.object_id, line.details) == (f"{sftp.host}:{sftp.port}", {"key": fingerprint})
    assert sftp.public_key.split()[1] in known_hosts_file().read_text()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"host": "h\n* ssh-ed25519 AAAA", "key": "SHA256:x"}, 422, "LB-1791"),
        ({"host": "", "key": "SHA256:x"}, 422, "LB-1791"),
        ({"host": "h", "port": 0, "key": "SHA256:x"}, 422, "LB-1791"),
        ({"host": "h", "key": "nonsense"}, 422, "LB-1302"),
    ],
)
def test_a_host_key_that_cannot_be_is_refused(house, body, status, code):
    refused = house.api("editor").post("/host-keys", body)
    assert (refused.status, refused.code) == (status, code)


def test_a_server_that_is_not_there_offers_nothing(house):
    refused = house.api("editor").post("/host-keys/offered", {"host": "127.0.0.1", "port": free_port()})
    assert (refused.status, refused.code) == (502, "LB-2101")


def test_host_keys_are_for_editors_and_the_own_key_for_admins(house):
    assert house.api("operator").post("/host-keys/offered", {"host": "h"}).status == 403
    assert house.api("editor").post("/key/rotation").status == 403


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Gives the service of a data folder with these keys in its environment."""

    def start(keys):
        monkeypatch.setenv("LANDBRIDGE_KEY", keys)
        return House(tmp_path)

    return start


def test_the_key_is_changed_while_the_service_runs(opened):
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    with opened(old) as house:
        api = house.api("admin")
        assert api.post("/connections", CONNECTION).status == 201
        refused = api.post("/key/rotation")
        assert (refused.status, refused.code) == (409, "LB-7507")
        assert "LANDBRIDGE_KEY" in refused.json["detail"]
    with opened(f"{new},{old}") as house:
        rotated = house.api("admin").post("/key/rotation")
        assert rotated.status == 200
        assert rotated.json["values"] >= 2, "the connection and the first site"
        assert len(house.audited("key.rotate")) == 1
    with opened(new) as house:
        api = house.api("admin")
        assert api.get("/connections/c").json["params"]["password"] == "********"
        assert api.get("/sites").status == 200
    with pytest.raises(StorageError, match="LB-7505"), opened(old) as house:
        pass


def test_a_key_in_a_file_is_not_changed_under_the_running_service(service):
    refused = service.api().post("/key/rotation")
    assert (refused.status, refused.code) == (409, "LB-7507")
    assert "rotate-key" in refused.json["hint"]
