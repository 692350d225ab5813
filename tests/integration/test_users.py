"""Rules for users and tokens that must hold when several do things at the same moment, in a file and in PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from landbridge.errors import AccessRefused
from landbridge.jobs import db_tokens, db_users, first_admin, passwords, tokens, users
from landbridge.jobs.db import Database
from landbridge.jobs.db_tables import metadata
from landbridge.jobs.logins import change_own_password, log_in
from landbridge.jobs.roles import Role
from landbridge.jobs.tokens import SessionLife, caller_of
from landbridge.jobs.users import UserChange
from tests.servers.postgres import Postgres
from tests.servers.pytest_support import started

PASSWORD = "correct horse battery staple"
HASH = passwords.hashed(PASSWORD)
LIFE = SessionLife()


@pytest.fixture(scope="module")
def postgres():
    with started(Postgres()) as server:
        yield server


@pytest.fixture(params=["file", "postgresql"])
def database(request, tmp_path):
    opened = Database.open(tmp_path if request.param == "file" else request.getfixturevalue("postgres").url)
    yield opened
    with opened.write() as tx:
        for table in reversed(metadata.sorted_tables):
            tx.execute(table.delete())
    opened.close()


def add(database, email, role="admin"):
    with database.write() as tx:
        return users.add(tx, email=email, role=Role(role), password_hash=HASH, by="test")


def at_once(*works):
    """Call all of them at the same moment; gives the codes of those that were refused."""
    barrier = threading.Barrier(len(works))

    def work(each):
        barrier.wait()
        try:
            each()
        except AccessRefused as refused:
            return refused.code
        return ""

    with ThreadPoolExecutor(len(works)) as pool:
        return sorted(pool.map(work, works))


def test_of_two_admins_who_remove_each_other_one_stays(database):
    for number in range(5):
        pair = [add(database, f"{name}{number}@b.example") for name in ("ada", "bob")]

        def remove(row):
            with database.write() as tx:
                users.remove(tx, row.id, by="test")

        assert at_once(*(lambda row=row: remove(row) for row in pair)) == ["", "LB-8025"]
        with database.read() as tx:
            assert len(db_users.listing(tx)) == 1
        add(database, f"spare{number}@b.example")
        with database.write() as tx:
            for row in pair:
                db_users.remove(tx, row.id)
            for row in db_users.listing(tx):
                db_users.remove(tx, row.id)


def test_of_two_who_use_the_same_link_or_address_one_is_added(database):
    with database.write() as tx:
        link = first_admin.new_link(tx)

    def set_up(email):
        with database.write() as tx:
            first_admin.make(tx, link, email=email, name="", password_hash=HASH)

    assert at_once(lambda: set_up("a@b.example"), lambda: set_up("c@d.example")) == ["", "LB-8008"]
    with database.read() as tx:
        assert len(db_users.listing(tx)) == 1
    assert at_once(*[lambda: add(database, "E@f.example")] * 3) == ["", "LB-8023", "LB-8023"]


def test_a_login_that_meets_another_password_is_refused(database):
    user = add(database, "a@b.example")
    first = log_in(database, "a@b.example", PASSWORD, life=LIFE)
    second = change_own_password(database, user.id, PASSWORD, "an entirely new sentence", life=LIFE)
    assert caller_of(database, first.secret, life=LIFE) is None
    assert caller_of(database, second.secret, life=LIFE).is_session
    with pytest.raises(AccessRefused, match="LB-8006"):
        log_in(database, "a@b.example", PASSWORD, life=LIFE)


def test_a_hash_with_older_parameters_is_renewed_by_a_login(database, monkeypatch):
    cheap = passwords.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with database.write() as tx:
        old = cheap.hash(PASSWORD)
        user = users.add(tx, email="a@b.example", role=Role.VIEWER, password_hash=old, by="test")
    log_in(database, "a@b.example", PASSWORD, life=LIFE)
    with database.read() as tx:
        renewed = db_users.get(tx, user.id).password_hash
    assert renewed != old
    assert not passwords.is_outdated(renewed)
    assert passwords.is_right(PASSWORD, renewed)
    log_in(database, "a@b.example", PASSWORD, life=LIFE)
    with database.read() as tx:
        assert db_users.get(tx, user.id).password_hash == renewed
        assert db_users.get(tx, user.id).last_login is not None


def test_sessions_that_are_over_are_cleared_away_by_the_next_login(database):
    user = add(database, "a@b.example")
    past = SessionLife(whole=timedelta(seconds=-1))
    for _ in range(3):
        log_in(database, "a@b.example", PASSWORD, life=past)
    kept = log_in(database, "a@b.example", PASSWORD, life=LIFE)
    with database.read() as tx:
        found = tx.execute(metadata.tables["token"].select()).mappings().all()
        assert [row["id"] for row in found] == [kept.row.id]
        assert found[0]["user_id"] == user.id


def test_a_token_has_the_smaller_one_of_its_own_role_and_its_users(database):
    user = add(database, "a@b.example", "admin")
    add(database, "spare@b.example")
    with database.write() as tx:
        made = {
            role: tokens.add(tx, user_id=user.id, name="x", most=Role.ADMIN, role=role, by="t").secret
            for role in (None, *Role)
        }
    for own in Role:
        with database.write() as tx:
            users.change(tx, user.id, UserChange(role=own), by="t")
        for role, secret in made.items():
            wanted = own if role is None or role.may(own) else role
            assert caller_of(database, secret, life=LIFE).role is wanted


def test_a_removed_user_takes_tokens_and_sessions_along(database):
    user = add(database, "a@b.example")
    add(database, "spare@b.example")
    session = log_in(database, "a@b.example", PASSWORD, life=LIFE).secret
    with database.write() as tx:
        token = tokens.add(tx, user_id=user.id, name="x", most=Role.ADMIN, by="t").secret
        users.remove(tx, user.id, by="t")
    assert caller_of(database, session, life=LIFE) is None
    assert caller_of(database, token, life=LIFE) is None
    with database.read() as tx:
        assert db_tokens.listing(tx) == []


def test_users_and_tokens_are_listed_page_by_page(database):
    for number in range(5):
        user = add(database, f"u{number}@b.example")
        with database.write() as tx:
            tokens.add(tx, user_id=user.id, name="x", most=Role.ADMIN, by="t")
    with database.read() as tx:
        found, after = [], None
        while page := db_users.listing(tx, after=after, limit=2):
            found += [row.email for row in page]
            after = found[-1]
        assert found == [f"u{number}@b.example" for number in range(5)]
        ids, after = [], None
        while page := db_tokens.listing(tx, after=after, limit=2):
            ids += [row.id for row in page]
            after = ids[-1]
        assert len(set(ids)) == 5


def test_a_token_ends_at_its_instant(database):
    user = add(database, "a@b.example")
    with database.write() as tx:
        made = tokens.add(tx, user_id=user.id, name="x", most=Role.ADMIN, by="t", life=timedelta(days=1))
    assert timedelta(hours=23) < made.row.expires - datetime.now(UTC) <= timedelta(days=1)
    assert caller_of(database, made.secret, life=LIFE) is not None
    for life in (timedelta(0), timedelta(days=-1), timedelta(days=4000)):
        with pytest.raises(AccessRefused, match="LB-8027"), database.write() as tx:
            tokens.add(tx, user_id=user.id, name="x", most=Role.ADMIN, by="t", life=life)
