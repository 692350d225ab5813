"""Memory does not grow with the input."""

import json
import os
import subprocess

import pytest

from tests.integration.command import LANDBRIDGE, step

SMALL_MB, LARGE_MB = 40, 160
LARGEST_GROWTH = 1.25


def peak_mb(command, flow):
    """Peak memory of one run in MB."""
    process = subprocess.Popen(
        [*LANDBRIDGE, "run", "--quiet", str(flow)], env=command.environ, stderr=subprocess.PIPE, text=True
    )
    err = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    assert process.returncode == 0, err
    return usage.ru_maxrss / 1000


def write_array(path, megabytes):
    """One JSON array of accounts, which has to be cut into elements; every account has some fields of its own."""
    row = {"UID": "u", "profile": {"email": "p@example.com", "bio": "x" * 600, "phones": [{"number": "1"}]}}
    element = json.dumps(row)
    with path.open("w") as file:
        file.write("[")
        for number in range(megabytes * 1_000_000 // len(element)):
            file.write(("," if number else "") + element)
        file.write("]")


@pytest.mark.parametrize("format_step", [("dsv", "file.format.dsv"), ("json", "file.format.json")])
def test_four_times_the_records_take_the_same_memory(command, folders, format_step):
    peaks = []
    for megabytes in (SMALL_MB, LARGE_MB):
        write_array(folders / "in" / "a.json", megabytes)
        flow = command.flow(
            step("read", "datasource.read.local", path=str(folders / "in")),
            step("parse", "file.parse.json"),
            step("rename", "field.rename", fields=[{"sourceField": "profile.email", "targetField": "EMAIL"}]),
            step(*format_step, fileName="a.out"),
            step("gzip", "file.compress.gzip"),
            step("write", "datasource.write.local", path=str(folders / "out")),
        )
        peaks.append(peak_mb(command, flow))
    assert peaks[1] <= peaks[0] * LARGEST_GROWTH, peaks
