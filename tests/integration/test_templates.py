"""Every template runs dry against a local site and the sandbox of its vendor; the commands that make and check them."""

import json
import os

import pytest
from typer.testing import CliRunner

from landbridge.cli.app import app
from landbridge.templates import load, names
from tests.contract.gigya.local_site import running_site
from tests.contract.sandbox.running import running_sandbox
from tests.integration.command import Command
from tests.integration.in_process import InProcess

OF_THE_DEMO = {"demo-out", "demo-back"}
"""Templates that ``landbridge demo`` runs; see test_demo."""

PLACES = (
    "data.subscribed",
    "subscriptions.newsletter.email.isSubscribed",
    "preferences.privacy.marketing.isConsentGranted",
)
"""Where an account may say whether it is subscribed; all forms that ask for it take each of them."""

SILVERPOP_SECRETS = ("clientSecret", "refreshToken", "password")


def silverpop(sandbox, command):
    """What the forms of the vendor need, secrets by reference."""
    found = sandbox.connection("silverpop")
    for name in SILVERPOP_SECRETS:
        command.environ[f"TEST_{name}"] = os.environ[f"TEST_{name}"] = found[name]
        found[name] = f"${{env:TEST_{name}}}"
    table = [{"name": name, "type": "TEXT", "key": name != "CATEGORY"} for name in ("UID", "NAME", "CATEGORY")]
    sandbox.do(lambda s: "86767" in s["silverpop"].tables_ or s["silverpop"].tables_.create("Gigya Likes", table))
    return found


def lytics(sandbox, command):
    """What the form of the vendor needs, the token by reference."""
    found = sandbox.connection("lytics")
    command.environ["TEST_LYTICS_TOKEN"] = os.environ["TEST_LYTICS_TOKEN"] = found["accessToken"]
    return {**found, "accessToken": "${env:TEST_LYTICS_TOKEN}"}


def responsys(sandbox, command):
    """What the forms of the vendor need, the password by reference."""
    found = sandbox.connection("responsys")
    command.environ["TEST_RESPONSYS_PASSWORD"] = os.environ["TEST_RESPONSYS_PASSWORD"] = found["password"]
    return {**found, "password": "${env:TEST_RESPONSYS_PASSWORD}"}


def responsys_files(sandbox, command):
    """What the forms of the vendor's files need, the key by reference."""
    found = sandbox.do(lambda own: dict(own["responsys"].file_connection()))
    command.environ["TEST_RESPONSYS_KEY"] = os.environ["TEST_RESPONSYS_KEY"] = found["privateKey"]
    return {**found, "privateKey": "${env:TEST_RESPONSYS_KEY}", "account": "4711"}


def cheetahmail(sandbox, command):
    """What the forms of the vendor need, both passwords by reference."""
    found = sandbox.connection("cheetahmail")
    for name in ("apiPassword", "password"):
        variable = f"TEST_CHEETAHMAIL_{name.upper()}"
        command.environ[variable] = os.environ[variable] = found[name]
        found[name] = f"${{env:{variable}}}"
    return found


CONNECTIONS = {
    "cheetahmail": cheetahmail,
    "lytics": lytics,
    "responsys": responsys,
    "responsys-files": responsys_files,
    "silverpop": silverpop,
}
"""By how a template's name begins: what fills its form, from the running sandbox of that vendor. The longest counts."""

OTHER_SERVERS = {"store"}
"""Fields that lead to other servers than a sandbox; the tests of the integration choose them."""


@pytest.fixture(scope="module")
def site():
    with running_site(people=60, seed=5) as site:
        yield site


@pytest.fixture(scope="module")
def sandboxes():
    with running_sandbox(*{name.partition("-")[0] for name in CONNECTIONS}) as sandbox:
        yield sandbox


@pytest.fixture
def command(tmp_path, site, monkeypatch):
    for name, value in site.environ.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    yield InProcess(tmp_path)
    os.environ.clear()
    os.environ.update(before)


def values_for(name, sandboxes, command):
    beginnings = [beginning for beginning in CONNECTIONS if name.startswith(f"{beginning}-")]
    assert beginnings, f"list a connection for {name} in CONNECTIONS, so that it is run"
    known = CONNECTIONS[max(beginnings, key=len)](sandboxes, command)
    fields = {field.name for field in load(name).form.fields}
    return {key: value for key, value in known.items() if key in fields}


def made(name, folder, **values):
    """The dataflow that ``landbridge templates new`` makes of a template, after a look at what ``lint`` says of it."""
    target = folder / "flow.json"
    (folder / "values.json").write_text(json.dumps(values))
    options = ["--values", str(folder / "values.json")] if values else []
    new = CliRunner().invoke(app, ["templates", "new", name, "-o", str(target), "--force", *options])
    assert new.exit_code == 0, (values, new.output)
    linted = CliRunner().invoke(app, ["lint", str(target)])
    assert linted.exit_code == 0, (values, linted.output)
    return target


@pytest.mark.parametrize("name", [name for name in names() if load(name).form])
def test_a_template_is_made_of_its_examples_linted_and_runs_dry_with_every_choice(name, sandboxes, command):
    base = {**load(name).form.examples(), **values_for(name, sandboxes, command)}
    fields = load(name).form.fields
    varied = [field for field in fields if field.choices and field.name not in OTHER_SERVERS]
    most = max((len(field.choices) for field in varied), default=0)
    # Each choice of each field once, those of several fields together.
    choices = [{}, *({f.name: f.choices[number % len(f.choices)] for f in varied} for number in range(most))]
    for field in fields:
        if field.name == "subscriptionField":
            shown = {other: wanted[0] for other, wanted in field.shown_when.items()}
            choices += [{"subscriptionField": place, **shown} for place in PLACES]
    flow = made(name, command.folder, **base)
    for given in choices:
        if given:
            flow.write_text(load(name).fill({**base, **given}).flow.dump())
        outcome = command.run(flow, "--dry-run")
        assert outcome.code == 0, (given, outcome.err)
        assert outcome.report["rejects"] == 0, given


@pytest.mark.parametrize("name", [name for name in names() if not load(name).form])
def test_a_template_without_a_form_is_made_linted_and_runs_dry(name, command):
    flow = made(name, command.folder)
    if name in OF_THE_DEMO:
        return
    document = json.loads(flow.read_text())
    document["steps"][-1] |= {"type": "datasource.write.local", "params": {"path": str(command.folder)}}
    flow.write_text(json.dumps(document))
    outcome = command.run(flow, "--dry-run")
    assert outcome.code == 0, outcome.err


@pytest.mark.long
def test_a_dataflow_is_made_linted_checked_and_run_by_command(sandboxes, site, tmp_path):
    command = Command(tmp_path)
    command.environ.update(site.environ)
    values = values_for("silverpop-contacts", sandboxes, command)
    (tmp_path / "values.json").write_text(json.dumps(values))
    listed = command("templates", "list")
    assert "silverpop-contacts" in listed.out
    shown = command("templates", "show", "silverpop-contacts")
    assert "listId  (string; required)" in shown.out
    schema = json.loads(command("templates", "show", "silverpop-contacts", "--json").out)
    assert schema["properties"]["clientSecret"]["secret"] is True
    target = tmp_path / "out.json"
    new = ("templates", "new", "silverpop-contacts", "--values", tmp_path / "values.json", "-o", target)
    made = command(*new, "--set", "fields=profile.email=EMAIL,profile.city=City", "--set", "subscription=none")
    assert made.code == 0, made.out + made.err
    assert json.loads((tmp_path / "out.scheduling.json").read_text())["frequencyType"] == "minute"
    again = command(*new)
    assert again.code == 2, "an existing file is not replaced"
    check = command("check", target)
    assert check.code == 0, check.out
    assert "ok       site: " in check.out
    assert "ok       key: contacts are matched by UID" in check.out
    assert command.run(target).status == "succeeded"
    assert len(sandboxes.rows("silverpop", "contacts")) > 50


def test_a_form_that_cannot_be_filled_writes_nothing(tmp_path):
    command = Command(tmp_path)
    target = tmp_path / "out.json"
    outcome = command(
        "templates", "new", "silverpop-outbound", "-o", target, "--set", "clientSecret=hunter2", "--set", "nonsense=1"
    )
    assert outcome.code == 1
    assert "LB-1524" in outcome.err
    assert "there is no field nonsense" in outcome.err
    assert "hunter2" not in outcome.out + outcome.err
    assert not target.exists()


def test_a_file_of_values_may_be_shared_by_several_templates(tmp_path):
    command = Command(tmp_path)
    shared = {"apiUser": "acme_api", "host": "files.example.com", "username": "me", "listId": "7", "lisstId": "8"}
    (tmp_path / "shared.json").write_text(json.dumps(shared))
    for name in ("cheetahmail-subscribers", "cheetahmail-outbound"):
        made = command("templates", "new", name, "--values", tmp_path / "shared.json", "-o", tmp_path / f"{name}.json")
        assert made.code == 0, made.out + made.err
        assert "note: " in made.err
        assert "lisstId" in made.err
        assert ("apiUser" in made.err) is (name == "cheetahmail-outbound")
        assert "7" in (tmp_path / f"{name}.json").read_text()
    refused = command(
        *("templates", "new", "cheetahmail-outbound", "--values", tmp_path / "shared.json"),
        *("-o", tmp_path / "other.json", "--set", "apiUser=x"),
    )
    assert refused.code == 1
    assert "there is no field apiUser" in refused.err


def test_the_sandbox_tells_all_that_a_form_asks_for(tmp_path):
    import signal

    process = Command(tmp_path).start("sandbox", "serve", "responsys", "--port", "0", "--sftp-port", "0", "--memory")
    lines = []
    while not lines or not lines[-1].strip().startswith("account"):
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    given = {line.split()[0] for line in lines if line.split()}
    fields = load("responsys-files-events").form.fields
    asked = (field for field in fields if field.required and not field.shown_when)
    assert {field.name for field in asked if "default" not in field.schema} <= given
    assert lines[-1].split() == ["account", "4711"]


def test_the_local_site_prints_lines_that_make_it_the_site_of_all_dataflows(tmp_path):
    import signal
    import subprocess

    command = Command(tmp_path)
    for folder in ("s", "a 'folder'", "a 'folder'"):  # the last is found as it was left
        process = command.start("site", "serve", "--port", "0", "--people", "3", "--data", tmp_path / folder)
        lines = []
        while not lines or "_SECRET=" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        exports = "".join(line for line in lines if line.strip().startswith("export"))
        secret = json.loads((tmp_path / folder / "credentials.json").read_text())["secret"]
        assert secret not in exports
        shown = subprocess.run(["bash", "-c", f"{exports}env"], capture_output=True, text=True, check=True).stdout
        assert f"LANDBRIDGE_SITE_SECRET={secret}\n" in shown
        told = dict(line.split("=", 1) for line in shown.splitlines() if line.startswith("LANDBRIDGE_SITE_"))
        reader = {"id": "a", "type": "datasource.read.gigya.account", "params": {"select": "UID"}}
        (tmp_path / "f.json").write_text(json.dumps({"name": "f", "steps": [reader]}))
        command.environ.update(told)
        checked = command("check", tmp_path / "f.json")
        assert checked.code == 0, checked.out + checked.err
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_the_sandbox_serves_until_it_is_stopped_and_remembers(tmp_path):
    import signal

    command = Command(tmp_path)
    seen = []
    for _ in range(2):
        process = command.start(
            "sandbox", "serve", "silverpop", "--port", "0", "--sftp-port", "0", "--data", tmp_path / "s"
        )
        lines = []
        while not lines or not lines[-1].strip().startswith("listId"):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        seen.append([line for line in lines if line.strip().startswith(("clientId", "password", "hostKey", "listId"))])
    assert seen[0] == seen[1]
