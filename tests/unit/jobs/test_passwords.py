"""Which passwords are good enough, and which one is right."""

import string
import unicodedata

import pytest
from argon2 import PasswordHasher
from hypothesis import given, strategies as st

from landbridge.errors import AccessRefused
from landbridge.jobs import passwords
from landbridge.jobs.passwords import MAX_CHARS, MIN_CHARS, hashed, is_outdated, is_right

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """The same hash with parameters for tests: it is made some hundred times."""
    monkeypatch.setattr(passwords, "_HASHER", CHEAP)
    passwords._nobody.cache_clear()
    yield
    passwords._nobody.cache_clear()


def normal(text):
    return unicodedata.normalize("NFKC", text)


long_enough = st.text(st.characters(exclude_categories=["Cs"]), min_size=MIN_CHARS, max_size=60).filter(
    lambda text: len(normal(text)) >= MIN_CHARS and len(set(normal(text))) > 2
)


@given(long_enough)
def test_a_password_is_right_however_its_letters_are_composed(password):
    kept = hashed(password)
    assert is_right(password, kept)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert is_right(unicodedata.normalize(form, password), kept)


@given(long_enough, long_enough)
def test_another_password_is_wrong(password, other):
    assert is_right(other, hashed(password)) is (normal(password) == normal(other))


@given(st.text(max_size=40))
def test_any_text_is_either_kept_or_refused_with_its_reason(password):
    kept, refused = None, None
    try:
        kept = hashed(password)
    except AccessRefused as error:
        refused = error
    assert (refused is None) is is_right(password, kept)
    if refused is not None:
        assert refused.code == "LB-8021"
        assert len(password) < MIN_CHARS or password not in str(refused)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "elevenchars",
        "ab" * 40,
        " " * 40,
        "é" * 40,
        "e\u0301" * 8,  # sixteen code points that are eight letters, and two different ones
        "\ufb03" + "abcdefg",  # NFKC makes three letters of the first one: ten
        "half a character \ud83d",
        "x" + string.ascii_letters * 20,
    ],
)
def test_a_password_that_is_not_good_enough_is_refused(password):
    with pytest.raises(AccessRefused, match="LB-8021"):
        hashed(password)


@pytest.mark.parametrize(
    "password",
    [
        "twelve chars",
        "пароль-пароль-1",
        "密码密码密码一二三四五六",
        "🦄🐎🐴🦓 and friends",
        "zero\x00inside it",
        "a " * 5 + "tail",
    ],
)
def test_a_password_in_any_script_is_kept(password):
    assert is_right(password, hashed(password))


def test_a_password_keeps_its_blanks():
    kept = hashed(" in the middle ")
    assert is_right(" in the middle ", kept)
    assert not is_right("in the middle", kept)


def test_the_longest_password_counts_to_its_last_character():
    longest = (string.ascii_letters * 20)[: MAX_CHARS - 1]
    kept = hashed(longest + "x")
    assert is_right(longest + "x", kept)
    assert not is_right(longest + "y", kept)
    assert not is_right(longest + "xx", kept)
    assert not is_right(longest + "x" * 1_000_000, kept)


def test_the_address_of_its_user_is_no_password():
    with pytest.raises(AccessRefused, match="must not be the e-mail address"):
        hashed("Ada.Lovelace@Example.com", email="ada.lovelace@example.com")


@pytest.mark.parametrize("kept", [None, "", "nonsense", "$argon2id$nonsense"])
def test_nothing_is_right_where_no_password_is_kept(kept):
    assert not is_right("nobody has this password", kept)


def test_a_hash_with_older_parameters_is_outdated(monkeypatch):
    kept = hashed("a good password")
    assert not is_outdated(kept)
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert is_right("a good password", kept)
    assert is_outdated(kept)
    assert not is_outdated(hashed("a good password"))
