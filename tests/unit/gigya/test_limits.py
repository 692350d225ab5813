"""Paces and limits by a clock of our own; repetitions; codes."""

import pytest
from hypothesis import given, strategies as st

from landbridge.errors import AuthError, ConnectionFailed, FlowError, QuotaError, TransientError
from landbridge.remote.gigya_errors import CallRefused, CallUnfinished, Envelope, failure, is_done, unknown_outcome
from landbridge.remote.gigya_limits import IMPORTS_PER_MINUTE, TIERS, ImportLimit
from landbridge.remote.http import Attempt, Pace, Paces, Repetition, Retries


@given(st.floats(1, 1000), st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_in_any_time_no_more_calls_pass_than_the_pace_allows(per_s, gaps):
    pace, now, passed = Pace(per_s), 1000.0, []
    for gap in gaps:
        now += gap
        passed.append(now + pace.reserve(now))
    assert passed == sorted(passed)
    for first in range(0, len(passed), 7):
        for last in range(first, len(passed), 11):
            allowed = (passed[last] - passed[first] + Pace._CATCH_UP_S) * per_s + 1 + 1e-6
            assert last - first + 1 <= allowed + 1e-6 * len(passed)


def test_waiting_calls_use_the_whole_pace():
    pace = Pace(100)
    waits = [pace.reserve(50.0) for _ in range(1001)]
    assert waits[-1] == pytest.approx(10.0 - Pace._CATCH_UP_S)


def test_without_a_limit_nobody_waits_except_after_a_pause():
    pace = Pace(None)
    assert [pace.reserve(50.0) for _ in range(3)] == [0, 0, 0]


def test_the_lower_of_two_rates_counts():
    paces = Paces()
    assert paces.of(("site", "call"), 100) is paces.of(("site", "call"), 50)
    assert paces.of(("site", "call"), None).per_s == 50
    assert paces.of(("other", "call"), 100).per_s == 100


def test_an_account_is_imported_five_times_a_minute():
    limit = ImportLimit()
    assert [limit.reserve("a", 100.0 + n) for n in range(IMPORTS_PER_MINUTE)] == [0] * 5
    assert limit.reserve("b", 104.0) == 0
    assert limit.reserve("a", 105.0) == pytest.approx(55.0)
    assert limit.reserve("a", 300.0) == 0


def test_the_import_limit_forgets_accounts_of_earlier_minutes():
    limit = ImportLimit()
    for number in range(1000):
        limit.reserve(f"u{number}", 100.0)
    limit.reserve("late", 500.0)
    assert len(limit._times) == 1


def test_tiers_are_those_of_the_acceptable_use_policy():
    assert TIERS["5M"] == (10, 120)
    assert TIERS["over50M"] == (50, 630)


def test_delays_grow_and_have_an_end():
    retries = Retries(attempts=10, first_delay_s=1, longest_delay_s=8)
    for attempt, longest in ((1, 1), (2, 2), (3, 4), (4, 8), (9, 8)):
        assert longest / 2 <= retries.delay_s(attempt) <= longest


def test_a_repetition_ends_after_its_attempts_and_obeys_the_other_side():
    repetition = Repetition(Retries(attempts=3, first_delay_s=0.1), may_repeat=True, unknown=unknown_outcome)
    error = TransientError("LB-3101", "lost")
    assert repetition.delay_s(Attempt(error, is_certain=True, wait_s=7)) == 7
    assert not repetition.is_uncertain
    assert repetition.delay_s(Attempt(error, is_certain=False)) < 1
    assert repetition.is_uncertain
    with pytest.raises(TransientError):
        repetition.delay_s(Attempt(error, is_certain=True))


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (400093, "", AuthError),
        (403002, "", AuthError),
        (403007, "", AuthError),
        (403005, "The supplied userkey was not found", AuthError),
        (403005, "Unauthorized user", CallRefused),
        (301001, "", ConnectionFailed),
        (405001, "", FlowError),
        (400003, "", CallRefused),
        (500003, "", CallRefused),
        (206001, "", CallRefused),
    ],
)
def test_a_code_means_one_way_of_recovery(code, details, kind):
    reply = Envelope(error_code=code, error_details=details)
    found = failure(reply, "accounts.x", place="site", secrets=(), uncertain=False)
    assert type(found) is kind


@pytest.mark.parametrize(
    ("code", "kind", "certain"),
    [
        (403048, QuotaError, True),
        (409030, CallUnfinished, True),
        (503001, CallUnfinished, True),
        (500001, CallUnfinished, False),
        (500026, CallUnfinished, False),
        (500028, CallUnfinished, False),
        (504001, CallUnfinished, False),
        (504002, CallUnfinished, False),
    ],
)
def test_these_codes_and_no_others_are_tried_again(code, kind, certain):
    found = failure(Envelope(error_code=code), "accounts.x", place="site", secrets=(), uncertain=False)
    assert isinstance(found, Attempt)
    assert (type(found.error), found.is_certain) == (kind, certain)


@pytest.mark.parametrize(
    ("code", "done"), [(0, True), (200008, True), (200010, True), (200001, False), (206001, False)]
)
def test_some_codes_are_a_success_with_a_remark(code, done):
    assert is_done(code) is done
