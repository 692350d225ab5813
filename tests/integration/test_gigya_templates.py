"""The templates that carry deactivation and deletion, with a folder in place of the remote store."""

import json

import pytest

from landbridge.templates import template
from tests.contract.gigya.local_site import running_site
from tests.integration.command import step


@pytest.fixture(scope="module")
def site():
    with running_site(people=200, seed=4) as site:
        yield site


def run_into_folder(command, folders, name):
    steps = [json.loads(json.dumps(raw)) for raw in json.loads(template(name).dump())["steps"]]
    steps[-1] = step(steps[-1]["id"], "datasource.write.local", path=str(folders / "out"))
    outcome = command.run(command.flow(*steps))
    assert outcome.code == 0, outcome.err
    [file] = (folders / "out").iterdir()
    return file.read_text().splitlines()


def test_deactivated_accounts_go_out_with_their_flags(site, command, folders):
    command.environ.update(site.environ)
    expected = {row["UID"] for row in site.search("SELECT UID FROM accounts WHERE isActive = false LIMIT 1000")}
    head, *rows = run_into_folder(command, folders, "deactivated-accounts")
    assert head == '"CUSTOMER_ID","EMAIL_ADDRESS","IS_ACTIVE","IS_REGISTERED","IS_VERIFIED","LAST_UPDATED"'
    assert {row.split(",")[0].strip('"') for row in rows} == expected
    assert expected
    assert all(row.split(",")[2] == '"false"' for row in rows)


def test_deleted_accounts_go_out_by_their_uid(site, command, folders):
    command.environ.update(site.environ)
    for uid in ("left-1", "left-2"):
        site.call("accounts.importFullAccount", UID=uid, profile={"email": f"{uid}@example.com"})
        site.call("accounts.deleteAccount", UID=uid)
    site.call("accounts.deleteAccount", UID="never-was")
    assert sorted(run_into_folder(command, folders, "deleted-accounts")) == ["UID", "left-1", "left-2"]
