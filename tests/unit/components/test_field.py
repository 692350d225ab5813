"""What each ``field.*`` component makes of a record."""

import json

import pytest
from pydantic import ValidationError

from landbridge.records import Batch
from tests.steps import make, rejects


def applied(component_id, params, *rows):
    return make(component_id, params).apply(Batch.from_objects(rows)).to_objects()


def test_add_sets_constants_and_makes_objects():
    fields = [{"field": "data.job", "value": "j1"}, {"field": "'a.b'", "value": "x"}, {"field": "n", "value": 3}]
    assert applied("field.add", {"fields": fields}, {"data": {"k": 1}}, {}) == [
        {"data": {"k": 1, "job": "j1"}, "a.b": "x", "n": 3},
        {"data": {"job": "j1"}, "a.b": "x", "n": 3},
    ]


def test_rename_moves_values_objects_and_members_of_arrays():
    fields = [
        {"sourceField": "profile.email", "targetField": "EMAIL"},
        {"sourceField": "profile.phones.number", "targetField": "PHONES"},
        {"sourceField": "data", "targetField": "d.e"},
        {"sourceField": "missing", "targetField": "M"},
        {"sourceField": " UID ", "targetField": "'id.x'"},
    ]
    row = {
        "UID": "u",
        "profile": {"email": "e", "phones": [{"number": "1", "type": "m"}, {"type": "h"}]},
        "data": {"k": 1},
    }
    assert applied("field.rename", {"fields": fields}, row) == [
        {
            "profile": {"phones": [{"type": "m"}, {"type": "h"}]},
            "EMAIL": "e",
            "PHONES": ["1"],
            "d": {"e": {"k": 1}},
            "id.x": "u",
        }
    ]


def test_an_emptied_parent_remains_until_it_is_removed():
    pairs = {"fields": [{"sourceField": "p.a", "targetField": "A"}]}
    assert applied("field.rename", pairs, {"p": {"a": 1}}, {"p": {"b": 2}}) == [{"p": {}, "A": 1}, {"p": {"b": 2}}]
    assert applied("field.remove", {"fields": ["p"]}, {"p": {}, "A": 1}) == [{"A": 1}]


def test_select_keeps_fields_in_the_order_asked_for():
    batch = make("field.select", {"fields": ["b", "p.x", "missing", "a"]}).apply(
        Batch.from_objects([{"a": 1, "b": 2, "p": {"x": 3, "y": 4}}])
    )
    assert list(batch.columns) == ["b", "p.x", "a"]


@pytest.mark.parametrize(
    ("params", "order"),
    [
        ({"fields": ["c"], "after": "a"}, ["a", "c", "b"]),
        ({"fields": ["c", "b"]}, ["c", "b", "a"]),
        ({"fields": ["a"], "after": "c"}, ["b", "c", "a"]),
        ({"fields": ["a"], "after": "none"}, ["b", "c", "a"]),
    ],
)
def test_move_reorders(params, order):
    batch = make("field.move", params).apply(Batch.from_objects([{"a": 1, "b": 2, "c": 3}]))
    assert list(batch.columns) == order


def test_flatten_names_members_by_their_own_name_and_never_overwrites():
    row = {"city": "X", "profile": {"city": "Y", "work": {"title": "t"}, "likes": [1]}}
    assert applied("field.flatten", {"fields": ["profile"]}, row) == [
        {"city": "X", "profile_city": "Y", "work_title": "t", "likes": [1]}
    ]
    assert applied("field.flatten", {"fields": ["profile"], "naming": "path", "separator": "-"}, row) == [
        {"city": "X", "profile-city": "Y", "profile-work-title": "t", "profile-likes": [1]}
    ]


@pytest.mark.parametrize(
    ("regex", "replacement", "before", "after"),
    [
        (r"[|\n]", " ", "a|b\nc", "a b c"),
        (r"[^\x00-\x7F]", "", "Zoë", "Zo"),
        (r"(\w+)@(\w+)", "$2 at $1", "me@home", "home at me"),
        (r"(?<user>\w+)@", "${user}+", "me@home", "me+home"),
        (r"(a)(b)?", "[$1$2]", "ab a", "[ab] [a]"),
        (r"(?<=a)b", "X", "ab cb", "aX cb"),
        (r"(.)\1", "$1", "aabbc", "abc"),
        (r"\Q.\E", ",", "1.5", "1,5"),
        (r"\p{Alpha}+", "w", "ab1cd", "w1w"),
        (r"\u00e9", "e", "é", "e"),
        (r"x", r"\$1\\", "x", "$1\\"),
        (r"(a)", "$12", "a", "a2"),
        (r"(\|)|(\n)|(||)", " ", "a|b", "a b"),
        (r"x*", "-", "axb", "a-b"),
    ],
)
def test_replace_means_what_java_means(regex, replacement, before, after):
    rules = {"fields": [{"field": "t", "regex": regex, "replacement": replacement}]}
    assert applied("field.replace", rules, {"t": before, "n": 1}) == [{"t": after, "n": 1}]


def test_replace_puts_the_replacement_between_characters_only_when_asked_to():
    rules = {"fields": [{"field": "t", "regex": "x*", "replacement": "-"}], "matchEmpty": True}
    assert applied("field.replace", rules, {"t": "axb"}) == [{"t": "-a--b-"}]


def test_replace_with_a_star_changes_texts_everywhere_and_nothing_else():
    rules = {"fields": [{"field": "*", "regex": "a", "replacement": "b"}]}
    row = {"a": "a", "n": 1, "t": True, "z": None, "list": ["a", 2, {"a": "a"}], "o": {"p": "a"}}
    assert applied("field.replace", rules, row) == [
        {"a": "b", "n": 1, "t": True, "z": None, "list": ["b", 2, {"a": "b"}], "o": {"p": "b"}}
    ]


def test_replace_reaches_into_arrays():
    rules = {"fields": [{"field": "p.phones.number", "regex": " ", "replacement": ""}]}
    row = {"p": {"phones": [{"number": "+41 1", "t": "x y"}]}}
    assert applied("field.replace", rules, row) == [{"p": {"phones": [{"number": "+411", "t": "x y"}]}}]


@pytest.mark.parametrize(
    ("regex", "replacement"), [("(", ""), ("[a-z&&[^b]]", ""), ("a", "$1"), ("a", "$"), ("a", "${x}"), ("a", "\\")]
)
def test_a_bad_expression_or_replacement_is_refused(regex, replacement):
    with pytest.raises(ValidationError):
        make("field.replace", {"fields": [{"field": "*", "regex": regex, "replacement": replacement}]})


def test_join_makes_text_of_arrays_and_leaves_other_values():
    assert applied(
        "field.array.join", {"field": "i", "separator": ";"}, {"i": ["ski", 1, True, None]}, {"i": "x"}, {}
    ) == [
        {"i": "ski;1;true"},
        {"i": "x"},
        {},
    ]
    assert applied(
        "field.array.join", {"field": "p.i", "element": "name"}, {"p": {"i": [{"name": "a"}, {}, {"name": "b"}]}}
    ) == [{"p": {"i": "a,b"}}]


def test_extract_makes_a_record_of_each_element_with_a_stable_key():
    params = {"field": "achievements", "propagationFields": ["UID", "p.n"], "generateKey": True}
    rows = [
        {"UID": "u", "p": {"n": 1}, "achievements": [{"c": "x"}, "y"]},
        {"UID": "v", "achievements": []},
        {"UID": "w"},
    ]
    first = applied("field.array.extract", params, *rows)
    assert first == [
        {"UID": "u", "p": {"n": 1}, "c": "x", "key": "u-1-0"},
        {"UID": "u", "p": {"n": 1}, "achievements": "y", "key": "u-1-1"},
    ]
    nested = applied("field.array.extract", {**params, "keyField": "meta.key"}, *rows)
    assert [row["meta"] for row in nested] == [{"key": "u-1-0"}, {"key": "u-1-1"}]


def test_dates_are_rewritten_and_bad_ones_rejected():
    params = {
        "fields": [
            {
                "field": "d",
                "sourceFormat": "yyyy-MM-dd HH:mm",
                "targetFormat": "dd/MM/yyyy HH:mm",
                "targetTimeZone": "Europe/Zurich",
            },
            {"field": "i", "targetFormat": "unix", "targetField": "u"},
        ]
    }
    step = make("field.date.format", params)
    batch = Batch.from_objects([{"d": "2026-07-01 22:30", "i": "1970-01-01T00:01:00Z"}, {"d": "tomorrow"}, {"x": 1}])
    assert step.apply(batch).to_objects() == [{"d": "02/07/2026 00:30", "i": "1970-01-01T00:01:00Z", "u": 60}, {"x": 1}]
    [reject] = rejects(step)
    assert reject["code"] == "LB-4501"
    assert "tomorrow" not in reject["message"]


def test_columns_are_followed_where_names_are_known():
    rename = make(
        "field.rename",
        {"fields": [{"sourceField": "p.a", "targetField": "A"}, {"sourceField": "b", "targetField": "B"}]},
    )
    assert rename.columns(["p.a", "b", "c"]) == ["B", "c", "A"]
    assert make("field.remove", {"fields": ["p"]}).columns(["p.x", "q"]) == ["q"]
    assert make("field.select", {"fields": ["y", "x"]}).columns(None) == ["y", "x"]
    assert make("field.add", {"fields": [{"field": "z", "value": ""}]}).columns(None) is None


@pytest.mark.parametrize(
    ("told", "becomes"),
    [
        *((told, "Y") for told in (True, "TRUE", "Yes", " y ", 1, "1")),
        *((told, "N") for told in (False, "false", "NO", "n", 0)),
        *((told, "?") for told in ("", None, " ")),
    ],
)
def test_yes_and_no_are_read_however_they_are_told(told, becomes):
    step = {"fields": ["a.b"], "yes": "Y", "no": "N", "absent": "?"}
    assert applied("field.boolean", step, {"a": {"b": told}}) == [{"a": {"b": becomes}}]
    mixed = [{"a": {"b": told}}, {"a": {"b": {}}}, {"c": 1}, {"a": {"b": "x"}}]
    assert applied("field.boolean", step, *mixed) == [{"a": {"b": becomes}}, {"c": 1, "a": {"b": "?"}}]


@pytest.mark.parametrize("told", ["maybe", "ja", 2, "1.5", [True], {"x": True}, "tru"])
def test_what_is_neither_yes_nor_no_is_rejected_and_not_taken_for_a_no(told):
    step = make("field.boolean", {"fields": ["s"]})
    rows = [{"s": "yes", "n": 1}, {"s": told, "n": 2}, {"n": 3}, {"s": "0", "n": 4}]
    assert step.apply(Batch.from_objects(rows)).to_objects() == [
        {"s": True, "n": 1},
        {"n": 3},
        {"s": False, "n": 4},
    ]
    assert [(each["code"], json.loads(bytes(each["record"]))["n"]) for each in rejects(step)] == [("LB-4502", 2)]


def test_without_a_word_for_it_a_missing_answer_stays_as_it_is():
    assert applied("field.boolean", {"fields": ["s", "t"]}, {"s": ""}, {"t": "y"}) == [{"s": ""}, {"t": True}]
    assert applied("field.boolean", {"fields": ["s"]}, {"n": 1}) == [{"n": 1}]
