"""Guards: what is counted, what trips, and that an opt-out is never undone."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow import Dataflow
from landbridge.engine.consent import ConsentField, FileLedger, MemoryLedger, OptOut, consents_of, raised, withdrawn
from landbridge.engine.guard_settings import ConsentRule, FlowGuards, GuardSettings, Threshold
from landbridge.engine.guards import Rules, Tally, Watch, tripped, trips_of
from landbridge.engine.lint import lint
from landbridge.errors import FlowError, StorageError
from landbridge.records import Batch
from landbridge.records.consents import moment
from landbridge.records.json_batch import JsonBatch
from landbridge.records.shred import Shredder

NOW = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)
NEWS = "subscriptions.news.email"


class Remembered:
    """The last good run, by step."""

    def __init__(self, **steps):
        self.steps = steps

    def last(self, step):
        return self.steps.get(step)


def rules(*, last=None, settings=None, **changes):
    history = Remembered(write=last.as_json()) if last else None
    return Rules(settings=FlowGuards(settings or GuardSettings()), history=history, **changes)


def trips(tally, *, writes_files=False, **given):
    return trips_of("write", tally, rules(**given), writes_files=writes_files)


def guards(found):
    return [trip.guard for trip in found]


def test_a_change_is_compared_with_the_last_good_run():
    last = Tally(records=10_000, deactivations=3000)
    assert trips(Tally(records=10_000, deactivations=3900), last=last) == []
    assert guards(trips(Tally(records=10_000, deactivations=4001), last=last)) == ["deactivations"]
    small = Tally(records=100)
    assert trips(Tally(records=100, opt_outs=20), last=small) == []
    assert guards(trips(Tally(records=100, opt_outs=21), last=small)) == ["optOuts"]


def test_without_a_last_run_absolute_numbers_count_and_only_for_writers_of_records():
    many = Tally(records=50_000, opt_outs=1001, deletes=101)
    assert guards(trips(many)) == ["optOuts", "deletes"]
    assert trips(many, writes_files=True) == []
    assert guards(trips(many, writes_files=True, last=Tally(records=50_000))) == ["optOuts", "deletes"]


def test_an_empty_source_trips_after_a_run_with_records_unless_only_changes_are_read():
    last = Tally(records=5)
    assert guards(trips(Tally(), last=last)) == ["emptySource"]
    assert trips(Tally(), last=last, is_delta=True) == []
    assert trips(Tally()) == []
    assert guards(trips(Tally(), settings=GuardSettings(empty_source="always"))) == ["emptySource"]
    assert trips(Tally(), last=last, settings=GuardSettings(empty_source="never")) == []


def test_an_approval_is_for_exactly_what_was_seen():
    [trip] = trips(Tally(records=20_000, deletes=500))
    assert trips(Tally(records=20_000, deletes=500), approved={trip.approval}) == []
    assert guards(trips(Tally(records=20_000, deletes=501), approved={trip.approval})) == ["deletes"]
    rules = Rules(how_to_approve=lambda codes: f"say {' and '.join(codes)}")
    assert f"approve it once: say {trip.approval}" in tripped([trip], rules).hint


def test_a_threshold_can_be_switched_off():
    off = GuardSettings(deletes=False, duplicates=False)
    assert trips(Tally(records=10_000, deletes=10_000, duplicates=5), settings=off) == []


def watch(batch, *, folder, **given):
    one = Watch("write", rules(**given), folder=folder, at=NOW, writes_files=False)
    passed, refused = one.look(Batch.from_objects(batch))
    tally = one.finish()
    one.close()
    return passed, refused, tally


def test_a_watch_counts_opt_outs_deactivations_and_repeated_uids(tmp_path):
    _, _, tally = watch(
        [
            {"UID": "a", "isActive": False, "subscriptions": {"news": {"email": {"isSubscribed": False}}}},
            {"UID": "b", "isActive": "false", "preferences": {"privacy": {"x": {"isConsentGranted": False}}}},
            {"UID": "a", "isActive": True, "subscriptions": {"news": {"email": {"isSubscribed": True}}}},
            {"UID": "c", "data": {"isSubscribed": False}},
        ],
        folder=tmp_path,
    )
    assert (tally.records, tally.opt_outs, tally.deactivations, tally.duplicates) == (4, 2, 2, 1)


def test_consents_are_found_in_whole_objects_and_dotted_keys():
    rows = [
        {"subscriptions": {"a.b.email.isSubscribed": False}},
        {"subscriptions": {"a": {"b": {"email": {"isSubscribed": True}}}}},
        {"subscriptions": [1]},
    ]
    told = {}
    for consents in consents_of(Batch.from_objects(rows), []):
        told.setdefault(consents.purpose, []).append((consents.rows(granted=True), consents.rows(granted=False)))
    assert told == {"subscriptions.a.b.email": [([], [0]), ([1], [])]}


def row(uid, granted, time=None, **more):
    email = {"isSubscribed": granted} | ({"lastUpdatedSubscriptionState": time} if time else {})
    return {"UID": uid, "subscriptions": {"news": {"email": email}}, **more}


MARKETING = "preferences.privacy.marketing"


@pytest.mark.parametrize("told", [True, "true", "Yes", " y ", 1, "1"])
def test_a_consent_of_the_site_is_read_in_all_usual_words(told):
    [consents] = consents_of(Batch.from_objects([{"subscriptions": {"news": {"email": {"isSubscribed": told}}}}]), [])
    assert (consents.rows(granted=True), consents.rows(granted=False)) == ([0], [])


@pytest.mark.parametrize("told", ["maybe", "", "2", 2])
def test_what_is_neither_yes_nor_no_withdraws_nothing_and_grants_nothing(told):
    [consents] = consents_of(Batch.from_objects([{"subscriptions": {"news": {"email": {"isSubscribed": told}}}}]), [])
    assert (consents.rows(granted=True), consents.rows(granted=False)) == ([], [])


@pytest.mark.parametrize("whole", [False, True])
def test_the_declared_time_of_one_of_the_sites_own_fields_counts(whole):
    declared = [ConsentField(f"{MARKETING}.isConsentGranted", ("true",), MARKETING, "said.at")]
    out, later = NOW - timedelta(days=3), NOW - timedelta(days=1)

    def record(granted, at):
        own = {"privacy": {"marketing": {"isConsentGranted": granted}}}
        if whole:
            own["privacy"] |= {"tags": [1]}
        return {"UID": "u1", "preferences": own, "said": {"at": at.isoformat()}}

    ledger = MemoryLedger()
    ledger.keep(withdrawn(Batch.from_objects([record(False, out)]), at=NOW, declared=declared))
    assert ledger.opt_outs(["uid:u1"]) == {"uid:u1": {MARKETING: out}}
    assert raised(Batch.from_objects([record(True, later)]), ledger, declared=declared) == []
    assert raised(Batch.from_objects([record(True, out)]), ledger, declared=declared) == [0]


def test_a_declared_field_without_a_time_of_its_own_has_the_sites_and_other_spellings_still_count():
    declared = [ConsentField(f"{NEWS}.isSubscribed", ("true",), NEWS)]
    at = {"lastUpdatedSubscriptionState": NOW.isoformat()}
    nested = {"UID": "a", "subscriptions": {"news": {"email": {"isSubscribed": False, **at}}}}
    dotted = {"UID": "b", "subscriptions": {"news.email.isSubscribed": False}}
    later = NOW + timedelta(days=1)
    found = withdrawn(Batch.from_objects([nested, dotted]), at=later, declared=declared)
    assert {out.key: out.at for out in found} == {"uid:a": NOW, "uid:b": later}


def test_consent_is_raised_only_by_a_newer_yes():
    ledger = MemoryLedger()
    ledger.keep([OptOut("uid:a", NEWS, NOW), OptOut("uid:b", "subscriptions.other.email", NOW)])
    later, earlier = (NOW + timedelta(days=1)).isoformat(), (NOW - timedelta(days=1)).isoformat()
    rows = [
        row("a", granted=True),
        row("a", granted=True, time=earlier),
        row("a", granted=True, time=NOW.isoformat()),
        row("a", granted=True, time=later),
        row("a", granted=False),
        row("b", granted=True),
        row("c", granted=True),
    ]
    assert raised(Batch.from_objects(rows), ledger) == [0, 1, 2]


def test_an_opt_out_is_known_by_address_when_the_uid_is_another():
    ledger = MemoryLedger()
    out = Batch.from_objects([row("old", granted=False, profile={"email": "Ada@Example.com "})])
    ledger.keep(withdrawn(out, at=NOW))
    again = Batch.from_objects([row("new", granted=True, profile={"email": "ada@example.com"})])
    assert raised(again, ledger) == [0]


def test_declared_fields_speak_of_the_same_purpose(tmp_path):
    rule = ConsentRule.model_validate(
        {"fields": [{"field": "STATUS", "granted": ["I"], "purpose": NEWS, "time": "AT"}], "uid": "CUSTOMER_ID_"}
    )
    ledger = MemoryLedger()
    ledger.keep(withdrawn(Batch.from_objects([row("a", granted=False)]), at=NOW))
    rows = [{"CUSTOMER_ID_": "a", "STATUS": "I"}, {"CUSTOMER_ID_": "a", "STATUS": "O"}, {"CUSTOMER_ID_": "a"}]
    _, _, tally = watch(rows, folder=tmp_path, settings=GuardSettings(consent=rule), ledger=ledger)
    assert (tally.raises, tally.opt_outs) == (1, 1)


def test_records_may_be_rejected_in_place_of_stopping_the_job(tmp_path):
    ledger = MemoryLedger()
    ledger.keep([OptOut("uid:a", NEWS, NOW)])
    settings = GuardSettings(consent=ConsentRule(action="reject"))
    rows = [row("a", granted=True), row("b", granted=True)]
    passed, refused, tally = watch(rows, folder=tmp_path, settings=settings, ledger=ledger)
    assert [found["UID"] for found in passed.to_objects()] == ["b"]
    assert [(batch.to_objects()[0]["UID"], error.code) for batch, [error] in refused] == [("a", "LB-5206")]
    assert trips(tally, settings=settings) == []


PEOPLE = st.sampled_from(["a", "b"])
EVENTS = st.lists(st.tuples(PEOPLE, st.booleans(), st.integers(0, 6) | st.none()), max_size=12)


@given(events=EVENTS)
def test_whatever_comes_an_opt_out_holds_until_a_newer_yes(events):
    """Against a reference that remembers the last opt-out of each person."""
    ledger, last = MemoryLedger(), {}
    for uid, granted, day in events:
        time = None if day is None else NOW + timedelta(days=day)
        batch = Batch.from_objects([row(uid, granted, time.isoformat() if time else None)])
        must_stop = granted and uid in last and (time is None or time <= last[uid])
        assert raised(batch, ledger) == ([0] if must_stop else [])
        ledger.keep(withdrawn(batch, at=NOW))
        if not granted:
            last[uid] = max(last.get(uid, time or NOW), time or NOW)


def test_a_ledger_in_a_file_remembers_and_names_nobody(tmp_path):
    path = tmp_path / "ledger.jsonl"
    batch = Batch.from_objects([row("u1", granted=False, profile={"email": "ada@example.com"})])
    for _ in range(2):
        FileLedger(path).keep(withdrawn(batch, at=NOW))
    assert len(path.read_text().splitlines()) == 2, "what is known is not written again"
    assert "ada" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert raised(Batch.from_objects([row("u1", granted=True)]), FileLedger(path)) == [0]
    path.write_text("no ledger\n")
    with pytest.raises(StorageError) as caught:
        FileLedger(path)
    assert caught.value.code == "LB-7007"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02T04:30:00Z", NOW),
        ("2026-03-02T05:30:00+01:00", NOW),
        ("2026-03-02 04:30:00", NOW),
        (str(int(NOW.timestamp() * 1000)), NOW),
        ("yesterday", None),
        ("", None),
        (None, None),
        ("9" * 30, None),
    ],
)
def test_the_time_of_a_consent_is_read_in_any_usual_form(text, expected):
    assert moment(text) == expected


def flow(guards):
    document = {"name": "f", "landbridge": {"guards": guards}, "steps": [{"id": "write", "type": "x"}]}
    return Dataflow.from_json(document)[0]


def test_a_step_has_the_thresholds_of_the_dataflow_with_its_own_on_top():
    found = FlowGuards.read(flow({"optOuts": {"more": 5}, "steps": {"write": {"deletes": False}}}))
    assert found.of("write").opt_outs == Threshold(more=5)
    assert found.of("write").deletes is False
    assert found.of("other").deletes == Threshold(more=100, percent=10)


@pytest.mark.parametrize(
    "guards",
    [
        {"optOut": {"more": 5}},
        {"optOuts": {"more": -1}},
        {"optOuts": {"percent": 101}},
        {"steps": {"nobody": {}}},
        {"steps": []},
        {"consent": {"fields": [{"field": "a..b", "granted": ["Y"], "purpose": "p"}]}},
        {"emptySource": "sometimes"},
        [],
    ],
)
def test_thresholds_that_cannot_be_understood_are_an_error_with_their_place(guards):
    with pytest.raises(FlowError) as caught:
        FlowGuards.read(flow(guards))
    assert caught.value.code == "LB-1751"
    assert "landbridge.guards" in caught.value.message


def test_thresholds_survive_a_dataflow_that_is_written_again():
    assert Dataflow.load(flow({"optOuts": False}).dump()).raw["landbridge"] == {"guards": {"optOuts": False}}


FLAGS = st.sampled_from([True, False, "false", "TRUE", None, 3])
SUBSCRIPTION = st.dictionaries(
    st.sampled_from(["isSubscribed", "lastUpdatedSubscriptionState", "other"]), FLAGS | st.just("2026-03-02T04:30:00Z")
)
ACCOUNTS = st.dictionaries(
    st.sampled_from(["UID", "uid", "isActive", "ISACTIVE", "email", "x", "profile", "subscriptions", "preferences"])
    | st.just("subscriptions.news.email.isSubscribed"),
    FLAGS
    | st.sampled_from(["a", "b", "isSubscribed", "Subscriptions"])
    | st.dictionaries(st.sampled_from(["news", "email", "isConsentGranted"]), FLAGS | SUBSCRIPTION)
    | st.dictionaries(st.just("news"), st.dictionaries(st.just("email"), SUBSCRIPTION)),
    max_size=6,
)


@given(batches=st.lists(st.lists(ACCOUNTS, min_size=1, max_size=5), max_size=4), escaped=st.booleans())
def test_guards_see_in_the_text_of_records_what_they_see_in_their_columns(tmp_path_factory, batches, escaped):
    told = []
    for as_text in (True, False):
        shredder, ledger = Shredder(as_text=as_text), MemoryLedger()
        ledger.keep([OptOut("uid:a", NEWS, NOW)])
        folder = tmp_path_factory.getbasetemp()
        one = Watch("write", rules(ledger=ledger), folder=folder, at=NOW, writes_files=False)
        for rows in batches:
            text = msgspec.json.encode(rows)
            one.look(shredder.array(text.replace(b'"is', b'"\\u0069s') if escaped else text))
        told.append((one.finish(), ledger._known))
        one.close()
    assert told[0] == told[1]


def test_what_no_guard_looks_at_stays_text(tmp_path):
    def shred(_):
        raise AssertionError("columns were made")

    batch = JsonBatch(pa.array(['{"UID":"a","isActive":false}']), shred)
    idle = Watch("out", rules(), folder=tmp_path, at=NOW, writes_files=True)
    assert idle.look(batch) == (batch, [])
    assert (idle.looks, idle.finish().records, idle.tally.deactivations) == (False, 1, 0)
    remembered = Watch("out", rules(last=Tally()), folder=tmp_path, at=NOW, writes_files=True)
    assert remembered.look(batch) == (batch, [])
    assert (remembered.looks, remembered.finish().deactivations) == (True, 1)


@pytest.mark.parametrize(
    ("guards", "codes"),
    [
        ({}, []),
        ({"consent": {"action": "reject"}}, []),
        ({"consent": {"action": "off"}}, ["LB-1752"]),
        ({"steps": {"write": {"consent": {"action": "off"}}}}, ["LB-1752"]),
        ({"consent": {"action": "of"}}, ["LB-1751"]),
    ],
)
def test_lint_tells_guards_that_are_wrong_or_undo_opt_outs(guards, codes):
    flow = {
        "name": "f",
        "landbridge": {"guards": guards},
        "steps": [{"id": "write", "type": "file.empty", "params": {}}],
    }
    found = {problem.code for problem in lint(json.dumps(flow), InstalledComponents())}
    assert sorted(found & {"LB-1751", "LB-1752"}) == codes
