"""A reader that has had enough, as in ``landbridge … | head -1``, ends a command quietly."""

import subprocess
from pathlib import Path

import pytest

from tests.contract.sandbox.running import running_sandbox
from tests.integration.command import LANDBRIDGE, Command, step


def first_line(command, *arguments):
    """The first line, and what the command tells after its reader has gone."""
    process = subprocess.Popen(
        [*LANDBRIDGE, *map(str, arguments)],
        env=command.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    process.wait(60)
    return line, told


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("components",),
        ("templates", "list"),
        ("templates", "show", "silverpop-outbound"),
        ("run", "--help"),
    ],
)
def test_a_command_whose_reader_has_gone_says_nothing(tmp_path, arguments):
    line, told = first_line(Command(tmp_path), *arguments)
    assert line
    assert told == ""


def test_a_check_whose_reader_has_gone_says_nothing(tmp_path):
    command = Command(tmp_path)
    with running_sandbox("silverpop") as sandbox:
        connection = sandbox.connection("silverpop")
        flow = command.flow(
            step("read", "datasource.read.silverpop", **connection, columns="UID"),
            step("dsv", "file.format.dsv", fileName="a.csv"),
            step("write", "datasource.write.local", path=str(tmp_path)),
        )
        assert first_line(command, "check", flow) == ("read: datasource.read.silverpop\n", "")


def test_a_command_that_cannot_write_says_so(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*LANDBRIDGE, "components"], env=Command(tmp_path).environ, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
