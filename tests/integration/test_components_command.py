"""``landbridge components`` and lint where another package provides a component, well or badly."""

import subprocess
from pathlib import Path

import pytest

from tests.integration.command import LANDBRIDGE, step

WELL = """
from landbridge.components.base import Transform
from landbridge.components.params import ComponentParams
from landbridge.components.registry import component

@component("field.shout", title="Shout")
class Shout(Transform):
    "Write in capitals."
    Params = ComponentParams
    def apply(self, batch):
        return batch
"""


@pytest.fixture
def foreign(command, tmp_path):
    """Install a package that declares the component ``field.shout``; gives a function that takes its source."""

    def install(source):
        information = tmp_path / "site" / "shouting-1.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1\n")
        (information / "entry_points.txt").write_text("[landbridge.components]\nfield.shout = shouting:Shout\n")
        (tmp_path / "site" / "shouting.py").write_text(source)
        command.environ["PYTHONPATH"] = str(tmp_path / "site")

    return install


def test_a_component_of_another_package_is_listed(command, foreign):
    foreign(WELL)
    assert "Write in capitals." in command("components", "field.shout").out


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("import nothing_like_this\n", "LB-1074", "ModuleNotFoundError"),
        ("raise SystemError('broken')\n", "LB-1074", "broken"),
        ("Shout = 5\n", "LB-1101", "does not define a component class"),
        (WELL.replace('@component("field.shout", title="Shout")', ""), "LB-1101", "does not define a component class"),
    ],
)
def test_a_package_that_fails_is_told_and_hides_no_other_component(command, foreign, source, code, words):
    foreign(source)
    listed = command("components")
    assert listed.code == 0
    assert "file.format.dsv" in listed.out
    assert "field.shout" in listed.err
    assert f"[{code}]" in listed.err
    assert "Traceback" not in listed.err
    one = command("components", "field.shout")
    assert (one.code, f"[{code}]" in one.err, words in one.err) == (1, True, True)
    linted = command("lint", command.flow(step("s", "field.shout")))
    assert code in linted.out
    assert words in linted.out


def test_a_list_that_cannot_be_written_is_one_error(command):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*LANDBRIDGE, "components"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the disk is full  [LB-7001]\n")
    assert "Traceback" not in done.stderr


def test_what_goes_into_a_pipe_is_neither_wrapped_nor_padded(command):
    lines = command("components").out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert all(line.startswith(("component ", "datasource.", "field.", "file.", "record.")) for line in lines)
    described = command("components", "file.format.dsv").out.splitlines()
    assert [line for line in described if line != line.rstrip()] == []
    assert max(map(len, described)) > 80
