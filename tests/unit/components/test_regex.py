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
    began = time.process_time()
    try:
        with pytest.raises(DataError) as caught:
            getattr(compile_pattern(expression), way)(value)
    finally:
        done.set()
        counter.join()
    assert caught.value.code == "LB-4612"
    assert "aa" not in caught.value.message
    assert time.process_time() - began < 3
    assert turns >= 5


@pytest.mark.usefixtures("short_patience")
def test_a_replacement_without_end_is_an_error():
    replacement = compile_replacement(ENDLESS[0][0], "")
    with pytest.raises(DataError):
        replacement.on_texts(pa.array(["fine", ENDLESS[0][1]]))


@settings(max_examples=settings.default.max_examples * 3)
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


@settings(max_examples=settings.default.max_examples * 3)
@given(
    st.lists(PIECES | st.sampled_from(["(?i:k)", "(?i)", "k"]), min_size=1, max_size=5).map("".join),
    st.lists(st.text(alphabet="abk1 \n\x0b\u212aé", max_size=8), max_size=4),
)
def test_a_whole_column_gives_what_its_texts_give_one_by_one(expression, texts):
    try:
        replacement = compile_replacement(expression, "<$0>")
    except ValueError:
        return
    assert replacement.on_texts(pa.array(texts, pa.string())).to_pylist() == [replacement.on_text(t) for t in texts]


@pytest.mark.parametrize(
    "expression", ["((a{1000}){1000}){10}", "(?:a{60000}){60000}", "(?:[ab]{1,400}x){1,400}", "(a{400}){400,}"]
)
def test_repetitions_that_would_take_all_memory_are_refused_before_they_are_compiled(expression):
    with pytest.raises(ValueError, match="repeats something more than"):
        compile_pattern(expression)


@pytest.mark.parametrize(
    "expression",
    [r"[a-z]{1,64}@[a-z]{1,255}\.[a-z]{2,63}", r"(\d{1,3}\.){3}\d{1,3}", r"\{5000000\}", "[{9}]{2}", "x{9000}"],
)
def test_ordinary_repetitions_are_fine(expression):
    compile_pattern(expression)
