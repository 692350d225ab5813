"""The text of a script, and whether it can run: found before a job does."""

from __future__ import annotations

from functools import lru_cache

from landbridge.components.script.sandbox import Limits, Sandbox
from landbridge.dataflow.variables import SCRIPT_PLACEHOLDER, decode_script
from landbridge.errors import FlowError, LandbridgeError

_CHECK_LIMITS = Limits(timeout_s=5.0, memory_bytes=128 << 20)


def text_of(script: str) -> str:
    """The JavaScript of the param ``script``, which is base64 or the text itself."""
    decoded = decode_script(script)
    return (script if decoded is None else decoded).removeprefix("\ufeff")


def check(script: str) -> None:
    """Load the script once, in a sandbox of its own, without a record.

    A script with placeholders that have no value yet is left alone where it does not load: they may stand for code.

    Raises:
        LandbridgeError: LB-1601, it does not compile; LB-1602, it has no ``process``; LB-1603, its top level fails;
            LB-1604, ``process`` is no ordinary function; LB-4601 and LB-4602, loading takes too much.
    """
    text = text_of(script)
    problem = _problem(text)
    if problem is not None and not SCRIPT_PLACEHOLDER.search(text):
        raise FlowError(problem.code, problem.message, hint=problem.hint)


@lru_cache(maxsize=256)
def _problem(text: str) -> LandbridgeError | None:
    try:
        Sandbox(text, limits=_CHECK_LIMITS).close()
    except LandbridgeError as problem:
        return problem
    return None
