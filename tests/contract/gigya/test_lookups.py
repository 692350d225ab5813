"""Lookups: what a site knows of the records that pass."""

import pytest
from pydantic import ValidationError

from landbridge.components.registry import get
from tests.contract.gigya.local_site import written

UID = [{"sourceField": "id", "gigyaField": "UID"}]
MAIL = [{"sourceField": "mail", "gigyaField": "profile.email"}]


@pytest.fixture
def people(site):
    """Accounts of our own; the last two share a family name."""
    names = {"look-1": "Ünal", "look-2": 'O"Neill \\', "look-3": "Same", "look-4": "Same"}
    for uid, name in names.items():
        site.call(
            "accounts.importFullAccount",
            UID=uid,
            importPolicy="upsert",
            profile={"email": f"{uid}@example.com", "lastName": name},
            loginIDs={"emails": [f"{uid}@example.com", f"{uid}@second.example.com"]},
            data={"points": 5, "nested": {"a": 1}},
        )
    yield names
    for uid in names:
        site.call("accounts.deleteAccount", UID=uid)


def look_up(site, rows, **params):
    return written(site.component("datasource.lookup.gigya.account", **params), rows)


def test_fields_of_the_account_are_added_to_the_record(site, people):
    rows = [{"id": "look-1", "own": True}, {"id": "look-2", "own": False}]
    done, rejects = look_up(site, rows, select="profile.lastName, data.points as score", lookupFields=UID)
    assert rejects == []
    assert done == [
        {"id": uid, "own": own, "profile": {"lastName": people[uid]}, "data": {"score": 5}}
        for uid, own in (("look-1", True), ("look-2", False))
    ]


def test_the_order_of_the_records_stays_over_many_parallel_searches(site):
    accounts = site.search("SELECT UID, profile.email FROM accounts LIMIT 1000")[::-1]
    rows = [{"id": account["UID"]} for account in accounts]
    done, rejects = look_up(site, rows, select="profile.email", lookupFields=UID, batchSize=7, maxConcurrency=5)
    assert rejects == []
    assert [(row["id"], row["profile"]["email"]) for row in done] == [
        (account["UID"], account["profile"]["email"]) for account in accounts
    ]


@pytest.mark.parametrize(
    ("behaviour", "expected", "codes"),
    [("error", 1, ["404000"]), ("process", 2, []), ("skip", 1, [])],
)
def test_a_record_without_an_account_goes_where_the_step_says(site, people, behaviour, expected, codes):
    rows = [{"id": "look-1"}, {"id": "nobody"}]
    done, rejects = look_up(site, rows, select="UID", lookupFields=UID, mismatchBehavior=behaviour)
    assert len(done) == expected
    assert [code for code, _ in rejects] == codes


@pytest.mark.parametrize(("behaviour", "codes"), [("error", ["LB-4623"]), ("skip", [])])
def test_a_record_with_an_account_goes_where_the_step_says(site, people, behaviour, codes):
    rows = [{"id": "look-1"}, {"id": "nobody"}]
    done, rejects = look_up(
        site, rows, select="UID", lookupFields=UID, matchBehavior=behaviour, mismatchBehavior="process"
    )
    assert done == [{"id": "nobody"}]
    assert [code for code, _ in rejects] == codes


def test_values_with_quotes_and_other_letters_are_found(site, people):
    rows = [{"name": name} for name in ("Ünal", 'O"Neill \\')]
    fields = [{"sourceField": "name", "gigyaField": "profile.lastName"}]
    done, rejects = look_up(site, rows, select="UID as uid", lookupFields=fields)
    assert rejects == []
    assert [row["uid"] for row in done] == ["look-1", "look-2"]
    assert all(set(row) == {"name", "uid"} for row in done)


def test_one_of_several_conditions_suffices_or_all_count(site, people):
    fields = [*MAIL, {"sourceField": "second", "gigyaField": "loginIDs.emails"}]
    rows = [
        {"mail": "no@example.com", "second": "look-1@second.example.com"},
        {"mail": "look-2@example.com", "second": "look-2@second.example.com"},
        {"mail": "look-1@example.com", "second": "look-2@second.example.com"},
    ]
    done, rejects = look_up(site, rows[:2], select="UID", lookupFields=fields, lookupFieldsOperator="OR")
    assert ([row["UID"] for row in done], rejects) == (["look-1", "look-2"], [])
    done, rejects = look_up(site, rows, select="UID", lookupFields=fields, lookupFieldsOperator="AND")
    assert [row["UID"] for row in done] == ["look-2"]
    assert [code for code, _ in rejects] == ["404000", "404000"]


@pytest.mark.parametrize(("sensitive", "found"), [(False, 1), (True, 0)])
def test_upper_and_lower_case_count_only_when_the_step_says_so(site, people, sensitive, found):
    rows = [{"mail": "LOOK-1@Example.com"}]
    done, _ = look_up(site, rows, select="UID", lookupFields=MAIL, isCaseSensitive=sensitive)
    assert len(done) == found


@pytest.mark.parametrize(("side", "value"), [("take_lookup", 5), ("take_source", 99)])
def test_a_field_on_both_sides_has_the_value_of_the_named_side(site, people, side, value):
    rows = [{"id": "look-1", "data": {"points": 99, "mine": 1}}]
    done, _ = look_up(site, rows, select="data", lookupFields=UID, handleFieldConflicts=side)
    assert done == [{"id": "look-1", "data": {"points": value, "mine": 1, "nested": {"a": 1}}}]


def test_several_matches_are_an_error_or_one_record_or_many(site, people):
    fields = [{"sourceField": "name", "gigyaField": "profile.lastName"}]
    given = {"select": "UID", "lookupFields": fields}
    done, rejects = look_up(site, [{"name": "Same"}], **given)
    assert (done, [code for code, _ in rejects]) == ([], ["LB-4622"])
    done, _ = look_up(site, [{"name": "Same"}], multiMatchBehavior="process", **given)
    assert len(done) == 1
    done, _ = look_up(site, [{"name": "Same"}], separateMultiMatches=True, **given)
    assert {row["UID"] for row in done} == {"look-3", "look-4"}


def test_a_record_without_the_value_matches_nobody(site, people):
    rows = [{"mail": ""}, {}, {"mail": None}, {"mail": "look-1@example.com"}]
    done, rejects = look_up(site, rows, select="UID", lookupFields=MAIL)
    assert [row["UID"] for row in done] == ["look-1"]
    assert [code for code, _ in rejects] == ["404000"] * 3


def test_lite_accounts_are_found_with_the_token_that_deletes_them(site):
    [lite] = site.search("SELECT email, token FROM emailAccounts WHERE hasLiteAccount = true LIMIT 1")
    fields = [{"sourceField": "mail", "gigyaField": "email"}]
    done, _ = look_up(site, [{"mail": lite["email"]}], select="token", lookupFields=fields, **{"from": "emailAccounts"})
    assert done == [{"mail": lite["email"], "token": lite["token"]}]


def test_a_lookup_needs_a_pair_of_fields():
    with pytest.raises(ValidationError, match="at least one"):
        get("datasource.lookup.gigya.account").Params.model_validate({"select": "UID", "lookupFields": []})


@pytest.fixture
def members(site):
    """Two accounts, one of which has collected points in two challenges."""
    site.call("gm.setActionConfig", actions=[{"actionID": "buy", "points": 35, "challenges": ["buyer"]}])
    levels = [{"title": "first", "points": 10}, {"title": "second", "points": 50}, {"title": "third", "points": 500}]
    challenges = [{"challengeID": "buyer", "levels": levels}, {"challengeID": "fan"}]
    site.call("gm.setChallengeConfig", challenges=challenges)
    for uid in ("member-1", "member-2"):
        site.call("accounts.importFullAccount", UID=uid, importPolicy="upsert")
    for _ in range(2):
        assert site.call("gm.notifyAction", UID="member-1", action="buy")["errorCode"] == 0
    yield
    for uid in ("member-1", "member-2"):
        site.call("accounts.deleteAccount", UID=uid)


def test_the_loyalty_status_is_added_as_achievements(site, members):
    rows = [{"UID": "member-1", "own": 1}, {"UID": "unknown"}, {"UID": "member-2"}, {"name": "nobody"}]
    done, rejects = written(site.component("datasource.lookup.gigya.gm", includeChallenges="*"), rows)
    assert [code for code, _ in rejects] == ["403005", "400002"]
    assert [row["UID"] for row in done] == ["member-1", "member-2"]
    assert done[0]["own"] == 1
    for row in done:
        assert row["achievements"] == site.call("gm.getChallengeStatus", UID=row["UID"], details="full")["achievements"]
    status = {each["challengeID"]: each for each in done[0]["achievements"]}
    assert set(status) == {"_default", "buyer", "fan"}
    assert (status["buyer"]["level"], status["buyer"]["pointsTotal"]) == (2, 70)


@pytest.mark.parametrize(
    ("params", "challenges"),
    [
        ({"includeChallenges": "buyer, fan"}, {"buyer", "fan"}),
        ({"includeChallenges": ["buyer", "fan"], "excludeChallenges": "fan"}, {"buyer"}),
        ({"excludeChallenges": ["_default"]}, {"buyer", "fan"}),
        ({}, {"_default", "buyer", "fan"}),
    ],
)
def test_challenges_are_chosen_and_left_out(site, members, params, challenges):
    done, _ = written(site.component("datasource.lookup.gigya.gm", **params), [{"UID": "member-1"}])
    assert {each["challengeID"] for each in done[0]["achievements"]} == challenges
