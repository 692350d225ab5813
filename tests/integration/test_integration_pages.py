"""What the pages on integrations tell people to type works, with the sandbox in the place of the vendor."""

import dataclasses
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from landbridge.cli.app import app
from landbridge.cli.integration_demo import names as demos
from landbridge.sandbox.vendors import chosen
from landbridge.templates import load, names
from tests.contract.gigya.local_site import running_site
from tests.contract.sandbox.running import running_sandbox

pytestmark = pytest.mark.usefixtures("own_environment")

FOLDER = Path(__file__).parents[2] / "docs" / "integrations"
VENDORS = ("cheetahmail", "lytics", "responsys", "silverpop")
SHOWS_A_KEY = 1
"""Exit code of ``connections pin`` without a fingerprint, as the pages say."""


def blocks(page, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", (FOLDER / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL)


def lines(page):
    return re.findall(r"^\$ (.+)$", "".join(blocks(page, "console")), re.MULTILINE)


@pytest.fixture(scope="module")
def site():
    with running_site(people=40, seed=9) as site:
        yield site


@pytest.fixture(scope="module")
def sandboxes():
    with running_sandbox(*VENDORS) as sandbox:
        yield sandbox


class Reader:
    """Somebody who types what a page shows, with the values of the sandbox in place of the vendor's."""

    def __init__(self, sandboxes, vendor, folder):
        self.url = sandboxes.sandbox.url
        known = [sandboxes.do(lambda own: dict(own[vendor].connection()))]
        known += sandboxes.do(lambda own: [dict(own[vendor].file_connection())] if vendor == "responsys" else [])
        self.known, self.folder = known, folder
        self.hosts = [f"{each['host']}:{each['port']}" for each in known if "host" in each]
        self.host_key = ""

    def types(self, line):
        """Type a line; gives the exit code and what is shown."""
        words = shlex.split(line)
        if words[0] == "export":
            name = words[1].partition("=")[0].rpartition("_")[2].lower()
            if not words[1].startswith(("LANDBRIDGE_SITE_", "TOKEN=")):
                os.environ[words[1].partition("=")[0]] = self.secret(name)
            return 0, ""
        if words[0] == "curl":
            return self.calls(line)
        assert words[0] == "landbridge", line
        words = [word for word in words[1:] if word != "…"]
        if words[:2] == ["connections", "pin"]:
            words[2] = self.hosts[0]
            words = [self.host_key if word.startswith("SHA256:") else word for word in words]
        if words[:2] == ["templates", "new"]:
            words += [part for pair in self.filled(words[2], words) for part in ("--set", pair)]
        result = CliRunner().invoke(app, words)
        if found := re.search(r"SHA256:\S+", result.output):
            self.host_key = found[0]
        return result.exit_code, result.output

    def secret(self, name):
        """What belongs into the variable of a secret; the key of an SFTP user is called as one likes."""
        values = {key.lower(): value for each in reversed(self.known) for key, value in each.items()}
        return values[name] if name in values else self.known[-1]["privateKey"]

    def filled(self, template, words):
        """Values of the sandbox for the form; secrets stay the references that the page shows."""
        known = self.known[-1] if "files" in template else self.known[0]
        given = {word.partition("=")[0] for word in words}
        for field in load(template).form.fields:
            if field.name in known and not field.is_secret:
                yield f"{field.name}={known[field.name]}"
            elif field.name == "privateKey" and "privateKey" not in given and "files" in template:
                yield "privateKey=${secret:responsys-sftp}"

    def calls(self, line):
        token = self.known[0].get("accessToken", "")
        command = line.replace("http://127.0.0.1:8700", self.url).replace("curl ", "curl -sS --fail-with-body ", 1)
        done = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, "TOKEN": token},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def typing(sandboxes, site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in site.environ.items():
        monkeypatch.setenv(name, value)
    return lambda vendor: Reader(sandboxes, vendor, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("page", [*VENDORS, "index"])
def test_everything_that_a_page_tells_to_type_works(page, typing):
    vendor = "silverpop" if page == "index" else page
    reader = typing(vendor)
    for block in blocks("silverpop", "json"):
        (reader.folder / "silverpop.json").write_text(block)
    if page == "index":
        for line in lines("silverpop")[:5]:
            reader.types(line)
    calls = re.findall(r"^curl .+?\}'$", (FOLDER / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(calls) == (3 if page == "responsys" else 0)
    for line in [*lines(page), *calls]:
        code, shown = reader.types(line)
        wanted = SHOWS_A_KEY if "pin" in line.split() and "--fingerprint" not in line else 0
        assert code == wanted, (line, shown)


@pytest.mark.parametrize("page", VENDORS)
def test_a_page_tells_of_every_switch_what_it_means_and_what_is_done_where_nobody_knows(page, sandboxes):
    text = (FOLDER / f"{page}.md").read_text()
    switches = sandboxes.do(lambda own: [each.name for each in dataclasses.fields(own[page].switches)])
    assert [name for name in switches if f"`{name}`" not in text] == []
    unknown = text.partition("## What is not known for certain")[2].partition("\n## ")[0]
    assert unknown.count("\n|") > 4
    assert set(re.findall(r"`([a-z]+_[a-z_0-9]+)`", unknown)) <= set(switches)


@pytest.mark.parametrize("page", VENDORS)
def test_a_page_tells_of_every_fault_what_it_happens_to(page):
    text = (FOLDER / f"{page}.md").read_text()
    rows = [
        line for line in text.partition("| [fault](")[2].partition("\n\n")[0].splitlines() if line.startswith("| `")
    ]
    told = {kind: row for row in rows for kind in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    known = chosen([page])[0].faults
    assert set(told) == set(known)
    for kind, operations in known.items():
        if len(operations) < 6 and "*" not in operations:
            assert [each for each in operations if f"`{each}`" not in told[kind]] == []


@pytest.mark.parametrize("page", [*VENDORS, "index"])
def test_a_page_tells_how_the_site_is_named(page):
    text = (FOLDER / f"{page}.md").read_text()
    assert ("LANDBRIDGE_SITE_API_KEY" if page == "index" else "(index.md#before-the-first-one)") in text


@pytest.mark.parametrize("page", VENDORS)
def test_a_page_names_all_its_templates_and_demos(page):
    text = (FOLDER / f"{page}.md").read_text()
    told = set(re.findall(rf"`({page}-[a-z-]+)`", text))
    assert told == {name for name in names() if name.startswith(f"{page}-")}
    shown = set(re.findall(r"--integration ([a-z-]+)", text))
    assert shown == {name for name in demos() if name.partition("-")[0] == page}


def test_values_that_a_page_shows_are_values_of_a_form():
    [block] = blocks("silverpop", "json")
    assert set(json.loads(block)) <= {field.name for field in load("silverpop-outbound").form.fields}
