"""The npm package ``gigya`` works with the local site as it does with the vendor's."""

import urllib.parse

import pytest

from tests.contract.gigya.local_site import running_site
from tests.servers.node_sdk import NodeSdk
from tests.servers.pytest_support import started


@pytest.fixture
def site(folder):
    with running_site(folder=folder, people=20, seed=3) as local:
        yield local.site


@pytest.fixture(params=["signature", "bearer token"])
def sdk(site, request):
    keys = {"secret": site.secret} if request.param == "signature" else {"privateKey": site.credentials.private_key}
    port = urllib.parse.urlsplit(site.url).port
    with started(NodeSdk(port, site.api_key, {"userKey": site.user_key, **keys})) as sdk:
        yield sdk


def test_accounts_are_found_read_changed_registered_and_deleted(sdk):
    found = sdk("accounts.search", query="SELECT UID FROM accounts LIMIT 3")
    assert (found["objectsCount"], found["totalCount"]) == (3, 20)
    uid = found["results"][0]["UID"]
    name = 'Zoë (x)*\'! & "y" + %'
    sdk("accounts.setAccountInfo", UID=uid, profile={"firstName": name}, data={"plan": {"level": 2}})
    read = sdk("accounts.getAccountInfo", UID=uid, include="profile,data")
    assert (read["profile"]["firstName"], read["data"]["plan"]) == (name, {"level": 2})
    sdk("accounts.setAccountInfo", UID=uid, data={"plan": None})
    assert "plan" not in sdk("accounts.getAccountInfo", UID=uid, include="data")["data"]

    token = sdk("accounts.initRegistration")["regToken"]
    new = {"email": "new.one@example.com", "password": "Abcdef12!", "regToken": token, "finalizeRegistration": True}
    registered = sdk("accounts.register", **new)
    assert not sdk("accounts.isAvailableLoginID", loginID="new.one@example.com")["isAvailable"]
    sdk("accounts.deleteAccount", UID=registered["UID"])
    assert sdk.answer("accounts.getAccountInfo", UID=registered["UID"]) == {"failure": 403005}


def test_every_account_is_read_once_with_a_cursor(sdk):
    page = sdk("accounts.search", query="SELECT UID FROM accounts LIMIT 6", openCursor=True)
    seen = [each["UID"] for each in page["results"]]
    while cursor := page.get("nextCursorId"):
        page = sdk("accounts.search", cursorId=cursor)
        seen += [each["UID"] for each in page["results"]]
    assert len(seen) == len(set(seen)) == 20


def test_objects_of_the_data_store_are_stored_found_and_deleted(sdk):
    sdk("ds.store", type="visit", oid="v1", data={"shop_s": "Zürich", "count_i": 2})
    assert sdk("ds.get", type="visit", oid="v1")["data"] == {"shop_s": "Zürich", "count_i": 2}
    found = sdk("ds.search", query='SELECT * FROM visit WHERE data.shop_s = "Zürich"')
    assert [each["oid"] for each in found["results"]] == ["v1"]
    sdk("ds.delete", type="visit", oid="v1")
    assert "failure" in sdk.answer("ds.get", type="visit", oid="v1")
