"""The command's table of commands: one is imported when it is called, all of them for the help."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from landbridge.cli.app import COMMANDS, app


def imported_by(*arguments):
    """The modules of ``landbridge.cli`` that a command imports."""
    code = (
        "import sys\n"
        "from landbridge.cli.app import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "except BaseException: pass\n"
        "print(*(name for name in sys.modules if name.startswith('landbridge.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split()), done.stdout


def test_run_imports_no_other_command_and_no_service_or_site():
    modules, _ = imported_by("run", "--help")
    places = {place.partition(":")[0] for place in COMMANDS.values()}
    assert modules & places == {"landbridge.cli.run"}
    packages = {"landbridge.server", "landbridge.site", "landbridge.sandbox", "landbridge.jobs", "landbridge.engine"}
    assert not modules & packages


def test_the_version_imports_no_command():
    modules, out = imported_by("--version")
    assert out.startswith("landbridge ")
    assert not modules & {place.partition(":")[0] for place in COMMANDS.values()}


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_lists_every_command_with_what_it_does(option):
    shown = CliRunner().invoke(app, [option]).output.partition("Commands:")[2]
    for name in COMMANDS:
        (line,) = [line for line in shown.splitlines() if line.split()[:1] == [name]]
        assert len(line.split()) > 1, line


@pytest.mark.parametrize("name", COMMANDS)
def test_every_place_in_the_table_is_a_command_with_a_help_of_its_own(name):
    command = get_command(app).commands[name]
    assert command.name == name
    assert command.help
    assert CliRunner().invoke(app, [name, "-h"]).exit_code == 0


def test_a_misspelt_command_is_told_with_the_one_that_is_meant():
    outcome = CliRunner().invoke(app, ["rnu"])
    assert outcome.exit_code == 2
    assert "Did you mean 'run'?" in outcome.output


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["run"], "run [OPTIONS] FLOW"),
        (["lint"], "lint [OPTIONS] FLOW..."),
        (["components"], "components [OPTIONS] [ID]"),
        (["connections", "pin"], "connections pin [OPTIONS] HOST[:PORT]"),
    ],
)
def test_the_usage_shows_arguments_plainly(words, usage):
    first = CliRunner().invoke(app, [*words, "-h"]).output.splitlines()[0]
    assert first.endswith(f" {usage}")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_command(name):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"`{name}`" in readme.partition("| running it | state |")[2]
