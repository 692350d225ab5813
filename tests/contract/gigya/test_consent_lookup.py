"""Opt-outs that come back: an old one does not undo a newer yes, and without times the opt-out counts."""

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import ValidationError

from landbridge.components.registry import get
from landbridge.errors import FlowError
from tests.contract.gigya.local_site import written

STEP = "datasource.lookup.gigya.consent"
SUBSCRIPTION = "subscriptions.newsletter.email.isSubscribed"
CONSENT = "preferences.privacy.marketing.isConsentGranted"
YES_AT = "2026-03-10T10:15:30.500Z"
BEFORE, AFTER = "2026-03-10T10:15:29.400Z", "2026-03-10T10:15:31Z"

_numbers = itertools.count(1)


@pytest.fixture
def person(site):
    """Makes an account as it is asked for; gives its UID."""
    made = []

    def make(**parts):
        uid = f"consent-{next(_numbers)}"
        parts = {"profile": {"email": f"{uid}@example.com"}, "lang": "en", **parts}
        reply = site.call("accounts.importFullAccount", UID=uid, importPolicy="upsert", **parts)
        assert reply["errorCode"] == 0, reply
        made.append(uid)
        return uid

    yield make
    for uid in made:
        site.call("accounts.deleteAccount", UID=uid)


def subscribed(value=True, at=YES_AT):
    return {"subscriptions": {"newsletter": {"email": {"isSubscribed": value, "lastUpdatedSubscriptionState": at}}}}


def consented(value=True, at=YES_AT, modified=None):
    times = {"actionTimestamp": at, "lastConsentModified": modified or at}
    return {"preferences": {"privacy": {"marketing": {"isConsentGranted": value, **times}}}}


def out(uid, at=BEFORE, field=SUBSCRIPTION, value=False):
    """A record that opts out, as the templates make it."""
    inner = value
    for key in reversed(field.split(".")):
        inner = {key: inner}
    return {"UID": uid, **inner} | ({} if at is None else {"at": at})


def remains(site, *rows, **params):
    done, rejects = written(site.component(STEP, **{"field": SUBSCRIPTION, "timeField": "at", **params}), rows)
    assert rejects == []
    return done


@pytest.mark.parametrize("value", [False, "false", "No", 0])
def test_an_opt_out_that_is_older_than_the_yes_is_left_out_and_a_newer_one_stays(site, person, value):
    uid = person(**subscribed())
    newer = out(uid, AFTER, value=value)
    assert remains(site, out(uid, BEFORE, value=value), newer) == [newer]


@pytest.mark.parametrize(
    "at",
    [
        None,
        "",
        "some day",
        YES_AT,
        "2026-03-10T10:15:30Z",  # somewhere within that second
        "2026-03-10T10:15:00Z",  # perhaps rounded to the minute
        "2026-03-10T10:15",
        "2026-03-10T00:00:00.000Z",  # perhaps rounded to the day
        "2026-03-10",
    ],
)
def test_an_opt_out_counts_unless_it_is_certainly_older(site, person, at):
    row = out(person(**subscribed()), at)
    assert remains(site, row) == [row]


@pytest.mark.parametrize(
    "parts",
    [
        subscribed(value=False),
        {},
        {"data": {"subscribed": True}},
    ],
)
def test_an_opt_out_counts_where_the_account_says_no_or_does_not_tell_since_when(site, person, parts):
    row = out(person(**parts), "2020-01-01T10:15:31Z")
    assert remains(site, row) == [row]


def test_a_field_of_ones_own_has_a_time_only_where_it_is_named(site, person):
    uid = person(data={"subscribed": "Yes", "subscribedAt": YES_AT})
    old, new = out(uid, BEFORE, field="data.subscribed"), out(uid, AFTER, field="data.subscribed")
    assert remains(site, old, new, field="data.subscribed") == [old, new]
    assert remains(site, old, new, field="data.subscribed", consentTimeField="data.subscribedAt") == [new]


def test_of_a_consents_times_the_earlier_one_counts(site, person):
    first = person(**consented())
    anew = person(**consented(modified="2026-03-01T00:00:01.000Z"))
    rows = [out(uid, BEFORE, field=CONSENT) for uid in (first, anew)]
    assert remains(site, *rows, field=CONSENT) == rows[1:]


def test_records_without_an_account_or_an_opt_out_are_let_pass(site, person):
    uid = person(**subscribed())
    rows = [out("nobody"), out(uid, value=True), {"UID": uid, "at": BEFORE}, {"at": BEFORE}, out("")]
    assert remains(site, *rows) == rows


def test_only_the_consent_goes_where_the_record_has_more_to_tell_and_the_order_stays(site, person):
    uid = person(**subscribed())
    rows = [{**out(uid, at), "n": number} for number, at in enumerate([AFTER, BEFORE, None, BEFORE, AFTER])]
    done = remains(site, *rows, olderBehavior="process")
    assert [row["n"] for row in done] == [0, 1, 2, 3, 4]
    assert [row["n"] for row in done if row.get("subscriptions")] == [0, 2, 4]


def test_times_are_read_as_the_form_says(site, person):
    uid = person(**subscribed())
    told = {"timeFormat": "dd-MMM-yyyy HH:mm:ss", "timeZone": "America/New_York"}  # four hours behind by then
    rows = [out(uid, "10-Mar-2026 06:15:29"), out(uid, "10-Mar-2026 06:15:31")]
    assert remains(site, *rows, **told) == rows[1:]
    days = [out(uid, "09-Mar-2026"), out(uid, "10-Mar-2026")]
    assert remains(site, *days, timeFormat="dd-MMM-yyyy") == days[1:]
    # Where nobody knows the zone: the day that ends last on earth.
    assert remains(site, *days, timeFormat="dd-MMM-yyyy", timeZone="Etc/GMT+12") == days


def test_an_hour_that_occurs_twice_is_the_second_one(site, person):
    uid = person(**subscribed(at="2026-10-25T00:45:00.000Z"))
    row = out(uid, "25-Oct-2026 02:30:10")
    assert remains(site, row, timeFormat="dd-MMM-yyyy HH:mm:ss", timeZone="Europe/Zurich") == [row]


def test_a_yes_that_came_from_the_same_place_is_as_old_as_its_note(site, person):
    """It was written at YES_AT, and given before the opt-out, which comes in another file."""
    notes = {"optInNoteField": "data.there.optedInAt", "optOutNoteField": "data.there.optedOutAt"}

    def noted(**times):
        row = out(person(data={"there": times}, **subscribed()), BEFORE)
        return remains(site, row, **notes) == [row]

    earlier, between = "2026-03-10T08:00:00Z", "2026-03-10T10:15:30.450Z"
    assert noted(optedInAt=earlier)
    assert noted(optedInAt=earlier, optedOutAt="2026-03-09T08:00:00Z")
    assert not noted(optedInAt=between)
    assert not noted(optedInAt=earlier, optedOutAt=BEFORE), "that opt-out has been brought before: the yes is a new one"
    assert not noted()


def test_an_opt_in_does_not_undo_a_no_that_was_said_since(site, person):
    refusing, silent, own = person(**subscribed(value=False)), person(), person(data={"subscribed": False})
    ins = [out(refusing, BEFORE, value=True), out(refusing, YES_AT, value=True)]
    others = [out(refusing, AFTER, value=True), out(silent, BEFORE, value=True), out(refusing, None, value=True)]
    assert remains(site, *ins, *others, optIns=True) == others
    assert remains(site, *ins) == ins, "without optIns only opt-outs are compared"
    undated = out(own, BEFORE, field="data.subscribed", value=True)
    assert remains(site, undated, field="data.subscribed", optIns=True) == [undated]
    both = [out(person(**subscribed()), BEFORE), out(refusing, AFTER, value=True)]
    assert remains(site, *both, optIns=True) == both[1:]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shift=st.integers(-90_000, 90_000))
def test_who_opted_out_after_the_yes_is_never_left_out(site, person, shift):
    """Whatever the form of the time, by seconds, minutes or days."""
    moment = datetime.fromisoformat(YES_AT) + timedelta(seconds=shift)
    uid = person(**subscribed())
    forms = ("%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d")
    rows = [out(uid, moment.strftime(form)) for form in forms]
    done = remains(site, *rows)
    assert done == rows if shift >= 0 else rows[0] not in done


@pytest.mark.parametrize(
    "wrong",
    [{"timeFormat": "dd-MMM HH:mm"}, {"timeFormat": "foo"}, {"timeZone": "Mars/Olympus"}, {"field": "a..b"}],
)
def test_parameters_that_cannot_mean_anything_are_refused(wrong):
    params = get(STEP).Params
    with pytest.raises((ValidationError, FlowError)):
        params.model_validate({"field": SUBSCRIPTION, "timeField": "at", **wrong})
