"""``landbridge demo`` from the first line to the last."""

import gzip
import json
import re
import stat


def test_the_demo_takes_people_to_a_platform_and_only_its_changes_back(command, tmp_path):
    place = tmp_path / "demo"
    outcome = command("demo", "--folder", place, "--people", "300")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert [line[:2] for line in lines] == ["1.", "2.", "3.", "4.", "5.", "6.", "  "]
    told = re.search(r"; (\d+) open it, (\d+) of them unsubscribe", lines[3])
    opened, unsubscribed = int(told[1]), int(told[2])
    assert 0 < unsubscribed < opened < 300
    assert "300 accounts compared in" in lines[5]
    changes = opened + unsubscribed
    assert f"{changes} of {changes} changes of the platform are there, 0 accounts changed otherwise" in lines[5]
    assert lines[5].endswith(", 0 are missing")
    assert str(place / "site") in lines[6]
    for name, count in (("import/accounts_*", 300), ("export/contacts_*", opened)):
        (file,) = (place / "sftp").glob(f"{name}.csv.gz")
        # Addresses hold line breaks, so that records and not lines are counted, by what all of them have.
        assert gzip.decompress(file.read_bytes()).decode().count("@example.com") == count
    assert (place / "sftp" / "import" / "accounts.ready").exists()


def test_no_key_of_the_demo_is_printed(command, tmp_path):
    place = tmp_path / "demo"
    outcome = command("demo", "--folder", place, "--people", "5")
    kept = place / "site" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    keys = [value for value in json.loads(kept.read_text()).values() if isinstance(value, str)]
    assert len(keys) >= 4
    assert not [key for key in keys if key in outcome.out + outcome.err]


def test_a_demo_may_be_repeated_but_never_replaces_a_folder_of_others(command, tmp_path):
    place = tmp_path / "demo"
    for _ in range(2):
        assert command("demo", "--folder", place, "--people", "5").code == 0
    mine = tmp_path / "mine"
    (mine / "site").mkdir(parents=True)
    (mine / "site" / "precious.txt").write_text("mine")
    outcome = command("demo", "--folder", mine, "--people", "5")
    assert outcome.code == 2
    assert "holds no demo" in outcome.err
    assert (mine / "site" / "precious.txt").read_text() == "mine"


def test_the_demo_talks_to_no_other_site_than_its_own(command, tmp_path):
    command.environ |= {
        "LANDBRIDGE_SITE_URL": "http://127.0.0.1:9",
        "LANDBRIDGE_SITE_API_KEY": "4_real",
        "LANDBRIDGE_SITE_USER_KEY": "real",
        "LANDBRIDGE_SITE_SECRET": "cmVhbA==",
        "LANDBRIDGE_SITE_PRIVATE_KEY": "real",
        "LANDBRIDGE_SITE_DATA_CENTER": "eu1",
        "LANDBRIDGE_SITE_RATE_TIER": "wrong",
    }
    assert command("demo", "--folder", tmp_path / "demo", "--people", "5").code == 0
