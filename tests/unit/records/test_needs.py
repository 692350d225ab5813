"""Leaving out what later steps drop never changes what comes out."""

import msgspec
from hypothesis import given, strategies as st

from landbridge.records.needs import ALL
from landbridge.records.shred import Shredder
from tests.steps import make

KEYS = st.sampled_from(["a", "b", "c"])
NAMES = st.lists(KEYS, min_size=1, max_size=3).map(".".join)
VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.just("x"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, max_size=3), min_size=1, max_size=4)
PAIRS = st.lists(st.fixed_dictionaries({"sourceField": NAMES, "targetField": NAMES}), min_size=1, max_size=2)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["field.rename", "field.copy"]), st.fixed_dictionaries({"fields": PAIRS})),
    st.tuples(
        st.sampled_from(["field.remove", "field.select"]),
        st.fixed_dictionaries({"fields": st.lists(NAMES, min_size=1, max_size=2)}),
    ),
    st.tuples(st.just("field.add"), NAMES.map(lambda name: {"fields": [{"field": name, "value": "new"}]})),
)


def result(rows, steps, needs):
    batch = Shredder(needs).array(msgspec.json.encode(rows))
    for step in steps:
        batch = step.apply(batch)
    return [msgspec.json.encode(row, order="sorted") for row in batch.to_objects()]


@given(RECORDS, st.lists(STEPS, min_size=1, max_size=4))
def test_fields_that_are_not_needed_may_be_left_out(rows, chain):
    steps = [make(component_id, params) for component_id, params in chain]
    needs = ALL
    for step in reversed(steps):
        needs = step.needs(needs)
    assert result(rows, steps, needs) == result(rows, steps, ALL)


def test_what_a_rename_takes_from_a_removed_object_is_needed():
    remove = make("field.remove", {"fields": ["profile"]})
    rename = make("field.rename", {"fields": [{"sourceField": "profile.email", "targetField": "EMAIL"}]})
    needs = rename.needs(remove.needs(ALL))
    assert needs.covers(("profile", "email"))
    assert needs.covers(("profile",))
    assert not needs.covers(("profile", "city"))
    assert needs.covers(("data",))


@given(st.lists(RECORDS, min_size=1, max_size=3), st.lists(STEPS, min_size=1, max_size=4))
def test_a_needed_field_that_shows_up_late_is_not_left_out(pages, chain):
    steps = [make(component_id, params) for component_id, params in chain]
    needs = ALL
    for step in reversed(steps):
        needs = step.needs(needs)

    def results(shredder):
        for rows in pages:
            batch = shredder.array(msgspec.json.encode(rows))
            for step in steps:
                batch = step.apply(batch)
            yield [msgspec.json.encode(row, order="sorted") for row in batch.to_objects()]

    assert list(results(Shredder(needs))) == list(results(Shredder()))
