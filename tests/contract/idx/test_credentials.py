"""``landbridge idx``: sites and their credentials."""

import json

import pytest

from landbridge.cli import main
from landbridge.jobs.vault import Vault
from landbridge.server.idx_sites import all_sites
from tests.contract.idx.client import Client

QUERY = "SELECT * FROM dataflow"


@pytest.fixture
def command(service, monkeypatch, capsys):
    def run(*arguments):
        data = str(service.folder / "data")
        monkeypatch.setattr("sys.argv", ["landbridge", "idx", *arguments, "--data", data])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, capsys.readouterr()

    return run


def test_the_first_sites_credentials_are_shown(service, command):
    code, output = command("credentials", "--json")
    site = service.client.site
    assert code == 0
    assert json.loads(output.out) == {
        "apiKey": site.api_key,
        "userKey": site.user_key,
        "secret": site.secret,
        "partnerSecret": site.partner_secret,
    }


def test_a_site_keeps_the_api_key_that_it_has_elsewhere_and_renewed_credentials_count_at_once(
    service, command, tmp_path
):
    key = "3_AbCdEfGhIjKlMnOpQrStUvWx"
    assert command("add", "--api-key", key, "--name", "production")[0] == 0
    assert f"{key}  production" in command("list")[1].out
    again, output = command("add", "--api-key", key)
    assert again == 1
    assert "LB-1782" in output.err
    before = site_of(service, key)
    assert before("idx.search", query=QUERY)["errorCode"] == 0
    file = tmp_path / "key.pem"
    assert command("credentials", key, "--renew", "--key-file", str(file))[0] == 0
    assert before("idx.search", query=QUERY)["errorCode"] == 403005
    after = site_of(service, key)
    assert after.bearer("idx.search", query=QUERY)["errorCode"] == 0
    assert file.read_text() == after.site.private_key
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "arguments",
    [("add", "--api-key", "nonsense"), ("credentials", "3_unknown"), ("credentials", "3_unknown", "--renew")],
)
def test_an_api_key_that_is_none_is_refused(command, arguments):
    code, output = command(*arguments)
    assert code == 1
    assert "LB-1781" in output.err


def test_no_secret_of_a_site_lies_open_in_the_database(service):
    content = b"".join(file.read_bytes() for file in (service.folder / "data").glob("landbridge.db*"))
    for client in (service.client, service.second):
        for secret in (client.site.secret, client.site.partner_secret, client.site.private_key.splitlines()[2]):
            assert secret.encode() not in content


def site_of(service, key):
    vault = Vault.open(service.folder / "data")
    with service.state.database.read() as tx:
        return Client(service.client.url, next(site for site in all_sites(tx, vault) if site.api_key == key))
