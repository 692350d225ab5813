"""What a script is given, and what becomes of what it gives back."""

import pytest

from landbridge.components.record import Evaluate
from landbridge.errors import LandbridgeError
from landbridge.records import Batch
from tests.integration.script_runs import Witness, body, evaluate, make, rejects

CURRENT = "function process(record, ctx, logger, next) { %s }"
WITH_ERROR = "function process(record, ctx, logger, next, error) { %s }"
OTHER_NAMES = "function process(r, c, l, n, e) { var ctx = c, logger = l, next = n, record = r; %s }"
ARROW = "const process = (record, ctx, logger, next) => { %s };"
EXPRESSION = "var process = function (record, ctx, log, next) { var logger = log; %s };"


@pytest.mark.parametrize("form", [CURRENT, WITH_ERROR, OTHER_NAMES, ARROW, EXPRESSION])
def test_all_current_forms_get_the_same_arguments(form):
    services = Witness()
    code = form % "logger.info('job', ctx.jobId); next.accept({ extra: 1 }); record.a += 1; return record;"
    assert evaluate(code, {"a": 1}, services=services) == [{"extra": 1}, {"a": 2}]
    assert services.lines == [("info", "job job-1")]


def test_parameters_are_found_by_name_whatever_comments_and_defaults_stand_around_them():
    head = "function process(record /* the record, as is */, logger, // a, b\n next, ctx = null)"
    code = head + " { next.accept({ s: ctx.stepId }); }"
    assert evaluate(code, {}) == [{"s": "script"}]


JAVA = """
function process(record, next, ctx, logger) {
  logger.log("one text");
  if (record != null) {
    if (record.containsField("data")) {
      var data = record.getField("data").getValueAsRecord();
      if (data.containsField("lists")) {
        var log = new Record();
        log.addField("action", "acceptance");
        var entry = new Record();
        entry.addField("id", "l2");
        entry.addField("log", log, true);
        data.getField("lists").addValue(entry);
      }
    }
  }
  next.accept(record);
}"""


def test_the_java_like_form_finds_its_records():
    services = Witness()
    records = [{"data": {"lists": [{"id": "l1"}]}}, {"data": {"lists": {"id": "l0"}}}, {"data": {}}, {"UID": "x"}]
    entry = {"id": "l2", "log": [{"action": "acceptance"}]}
    assert evaluate(JAVA, *records, services=services) == [
        {"data": {"lists": [{"id": "l1"}, entry]}},
        {"data": {"lists": [{"id": "l0"}, entry]}},
        {"data": {}},
        {"UID": "x"},
    ]
    assert services.lines[0] == ("info", "one text")


def test_the_java_like_form_counts_what_it_accepted_or_else_what_it_returned():
    code = "function process(record, next) { if (record.twice) next.accept(record); return record; }"
    assert evaluate(code, {"twice": True}, {"twice": False}) == [{"twice": True}, {"twice": False}]
    code = (
        'function process(record, next) { return { v: record.getField("a").getValue(), none: record.getField("b") }; }'
    )
    assert evaluate(code, {"a": 5}) == [{"v": 5, "none": None}]


@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("return record;", [{"a": 1}]),
        ("return { b: 2 };", [{"b": 2}]),
        ("return null;", []),
        ("return undefined;", []),
        ("", []),
        ("record = null; return record;", []),
        ("return [];", []),
        ("return [record, null, { b: 2 }, undefined];", [{"a": 1}, {"b": 2}]),
        ("next.accept(record); record.a = 2; next.accept(record);", [{"a": 1}, {"a": 2}]),
        ("return {};", [{}]),
        ("return { a: undefined, b: null };", [{"b": None}]),
        ("return { d: new Date(0) };", [{"d": "1970-01-01T00:00:00.000Z"}]),
        ("return Object.assign(Object.create({ inherited: 1 }), { own: 1 });", [{"own": 1}]),
    ],
)
def test_a_call_gives_no_record_or_several(code, made):
    assert evaluate(body(code), {"a": 1}) == made


@pytest.mark.parametrize("level", [None, "5.1", 5.1, "5"])
def test_at_the_old_level_a_missing_field_reads_as_null_at_any_depth(level):
    code = body(
        """
  return { results: [
    record.x === null,
    record.data.eduelt === null,
    record.list[0].y === null,
    record.data.systemIDs !== null && record.data.systemIDs.length > 0,
    "x" in record,
    record.hasOwnProperty("x"),
    Object.keys(record).length,
    ({}).x === undefined,
    record instanceof Object,
    record.data instanceof Object,
    typeof record.toString,
  ] };"""
    )
    params = {} if level is None else {"ECMAScriptVersion": level}
    (made,) = evaluate(code, {"data": {"a": 1}, "list": [{"z": 1}]}, **params)
    assert made["results"] == [True, True, True, False, False, False, 2, True, True, True, "function"]


def test_at_the_new_level_a_missing_field_is_undefined():
    code = body("const { b = 5 } = record; return { u: record.x === undefined, deep: record.a?.b?.c ?? 'none', b };")
    assert evaluate(code, {}, ECMAScriptVersion="12") == [{"u": True, "deep": "none", "b": 5}]


def test_a_for_in_loop_sees_the_fields_only():
    code = body("var names = []; for (var name in record) names.push(name); return { names: names };")
    assert evaluate(code, {"b": 1, "a": {"c": 1}}) == [{"names": ["b", "a"]}]
    java = "function process(record, next) { var n = []; for (var k in record) n.push(k); next.accept({ n: n }); }"
    assert evaluate(java, {"b": 1}) == [{"n": ["b"]}]


def test_nested_values_are_objects_and_arrays_of_the_script():
    code = body(
        """
  function merge(target, source) {
    for (const key in source) {
      if (source[key] instanceof Object && !Array.isArray(source[key])) {
        target[key] = merge(target[key] || {}, source[key]);
      } else target[key] = source[key];
    }
    return target;
  }
  return merge({ data: { kept: 1 } }, record);"""
    )
    record = {"data": {"a": {"b": [1, {"c": 2}]}}}
    assert evaluate(code, record, ECMAScriptVersion="12") == [{"data": {"kept": 1, "a": {"b": [1, {"c": 2}]}}}]


NUMBERS = [0, 1, -1, 2**53 - 1, -(2**53) + 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**64, 10**30]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("wrap", [lambda n: {"n": n}, lambda n: {"n": [{"m": n}]}, lambda n: {"n": {"m": [n, "x"]}}])
def test_whole_numbers_of_any_size_pass_a_script_unchanged(number, wrap):
    assert evaluate(body("return record;"), wrap(number)) == [wrap(number)]


def test_a_large_whole_number_is_a_bigint_to_the_script_and_is_never_rounded():
    record = {"n": 2**53 + 1}
    code = body("return { kind: typeof record.n, text: '' + record.n, more: record.n + 1n, larger: record.n > 5 };")
    assert evaluate(code, record) == [{"kind": "bigint", "text": str(2**53 + 1), "more": 2**53 + 2, "larger": True}]
    ((code, message, kept),) = rejects(body("return { n: record.n * 2 };"), record)
    assert code == "LB-4603"
    assert "BigInt" in message
    assert kept == record


def test_only_the_large_numbers_of_a_batch_become_bigints():
    code = body("return { kinds: [typeof record.a, typeof record.b, typeof record.t] };")
    made = evaluate(code, {"a": 2**60, "b": 1.5, "t": "12345678901234567890"}, {"a": 1, "b": 2.5, "t": "x"})
    assert made == [{"kinds": ["bigint", "number", "string"]}, {"kinds": ["number", "number", "string"]}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1.0, 1),
        (-0.0, 0),
        (0.1, 0.1),
        (1e300, 1e300),
        (5e-324, 5e-324),
        (123456.789, 123456.789),
        (1e21, 1e21),
        (1.7976931348623157e308, 1.7976931348623157e308),
    ],
)
def test_decimals_keep_their_value(before, after):
    assert evaluate(body("return record;"), {"n": before}) == [{"n": after}]


def test_what_json_cannot_write_becomes_null_as_javascript_has_it():
    assert evaluate(body("return { n: NaN, i: 1 / 0, f: function () {}, l: [undefined] };"), {}) == [
        {"n": None, "i": None, "l": [None]}
    ]


TEXTS = [
    "",
    "é",
    "日本語",
    "😀",
    "\u2028\u2029",
    "\x00\x1f\x7f",
    '"\\/',
    "\\ud800",
    "\\\\ud83d",
    "\ufeff",
    "a\r\nb",
    "\ufffd",
]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_passes_a_script_unchanged_as_value_and_as_key(text):
    record = {"value": text, "key": {text + "k": [text]}}
    assert evaluate(body("return record;"), record) == [record]


def test_a_text_with_half_a_character_rejects_the_record():
    found = rejects(body("return { t: record.t.slice(0, 1) };"), {"t": "😀"}, {"t": "ab"})
    assert found == [
        (
            "LB-4605",
            "what process returned holds a text with half of a surrogate pair, which is no character",
            {"t": "😀"},
        )
    ]


def test_keys_keep_their_order_except_whole_numbers_which_go_first():
    code = body("return { keys: Object.keys(record.o) };")
    assert evaluate(code, {"o": {"b": 1, "2": 1, "a": 1, "1": 1, "01": 1}}) == [{"keys": ["1", "2", "b", "a", "01"]}]
    (made,) = evaluate(body("return record;"), {"z": 1, "a": 2, "m": {"y": 1, "x": 2}})
    assert list(made) == ["z", "a", "m"]
    assert list(made["m"]) == ["y", "x"]


def test_the_key_proto_is_a_key_like_any_other():
    record = {"a": {"__proto__": {"x": 1}, "constructor": 2, "hasOwnProperty": 3}}
    assert evaluate(body("return record;"), record, ECMAScriptVersion="12") == [record]


def test_absent_null_and_empty_stay_apart():
    records = [{"a": None}, {"a": ""}, {"a": {}}, {"a": []}, {"b": 1}]
    assert evaluate(body("return record;"), *records) == records


def test_an_exception_rejects_the_record_with_its_place_and_takes_back_what_the_call_had_sent():
    code = body("next.accept({ half: 1 });\n  error.accept({ half: 2 });\n  return record.a.b.c;")
    assert rejects(code, {"a": 1}, ECMAScriptVersion="12") == [
        (
            "LB-4603",
            "TypeError: Cannot read properties of undefined (reading 'c') (line 4, column 21)",
            {"a": 1},
        )
    ]
    assert evaluate(code, {"a": 1}, ECMAScriptVersion="12") == []


@pytest.mark.parametrize(
    ("thrown", "message"),
    [
        ("'text'", "the script threw text"),
        ("null", "the script threw null"),
        ("undefined", "the script threw undefined"),
        ("42", "the script threw 42"),
        ("{ code: 7 }", 'the script threw {"code":7}'),
        ("{ message: 'mine' }", "Error: mine"),
    ],
)
def test_whatever_is_thrown_is_told(thrown, message):
    ((code, told, _),) = rejects(body(f"throw {thrown};"), {"a": 1})
    assert (code, told) == ("LB-4603", message)


@pytest.mark.parametrize(
    ("details", "code", "message"),
    [
        ("{ errorCode: 400006, errorMessage: 'm' }", 400006, "m"),
        ("{ errorCode: 'INVALID', errorMessage: 'm' }", "INVALID", "m"),
        ("{ errorMessage: 'm' }", "LB-4604", "m"),
        ("'m'", "LB-4604", "m"),
        ("{}", "LB-4604", "the script refused the record"),
        ("undefined", "LB-4604", "the script refused the record"),
    ],
)
def test_a_record_the_script_refuses_carries_what_the_script_says(details, code, message):
    script = body(f"var other = {{ b: 1, _errorDetails: {details} }}; error.accept(other, record); return null;")
    ((found_code, found, record),) = rejects(script, {"a": 1})
    assert (found_code, found) == (code, message)
    assert record["b"] == 1
    assert "a" not in record


def test_a_refused_record_can_also_go_on():
    code = body("error.accept({ bad: 1 }); return record;")
    assert evaluate(code, {"a": 1}) == [{"a": 1}]
    assert len(rejects(code, {"a": 1})) == 1


def test_the_log_takes_one_or_two_values_of_any_kind():
    services = Witness()
    code = body(
        """
  logger.info("text"); logger.info("object", { a: [1] }); logger.info("none", undefined); logger.warn(1, null);
  logger.error("e", new Error("hidden")); logger.debug(true); logger.log("old");
  console.log("c"); console.error("ce", "x"); console.warn("cw"); console.info("ci"); console.debug("cd");
  var circle = {}; circle.self = circle; logger.info("circle", circle);
  return record;"""
    )
    evaluate(code, {}, services=services)
    assert services.lines == [
        ("info", "text"),
        ("info", 'object {"a":[1]}'),
        ("info", "none undefined"),
        ("warning", "1 null"),
        ("error", "e {}"),
        ("debug", "true"),
        ("info", "old"),
        ("info", "c"),
        ("error", "ce x"),
        ("warning", "cw"),
        ("info", "ci"),
        ("debug", "cd"),
        ("info", "circle object"),
    ]


def test_the_context_has_the_facts_of_the_job():
    (made,) = evaluate(body("return ctx;"), {}, parameters={"brand": "x", "n": [1]})
    assert made == {
        "jobId": "job-1",
        "dataflowName": "Nightly",
        "stepId": "script",
        "parameters": {"brand": "x", "n": [1]},
    }


def test_the_call_after_the_last_record_comes_once_and_even_without_records():
    code = (
        "var n = 0; function process(record, ctx, logger, next) { n += 1; return record === null ? { n: n } : null; }"
    )
    assert evaluate(code, {"a": 1}, {"a": 2}, notifyLastRecord=True) == [{"n": 3}]
    assert make(code, notifyLastRecord=True).finish().to_objects() == [{"n": 1}]
    assert evaluate(code, {"a": 1}) == []


def test_a_failure_in_the_call_after_the_last_record_ends_the_job():
    step = make(body("if (record === null) throw new Error('flush'); return null;"), notifyLastRecord=True)
    step.apply(Batch.from_objects([{"a": 1}]))
    with pytest.raises(LandbridgeError) as caught:
        step.finish()
    assert caught.value.code == "LB-4606"
    assert "Error: flush (line 2, column 28)" in caught.value.message


def test_times_are_in_utc():
    assert evaluate(body("return { o: new Date(2026, 6, 1).getTimezoneOffset() };"), {}) == [{"o": 0}]


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ("function process(r) {\n  x = 1 +* 2;\n}", "LB-1601", "line 2, column 10"),
        ("function process(r) {\n  return r;\n", "LB-1601", "Unexpected end of input"),
        ("let a = 1;\nlet a = 2;", "LB-1601", "line 2, column 5"),
        ("function other(r) {}", "LB-1602", "no function process"),
        ("var process = 5;", "LB-1602", "no function process"),
        ("", "LB-1602", "no function process"),
        ("var x = 1;\nundefined.y;", "LB-1603", "line 2, column 11"),
        ("async function process(record) {}", "LB-1604", "async"),
        ("function* process(record) {}", "LB-1604", "generator"),
    ],
)
def test_a_script_that_cannot_run_is_found_before_the_job(script, code, message):
    with pytest.raises(LandbridgeError) as caught:
        Evaluate.Params.model_validate({"script": script})
    assert caught.value.code == code
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("params", "code"),
    [({"parallel": True, "notifyLastRecord": True}, "LB-1605"), ({"ECMAScriptVersion": "latest"}, "LB-1606")],
)
def test_parameters_that_do_not_fit_are_refused(params, code):
    with pytest.raises(LandbridgeError) as caught:
        Evaluate.Params.model_validate({"script": body("return record;"), **params})
    assert caught.value.code == code


def test_a_script_with_open_placeholders_is_not_judged_before_they_are_filled():
    Evaluate.Params.model_validate({"script": body("return {{mapping}} + ;")})
    with pytest.raises(LandbridgeError):
        make(body("return {{mapping}} + ;")).apply(Batch.from_objects([{}]))


def test_an_empty_batch_starts_no_script_result():
    step = make(body("return record;"))
    assert step.apply(Batch.from_objects([])).num_rows == 0
    assert step.finish() is None
