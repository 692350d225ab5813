"""Logins that fail slow down."""

import pytest
from hypothesis import given, strategies as st

from landbridge.errors import AccessRefused
from landbridge.server.throttling import (
    FORGOTTEN_S,
    FREE_FOR_ACCOUNT,
    FREE_FOR_ADDRESS,
    MAX_DELAY_S,
    LoginThrottle,
)


class Clock:
    """Seconds that go forward when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def throttle(clock):
    return LoginThrottle(clock)


def wait_of(throttle, account, address="10.0.0.1"):
    """Seconds to wait; an attempt is counted where there is none."""
    try:
        throttle.begin(account, address)
    except AccessRefused as refused:
        found = refused
    else:
        return 0
    assert (found.code, found.status) == ("LB-8007", 429)
    return found.retry_after_s


def test_the_delays_of_an_account_grow_to_a_bound(throttle, clock):
    assert [wait_of(throttle, "ada") for _ in range(FREE_FOR_ACCOUNT)] == [0] * FREE_FOR_ACCOUNT
    delays = []
    for _ in range(12):
        delays.append(wait_of(throttle, "ada"))
        clock.now += delays[-1]
        assert wait_of(throttle, "ada") == 0
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, MAX_DELAY_S, MAX_DELAY_S, MAX_DELAY_S]


def test_asking_while_one_has_to_wait_makes_it_no_longer(throttle, clock):
    for _ in range(FREE_FOR_ACCOUNT):
        wait_of(throttle, "ada")
    assert {wait_of(throttle, "ada") for _ in range(100)} == {1}
    clock.now += 1
    assert wait_of(throttle, "ada") == 0


def test_a_login_makes_good_what_failed_before(throttle, clock):
    for _ in range(FREE_FOR_ACCOUNT - 1):
        wait_of(throttle, "ada")
    throttle.begin("Ada ", "10.0.0.1")  # the same account, however it is typed
    throttle.succeeded("ada", "10.0.0.1")
    assert [wait_of(throttle, "ada") for _ in range(FREE_FOR_ACCOUNT)] == [0] * FREE_FOR_ACCOUNT


def test_an_address_that_tries_many_accounts_is_slowed_down_and_others_are_not(throttle):
    waits = [wait_of(throttle, f"user{number}") for number in range(FREE_FOR_ADDRESS + 1)]
    assert waits == [0] * FREE_FOR_ADDRESS + [1]
    assert wait_of(throttle, "one more", "10.0.0.2") == 0


def test_logins_of_ones_own_give_no_free_attempts_on_others(throttle, clock):
    failed = 0
    for number in range(200):
        if wait_of(throttle, f"victim{number}") == 0:
            failed += 1
        if wait_of(throttle, "own") == 0:
            throttle.succeeded("own", "10.0.0.1")
    assert failed <= FREE_FOR_ADDRESS + 1


def test_of_ipv6_the_whole_network_counts(throttle):
    for number in range(FREE_FOR_ADDRESS):
        assert wait_of(throttle, f"user{number}", f"2001:db8::{number:x}") == 0
    assert wait_of(throttle, "more", "2001:db8::ffff:1") == 1
    assert wait_of(throttle, "more", "2001:db8:0:1::1") == 0


def test_what_was_long_ago_is_forgotten(throttle, clock):
    for _ in range(FREE_FOR_ACCOUNT):
        wait_of(throttle, "ada")
    clock.now += FORGOTTEN_S + 1
    assert [wait_of(throttle, "ada") for _ in range(FREE_FOR_ACCOUNT)] == [0] * FREE_FOR_ACCOUNT


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5), st.booleans()), max_size=300))
def test_it_remembers_no_more_than_it_may(attempts):
    throttle = LoginThrottle(Clock(), max_entries=10)
    for account, address, good in attempts:
        if wait_of(throttle, account, address) == 0 and good:
            throttle.succeeded(account, address)
        assert len(throttle) <= 10
