"""Regular expressions on values: one that backtracks without end stops neither the job's other threads nor for ever."""

import re
import threading
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from landbridge.components import regex
from landbridge.components.regex import compile_pattern, compile_replacement
from landbridge.errors import DataError

ENDLESS = [("(a|aa)+$(?<!b)", "a" * 80 + "!"), ("(a|aa|b)+c(?!d)", "a" * 80 + "cd")]
ATOMS = ["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", r"\s", "(a|b)", "(?:ab)", "|"]
PIECES = st.sampled_from([*ATOMS, "^", "$", r"\b", "a?", "b*", "a+?", "(?=a)", "(?<!b)", "a{2}"])
TEXTS = st.text(alphabet="ab1 \n-é", max_size=12)


@pytest.fixture
def short_patience(monkeypatch):
    monkeypatch.setattr(regex, "TIMEOUT_S", 0.3)


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize(("expression", "value"), ENDLESS)
@pytest.mark.parametrize("way", ["fullmatch", "search", "matches"])
def test_an_expression_without_end_is_an_error_and_other_threads_go_on(expression, value, way):
    turns, done = 0, threading.Event()

    def count():
        nonlocal turns
        while not done.wait(0.01):
            turns += 1

    counter = threading.Thread(target=count)
    counter.start()
    began = time.monotonic()
    try:
        with pytest.raises(DataError) as caught:
            getattr(compile_pattern(expression), way)(value)
    finally:
        done.set()
        counter.join()
    assert caught.value.code == "LB-4612"
    assert "aa" not in caught.value.message
    assert time.monotonic() - began < 5
    assert turns >= 5


@pytest.mark.usefixtures("short_patience")
def test_a_replacement_without_end_is_an_error():
    replacement = compile_replacement(ENDLESS[0][0], "")
    with pytest.raises(DataError):
        replacement.on_texts(pa.array(["fine", ENDLESS[0][1]]))


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=5).map("".join), TEXTS)
def test_expressions_match_as_those_of_the_standard_library_do(expression, text):
    try:
        known = re.compile(expression, re.ASCII)
    except re.error:
        with pytest.raises(ValueError, match="not understood"):
            compile_pattern(expression)
        return
    ours = compile_pattern(expression)
    assert ours.fullmatch(text) == (known.fullmatch(text) is not None)
    assert [match.span() for match in ours.matches(text)] == [match.span() for match in known.finditer(text)]
    assert ours.replace(text, lambda match: f"<{match[0]}>") == known.sub(lambda match: f"<{match[0]}>", text)
