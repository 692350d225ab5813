"""Dataflows in the shapes that users of IdentitySync write, run as they are between a site and sshd or S3."""

import csv
import gzip
import io
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow.problems import errors_of
from landbridge.engine.lint import lint_file
from tests.flows.conftest import PEOPLE
from tests.servers.process import find_program

FLOWS = Path(__file__).parent


def flow(name):
    return FLOWS / f"{name}.json"


def succeeded(outcome):
    assert (outcome.code, outcome.status) == (0, "succeeded"), outcome.err
    return outcome


def only(folder, pattern="*"):
    (file,) = [path for path in folder.glob(pattern) if path.is_file()]
    return file


def table(text, separator=","):
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))


def accounts(site, fields="*", where=None):
    query = f"SELECT {fields} FROM accounts" + (f" WHERE {where}" if where else "") + " LIMIT 5000"
    return site.search(query)


@pytest.mark.parametrize("path", sorted(FLOWS.glob("*.json")), ids=lambda path: path.stem)
def test_a_flow_lints_without_errors(path):
    assert errors_of(lint_file(path, InstalledComponents())) == []


def test_contacts_become_a_compressed_table(place):
    folder = place.folder("contacts")
    succeeded(place.run(flow("contacts-to-csv")))
    file = only(folder, "CONTACTS_*.csv.gz")
    rows = table(gzip.decompress(file.read_bytes()).decode())
    people = accounts(place.site)
    assert len(rows) == len(people) == PEOPLE
    names = {"EMAIL": "email", "SURNAME": "lastName", "STREET": "address", "POSTCODE": "zip", "NICK": "nickname"}
    for row, person in zip(rows, people, strict=True):
        profile = person["profile"]
        assert {key: row[key] for key in names} == {key: profile.get(name, "") for key, name in names.items()}
        assert row["BORN"] == str(profile["birthYear"])
        numbers = [{"number": phone["number"]} for phone in profile.get("phones", [])]
        assert (json.loads(row["PHONES"]) if row["PHONES"] else []) == numbers


def test_loyalty_goes_into_two_files_of_one_step(place):
    folder = place.folder("loyalty")
    members = accounts(place.site, where="profile.nickname IS NOT NULL")
    assert 20 < len(members) < PEOPLE
    challenge = {"challengeID": "_default", "actions": [{"actionID": "visit", "points": 10}]}
    place.site.call("gm.setActionConfig", actions=[{"actionID": "visit", "points": 10}])
    for member in members[:3]:
        assert place.site.call("gm.notifyAction", UID=member["UID"], action="visit")["errorCode"] == 0, challenge
    succeeded(place.run(flow("loyalty-in-two-files")))
    told = json.loads(only(folder, f"members_{datetime.now(UTC).year}.json").read_text())
    assert [row["UID"] for row in told] == [row["UID"] for row in members]
    assert all(row["profile"]["nickname"] for row in told)
    levels = table(only(folder, "levels_*.csv").read_text())
    points = {row["UID"]: int(row["pointsTotal"]) for row in levels if row["challengeID"] == "_default"}
    for member in members[:3]:
        (status,) = [
            each
            for each in place.site.call("gm.getChallengeStatus", UID=member["UID"])["achievements"]
            if each["challengeID"] == "_default"
        ]
        assert points[member["UID"]] == status["pointsTotal"] == 10


def test_a_table_updates_accounts(place):
    folder = place.folder("preferences")
    people = accounts(place.site, "UID, data")[:50]
    lines = [f"{row['UID']},{'yes' if number % 2 else ''},x{number},007" for number, row in enumerate(people)]
    (folder / "one.csv").write_text("UID,MORNING_SPORT,MORNING_STAGE,EVENING_CITY\n" + "\n".join(lines) + "\n")
    (folder / "other.txt").write_text("not asked for")
    assert succeeded(place.run(flow("csv-to-accounts"))).step("accounts")["out"] == 50
    for number, row in enumerate(people):
        (data,) = [each["data"] for each in accounts(place.site, "data", f'UID = "{row["UID"]}"')]
        assert data["morning"] == ({"sport": "yes"} if number % 2 else {}) | {"stage": f"x{number}"}
        assert data["evening"] == {"city": "007"}
        assert {key: value for key, value in data.items() if key not in ("morning", "evening")} == row["data"]


def test_leads_become_lite_accounts_and_the_others_a_file_of_errors(place):
    folder = place.folder("leads")
    errors = place.folder("leads/errors")
    good = [{"address": f"lead{number}@example.com", "profile": {"firstName": "Zoë"}} for number in range(40)]
    bad = [{"address": "nobody", "profile": {"firstName": "N"}}, {"profile": {"firstName": "O"}}]
    (folder / "leads.json").write_text(json.dumps([*good[:20], *bad, *good[20:]]))
    place.values["campaign"] = "autumn"
    outcome = place.run(flow("leads-with-error-file"))
    assert outcome.code in (0, 3), outcome.err
    rows = place.site.search(
        "SELECT email, profile, data FROM emailAccounts WHERE data.importedBy = 'autumn' LIMIT 1000"
    )
    assert {row["email"] for row in rows} == {row["address"] for row in good}
    assert all(row["profile"]["locale"] == "de" for row in rows)
    failed = json.loads(only(errors).read_text())["failed"]
    assert only(errors).name == "leads_autumn_errors.json"
    assert [row["_errorDetails"]["errorCode"] for row in failed] == [400006, 400002]
    assert [row["profile"]["firstName"] for row in failed] == ["N", "O"]


def test_names_with_dots_stay_names(place):
    folder = place.folder("dots")
    succeeded(place.run(flow("names-with-dots")))
    assert (folder / "people.done").read_bytes() == b""
    rows = json.loads(only(folder, "people-*.json").read_text())
    people = accounts(place.site)
    assert [row["UID"] for row in rows] == [person["UID"] for person in people]
    for row, person in zip(rows, people, strict=True):
        assert not {"profile", "data"} & row.keys()
        assert row["data.loyalty.tier"] == person["data"]["loyalty"]["tier"]
        plain = person["profile"]["firstName"].encode("ascii", "ignore").decode()
        assert row["profile.firstName"] == plain
        address = person["profile"].get("address")
        wanted = None if address is None else address.replace("\n", " ").encode("ascii", "ignore").decode()
        assert row.get("profile.address") == wanted


def test_traits_are_written_for_audience_manager(place):
    folder = place.folder("aam")
    succeeded(place.run(flow("traits-to-aam")))
    lines = only(folder).read_text().splitlines()
    people = accounts(place.site)
    assert len(lines) == PEOPLE
    for line, person in zip(lines, people, strict=True):
        uid, traits = line.split("\t", 1)
        assert uid == person["UID"]
        assert f'"land"="{person["profile"]["country"]}"' in traits


def test_segments_are_written_for_krux_into_a_bucket(place, s3, tmp_path):
    find_program("lzop", "/usr/bin")
    place.values |= {"bucket": s3.bucket("segments"), "accessKey": s3.access_key, "endpoint": s3.url}
    place.command.environ["LANDBRIDGE_SECRET_S3_KEY"] = s3.secret_key
    outcome = succeeded(place.run(flow("segments-to-krux")))
    assert {file["name"] for file in outcome.report["files"]} == {"segments.csv.lzo", "segments.csv.lzo.index"}
    stored = s3._buckets / "segments" / "segments" / "segments.csv.lzo"
    text = subprocess.run(["lzop", "-dc", stored], capture_output=True, check=True).stdout.decode()
    people = accounts(place.site)
    assert text.splitlines() == [
        f"{person['UID']}^s_gender:{person['profile']['gender']};s_born:{person['profile']['birthYear']}"
        for person in people
    ]


def test_an_opt_in_goes_out_as_yes_and_no_and_comes_back(place):
    folder = place.folder("optin")
    succeeded(place.run(flow("opt-in-as-yes-and-no")))
    rows = table(only(folder, "optin_*.csv").read_text())
    people = accounts(place.site, "UID, data.subscribed")
    assert [row["Newsletter"] for row in rows] == ["Yes" if row["data"]["subscribed"] else "No" for row in people]
    returned = place.folder("returned")
    lines = [f"{row['CustomerId']}|{row['EMAIL']}|{'No' if row['Newsletter'] == 'Yes' else 'Yes'}" for row in rows]
    (returned / "back").write_text("CustomerId|EMAIL|Newsletter\n" + "\n".join(lines) + "\n")
    assert succeeded(place.run(flow("yes-and-no-to-opt-in"))).step("account")["out"] == PEOPLE
    after = accounts(place.site, "UID, data.subscribed")
    turned = {row["UID"]: "false" if row["data"]["subscribed"] in (True, "true") else "true" for row in people}
    assert {row["UID"]: str(row["data"]["subscribed"]).lower() for row in after} == turned


def test_profiles_become_flat(place):
    folder = place.folder("flat")
    succeeded(place.run(flow("flat-profiles")))
    rows = json.loads((folder / "flat.json").read_text())
    people = accounts(place.site, where="profile.city IS NOT NULL")
    wanted = [
        {
            "UID": person["UID"],
            "iRank": person["iRank"],
            **{key: person["profile"][key] for key in ("city", "country", "gender")},
        }
        for person in people
    ]
    assert [{key.rpartition(".")[2]: value for key, value in row.items()} for row in rows] == wanted


def test_a_marker_without_reader_or_writer_runs(place):
    assert place.run(flow("marker-alone")).code == 0
