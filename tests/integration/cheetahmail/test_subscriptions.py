"""Who is on a list, who has left it, and that nobody is put back."""

import pytest

from landbridge.components.base import Verdict
from tests.integration.cheetahmail.parts import (
    LIST,
    VENDOR,
    WRITER,
    foreseen,
    held_up,
    leave,
    people,
    person,
    state,
    swap,
    written,
)
from tests.steps import make


def test_a_yes_subscribes_a_no_unsubscribes_and_silence_says_nothing(sandbox, listed):
    written(listed, *(person(f"u{number}", Subscribed=said) for number, said in enumerate(["Yes", "No", "", "true"])))
    assert [state(sandbox, f"u{number}") for number in range(4)] == ["on", "i", None, "on"]


@pytest.mark.parametrize(("resubscribe", "wanted"), [(False, "w"), (True, "on")])
def test_who_has_left_the_list_is_not_put_back_on_it(sandbox, listed, resubscribe, wanted):
    written(listed, person("u1", Subscribed="Yes"))
    leave(sandbox, "u1")
    again = person("u1", Subscribed="Yes", CITY="Bern")
    assert written({**listed, "resubscribe": resubscribe}, again) == ([again], [])
    assert (state(sandbox, "u1"), people(sandbox)["u1"]["CITY"]) == (wanted, "Bern")


def test_a_move_does_not_put_back_on_the_list_either(sandbox, listed):
    params = {**listed, "previousEmailField": "BEFORE"}
    written(params, person("u1", Subscribed="Yes"))
    leave(sandbox, "u1")
    written(params, {**person("u1", Subscribed="Yes"), "EMAIL": "new@example.com", "BEFORE": "u1@example.com"})
    assert (state(sandbox, "u1"), people(sandbox)["u1"]["EMAIL"]) == ("w", "new@example.com")


def test_who_leaves_the_list_while_a_reply_is_missing_is_not_put_back_on_it(sandbox, listed, monkeypatch):
    written(listed, person("u1"))
    held_up(
        sandbox,
        monkeypatch,
        lambda own: own[VENDOR].subscribers.unsubscribe(own[VENDOR].subscribers.find_by("UID", "u1"), LIST, "w"),
    )
    sandbox.fail("lost_reply", operation="setuser1", times=1)
    record = person("u1", Subscribed="Yes", CITY="Bern")
    assert written(listed, record) == ([record], [])
    assert (state(sandbox, "u1"), people(sandbox)["u1"]["CITY"]) == ("w", "Bern")


def test_an_opt_out_passes_though_somebody_else_has_the_address(sandbox, both):
    written(both, person("u1", Subscribed="Yes", CITY="Bern"), person("u2", Subscribed="Yes"))
    moved = {**person("u1", Subscribed="No", CITY="Rom"), "EMAIL": "u2@example.com", "BEFORE": "u1@example.com"}
    [told] = foreseen(both, moved)
    assert (told.verdict, told.opts_out) == (Verdict.INVALID, True)
    done, refused = written(both, moved)
    assert (done, [code for code, _ in refused]) == ([], ["LB-4631"])
    assert (state(sandbox, "u1"), state(sandbox, "u2")) == ("i", "on")
    assert people(sandbox)["u1"]["CITY"] == "Rom", "what is not in dispute gets through"
    assert people(sandbox)["u1"]["EMAIL"] == "u1@example.com"


def test_people_who_swap_their_addresses_keep_their_subscriptions_and_may_leave(sandbox, both):
    written(both, person("u1", Subscribed="Yes"), person("u2", Subscribed="Yes"), person("u3", Subscribed="Yes"))
    leave(sandbox, "u3")
    changed = swap("u1", "u2", "u3")
    said = [{**each, "Subscribed": answer} for each, answer in zip(changed, ("No", "Yes", "Yes"), strict=True)]
    assert written(both, *said) == (said, [])
    assert [state(sandbox, uid) for uid in ("u1", "u2", "u3")] == ["i", "on", "w"]
    assert [people(sandbox)[f"u{number}"]["EMAIL"][:2] for number in (1, 2, 3)] == ["u2", "u3", "u1"]


def test_nobody_is_put_on_the_list_under_an_address_that_is_not_theirs_any_more(sandbox, both):
    written(both, person("u1"), person("u2"))
    moved = {**person("u1", Subscribed="Yes"), "EMAIL": "u2@example.com", "BEFORE": "u1@example.com"}
    written(both, moved)
    assert state(sandbox, "u1") is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"SCORE": "x"}, "LB-4631"),
        ({"EMAIL": "nonsense"}, "LB-4631"),
        ({"EMAIL": ""}, "LB-4631"),
        ({"sub": "1"}, "LB-4631"),
        ({"EMAIL": "blocked@example.com"}, "LB-4635"),
        ({"EMAIL": "nonsense", "Subscribed": "Yes"}, "LB-4631"),
    ],
)
def test_an_opt_out_passes_though_the_rest_of_the_record_is_refused(sandbox, both, change, code):
    written(both, person("u1", Subscribed="Yes"))
    sandbox.do(lambda own: own[VENDOR].subscribers.suppressed.update({"blocked@example.com": {"reason": "a"}}))
    record = {**person("u1", Subscribed="No"), "BEFORE": "u1@example.com", **change}
    done, refused = written(both, record)
    assert (done, [code for code, _ in refused]) == ([], [code])
    assert state(sandbox, "u1") == ("on" if change.get("Subscribed") == "Yes" else "i")


@pytest.mark.parametrize("email", ["", "nonsense", "u2@example.com"])
def test_whoever_leaves_needs_no_address_but_the_one_that_the_platform_knew(sandbox, both, connection, email):
    written(both, person("u1", Subscribed="Yes"), person("u2", Subscribed="Yes"))
    params = {**connection, "action": "unsubscribe", "listId": LIST, "previousEmailField": "BEFORE"}
    leaver = {"UID": "u1", "EMAIL": email, "BEFORE": "u1@example.com"}
    assert written(params, leaver) == ([leaver], [])
    assert (state(sandbox, "u1"), state(sandbox, "u2")) == ("i", "on")


def test_a_platform_that_refuses_resubscription_is_heard(sandbox, listed):
    written(listed, person("u1", Subscribed="Yes"))
    leave(sandbox, "u1")
    sandbox.switch(VENDOR, refuses_resubscription=True)
    _, refused = written({**listed, "resubscribe": True}, person("u1", Subscribed="Yes"))
    assert refused == [("LB-4631", "setuser1: err:resub:illegal")]


@pytest.mark.parametrize(("whence", "wanted"), [("list", "i"), ("everything", "k")])
def test_unsubscribing_takes_off_who_is_there_and_makes_nobody(sandbox, listed, connection, whence, wanted):
    written(listed, person("u1", Subscribed="Yes"), person("u2", Subscribed="Yes"))
    params = {**connection, "action": "unsubscribe", "unsubscribeFrom": whence, "listId": LIST}
    leavers = [person("u1"), person("u9")]
    assert make(WRITER, params).deletes is (whence == "everything"), "what cannot be undone is counted as a deletion"
    assert written(params, *leavers) == (leavers, [])
    assert (set(people(sandbox)), state(sandbox, "u1"), state(sandbox, "u2")) == ({"u1", "u2"}, wanted, "on")
    assert [row["EMAIL"] for row in sandbox.rows(VENDOR, "suppressed")] == ["u1@example.com"] * (wanted == "k")


@pytest.mark.parametrize(
    "params",
    [
        {"listId": "0", "newsletterField": "S"},
        {"listId": "00", "action": "unsubscribe"},
        {"listId": "news", "newsletterField": "S"},
        {"newsletterField": "S"},
        {"action": "unsubscribe"},
        {"bulk": True},
        {"bulk": True, "masterList": True, "listId": LIST, "newsletterField": "S"},
        {"bulk": True, "masterList": True, "action": "update"},
    ],
)
def test_the_master_list_and_bulk_are_never_chosen_by_accident(connection, params):
    with pytest.raises(ValueError, match=r"listId|must be a number|bulk"):
        make(WRITER, {**connection, **params})
