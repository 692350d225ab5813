"""Dataflows between a site and files, through the command line, in good and bad weather."""

import csv
import json
from dataclasses import replace

import pytest

from tests.contract.gigya.local_site import running_site
from tests.integration.command import step

PEOPLE = 3000


@pytest.fixture(scope="module")
def one_site():
    with running_site(people=PEOPLE, seed=11) as site:
        yield site


@pytest.fixture
def site(one_site):
    one_site.calm()
    yield one_site
    one_site.calm()


@pytest.fixture
def own_site(site, command):
    """The site as the own site of every command."""
    command.environ.update(site.environ)
    return site


def export(folders, *between, select="*", file="accounts.jsonl", **params):
    return (
        step("read", "datasource.read.gigya.account", select=select, batchSize=200, **params),
        *between,
        step("json", "file.format.json", fileName=file, layout="lines"),
        step("write", "datasource.write.local", path=str(folders / "out")),
    )


def lines(folders, name="accounts.jsonl"):
    return [json.loads(line) for line in (folders / "out" / name).read_text().splitlines()]


BAD_WEATHER = [
    {"error_code": 403048, "probability": 0.02},
    {"error_code": 500001, "probability": 0.02},
    {"error_code": 503001, "probability": 0.02},
    {"drop": True, "probability": 0.02},
    {"drop": True, "after_work": True, "probability": 0.02},
    {"delay_s": 0.3, "probability": 0.02},
]


def storm(site, method):
    for fault in BAD_WEATHER:
        site.fail(method=method, **fault)
    site.site.switches = replace(site.site.switches, empty_last_page=True)


def test_an_export_in_bad_weather_has_every_account_once(own_site, command, folders):
    expected = own_site.search("SELECT * FROM accounts LIMIT 5000")
    storm(own_site, "accounts.search")
    own_site.fail(method="accounts.search", error_code=500001, skip=3, times=2)
    outcome = command.run(command.flow(*export(folders)))
    assert (outcome.code, outcome.status) == (0, "succeeded")
    assert lines(folders) == expected
    assert len({row["UID"] for row in lines(folders)}) == PEOPLE


@pytest.mark.parametrize("component", ["account", "importaccount"])
def test_an_import_in_bad_weather_changes_every_account_once(own_site, command, folders, component):
    rows = own_site.search("SELECT UID, profile.email FROM accounts LIMIT 5000")[:600]
    changes = [{**row, "data": {component: {"marker": row["UID"]}}} for row in rows]
    (folders / "in" / "changes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changes))
    storm(own_site, "accounts.*")
    params = {"importPolicy": "upsert"} if component == "importaccount" else {}
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("parse", "file.parse.json"),
        step("import", f"datasource.write.gigya.{component}", maxConnections=20, **params),
    )
    outcome = command.run(flow, timeout=110)
    own_site.calm()
    assert (outcome.code, outcome.status) == (0, "succeeded")
    assert outcome.step("import")["out"] == 600
    found = own_site.search(f"SELECT UID, data.{component} FROM accounts LIMIT 5000")
    marked = {row["UID"]: row["data"][component]["marker"] for row in found if component in row.get("data", {})}
    assert marked == {row["UID"]: row["UID"] for row in rows}


CREATING = {
    "accounts": ("importaccount", {"importPolicy": "insert"}, "accounts.*"),
    "emailAccounts": (
        "generic",
        {
            "apiMethod": "accounts.importLiteAccount",
            "apiParams": [{"paramName": "email", "sourceField": "mail"}, {"paramName": "data", "sourceField": "data"}],
        },
        "accounts.*",
    ),
    "stormy": ("ds", {"type": "stormy"}, "ds.*"),
}


@pytest.mark.parametrize("source", CREATING)
def test_what_is_created_in_bad_weather_is_there_once(own_site, command, folders, source):
    component, params, methods = CREATING[source]
    rows = [
        {"UID": f"storm-{number}", "mail": f"storm{number}@example.com", "data": {"storm": f"{source} {number}"}}
        for number in range(400)
    ]
    if component == "ds":
        # Without an account, and without an id: a repeated call must not make a second object.
        rows = [{"data": row["data"]} for row in rows]
    (folders / "in" / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    storm(own_site, methods)
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("parse", "file.parse.json"),
        {"id": "create", "type": f"datasource.write.gigya.{component}", "params": {"maxConnections": 20, **params}},
    )
    outcome = command.run(flow, timeout=110)
    own_site.calm()
    assert (outcome.code, outcome.status) == (0, "succeeded"), outcome.err
    assert outcome.step("create")["out"] == len(rows)
    method = "ds.search" if component == "ds" else "accounts.search"
    found = own_site.search(f"SELECT data.storm FROM {source} WHERE data.storm IS NOT NULL LIMIT 5000", method)
    mine = [row["data"]["storm"] for row in found if row["data"]["storm"].startswith(source)]
    assert sorted(mine) == sorted(row["data"]["storm"] for row in rows)
    if component == "importaccount":
        for row in rows:
            own_site.call("accounts.deleteAccount", UID=row["UID"])


def test_failed_records_take_the_error_path_with_the_code_of_the_api(own_site, command, folders):
    rows = [{"UID": "nobody-1", "data": {"x": 1}}, *own_site.search("SELECT UID FROM accounts LIMIT 2")]
    (folders / "in" / "changes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("parse", "file.parse.json"),
        {**step("update", "datasource.write.gigya.account"), "next": ["good"], "error": ["bad"]},
        {**step("good", "file.format.json", fileName="good.jsonl", layout="lines"), "next": ["write"]},
        {**step("bad", "file.format.json", fileName="bad.jsonl", layout="lines"), "next": ["write"]},
        step("write", "datasource.write.local", path=str(folders / "out")),
    )
    command.run(flow)
    assert [row["UID"] for row in lines(folders, "good.jsonl")] == [row["UID"] for row in rows[1:]]
    [bad] = lines(folders, "bad.jsonl")
    assert bad["_errorDetails"]["errorCode"] == 403005
    assert bad["data"] == {"x": 1}


def test_an_error_path_may_lead_from_a_lookup_into_an_import(own_site, command, folders):
    known = own_site.search("SELECT UID, profile.email FROM accounts LIMIT 2")
    rows = [{"UID": row["UID"], "profile": row["profile"]} for row in known]
    rows.append({"UID": "brand-new", "profile": {"email": "brand-new@example.com"}})
    (folders / "in" / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    look_up = step(
        "lookup",
        "datasource.lookup.gigya.account",
        select="UID as found",
        lookupFields=[{"sourceField": "UID", "gigyaField": "UID"}],
    )
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("parse", "file.parse.json"),
        {**look_up, "next": ["json"], "error": ["import"]},
        {**step("import", "datasource.write.gigya.importaccount", addResponse=True), "next": ["json"]},
        step("json", "file.format.json", fileName="all.jsonl", layout="lines"),
        step("write", "datasource.write.local", path=str(folders / "out")),
    )
    outcome = command.run(flow)
    assert outcome.code in (0, 3), outcome.err
    found = {row["UID"]: row for row in lines(folders, "all.jsonl")}
    assert set(found) == {row["UID"] for row in rows}
    assert "ignoredParams" not in found["brand-new"]["_response"]
    assert own_site.account("brand-new")["profile"]["email"] == "brand-new@example.com"
    own_site.call("accounts.deleteAccount", UID="brand-new")


def test_a_dry_run_looks_up_but_changes_nothing(own_site, command, folders):
    [account] = own_site.search("SELECT UID, profile.email FROM accounts LIMIT 1")
    (folders / "in" / "people.jsonl").write_text(json.dumps({"mail": account["profile"]["email"]}) + "\n")
    pair = {"sourceField": "mail", "gigyaField": "profile.email"}
    flow = command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("parse", "file.parse.json"),
        step("lookup", "datasource.lookup.gigya.account", select="UID", lookupFields=[pair]),
        step("add", "field.add", fields=[{"field": "data.dry", "value": "run"}]),
        step("update", "datasource.write.gigya.account"),
    )
    outcome = command.run(flow, "--dry-run")
    assert outcome.code == 0, outcome.err
    assert (outcome.step("lookup")["out"], outcome.step("update")["in"]) == (1, 1)
    assert "dry" not in own_site.account(account["UID"])["data"]
    assert command.run(flow).code == 0
    assert own_site.account(account["UID"])["data"]["dry"] == "run"


def test_selected_columns_are_in_the_file_on_a_day_without_changes(own_site, command, folders):
    flow = command.flow(
        step("read", "datasource.read.gigya.account", select="UID, profile.nickname", where='UID = "nobody"'),
        step("rename", "field.rename", fields=[{"sourceField": "UID", "targetField": "ID"}]),
        step("dsv", "file.format.dsv", fileName="a.csv", createEmptyFile=True),
        step("write", "datasource.write.local", path=str(folders / "out")),
    )
    assert command.run(flow).code == 0
    content = (folders / "out" / "a.csv").read_text()
    assert next(csv.reader(content.splitlines())) == ["ID", "profile.nickname"]


def test_a_site_is_copied_to_a_table_and_back_without_change(own_site, command, folders):
    out = command.flow(
        *export(folders, select="UID, profile.firstName, profile.email, data.score, data.interests, isActive"),
        name="out",
    )
    assert command.run(out).code == 0
    before = own_site.search("SELECT UID, profile, data, isActive FROM accounts LIMIT 5000")
    back = command.flow(
        step("read", "datasource.read.local", path=str(folders / "out")),
        step("parse", "file.parse.json"),
        step("update", "datasource.write.gigya.account", maxConnections=20),
        name="back",
    )
    outcome = command.run(back)
    assert (outcome.code, outcome.step("update")["out"]) == (0, PEOPLE)
    assert own_site.search("SELECT UID, profile, data, isActive FROM accounts LIMIT 5000") == before


def test_a_step_without_a_site_names_every_place_that_was_looked_at(command, folders):
    for name in [name for name in command.environ if name.startswith("LANDBRIDGE_SITE_")]:
        del command.environ[name]
    outcome = command.run(command.flow(*export(folders)))
    assert outcome.code not in (0, None)
    assert "LB-1501" in outcome.err + outcome.out
    assert "LANDBRIDGE_SITE_SECRET" in outcome.err + outcome.out
    assert not list((folders / "out").iterdir())


def test_a_wrong_secret_ends_the_job_with_nothing_written_and_nothing_told(own_site, command, folders):
    command.environ["LANDBRIDGE_SITE_SECRET"] = "cGxhbnRlZC1zZWNyZXQ="
    outcome = command.run(command.flow(*export(folders)))
    assert outcome.code not in (0, None)
    assert "LB-2301" in outcome.err + outcome.out
    assert "cGxhbnRlZC1zZWNyZXQ" not in outcome.err + outcome.out + json.dumps(outcome.report)
    assert not list((folders / "out").iterdir())


def test_a_test_run_reads_only_as_many_accounts_as_asked_for(own_site, command, folders):
    outcome = command.run(command.flow(*export(folders)), "--limit", "10")
    assert outcome.code == 0, outcome.err
    assert len(lines(folders)) == 10
