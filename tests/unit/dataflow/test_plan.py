"""From steps to a plan: order, edges, ports, and everything that cannot run."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from landbridge.dataflow import Dataflow, DataflowError, make_plan
from landbridge.dataflow.problems import errors_of
from landbridge.errors import FlowError
from tests.unit.dataflow.small_catalogue import SmallCatalogue, export_flow, step

READER = "datasource.read.gigya.account"
WRITER = "datasource.write.gigya.account"
RENAME = "field.rename"
DSV = "file.format.dsv"
SFTP = "datasource.write.sftp"


def plan(*steps):
    return make_plan(Dataflow.load(json.dumps({"name": "f", "steps": steps})), SmallCatalogue())


def problems(*steps):
    with pytest.raises(DataflowError) as caught:
        plan(*steps)
    return caught.value.problems


def only_problem(*steps):
    (found,) = problems(*steps)
    return found


def ids(made):
    return [step.id for step in made.steps]


@st.composite
def graphs(draw):
    """A reader and transforms, each fed by at least one earlier step, along next or error."""
    count = draw(st.integers(1, 9))
    targets = {index: ([], []) for index in range(count)}
    for index in range(1, count):
        for parent in draw(st.sets(st.integers(0, index - 1), min_size=1, max_size=3)):
            failed = parent > 0 and draw(st.booleans())
            targets[parent][int(failed)].append(str(index))
    return [
        step(
            str(index),
            RENAME if index else READER,
            draw(st.permutations(next_)),
            draw(st.permutations(error)),
        )
        for index, (next_, error) in targets.items()
    ]


@given(graphs(), st.randoms(use_true_random=False))
def test_the_plan_is_the_same_whatever_the_order_of_the_steps(steps, random):
    made = plan(*steps)
    shuffled = list(steps)
    random.shuffle(shuffled)
    assert plan(*shuffled) == made
    assert sorted(ids(made)) == sorted(item["id"] for item in steps)


@given(graphs())
def test_every_step_stands_after_all_that_feed_it_and_no_edge_is_lost(steps):
    made = plan(*steps)
    place = {id_: index for index, id_ in enumerate(ids(made))}
    assert made.entry == ids(made)[0]
    assert all(place[edge.source] < place[edge.target] for edge in made.edges)
    assert [edge.order for edge in made.edges] == list(range(len(made.edges)))
    named = [
        (item["id"], target, kind) for item in steps for kind in ("next", "error") for target in item.get(kind, [])
    ]
    assert sorted((edge.source, edge.target, edge.kind) for edge in made.edges) == sorted(named)


def test_a_flow_with_a_split_and_a_join_is_ordered_by_its_graph():
    made = plan(*export_flow()["steps"])
    assert made.name == "f"
    assert ids(made) == ["account", "rename", "csv", "gzip", "done", "sftp"]
    assert [(edge.source, edge.target, edge.port) for edge in made.edges] == [
        ("account", "rename", "records"),
        ("rename", "csv", "records"),
        ("csv", "gzip", "files"),
        ("gzip", "sftp", "files"),
        ("rename", "done", "records"),
        ("done", "sftp", "files"),
    ]
    assert [edge.source for edge in made.edges_to("sftp")] == ["gzip", "done"]
    assert [edge.target for edge in made.edges_from("rename")] == ["csv", "done"]
    assert made.step("gzip").kind == "file_transform"
    assert made.step("rename").component == "field.rename"
    with pytest.raises(KeyError):
        made.step("nothing")


def test_the_order_of_next_decides_which_file_is_published_first():
    def writers(first, second):
        made = plan(
            step("r", READER, [first, second]),
            step("data", DSV, ["w"]),
            step("marker", "file.empty", ["w"]),
            step("w", SFTP),
        )
        return [edge.source for edge in made.edges_to("w")]

    assert writers("data", "marker") == ["data", "marker"]
    assert writers("marker", "data") == ["marker", "data"]


def test_an_error_path_carries_records_and_comes_after_next():
    made = plan(
        step("r", READER, ["w"]),
        step("w", WRITER, ["ok"], ["bad"]),
        step("ok", DSV, ["s"]),
        step("bad", DSV, ["s"]),
        step("s", SFTP),
    )
    assert [(edge.target, edge.kind, edge.port) for edge in made.edges_from("w")] == [
        ("ok", "next", "records"),
        ("bad", "error", "records"),
    ]
    assert made.warnings == ()


def test_a_lone_marker_file_is_a_whole_dataflow():
    made = plan(step("a", "file.empty", fileName="x.ok"))
    assert (made.entry, ids(made), made.edges) == ("a", ["a"], ())


def test_a_long_chain_does_not_exhaust_the_stack():
    count = 3000
    steps = [step("0", READER, ["1"])] + [step(str(i), RENAME, [str(i + 1)]) for i in range(1, count)]
    assert len(plan(*steps, step(str(count), WRITER)).steps) == count + 1


def test_an_empty_flow_cannot_be_planned():
    assert only_problem().code == "LB-1020"


def test_two_readers_are_named():
    found = only_problem(step("a", READER, ["c"]), step("b", READER, ["c"]), step("c", WRITER))
    assert found.code == "LB-1021"
    assert '"a" and "b"' in found.message


def test_a_step_to_which_nothing_leads_is_told_as_such():
    found = only_problem(step("a", READER, ["b"]), step("b", WRITER), step("lost", RENAME, ["b"]))
    assert (found.code, found.step) == ("LB-1027", "lost")


def test_a_first_step_that_needs_input_is_refused():
    found = only_problem(step("a", RENAME, ["b"]), step("b", WRITER))
    assert (found.code, found.step) == ("LB-1026", "a")
    assert "records" in found.message


def test_a_target_that_does_not_exist_is_told_with_the_closest_name_and_nothing_else():
    found = only_problem(step("a", READER, ["renam"]), step("rename", RENAME, ["w"]), step("w", WRITER))
    assert (found.code, found.field) == ("LB-1022", "steps[0].next")
    assert found.hint == 'Did you mean "rename"?'


def test_a_step_that_names_itself_is_refused():
    found = only_problem(step("a", READER, ["b"]), step("b", RENAME, ["b", "c"]), step("c", WRITER))
    assert (found.code, found.step) == ("LB-1023", "b")


def test_a_step_named_twice_in_one_list_is_refused():
    found = only_problem(step("a", READER, ["b", "b"]), step("b", WRITER))
    assert found.code == "LB-1028"
    assert "2 times" in found.message


def test_circles_are_refused_with_the_steps_on_them():
    found = problems(
        step("a", READER, ["b"]),
        step("b", RENAME, ["c"]),
        step("c", RENAME, ["d", "w"]),
        step("d", RENAME, [], ["b"]),
        step("x", RENAME, ["y"]),
        step("y", RENAME, ["x"]),
        step("w", WRITER),
    )
    assert [(one.code, one.message.rpartition(": ")[2]) for one in found] == [
        ("LB-1024", "b > c > d > b"),
        ("LB-1024", "x > y > x"),
    ]


@given(graphs(), st.data())
def test_an_edge_back_to_an_earlier_step_is_always_found(steps, data):
    source = data.draw(st.integers(1, len(steps)), label="source")
    target = data.draw(st.integers(1, source), label="target")
    steps = [step("root", READER, ["0"]), *steps, step(str(len(steps)), RENAME)]
    steps[1]["type"] = RENAME
    # A path from the target to the source closes the circle.
    walk = [str(index) for index in range(target, source)]
    for here, there in pairwise(walk):
        item = steps[int(here) + 1]
        if there not in item.get("next", []):
            item["next"] = [*item.get("next", []), there]
    last = steps[source]
    last["error"] = [*dict.fromkeys([*last.get("error", []), str(target)])] if source != target else [str(target - 1)]
    assert any(one.code in ("LB-1023", "LB-1024") for one in problems(*steps))


@pytest.mark.parametrize(
    ("steps", "words", "hint"),
    [
        ((step("a", READER, ["b"]), step("b", SFTP)), "takes files", "file.format.dsv"),
        (
            (step("a", "datasource.read.sftp", ["b"]), step("b", WRITER)),
            "takes records",
            "file.parse.dsv",
        ),
        (
            (step("a", READER, ["b"]), step("b", RENAME, ["c"]), step("c", "datasource.read.sftp")),
            "a reader, which can only be the first step",
            "Remove the connection",
        ),
        (
            (step("a", READER, ["b"]), step("b", WRITER, [], ["c"]), step("c", SFTP)),
            "failed records go to",
            "file.format.dsv",
        ),
    ],
)
def test_ports_that_do_not_fit_are_told_with_what_would_fit_between(steps, words, hint):
    found = only_problem(*steps)
    assert found.code == "LB-1025"
    assert words in found.message
    assert hint in found.hint


def test_an_error_path_of_a_file_step_is_ignored_with_a_warning():
    made = plan(
        step("a", READER, ["b"]),
        step("b", DSV, ["c"], ["e"]),
        step("c", SFTP, [], ["e"]),
        step("e", DSV, ["c"]),
    )
    assert ids(made) == ["a", "b", "c"]
    assert made.step("b").error == ()
    assert [(one.code, one.step) for one in made.warnings] == [
        ("LB-1029", "b"),
        ("LB-1029", "c"),
        ("LB-1027", "e"),
    ]


def test_a_step_in_both_next_and_error_gets_both_with_a_warning():
    made = plan(step("a", READER, ["b"]), step("b", RENAME, ["c"], ["c"]), step("c", WRITER))
    assert [edge.kind for edge in made.edges_to("c")] == ["next", "error"]
    assert [one.code for one in made.warnings] == ["LB-1030"]


def test_an_unknown_component_is_told_with_the_closest_one():
    found = only_problem(step("a", READER, ["b"]), step("b", "field.renam", ["c"]), step("c", WRITER))
    assert (found.code, found.step, found.field) == ("LB-1101", "b", "steps[1].type")
    assert found.hint == 'Did you mean "field.rename"?'


def test_a_component_that_is_missing_is_not_taken_for_a_misspelt_other_one():
    found = only_problem(step("a", "datasource.read.amazon.s3", ["b"]), step("b", WRITER))
    assert "landbridge components" in found.hint


def test_a_component_of_identitysync_that_is_not_there_is_no_slip():
    found = only_problem(step("a", "datasource.read.silverpop", ["b"]), step("b", WRITER))
    assert found.code == "LB-1101"
    assert "known to IdentitySync" in found.message
    assert "Did you mean" not in found.hint


def test_the_parameters_of_a_plan_are_not_shown():
    made = plan(step("a", "file.empty", fileName="hunter2"))
    assert "hunter2" not in repr(made)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (FlowError("LB-1999", "needs lzo", hint="pip install it"), "LB-1999"),
        (ImportError("no lzo"), "LB-1074"),
    ],
)
def test_a_component_that_cannot_be_loaded_is_told_with_its_reason(failure, code):
    catalogue = SmallCatalogue().with_failing(RENAME, failure)
    flow = Dataflow.load(json.dumps(export_flow()))
    with pytest.raises(DataflowError) as caught:
        make_plan(flow, catalogue)
    assert [one.code for one in caught.value.problems] == [code]


def test_all_problems_are_told_at_once():
    found = problems(
        step("a", READER, ["b", "nowhere"]),
        step("b", SFTP, ["b"]),
        step("c", "field.nothing"),
    )
    assert {one.code for one in errors_of(found)} == {"LB-1022", "LB-1023", "LB-1025", "LB-1101"}
