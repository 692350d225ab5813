"""The readers of a site: accounts, data store, audit log."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from landbridge.components.registry import get
from landbridge.errors import LandbridgeError
from tests.contract.gigya.local_site import read


def accounts(site, **params):
    return read(site.component("datasource.read.gigya.account", **params))


def test_all_accounts_are_read_as_the_api_gives_them(site):
    rows = accounts(site, select="*", batchSize=30)
    assert rows == site.search("SELECT * FROM accounts LIMIT 1000")
    assert len(rows) == 200


def test_only_selected_fields_are_read_under_their_aliases(site):
    rows = accounts(site, select="UID as id ,  profile.email AS mail", where="isActive = true")
    expected = site.search("SELECT UID, profile.email FROM accounts WHERE isActive = true LIMIT 1000")
    assert rows == [{"id": row["UID"], "profile": {"mail": row["profile"]["email"]}} for row in expected]


@pytest.mark.parametrize("select", ["UID, subscriptions", "subscriptions", "profile.email, subscriptions"])
def test_subscriptions_that_search_leaves_out_are_filled_in(site, select):
    rows = accounts(site, select=select, batchSize=50)
    expected = site.search("SELECT UID, profile.email FROM accounts LIMIT 1000")
    assert [row["subscriptions"] for row in rows] == [site.account(row["UID"])["subscriptions"] for row in expected]
    assert all(("UID" in row) == ("UID" in select) for row in rows)


def test_a_single_subscription_can_be_selected_and_renamed(site):
    rows = accounts(site, select="UID, subscriptions.newsletter.email.isSubscribed as optIn")
    assert {row["subscriptions"]["newsletter"]["email"]["optIn"] for row in rows if "subscriptions" in row} == {
        True,
        False,
    }
    for row in rows[:20]:
        theirs = site.account(row["UID"])["subscriptions"].get("newsletter", {}).get("email", {})
        ours = row.get("subscriptions", {}).get("newsletter", {}).get("email", {})
        assert ours.get("optIn") == theirs.get("isSubscribed")


def test_an_account_deleted_while_it_is_read_is_left_out(site):
    site.call("accounts.importFullAccount", UID="gone-soon", profile={"email": "gone@example.com"})
    site.fail(method="accounts.getAccountInfo", error_code=403005, times=1)
    rows = accounts(site, select="UID, subscriptions", where='UID = "gone-soon"')
    assert rows == []
    site.call("accounts.deleteAccount", UID="gone-soon")


def test_lite_accounts_are_read_with_their_subscriptions(site):
    rows = accounts(site, select="email, subscriptions", **{"from": "emailAccounts"}, where="hasLiteAccount = true")
    assert rows
    assert len(rows) == len(site.search("SELECT email FROM emailAccounts WHERE hasLiteAccount = true LIMIT 1000"))
    assert any(row.get("subscriptions") for row in rows)


def test_only_those_who_consented_are_read(site):
    rows = accounts(site, select="UID, preferences", consent=["privacy.marketing"], where="isRegistered = true")
    assert rows
    assert all(row["preferences"]["privacy"]["marketing"]["isConsentGranted"] for row in rows)
    assert len(rows) < 200


def test_changes_since_an_instant_are_read_in_their_order(site):
    since = datetime(2023, 1, 1, tzinfo=UTC)
    reader = site.component(
        "datasource.read.gigya.account", select="UID, lastLoginTimestamp", deltaField="lastLoginTimestamp"
    )
    reader.since = since
    moments = [row["lastLoginTimestamp"] for row in read(reader)]
    assert moments == sorted(moments)
    everything = [row["lastLoginTimestamp"] for row in accounts(site, select="lastLoginTimestamp")]
    assert moments == sorted(moment for moment in everything if moment >= since.timestamp() * 1000)
    assert 0 < len(moments) < len(everything)


@pytest.mark.parametrize(
    ("select", "columns"),
    [
        ("UID, profile.email as mail", ["UID", "profile.mail"]),
        ("UID, profile", None),
        ("*", None),
    ],
)
def test_the_columns_are_known_beforehand_where_single_values_are_selected(site, select, columns):
    assert site.component("datasource.read.gigya.account", select=select).columns() == columns


@pytest.mark.parametrize("select", ["count(*)", "UID,,profile", "profile..x", ""])
def test_what_is_no_list_of_fields_is_refused_before_the_job_starts(select):
    with pytest.raises(ValidationError):
        get("datasource.read.gigya.account").Params.model_validate({"select": select})


def test_a_wrong_condition_is_reported_with_the_words_of_the_api(site):
    with pytest.raises(LandbridgeError) as caught:
        accounts(site, select="UID", where="isActive === ")
    assert caught.value.code == "LB-1506"
    assert "400006" in caught.value.message


def test_objects_of_the_data_store_are_read(site):
    for number in range(25):
        site.call("ds.store", type="purchases", oid=f"o{number}", data={"total_i": number})
    rows = read(
        site.component(
            "datasource.read.gigya.ds",
            select="oid, data",
            batchSize=10,
            where="data.total_i >= 5",
            **{"from": "purchases"},
        )
    )
    assert sorted((row["oid"], row["data"]["total_i"]) for row in rows) == sorted((f"o{n}", n) for n in range(5, 25))


def test_deleted_accounts_are_found_in_the_audit_log(site):
    for uid in ("left-1", "left-2"):
        site.call("accounts.importFullAccount", UID=uid, profile={"email": f"{uid}@example.com"})
        site.call("accounts.deleteAccount", UID=uid)
    site.call("accounts.deleteAccount", UID="never-was")
    where = 'endpoint = "accounts.deleteAccount" AND errCode = "0"'
    rows = read(site.component("datasource.read.gigya.audit", select="*", where=where))
    assert {"left-1", "left-2"} <= {row["uid"] for row in rows}
    assert "never-was" not in {row["uid"] for row in rows}
    assert site.site.secret not in json.dumps(rows)
    later = site.component("datasource.read.gigya.audit", where=where)
    later.since = datetime(2090, 1, 1, tzinfo=UTC)
    assert read(later) == []
