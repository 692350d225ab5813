"""The commands for schedules, marks and alerts as users type them."""

import json
import sys

import pytest

from landbridge.cli.app import main
from tests.integration.command import Command
from tests.servers.mail import Mailbox


@pytest.fixture
def command(tmp_path):
    return Command(tmp_path)


@pytest.fixture
def line(command, monkeypatch, capsys):
    """Run a command in this process, which is quicker; what it prints."""
    monkeypatch.setenv("LANDBRIDGE_HOME", command.environ["LANDBRIDGE_HOME"])

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["landbridge", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == code, (out, err)
        return out + err

    return run


def written(command, **keys):
    path = command.folder / "scheduling.json"
    path.write_text(json.dumps(keys))
    return path


def test_the_next_runs_are_shown_with_offsets_and_what_becomes_of_odd_times(command, line):
    file = written(
        command,
        name="nightly",
        frequencyType="day",
        nextJobStartTime="2026-03-01T01:30:00Z",
        landbridge={"timeZone": "Europe/Zurich"},
    )
    assert line("schedules", "next", file, "--after", "2026-03-28", "--count", 3).splitlines() == [
        "nightly: every day, Europe/Zurich",
        "Sat 2026-03-28 02:30:00 +01:00  2026-03-28T01:30:00Z",
        "Sun 2026-03-29 03:30:00 +02:00  2026-03-29T01:30:00Z  shifted: the clock skips this time (2026-03-29 02:30)",
        "Mon 2026-03-30 02:30:00 +02:00  2026-03-30T00:30:00Z",
    ]
    assert "2026-03-27T13:30:00" not in line(
        "schedules", "next", file, "--after", "2026-10-24T22:00:00Z", "--count", 1, "--zone", "Asia/Kolkata"
    )
    shown = json.loads(line("schedules", "next", file, "--after", "2026-10-24T22:00:00Z", "--count", 1, "--json"))
    assert shown == [
        {
            "scheduling": "nightly",
            "wanted": "2026-10-25T02:30:00",
            "local": "2026-10-25T02:30:00+02:00",
            "utc": "2026-10-25T00:30:00Z",
            "note": "first",
        }
    ]


@pytest.mark.parametrize(
    ("keys", "arguments", "code", "message"),
    [
        ({"frequencyType": "daily"}, [], 1, "LB-1060"),
        ({"landbridge": {"timeZone": "Europe/Zurch"}}, [], 1, 'Did you mean "Europe/Zurich"?'),
        ({"steps": []}, [], 1, "is a dataflow"),
        ({}, ["--zone", "Mars/Base"], 1, "LB-1060"),
        ({}, ["--after", "tomorrow"], 2, "is not a time such as"),
        ({}, ["--after", "9999-12-31T23:59:59-12:00"], 2, "is not a time such as"),
        ({}, ["--count", 0], 2, "--count"),
    ],
)
def test_what_cannot_be_understood_is_one_clear_message(command, line, keys, arguments, code, message):
    said = line("schedules", "next", written(command, **keys), *arguments, code=code)
    assert message in said
    assert "Traceback" not in said


def test_a_file_that_is_not_there_is_named(command):
    outcome = command("schedules", "next", "nowhere.json")
    assert outcome.code == 1
    assert "LB-1002" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_schedule_is_added_changed_switched_off_and_removed(command, line):
    flow = command.flow({"id": "read", "type": "datasource.read.local", "params": {"path": "/tmp"}}, name="export")
    line("dataflows", "add", flow)
    options = ["--every", "2 weeks", "--days", "mon,thu", "--at", "06:00", "--zone", "Europe/Zurich"]
    said = line("schedules", "add", "export", *options, "--name", "weekly", "--mail-failure", "ops@example.com")
    assert "weekly: every 2 weeks, Europe/Zurich" in said
    identity = said.split()[0]
    document = json.loads(line("schedules", "show", "weekly"))
    assert (document["id"], document["frequencyInterval"], document["daysOfWeek"]) == (identity, 2, "mon,thu")
    assert document["landbridge"] == {"timeZone": "Europe/Zurich", "timeOfDay": "06:00"}
    assert document["failureEmailNotification"] == "ops@example.com"
    assert line("schedules", "next", "weekly") == line("schedules", "next", "export")
    assert line("schedules", "next", "weekly").count("06:00:00") == 5
    file = written(command, name="hourly", frequencyType="hour")
    assert "hourly: every hour, UTC" in line("schedules", "set", "weekly", "--file", file)
    assert "(switched off)" in line("schedules", "switch", identity, "--off")
    (listed,) = json.loads(line("schedules", "list", "--json"))
    assert (listed["enabled"], listed["revision"]) == (False, 3)
    assert "(removed)" in line("schedules", "remove", "hourly")
    assert "LB-1721" in line("schedules", "show", "hourly", code=1)
    assert "LB-1701" in line("schedules", "add", "nothing", code=1)
    assert "is not an interval" in line("schedules", "add", "export", "--every", "fortnight", code=2)


def test_the_mark_is_shown_set_and_reset(command, line):
    flow = command.flow({"id": "read", "type": "datasource.read.local", "params": {"path": "/tmp"}}, name="export")
    line("dataflows", "add", flow)
    assert "none" in line("delta", "show", "export")
    assert "export: 2026-03-02 04:00:00 UTC" in line("delta", "set", "export", "2026-03-02T05:00:00+01:00")
    shown = json.loads(line("delta", "show", "export", "--json"))
    assert (shown["mark"], shown["revision"]) == ("2026-03-02T04:00:00+00:00", 1)
    assert "none" in line("delta", "reset", "export")
    assert "is not a time" in line("delta", "set", "export", "yesterday", code=2)
    assert "LB-1701" in line("delta", "show", "nothing", code=1)


def test_a_rule_for_alerts_is_added_tried_and_removed(monkeypatch, line):
    with Mailbox() as mailbox:
        monkeypatch.setenv("LANDBRIDGE_SMTP", mailbox.url)
        rule = line("alerts", "add", "--mail", "ops@example.com, boss@example.com", "--on", "failure,late").strip()
        assert "failure, late (first)" in line("alerts", "rules")
        assert "sent" in line("alerts", "test", rule)
        assert mailbox.mails[0][0] == ["ops@example.com", "boss@example.com"]
    assert "LB-3303" in line("alerts", "test", rule, code=1)
    hook = line("alerts", "add", "--webhook", "http://127.0.0.1:9/hook")
    assert "secret of the webhook" in hook
    assert json.loads(line("alerts", "list", "--json")) == []
    line("alerts", "remove", rule)
    assert rule not in line("alerts", "rules")
    for arguments in (["--mail", "ops"], ["--mail", "ops@example.com", "--on", "x"], ["--mail", ","]):
        assert "LB-1743" in line("alerts", "add", *arguments, code=1)
    assert "either --mail or --webhook" in line("alerts", "add", code=2)
    assert "LB-1303" in line("alerts", "add", "--webhook", "http://example.com/hook", code=1)
    assert "LB-1742" in line("alerts", "remove", rule, code=1)


def test_what_is_missing_or_misspelt_is_named_with_all_that_would_be_right(line):
    assert "--on / --off: give one of the two" in line("schedules", "switch", "s", code=2)
    assert "--on / --off: nothing to change" in line("users", "set", "ada@example.com", code=2)
    for command in (("schedules", "switch"), ("users", "set")):
        told = " ".join(line(*command, "--help").split())
        assert "--on lets" in told
        assert "--off" in told.partition("--on lets")[2]
    error = line("alerts", "add", "--mail", "ops@example.com", "--on", "guard,failur", code=1)
    assert error.splitlines() == [
        'error: there is no "failur" among the kinds of alerts; did you mean "failure"?  [LB-1743]',
        "There are failure, stalled, guard, rejects, late, volume, recovery, success.",
    ]
