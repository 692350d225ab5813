"""The CheetahMail step against the emulated platform, in good and bad weather."""

import anyio
import pytest

from landbridge.components import check
from landbridge.components.base import Verdict
from landbridge.errors import AuthError, ConnectionFailed, FlowError, TransientError
from landbridge.records import Batch
from landbridge.remote import cheetahmail, http
from tests.contract.sandbox.running import running_sandbox
from tests.steps import make, rejects

VENDOR, LIST, WRITER = "cheetahmail", "2094099241", "datasource.write.cheetahmail"
API = ("url", "apiUser", "apiPassword", "affiliateId")


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox(VENDOR) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox, monkeypatch):
    monkeypatch.setattr(http.Retries, "delay_s", lambda self, attempt: 0.01)
    one_sandbox.do(empty)
    one_sandbox.switch(VENDOR, export_delay_s=0.01)
    yield one_sandbox
    one_sandbox.idle()
    one_sandbox.calm(VENDOR)


def empty(sandbox):
    own = sandbox[VENDOR]
    for number in list(own.subscribers.records):
        own.subscribers.delete(number)
    for kept in (own.subscribers.suppressed, own.subscribers.events, own.loads):
        kept.clear()


@pytest.fixture
def connection(sandbox):
    known = sandbox.connection(VENDOR)
    return {name: known[name] for name in API}


@pytest.fixture
def listed(connection):
    """With a list whose subscription travels."""
    return {**connection, "listId": LIST, "newsletterField": "Subscribed"}


@pytest.fixture
def following(connection):
    """With the address that the platform knew last."""
    return {**connection, "previousEmailField": "BEFORE"}


def written(params, *records):
    """What a writer takes of records, and the code and reason for each of the others."""
    step = make(WRITER, params)

    async def run():
        async with step.opened():
            return (await step.write(Batch.from_objects(records))).to_objects()

    done = anyio.run(run)
    return done, [(each["code"], each["message"]) for each in rejects(step)]


def person(uid, **more):
    return {"UID": uid, "EMAIL": f"{uid}@example.com", **more}


def people(sandbox):
    return {row["UID"]: row for row in sandbox.rows(VENDOR, "subscribers")}


def calls(sandbox):
    return {row["operation"]: row["number"] for row in sandbox.rows(VENDOR, "calls")}


def state(sandbox, uid):
    fact = people(sandbox)[uid]["lists"].get(LIST)
    return None if fact is None else fact["reason"] or "on"


def leave(sandbox, uid, reason="w"):
    def act(own):
        known = own[VENDOR].subscribers
        known.unsubscribe(known.find_by("UID", uid), LIST, reason)

    sandbox.do(act)


# -- profiles ----------------------------------------------------------------------------------------------------------


def test_an_absent_field_is_left_alone_and_who_is_the_same_is_not_written(sandbox, connection):
    written(connection, person("u1", CITY="Bern", FNAME="Ada"), person("u2", CITY="Rom"))
    before = calls(sandbox)["setuser1"]
    assert written(connection, person("u1", CITY="Bern"), person("u2", ZIP="08001")) == (
        [person("u1", CITY="Bern"), person("u2", ZIP="08001")],
        [],
    )
    assert calls(sandbox)["setuser1"] == before + 1
    found = people(sandbox)
    assert (found["u1"]["FNAME"], found["u2"]["CITY"], found["u2"]["ZIP"]) == ("Ada", "Rom", "08001")
    assert state(sandbox, "u1") is None


def test_a_refused_record_is_rejected_alone(sandbox, connection):
    sandbox.do(lambda own: own[VENDOR].subscribers.suppressed.update({"u4@example.com": {"reason": "a"}}))
    records = [
        person("u1"),
        {**person("u2"), "EMAIL": "nonsense"},
        {"UID": "u3"},
        person("u4"),
        person("u5", SCORE="x"),
    ]
    done, refused = written(connection, *records, person("u6", sub=LIST))
    assert [record["UID"] for record in done] == ["u1"]
    assert [code for code, _ in refused] == ["LB-4631", "LB-4631", "LB-4635", "LB-4631", "LB-4631"]
    assert "err:email:illegal" in refused[0][1]
    assert "no EMAIL" in refused[1][1]
    assert "err:data:invalid number" in refused[3][1]
    assert "upper case" in refused[4][1], "a field is never taken for a parameter of the API"
    assert set(people(sandbox)) == {"u1"}


def test_suppressed_people_can_be_left_alone_in_place_of_rejected(sandbox, connection):
    sandbox.do(lambda own: own[VENDOR].subscribers.suppressed.update({"u1@example.com": {"reason": "b"}}))
    assert written({**connection, "blocked": "leave"}, person("u1")) == ([person("u1")], [])
    assert people(sandbox) == {}


def test_several_records_of_one_person_are_written_in_their_order(sandbox, connection):
    written(connection, *(person("u1", CITY=f"c{number}") for number in range(5)))
    assert people(sandbox)["u1"]["CITY"] == "c4"


def test_update_changes_who_is_there_and_makes_nobody(sandbox, connection):
    written(connection, person("u1"))
    done, refused = written({**connection, "action": "update"}, person("u1", CITY="Bern"), person("u2"))
    assert [record["UID"] for record in done] == ["u1"]
    assert refused == [("LB-4631", "there is no subscriber with the address")]
    assert people(sandbox)["u1"]["CITY"] == "Bern"


def test_a_subscriber_of_somebody_else_is_never_changed(sandbox, connection):
    written(connection, {**person("u1"), "EMAIL": "shared@example.com"})
    done, refused = written(connection, {**person("u2"), "EMAIL": "shared@example.com"})
    [(code, message)] = refused
    assert (done, code) == ([], "LB-4631")
    assert "another subscriber has the address" in message
    assert "look at the platform" in message, "a hint what to do"
    assert set(people(sandbox)) == {"u1"}


def test_of_two_people_with_one_address_one_is_written_and_one_rejected(sandbox, connection):
    both = [{**person(uid), "EMAIL": "shared@example.com"} for uid in ("u1", "u2")]
    done, refused = written(connection, *both)
    assert len(done) == 1
    assert [code for code, _ in refused] == ["LB-4631"]
    assert set(people(sandbox)) == {done[0]["UID"]}


# -- addresses ---------------------------------------------------------------------------------------------------------


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


def swap(*uids, **more):
    """Everybody gets the address of the next one, and the last one that of the first."""
    return [
        {**person(uid, **more), "EMAIL": f"{other}@example.com", "BEFORE": f"{uid}@example.com"}
        for uid, other in zip(uids, [*uids[1:], uids[0]], strict=True)
    ]


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


def held_up(sandbox, monkeypatch, *happenings):
    """Lets things happen at the platform, one after the other, while the step waits after a failed call."""
    left = list(happenings)

    def delay_s(self, attempt):
        if left:
            sandbox.do(left.pop(0))
        return 0.01

    monkeypatch.setattr(http.Retries, "delay_s", delay_s)


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


# -- subscriptions -----------------------------------------------------------------------------------------------------


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


@pytest.fixture
def both(listed):
    """With a list, and with the address that the platform knew last."""
    return {**listed, "previousEmailField": "BEFORE"}


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


# -- bulk --------------------------------------------------------------------------------------------------------------


def test_bulk_loads_profiles_without_an_empty_cell_and_without_a_subscription(sandbox, listed, connection):
    written(listed, person("u1", CITY="Bern", ZIP="1", Subscribed="Yes"))
    bulk = {**connection, "bulk": True, "masterList": True}
    sandbox.switch(VENDOR, load_list_parameter="list")
    bulk["loadListParameter"] = "list"
    records = [person("u1", CITY="Rom"), person("u2", ZIP="2"), person("u1", CITY="Oslo"), {"UID": "u3"}]
    done, refused = written(bulk, *records)
    sandbox.idle()
    assert (done, [code for code, _ in refused]) == (records[:3], ["LB-4631"])
    found = people(sandbox)
    assert (found["u1"]["CITY"], found["u1"]["ZIP"], found["u2"]["ZIP"]) == ("Oslo", "1", "2")
    assert (state(sandbox, "u1"), state(sandbox, "u2")) == ("on", None)
    assert {row["LIST"] for row in sandbox.rows(VENDOR, "loads")} == {"0"}


# -- bad weather -------------------------------------------------------------------------------------------------------


def test_a_session_that_has_ended_is_replaced_once(sandbox, connection):
    sandbox.fail("token_expiry", times=1)
    assert len(written(connection, person("u1"))[0]) == 1
    sandbox.fail("token_expiry")
    with pytest.raises(AuthError):
        written(connection, person("u2"))


def test_lost_replies_limits_and_internal_errors_lose_and_double_nothing(sandbox, listed):
    for kind in ("lost_reply", "rate_limit", "concurrency"):
        sandbox.fail(kind, operation="*user1", skip=5, times=4)
    records = [person(f"u{number}", Subscribed="Yes") for number in range(60)]
    assert written(listed, *records) == (records, [])
    assert len(sandbox.rows(VENDOR, "subscribers")) == 60
    assert {state(sandbox, f"u{number}") for number in range(60)} == {"on"}


@pytest.mark.parametrize("kind", ["rate_limit", "concurrency"])
def test_a_platform_that_stays_out_of_order_ends_the_job_as_passing(sandbox, connection, kind):
    sandbox.fail(kind)
    with pytest.raises(TransientError):
        written(connection, person("u1"))


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"apiPassword": "wrong-password"}, AuthError, "LB-2104"),
        ({"affiliateId": "1"}, ConnectionFailed, "LB-2321"),
        ({"listId": "77"}, FlowError, "LB-1521"),
        ({"url": "http://127.0.0.1:9"}, ConnectionFailed, "LB-2101"),
    ],
)
def test_what_is_wrong_is_told_in_one_error(listed, change, kind, code):
    with pytest.raises(kind) as caught:
        written({**listed, **change}, person("u1", Subscribed="Yes"))
    assert caught.value.code == code
    assert listed["apiPassword"] not in str(caught.value)
    assert "wrong-password" not in str(caught.value)


def test_a_column_that_the_account_lacks_ends_the_job(connection):
    with pytest.raises(FlowError, match="field:name"):
        written(connection, person("u1", NONSENSE="x"))


def test_an_address_that_answers_otherwise_is_told(sandbox, connection):
    with pytest.raises(ConnectionFailed) as caught:
        written({**connection, "url": sandbox.sandbox.url}, person("u1"))
    assert caught.value.code == "LB-2107"


# -- what would happen -------------------------------------------------------------------------------------------------


def foreseen(params, *records):
    step = make(WRITER, params)

    async def run():
        async with step.opened():
            return await step.forecast(Batch.from_objects(records))

    return anyio.run(run)


def test_a_dry_run_tells_what_would_become_of_each(sandbox, listed, connection):
    written(listed, person("u1", CITY="Bern", Subscribed="Yes"), person("u2", Subscribed="Yes"))
    before = people(sandbox)
    records = [person("u1", CITY="Bern"), person("u2", CITY="Rom"), person("u3"), {"UID": "u4"}]
    told = foreseen(listed, *records, person("u2", Subscribed="No"))
    wanted = [Verdict.UNCHANGED, Verdict.UPDATE, Verdict.CREATE, Verdict.INVALID, Verdict.UPDATE]
    assert [each.verdict for each in told] == wanted
    assert [each.opts_out for each in told] == [False] * 4 + [True]
    leaving = foreseen({**connection, "action": "unsubscribe", "listId": LIST}, person("u1"), person("u9"))
    assert [(each.verdict, each.opts_out) for each in leaving] == [(Verdict.UPDATE, True), (Verdict.UNCHANGED, False)]
    [loaded] = foreseen({**connection, "bulk": True, "masterList": True}, person("u1"))
    assert loaded.verdict is Verdict.CANNOT_TELL
    assert people(sandbox) == before


def test_a_check_tells_what_is_fit_and_what_is_not(connection):
    async def run(params):
        return [(each.what, each.verdict) async for each in check.tested(make(WRITER, params))]

    assert anyio.run(run, {**connection, "listId": LIST}) == [("login", "ok"), ("subscribers", "ok"), ("list", "ok")]
    assert anyio.run(run, {**connection, "listId": "77"})[-1] == ("list", "warning")
    assert anyio.run(run, {**connection, "apiPassword": "wrong"}) == [("connection", "failed")]
