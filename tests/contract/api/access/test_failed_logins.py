"""Logins that fail tell nothing, slow down and leave a trail."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from landbridge.jobs import db_audit, db_users, users
from landbridge.jobs.roles import Role
from tests.contract.api.caller import Api
from tests.contract.api.house import PASSWORD


def test_an_unknown_user_and_a_wrong_password_are_answered_alike(costly_passwords, fresh):
    user, disabled = fresh.user(), fresh.user()
    with fresh.database.write() as tx:
        db_users.change(tx, disabled.id, enabled=False)
        nobody = users.add(tx, email="none@people.example", role=Role.VIEWER, password_hash=None, by="test")
    tries = {
        "wrong": (user.email, "a wrong password"),
        "unknown": ("nobody@people.example", PASSWORD),
        "switched off": (disabled.email, PASSWORD),
        "without a password": (nobody.email, PASSWORD),
    }
    took = {name: [] for name in tries}
    replies = set()
    for _ in range(4):
        for name, (email, password) in tries.items():
            begun = time.perf_counter()
            reply = Api(fresh.url).log_in(email, password, status=401)
            took[name].append(time.perf_counter() - begun)
            replies.add((reply.status, reply.body))
    assert len(replies) == 1
    fastest = {name: min(times) for name, times in took.items()}
    # A login that checks nothing takes a few milliseconds, one that does takes tens of them.
    assert max(fastest.values()) < 5 * min(fastest.values()), took
    assert statistics.median(took["unknown"]) > 0.01


def test_logins_that_fail_slow_down_and_tell_when_to_come_again(fresh):
    user = fresh.user()
    wrong = {"email": user.email, "password": "a wrong password"}
    replies = []
    while not replies or replies[-1].status == 401:  # on a slow machine some delays pass by themselves
        replies.append(Api(fresh.url).post("/session", wrong))
        assert len(replies) < 15
    assert [reply.code for reply in replies[:5]] == ["LB-8006"] * 5
    assert (replies[-1].status, replies[-1].code) == (429, "LB-8007")
    wait = int(replies[-1].headers["Retry-After"])
    assert wait > 0
    assert Api(fresh.url).log_in(fresh.user().email, PASSWORD).status == 200  # another account is not held up
    time.sleep(wait)
    assert Api(fresh.url).log_in(user.email, PASSWORD).status == 200


def test_many_attempts_at_the_same_moment_are_no_way_around_the_delay(fresh):
    user = fresh.user()
    with ThreadPoolExecutor(16) as pool:
        found = [
            reply.status
            for reply in pool.map(
                lambda number: Api(fresh.url).post(
                    "/session", {"email": user.email, "password": f"wrong one {number:04}"}
                ),
                range(40),
            )
        ]
    assert found.count(401) <= 8
    assert found.count(401) + found.count(429) == 40


def test_a_login_that_fails_is_in_the_trail_without_what_was_typed(fresh):
    user = fresh.user()
    Api(fresh.url).log_in(user.email, "a wrong password", status=401)
    Api(fresh.url).log_in("my-password-in-the-wrong-field", "x", status=401)
    assert [(line.actor, line.address, line.object_id) for line in fresh.audited("session.refuse")] == [
        ("unknown", "127.0.0.1", ""),
        ("unknown", "127.0.0.1", user.id),
    ]
    with fresh.database.read() as tx:
        assert "wrong" not in repr(db_audit.listing(tx))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "a@b.c"},
        {"email": None, "password": None},
        {"email": ["a@b.c"], "password": PASSWORD},
        {"email": "a@b.c", "password": "x" * 10_000},
        {"email": "a\x00@b.c", "password": PASSWORD},
        {"email": "a@b.c", "password": PASSWORD, "role": "admin"},
    ],
)
def test_a_login_that_is_none_is_refused_without_repeating_it(house, body):
    reply = house.api().post("/session", body)
    assert reply.status == 422
    assert PASSWORD not in reply.body.decode()
