"""The writers of a site, one call a record."""

import pytest
from pydantic import ValidationError

from landbridge.components.registry import get
from tests.contract.gigya.local_site import written


@pytest.fixture
def people(site):
    """Three accounts of our own."""
    uids = [f"writer-{number}" for number in range(3)]
    for uid in uids:
        account = {"profile": {"email": f"{uid}@example.com", "firstName": "Old"}, "data": {"kept": 1}}
        site.call("accounts.importFullAccount", UID=uid, importPolicy="upsert", **account)
    yield uids
    for uid in uids:
        site.call("accounts.deleteAccount", UID=uid)


def test_named_fields_of_an_account_change_and_others_stay(site, people):
    rows = [{"UID": uid, "profile": {"firstName": f"Zoë {uid} & co=1+1"}, "created": "2001-01-01"} for uid in people]
    done, rejects = written(site.component("datasource.write.gigya.account"), rows)
    assert (done, rejects) == (rows, [])
    for uid in people:
        account = site.account(uid)
        assert account["profile"]["firstName"] == f"Zoë {uid} & co=1+1"
        assert account["data"]["kept"] == 1
        assert not account["created"].startswith("2001")


def test_an_account_is_deactivated_and_a_null_deletes_a_field(site, people):
    done, rejects = written(
        site.component("datasource.write.gigya.account"),
        [{"UID": people[0], "isActive": False, "data": {"kept": None}}],
    )
    assert (len(done), rejects) == (1, [])
    account = site.account(people[0])
    assert account["isActive"] is False
    assert "kept" not in account["data"]


def test_the_fate_of_each_record_is_told_with_the_code_of_the_api(site, people):
    rows = [
        {"UID": people[0], "profile": {"firstName": "New"}},
        {"UID": "nobody", "profile": {"firstName": "New"}},
        {"profile": {"firstName": "New"}},
        {"UID": people[1], "profile": {"birthYear": "not a year"}},
        {"UID": people[2], "profile": {"firstName": "New"}},
    ]
    done, rejects = written(site.component("datasource.write.gigya.account"), rows)
    assert [row["UID"] for row in done] == [people[0], people[2]]
    assert [code for code, _ in rejects][:2] == ["403005", "400002"]
    assert len(rejects) == 3
    assert "birthYear" in rejects[2][1]


def test_missing_accounts_are_created_only_when_the_step_says_so(site):
    row = {"UID": "made-here", "profile": {"email": "made@example.com"}, "data": {"a": [1, {"b": None}]}}
    done, rejects = written(site.component("datasource.write.gigya.account"), [row])
    assert (done, [code for code, _ in rejects]) == ([], ["403005"])
    done, rejects = written(site.component("datasource.write.gigya.account", createMissing=True), [row])
    assert (len(done), rejects) == (1, [])
    assert site.account("made-here")["profile"]["email"] == "made@example.com"
    site.call("accounts.deleteAccount", UID="made-here")


def test_the_last_record_of_an_account_counts(site, people):
    rows = [{"UID": people[0], "data": {"turn": turn}} for turn in range(40)]
    written(site.component("datasource.write.gigya.account", maxConnections=20), rows)
    assert site.account(people[0])["data"]["turn"] == 39


def test_the_answer_of_the_api_is_added_and_replaces_an_earlier_one(site, people):
    rows = [
        {"UID": uid, "data": {"x": 1}, "_response": {"old": True}, "_errorDetails": {"errorCode": 1}} for uid in people
    ]
    done, _ = written(
        site.component("datasource.write.gigya.importaccount", importPolicy="upsert", addResponse=True), rows
    )
    assert [row["_response"]["UID"] for row in done] == people
    assert all(row["_response"]["errorCode"] == 0 and "old" not in row["_response"] for row in done)
    assert all("ignoredParams" not in row["_response"] for row in done)
    assert done[0]["_errorDetails"] == {"errorCode": 1}


def test_accounts_are_imported_whole_under_names_of_any_case(site):
    row = {
        "uid": "imported-1",
        "profile": {"email": "imported@example.com", "firstName": "Íñigo"},
        "loginIds": {"emails": ["imported@example.com"]},
        "data": {"points": 3},
        "isActive": True,
        "created": "2019-05-01T10:00:00Z",
        "subscriptions": {"newsletter": {"email": {"isSubscribed": True}}},
    }
    done, rejects = written(site.component("datasource.write.gigya.importaccount"), [row])
    assert (done, rejects) == ([row], [])
    account = site.account("imported-1")
    assert account["created"].startswith("2019-05-01T10:00:00")
    assert account["subscriptions"]["newsletter"]["email"]["isSubscribed"] is True
    done, rejects = written(site.component("datasource.write.gigya.importaccount"), [row])
    assert (done, [code for code, _ in rejects]) == ([], ["400003"])
    site.call("accounts.deleteAccount", UID="imported-1")


def test_an_insert_whose_answer_was_lost_is_no_conflict(site):
    rows = [{"UID": f"lost-{n}", "profile": {"email": f"lost{n}@example.com", "nickname": "N"}} for n in range(3)]
    site.fail(method="accounts.importFullAccount", drop=True, after_work=True, times=2)
    done, rejects = written(site.component("datasource.write.gigya.importaccount"), rows)
    assert (done, rejects) == (rows, [])
    for row in rows:
        site.call("accounts.deleteAccount", UID=row["UID"])


def test_a_call_that_must_not_be_made_twice_is_not_repeated(site):
    site.fail(method="accounts.importFullAccount", drop=True, after_work=True, times=1)
    row = {"createUID": True, "profile": {"email": "once@example.com"}}
    done, rejects = written(site.component("datasource.write.gigya.importaccount"), [row])
    assert (done, [code for code, _ in rejects]) == ([], ["LB-3202"])
    made = site.search('SELECT UID FROM accounts WHERE profile.email = "once@example.com"')
    assert len(made) == 1
    site.call("accounts.deleteAccount", UID=made[0]["UID"])


def test_objects_are_stored_in_the_data_store(site):
    rows = [{"oid": "a", "data": {"n_i": 1, "tags": ["x"]}}, {"data": {"n_i": 2}}, {"oid": "c"}]
    done, rejects = written(site.component("datasource.write.gigya.ds", type="stored"), rows)
    assert (done, [code for code, _ in rejects]) == (rows[:2], ["400002"])
    written(site.component("datasource.write.gigya.ds", type="stored"), rows[:1])
    found = site.search("SELECT * FROM stored LIMIT 10", "ds.search")
    assert sorted((each["data"]["n_i"], each["data"].get("tags")) for each in found) == [(1, ["x"]), (2, None)]
    written(site.component("datasource.write.gigya.ds", type="stored", updateBehavior="arrayPush"), rows[:1])
    assert site.call("ds.get", type="stored", oid="a")["data"]["tags"] == ["x", "x"]


def test_a_lost_answer_stores_no_object_twice(site):
    site.fail(method="ds.store", drop=True, after_work=True, times=2)
    done, rejects = written(site.component("datasource.write.gigya.ds", type="once"), [{"data": {"n_i": 1}}])
    assert (len(done), rejects) == (1, [])
    assert len(site.search("SELECT * FROM once", "ds.search")) == 1


def test_any_method_is_called_with_fields_and_fixed_values(site):
    api_params = [
        {"paramName": "email", "sourceField": "mail", "value": ""},
        {"paramName": "profile", "sourceField": "person", "value": ""},
        {"paramName": "data", "value": {"source": "test"}, "sourceField": ""},
    ]
    rows = [{"mail": "lite1@example.com", "person": {"firstName": "Ana"}, "other": 1}, {"mail": "lite2@example.com"}]
    component = site.component(
        "datasource.write.gigya.generic",
        apiMethod="ds.store",
        addResponse=True,
        apiParams=[
            {"paramName": "type", "value": "generic"},
            {"paramName": "oid", "sourceField": "mail", "value": ""},
            {"paramName": "data", "sourceField": "person", "value": ""},
            {"paramName": "updateBehavior", "value": "replace", "sourceField": ""},
        ],
    )
    done, rejects = written(component, rows)
    assert [row["_response"]["oid"] for row in done] == ["lite1@example.com"]
    assert done[0]["person"] == {"firstName": "Ana"}
    assert [code for code, _ in rejects] == ["400002"]
    assert site.call("ds.get", type="generic", oid="lite1@example.com")["data"] == {"firstName": "Ana"}
    assert get("datasource.write.gigya.generic").Params.model_validate(
        {"apiMethod": "accounts.importLiteAccount", "apiParams": api_params}
    )


def test_a_field_of_an_answer_can_be_named_as_a_parameter(site, people):
    rows = [{"_response": {"UID": people[0]}}]
    component = site.component(
        "datasource.write.gigya.generic",
        apiMethod="accounts.setAccountInfo",
        apiParams=[{"paramName": "uid", "sourceField": "_response.UID"}, {"paramName": "isActive", "value": "false"}],
    )
    assert written(component, rows) == (rows, [])
    assert site.account(people[0])["isActive"] is False


def test_a_deletion_whose_answer_was_lost_has_succeeded(site):
    site.call("accounts.importFullAccount", UID="to-delete", profile={"email": "d@example.com"})
    site.fail(method="accounts.deleteAccount", drop=True, after_work=True, times=1)
    component = site.component(
        "datasource.write.gigya.generic",
        apiMethod="accounts.deleteAccount",
        apiParams=[{"paramName": "UID", "sourceField": "UID"}],
    )
    done, rejects = written(component, [{"UID": "to-delete"}, {"UID": "never-was"}])
    assert [row["UID"] for row in done] == ["to-delete"]
    assert [code for code, _ in rejects] == ["403005"]


@pytest.mark.parametrize("wrong", [{"paramName": "a"}, {"paramName": "a", "sourceField": "b", "value": "c"}])
def test_a_parameter_has_either_a_field_or_a_value(wrong):
    with pytest.raises(ValidationError, match="exactly one"):
        get("datasource.write.gigya.generic").Params.model_validate({"apiMethod": "ds.store", "apiParams": [wrong]})
