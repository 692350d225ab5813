"""Scripts that mean harm: each ends as a clear error within its limits, while other work in the process goes on."""

import threading
import time

import pytest

from landbridge.components.script.sandbox import Limits, Sandbox
from landbridge.errors import LandbridgeError
from landbridge.records import Batch
from tests.integration.script_runs import Witness, body, evaluate, make

TIMEOUT_S = 1.0
MEMORY_MB = 64
LONGEST_S = 20.0
"""Time limit, grace and start of the process, on a machine that is busy with other tests."""

STOPPED = {
    "an endless loop": ("for (;;) {}", {"LB-4601"}),
    "an endless loop behind finally": ("try { for (;;) {} } finally { for (;;) {} }", {"LB-4601"}),
    "a loop that catches everything": ("for (;;) { try { null.x; } catch (e) {} }", {"LB-4601"}),
    "a pattern that backtracks for ever": ('/(a+)+$/.test("a".repeat(60) + "b");', {"LB-4601"}),
    "an endless sort": ("[3, 1, 2].sort(() => { for (;;) {} });", {"LB-4601"}),
    "a getter that never returns": ("return { get x() { for (;;) {} } };", {"LB-4601"}),
    "a proxy that never returns": ("return new Proxy({}, { ownKeys() { for (;;) {} } });", {"LB-4601"}),
    "a sparse array of four thousand million records": ("return new Array(4294967295);", {"LB-4601", "LB-4602"}),
    "an endless stack trace": (
        "Error.prepareStackTrace = () => { for (;;) {} }; throw new Error('x');",
        {"LB-4601"},
    ),
    "a list that grows": ("const a = []; for (;;) a.push({ x: 1, y: [1, 2, 3] });", {"LB-4602"}),
    "texts that grow": ('const a = []; for (;;) a.push("x".repeat(1e6) + a.length);', {"LB-4602"}),
    "a map that grows": ("const m = new Map(); for (let i = 0; ; i++) m.set(i, { i });", {"LB-4602"}),
    "closures that grow": (
        "const g = (x) => () => x; let f = g(1); for (;;) f = g([f, new Array(100)]);",
        {"LB-4602"},
    ),
    "a huge array that is filled": ("new Array(1e9).fill(0);", {"LB-4601", "LB-4602"}),
    "small buffers without end": (
        "const a = []; for (;;) { const b = new Uint8Array(65536); b.fill(1); a.push(b); }",
        {"LB-4601", "LB-4602", "LB-4603"},
    ),
    "large buffers": (
        "const a = []; for (;;) { const b = new Uint8Array(1 << 26); b.fill(1); a.push(b); }",
        {"LB-4601", "LB-4602", "LB-4603"},
    ),
    "a record nested a million times": (
        "let r = {}; for (let i = 0; i < 1e6; i++) r = { r }; return r;",
        {"LB-4601", "LB-4602", "LB-4603", "LB-4605"},
    ),
    "a memory bomb that catches its errors": (
        "for (;;) { try { const a = []; for (;;) a.push(a.length + ''); } catch (e) {} }",
        {"LB-4601", "LB-4602"},
    ),
    "records without end": ("for (;;) next.accept({ a: 'x'.repeat(1000) });", {"LB-4602"}),
    "refusals without end": ("for (;;) error.accept({ a: 'x'.repeat(1000) });", {"LB-4602"}),
    "numbers that grow": ("let b = 2n; for (;;) b = b * b;", {"LB-4601", "LB-4602", "LB-4603"}),
}
"""Name: code in `process`, and the codes it may end with."""

REFUSED = {
    "recursion without end": ("const f = () => f() + 1; f();", "LB-4603", "Maximum call stack"),
    "a record in a circle": ("record.self = record; return record;", "LB-4603", "circular"),
    "a record nested five thousand times": (
        "let r = {}; for (let i = 0; i < 5000; i++) r = { r }; return r;",
        "LB-4605",
        "nested too deeply",
    ),
    "an array nested five thousand times": (
        "let r = [']}']; for (let i = 0; i < 5000; i++) r = [r]; return [{ r }];",
        "LB-4605",
        "nested too deeply",
    ),
    "files": ('require("fs").readFileSync("/etc/passwd");', "LB-4603", "require is not defined"),
    "a module": ('return import("fs");', "LB-4605", "promise"),
    "the process": ("process.exit(0);", "LB-4603", "not a function"),
    "the environment": ("record.a = process.env.PATH;", "LB-4603", "undefined"),
    "the network": ('fetch("http://127.0.0.1/");', "LB-4603", "fetch is not defined"),
    "another thread": ("new Worker('x');", "LB-4603", "Worker is not defined"),
    "WebAssembly": ("new WebAssembly.Memory({ initial: 65536 });", "LB-4603", "WebAssembly"),
    "a wait on shared memory": ("Atomics.wait(new Int32Array(8), 0, 0);", "LB-4603", "Atomics"),
    "a timer": ("setTimeout(() => {}, 0);", "LB-4603", "setTimeout"),
    "the caller": ("return { caller: String(process.caller), a: arguments.callee.caller.x };", "LB-4603", "null"),
    "a text in place of a record": ("return 'x';", "LB-4605", "a string where a record is expected"),
    "half a character": (r'return { a: "\ud800" };', "LB-4605", "surrogate"),
    "an error that cannot be read": ("throw { get message() { throw 1; } };", "LB-4603", "cannot be read"),
    "an error message of ten megabytes": ("throw new Error('x'.repeat(1e7).slice(1));", "LB-4603", "xxx"),
    "a stack trace that fails": (
        "Error.prepareStackTrace = () => { throw 1; }; throw new Error('x');",
        "LB-4603",
        "x",
    ),
}
"""Name: code in `process`, code of the reject, and a part of its message."""


class OtherJob(threading.Thread):
    """A well-behaved script that works in the same process all the time."""

    def __init__(self):
        super().__init__()
        self.batches = 0
        self.wrong = None
        self._stop_now = threading.Event()
        self._step = make(body("record.n += 1; return record;"))

    def run(self):
        batch = Batch.from_objects([{"n": n} for n in range(50)])
        while not self._stop_now.wait(0.02):
            made = self._step.apply(batch).to_objects()
            if made != [{"n": n + 1} for n in range(50)]:
                self.wrong = made
            self.batches += 1

    def stop(self):
        self._stop_now.set()
        self.join(60)
        self._step.finish()


@pytest.fixture(scope="module")
def other_job():
    job = OtherJob()
    job.start()
    yield job
    job.stop()
    assert job.wrong is None


@pytest.fixture(autouse=True)
def within_limits(other_job):
    """The test ends in time, and the other job has gone on meanwhile."""
    before, started = other_job.batches, time.monotonic()
    yield
    assert time.monotonic() - started < LONGEST_S
    deadline = time.monotonic() + 10
    while other_job.batches == before:
        assert time.monotonic() < deadline, "the other job stands still"
        time.sleep(0.02)


def limited(code, *records, timeout=TIMEOUT_S):
    """Records that went on and rejects, under tight limits."""
    services = Witness()
    made = evaluate(body(code), *(records or [{"a": 1}]), services=services, timeout=timeout, memoryLimit=MEMORY_MB)
    return made, services


def outcome(code, *records, timeout=TIMEOUT_S):
    """Records that went on, and the codes of the rejects or of the error that ended the job."""
    try:
        made, services = limited(code, *records, timeout=timeout)
    except LandbridgeError as error:
        return [], {error.code}
    return made, {error.code for _, error in services.rejected}


@pytest.mark.parametrize("name", STOPPED)
def test_what_takes_too_much_is_stopped(name):
    code, codes = STOPPED[name]
    # What must end for its memory gets the time to take it, on a machine that has other things to do.
    made, ended = outcome(code, timeout=10 * TIMEOUT_S if codes == {"LB-4602"} else TIMEOUT_S)
    assert made == []
    assert ended
    assert ended <= codes


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_there_or_not_allowed_fails_the_record_only(name):
    code, error_code, message = REFUSED[name]
    made, services = limited(f"if (record.ok) return record;\n{code}", {"a": 1}, {"ok": True})
    assert made == [{"ok": True}]
    ((record, error),) = services.rejected
    assert record == {"a": 1}
    assert error.code == error_code
    assert message in error.message
    assert len(error.message) < 600


def test_tasks_that_beget_tasks_without_end_are_stopped_at_the_next_batch():
    step = make(
        body("const f = () => { Promise.resolve().then(f); }; f(); return record;"),
        timeout=TIMEOUT_S,
        memoryLimit=MEMORY_MB,
    )
    batch = Batch.from_objects([{"a": 1}])
    step.apply(batch)
    with pytest.raises(LandbridgeError) as caught:
        step.apply(batch)
    assert caught.value.code in {"LB-4601", "LB-4602"}


@pytest.mark.parametrize(
    "code",
    [
        "Array.prototype.push = () => { throw 1; };",
        "JSON.stringify = () => 'x'; JSON.parse = null;",
        "Array.prototype.join = String.prototype.slice = RegExp.prototype.exec = null;",
        "Object.keys = Object.setPrototypeOf = Reflect.apply = null;",
        "globalThis.process = null; Array.isArray = () => true;",
        "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = null;",
        "Array.prototype[Symbol.iterator] = null; delete globalThis.Object; delete globalThis.String;",
        "Object.prototype.polluted = 1; Object.prototype.get = Object.prototype.value = 1;",
    ],
)
def test_a_script_that_replaces_built_ins_is_none_the_wiser(code):
    made, services = limited(f"if (!record.last) {{ {code} }} return record;", {"a": [{"b": 1}]}, {"last": True})
    assert made == [{"a": [{"b": 1}]}, {"last": True}]
    assert services.rejected == []


@pytest.mark.parametrize("value", ["() => 'x'", "() => [1]", "function () { throw 1; }", "() => undefined"])
@pytest.mark.parametrize("place", ["Object.prototype", "Array.prototype", "String.prototype"])
def test_a_script_that_spoils_how_values_are_written_harms_its_own_records_only(place, value):
    made, codes = outcome(f"{place}.toJSON = {value}; logger.info('x'); return record;", {"a": ["b"]})
    assert codes <= {"LB-4603", "LB-4605", "LB-4607"}
    assert len(made) == (0 if codes else 1)


def test_a_script_that_spoils_arrays_ends_as_an_error():
    with pytest.raises(LandbridgeError) as caught:
        limited("Object.defineProperty(Array.prototype, '0', { set() { throw 1; } }); return record;")
    assert caught.value.code == "LB-4607"


def test_one_step_cannot_change_what_another_step_runs_in():
    evaluate(body("Object.prototype.leak = 1; globalThis.leak2 = 2; Array.prototype.map = null; return record;"), {})
    probe = "record.found = [typeof ({}).leak, typeof leak2, typeof [].map]; return record;"
    assert evaluate(body(probe), {"a": 1}) == [{"a": 1, "found": ["undefined", "undefined", "function"]}]


def test_a_flood_of_log_lines_is_cut():
    made, services = limited("for (let i = 0; i < 20000; i++) logger.info('x'.repeat(1e5)); return record;")
    assert made == [{"a": 1}]
    assert len(services.lines) == 1001
    assert max(len(text) for _, text in services.lines) <= 4001
    assert services.lines[-1] == ("warning", "19000 more lines of the script were not kept")


def test_code_made_from_text_sees_no_more_than_the_script_itself():
    code = "record.seen = Object.keys((function () {}).constructor('return this')()).join(); return record;"
    ((record), _) = limited(code)
    assert not {"require", "module", "Deno", "Bun", "fetch"} & set(record[0]["seen"].split(","))


@pytest.mark.parametrize(
    ("script", "codes"),
    [
        ("for (;;) {}", {"LB-4601"}),
        ("const a = []; for (;;) a.push(new Array(1000).fill(a.length));", {"LB-4601", "LB-4602"}),
        ("const a = []; for (;;) a.push(new Uint8Array(1 << 24).fill(1));", {"LB-4602", "LB-1603"}),
        ("(" * 200_000, {"LB-1601", "LB-1603"}),
        ("[" * 100_000 + "]" * 100_000, {"LB-1601", "LB-1603", "LB-4602"}),
        ("x" * 5_000_000, {"LB-1603"}),
        ("throw { toString() { for (;;) {} } };", {"LB-4601", "LB-1603"}),
        ("Object.defineProperty(globalThis, 'process', { get() { for (;;) {} } });", {"LB-4601"}),
    ],
    ids=["loop", "memory", "buffers", "parentheses", "brackets", "a long name", "a thrown loop", "getter"],
)
def test_what_goes_wrong_before_the_first_record_is_a_clear_error(script, codes):
    limits = Limits(timeout_s=TIMEOUT_S, memory_bytes=MEMORY_MB << 20)
    with pytest.raises(LandbridgeError) as caught:
        Sandbox(script, limits=limits)
    assert caught.value.code in codes
    assert len(caught.value.message) < 1000
