"""Pictures of the graph, of right and of wrong dataflows."""

import json
import re

from hypothesis import given, settings, strategies as st

from landbridge.dataflow import Dataflow, Step, make_plan
from landbridge.dataflow.graph import as_mermaid, as_text
from tests.unit.dataflow.small_catalogue import SmallCatalogue, export_flow, step

TEXT = st.text(min_size=1, max_size=6)


def flow(*steps):
    return Dataflow.load(json.dumps({"steps": steps}))


def test_a_split_makes_branches_and_a_join_is_named_again():
    picture = """
account  datasource.read.gigya.account
rename  field.rename
├─ csv  file.format.dsv
│  gzip  file.compress.gzip
│  sftp  datasource.write.sftp
└─ done  file.empty
   sftp  (above)
""".strip()
    loaded = Dataflow.load(json.dumps(export_flow()))
    assert as_text(loaded) == picture
    assert as_text(make_plan(loaded, SmallCatalogue())) == picture


def test_an_error_path_is_marked():
    picture = as_text(flow(step("a", "t", ["b"]), step("b", "u", [], ["c"]), step("c", "v")))
    assert picture == "a  t\nb  u\n└─ error: c  v"


def test_circles_lost_steps_and_wrong_names_are_shown_as_they_are():
    picture = as_text(flow(step("a", "t", ["nowhere"]), step("x", "t", ["y"]), step("y", "t", ["x"])))
    assert picture == "a  t\nnowhere  (no such step)\nx  t\ny  t\nx  (above)"
    assert as_text(flow()) == "(no steps)"


def test_control_characters_of_an_id_do_not_reach_the_terminal():
    assert "\x1b" not in as_text(flow(step("a\x1b[2Jb", "t")))


def test_the_mermaid_picture_has_dashed_error_paths_and_marked_wrong_names():
    picture = as_mermaid(flow(step('say "a" > b', "t", ["b"], ["c"]), step("b", "u")))
    assert picture == (
        "flowchart LR\n"
        '  s0["say #34;a#34; #62; b<br/><small>t</small>"]\n'
        '  s1["b<br/><small>u</small>"]\n'
        "  s0 --> s1\n"
        '  x2["c<br/><small>no such step</small>"]:::missing\n'
        "  s0 -. error .-> x2\n"
        "  classDef missing stroke:#c00,stroke-dasharray:4\n"
    )


@given(
    st.lists(
        st.builds(
            Step,
            TEXT,
            TEXT,
            next=st.lists(TEXT, max_size=3).map(tuple),
            error=st.lists(TEXT, max_size=2).map(tuple),
        ),
        max_size=6,
        unique_by=lambda one: one.id,
    )
)
@settings(deadline=None)
def test_any_graph_can_be_drawn_with_every_step_in_it_once(steps):
    drawn = Dataflow("", steps=tuple(steps))
    lines = as_text(drawn).splitlines()
    marks = ("(above)", "(no such step)", "(no steps)")
    assert sum(not line.endswith(marks) for line in lines) == len(steps)
    node = re.compile(r'  [sx]\d+\["[^"]*"\](:::missing)?')
    edge = re.compile(r"  [sx]\d+ (-->|-\. error \.->) [sx]\d+")
    for line in as_mermaid(drawn).splitlines()[1:]:
        assert node.fullmatch(line) or edge.fullmatch(line) or line.startswith("  classDef")
