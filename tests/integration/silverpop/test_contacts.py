"""Silverpop against the emulated platform: contacts written one by one."""

import anyio
import pytest

from landbridge.errors import AuthError, FlowError
from tests.integration.silverpop.parts import contact, contacts, import_flow, person, storm, write


def test_records_become_contacts_and_a_changed_address_changes_the_same_contact(api, sandbox):
    rows = [person(n, **{"First Name": "Zoë & <Co>", "Newsletter": n % 2 == 0}) for n in range(300)]
    done, refused = write(contact(api), rows)
    assert (len(done), refused) == (300, [])
    moved = [{"UID": row["UID"], "EMAIL": f"moved-{row['EMAIL']}"} for row in rows[:100]]
    write(contact(api), moved)
    found = contacts(sandbox)
    assert len(found) == 300
    assert found["u7"]["EMAIL"] == "moved-u7@example.com"
    assert (found["u7"]["First Name"], found["u7"]["Newsletter"], found["u8"]["Newsletter"]) == (
        "Zoë & <Co>",
        "No",
        "Yes",
    )


def test_a_storm_loses_and_doubles_nobody(api, sandbox):
    storm(sandbox)
    done, refused = write(contact(api, contactsPerCall=5), [person(n) for n in range(200)])
    assert (len(done), refused) == (200, [])
    assert len(contacts(sandbox)) == 200


def test_bad_records_are_rejected_one_by_one(api, sandbox):
    rows = [
        person(1),
        {"EMAIL": "no-uid@example.com"},
        person(2, EMAIL="nonsense"),
        person(3, City="a\x00b"),
        person(4),
    ]
    done, refused = write(contact(api), rows)
    assert [row["UID"] for row in done] == ["u1", "u4"]
    assert len(refused) == 3
    assert "nonsense" not in str(refused)
    assert set(contacts(sandbox)) == {"u1", "u4"}


def test_two_records_of_one_contact_keep_their_order(api, sandbox):
    write(contact(api, contactsPerCall=1), [person(1, City=f"c{n}") for n in range(9)])
    assert contacts(sandbox)["u1"]["City"] == "c8"


def test_profile_writes_never_touch_the_opt_state(api, sandbox):
    write(contact(api), [person(1), person(2)])
    write(contact(api, action="optOut"), [{"UID": "u1"}])
    before = contacts(sandbox)
    write(contact(api), [person(1, City="Oslo"), person(2, City="Oslo")])
    after = contacts(sandbox)
    for uid in ("u1", "u2"):
        assert (before[uid]["opted in"], before[uid]["opted out"]) == (after[uid]["opted in"], after[uid]["opted out"])
    assert after["u1"]["opted out"]


def test_the_wish_opts_out_adds_and_never_opts_in_again_by_itself(api, sandbox):
    wish = {"newsletterField": "Subscribed"}
    rows = [person(1, Subscribed="Yes"), person(2, Subscribed="No"), person(3), person(4, Subscribed=True)]
    done, refused = write(contact(api, **wish), rows)
    assert (len(done), refused) == (4, [])
    assert set(contacts(sandbox)) == {"u1", "u4"}, "who says no, or nothing, is not made reachable"
    write(contact(api, **wish), [person(1, Subscribed="false")])
    assert contacts(sandbox)["u1"]["opted out"]
    write(contact(api, **wish), [person(1, Subscribed="Yes", City="Oslo")])
    found = contacts(sandbox)["u1"]
    assert found["opted out"]
    assert found["City"] == "Oslo"
    write(contact(api, **wish, addOptedOut=True), [person(5, Subscribed="No")])
    assert contacts(sandbox)["u5"]["opted out"]


def test_only_a_consent_that_is_newer_than_the_opt_out_takes_it_back(api, sandbox):
    wish = {"newsletterField": "Subscribed", "consentTimeField": "SubscribedAt", "gmtConfirmed": True}
    write(contact(api), [person(1), person(2)])
    write(contact(api, action="optOut"), [{"UID": "u1"}, {"UID": "u2"}])
    old = person(1, Subscribed="Yes", SubscribedAt="2020-01-01T00:00:00Z")
    new = person(2, Subscribed="Yes", SubscribedAt="2099-01-01T00:00:00Z")
    write(contact(api, **wish), [old, new])
    found = contacts(sandbox)
    assert found["u1"]["opted out"]
    assert found["u2"]["opted out"] is None


def test_columns_of_sms_consent_are_never_written(api, connection, sandbox, command, folders):
    sms = sandbox.do(
        lambda s: s["silverpop"].create_database(f"SMS {id(api)}", {"UID": 0, "SMS": 13}, keys=("UID",)).id
    )
    with pytest.raises(FlowError, match="SMS consent"):
        write(contact(api, listId=sms), [person(1, SMS="x")])
    outcome = command.run(import_flow(command, folders, {**connection, "listId": sms}, [person(1, SMS="x")]))
    assert "SMS consent" in outcome.err


def test_what_is_gone_counts_as_removed_and_as_opted_out(api, sandbox):
    write(contact(api), [person(1)])
    for action in ("optOut", "remove"):
        done, refused = write(contact(api, action=action), [{"UID": "u1"}, {"UID": "nobody"}])
        assert (len(done), refused) == (2, [])
    assert contacts(sandbox) == {}


def forecast(component, rows):
    from landbridge.records import Batch

    async def ask():
        async with component.opened():
            return await component.forecast(Batch.from_objects(rows))

    return [(str(each.verdict), each.opts_out, each.deletes) for each in anyio.run(ask)]


def test_a_dry_run_tells_what_would_become_of_each_contact(api, sandbox):
    write(contact(api), [person(1, City="Bern", Newsletter=True), person(2), person(3)])
    write(contact(api, action="optOut"), [{"UID": "u3"}])
    before = contacts(sandbox)
    rows = [person(1, City="Bern", Newsletter="true"), person(2, City="Oslo"), person(9), {"EMAIL": "x@example.com"}]
    told = [verdict for verdict, _, _ in forecast(contact(api), rows)]
    assert told == ["unchanged", "update", "create", "invalid"]
    wish = [person(1, S="No"), person(3, S="No"), person(8, S="No"), person(7, S="Yes"), person(3, S="Yes")]
    assert forecast(contact(api, newsletterField="S"), wish) == [
        ("update", True, False),
        ("unchanged", False, False),
        ("unchanged", False, False),
        ("create", False, False),
        ("unchanged", False, False),
    ]
    assert forecast(contact(api, action="remove"), [person(1), person(9)]) == [
        ("update", False, True),
        ("unchanged", False, False),
    ]
    assert contacts(sandbox) == before


def test_update_only_rejects_who_is_not_there(api):
    _, refused = write(contact(api, action="update"), [person(1)])
    assert refused == [("128", "UpdateRecipient: Recipient is not a member of the list.")]


@pytest.mark.parametrize("wrong", ["clientId", "clientSecret", "refreshToken"])
def test_wrong_credentials_are_told_once_and_not_shown(api, wrong):
    component = contact({**api, wrong: "planted-secret"})
    with pytest.raises(AuthError, match="LB-2104") as told:
        write(component, [person(1)])
    assert "planted-secret" not in str(told.value)


def test_a_wrong_database_is_an_error_of_the_flow(api):
    with pytest.raises(FlowError, match="LB-1521"):
        write(contact({**api, "listId": "1"}), [person(1)])
    with pytest.raises(FlowError, match="Nonsense"):
        write(contact(api, columns=["Nonsense"]), [person(1)])
    with pytest.raises(FlowError, match="instead of yes/no"):
        write(contact(api, columns=["City:yesno"]), [person(1)])
