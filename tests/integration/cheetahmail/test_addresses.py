"""Addresses that change, that are swapped, and that somebody else has."""

import anyio
import pytest

from landbridge.components.base import Verdict
from landbridge.errors import TransientError
from landbridge.records import Batch
from landbridge.remote import cheetahmail, http
from tests.integration.cheetahmail.parts import (
    VENDOR,
    WRITER,
    calls,
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


def test_a_changed_address_changes_the_same_subscriber(sandbox, following):
    written(following, person("u1", CITY="Bern"))
    moved = {**person("u1", CITY="Rom"), "EMAIL": "new@example.com", "BEFORE": "u1@example.com"}
    assert written(following, moved) == ([moved], [])
    assert written(following, moved) == ([moved], []), "once more does no harm"
    [row] = sandbox.rows(VENDOR, "subscribers")
    assert (row["EMAIL"], row["CITY"]) == ("new@example.com", "Rom")


def test_who_moves_into_the_address_of_one_who_moves_out_gets_it(sandbox, following):
    written(following, person("u1"), person("u2"))
    into = {**person("u1"), "EMAIL": "u2@example.com", "BEFORE": "u1@example.com"}
    out = {**person("u2"), "EMAIL": "free@example.com", "BEFORE": "u2@example.com"}
    assert written(following, into, out) == ([into, out], [])
    assert {uid: row["EMAIL"] for uid, row in people(sandbox).items()} == {
        "u1": "u2@example.com",
        "u2": "free@example.com",
    }


@pytest.mark.parametrize("uids", [("u1", "u2"), ("u1", "u2", "u3", "u4")])
def test_people_who_swap_their_addresses_get_them(sandbox, following, uids):
    written(following, *map(person, uids))
    ids = {row["UID"]: row["id"] for row in sandbox.rows(VENDOR, "subscribers")}
    changed = swap(*uids, CITY="Rom")
    assert [each.verdict for each in foreseen(following, *changed)] == [Verdict.UPDATE] * len(uids)
    assert written(following, *changed) == (changed, [])
    rows = {row["UID"]: (row["id"], row["EMAIL"], row["CITY"]) for row in sandbox.rows(VENDOR, "subscribers")}
    assert rows == {each["UID"]: (ids[each["UID"]], each["EMAIL"], "Rom") for each in changed}
    assert written(following, *changed) == (changed, [])


def test_people_who_swap_their_addresses_in_two_batches_get_them(sandbox, following):
    written(following, person("u1"), person("u2"))
    one, two = swap("u1", "u2")
    step = make(WRITER, following)

    async def run():
        async with step.opened():
            return [(await step.write(Batch.from_objects([each]))).num_rows for each in (one, two)]

    assert anyio.run(run) == [0, 1], "when the first one was written, nobody knew that the other one moves, too"
    assert {uid: row["EMAIL"] for uid, row in people(sandbox).items()} == {
        "u1": "u2@example.com",
        "u2": "u1@example.com",
    }
    assert written(following, one, two) == ([one, two], [])


@pytest.mark.parametrize("calls_before_the_end", [1, 2])
def test_a_swap_that_was_cut_off_is_completed_by_the_next_job(sandbox, following, calls_before_the_end):
    written(following, person("u1"), person("u2"))
    changed = swap("u1", "u2")
    sandbox.fail("rate_limit", operation="setuser1", skip=calls_before_the_end)
    with pytest.raises(TransientError):
        written(following, *changed)
    assert "landbridge-" in str(people(sandbox)), "one is under an address that is nobody's"
    sandbox.calm(VENDOR)
    assert written(following, *changed) == (changed, [])
    assert {uid: row["EMAIL"] for uid, row in people(sandbox).items()} == {
        "u1": "u2@example.com",
        "u2": "u1@example.com",
    }


@pytest.mark.parametrize("creates", [False, True])
def test_nobody_stays_at_an_address_that_is_nobodys_when_a_swap_cannot_be_done(sandbox, following, creates):
    """One of them may not have the new address, as the platform says."""
    written(following, person("u1"), person("u2"))
    sandbox.switch(VENDOR, newemail_creates=creates)
    one, two = swap("u1", "u2")
    done, refused = written(following, one, {**two, "SCORE": "x"})
    assert done == []
    assert [code for code, _ in refused] == ["LB-4631", "LB-4631"]
    assert {uid: row["EMAIL"] for uid, row in people(sandbox).items()} == {
        "u1": "u1@example.com",
        "u2": "u2@example.com",
    }


def test_an_old_address_that_somebody_else_has_now_is_not_taken_away(sandbox, following):
    written(following, {**person("u2"), "EMAIL": "old@example.com"})
    moved = {**person("u1"), "EMAIL": "new@example.com", "BEFORE": "old@example.com"}
    _, refused = written(following, moved)
    assert [code for code, _ in refused] == ["LB-4631"]
    assert {uid: row["EMAIL"] for uid, row in people(sandbox).items()} == {"u2": "old@example.com"}


@pytest.mark.parametrize("creates", [False, True])
def test_a_move_whose_reply_was_lost_is_done_once(sandbox, following, creates):
    sandbox.switch(VENDOR, newemail_creates=creates)
    written(following, person("u1"))
    sandbox.fail("lost_reply", operation="setuser1", times=1)
    moved = {**person("u1", CITY="Rom"), "EMAIL": "new@example.com", "BEFORE": "u1@example.com"}
    assert written(following, moved) == ([moved], [])
    [row] = sandbox.rows(VENDOR, "subscribers")
    assert (row["EMAIL"], row["CITY"]) == ("new@example.com", "Rom")


def test_a_move_whose_reply_was_lost_takes_nothing_from_the_subscriber(sandbox, listed):
    sandbox.switch(VENDOR, newemail_creates=True, taken_address_is_merged=True)
    params = {**listed, "previousEmailField": "BEFORE"}
    written(params, person("u1", FNAME="Ada", Subscribed="Yes"))
    leave(sandbox, "u1")
    [before] = sandbox.rows(VENDOR, "subscribers")
    sandbox.fail("lost_reply", operation="setuser1", times=1)
    moved = {**person("u1", CITY="Rom"), "EMAIL": "new@example.com", "BEFORE": "u1@example.com"}
    assert written(params, moved) == ([moved], [])
    [row] = sandbox.rows(VENDOR, "subscribers")
    assert (row["id"], row["EMAIL"], row["FNAME"]) == (before["id"], "new@example.com", "Ada")
    assert state(sandbox, "u1") == "w"


def test_whoever_gets_the_old_address_while_a_reply_is_missing_keeps_it(sandbox, following, monkeypatch):
    written(following, person("u1"))
    newcomer = {"UID": "u2", "CITY": "Oslo"}
    held_up(sandbox, monkeypatch, lambda own: own[VENDOR].subscribers.write(None, "u1@example.com", newcomer, by="api"))
    sandbox.switch(VENDOR, taken_address_is_merged=True)
    sandbox.fail("lost_reply", operation="setuser1", times=1)
    moved = {**person("u1"), "EMAIL": "new@example.com", "BEFORE": "u1@example.com"}
    assert written(following, moved) == ([moved], [])
    assert {uid: row["EMAIL"] for uid, row in people(sandbox).items()} == {
        "u1": "new@example.com",
        "u2": "u1@example.com",
    }


def test_a_move_that_the_platform_could_not_do_is_made_again(sandbox, following):
    written(following, person("u1"))
    sandbox.fail("rate_limit", operation="setuser1", times=1)
    sandbox.fail("concurrency", operation="setuser1", times=1)
    moved = {**person("u1"), "EMAIL": "new@example.com", "BEFORE": "u1@example.com"}
    assert written(following, moved) == ([moved], [])
    assert [row["EMAIL"] for row in sandbox.rows(VENDOR, "subscribers")] == ["new@example.com"]


@pytest.mark.parametrize("comes", [True, False])
def test_a_move_that_the_platform_may_still_be_doing_is_never_made_again(sandbox, following, monkeypatch, comes):
    """Its reply is late. Either it is seen to happen while the step asks, or nobody can tell."""
    written(following, person("u1"))
    monkeypatch.setattr(
        "landbridge.components.datasource.cheetahmail._open",
        lambda params: cheetahmail.client(params.login, connections=1, calls_per_s=None, timeout_s=0.3),
    )
    monkeypatch.setattr(http.Retries, "delay_s", lambda self, attempt: 0.3 if comes else 0.01)
    sandbox.fail("slow_job", operation="setuser1", times=1, delay_s=0.8)
    before = calls(sandbox)["setuser1"]
    moved = {**person("u1"), "EMAIL": "new@example.com", "BEFORE": "u1@example.com"}
    done, refused = written(following, moved)
    assert ([moved], []) == (done, refused) if comes else [code for code, _ in refused] == ["LB-4636"]
    assert calls(sandbox)["setuser1"] == before + 1
