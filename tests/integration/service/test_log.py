"""The log of a service as JSON: every line that it prints, also while its database is away."""

import json
import os
import time

from tests.integration.service.parts import wait_until
from tests.servers.landbridge_service import Process
from tests.servers.postgres import Postgres

AWAY_S = 8


def test_all_a_service_prints_is_json_and_a_database_that_is_away_does_not_flood_it(tmp_path):
    log = tmp_path / "log"
    environ = {**os.environ, "LANDBRIDGE_HOME": str(tmp_path)}
    data = ("--data", str(tmp_path / "data"))

    def lines():
        return [json.loads(line) for line in log.read_text().splitlines()]

    def told(text):
        return [line for line in lines() if text in line["message"]]

    with Postgres() as postgres:
        service = Process(
            ["serve", "--port", "0", *data, "--database", postgres.url, "--log-format", "json"], environ, log
        )
        try:
            assert service.url.startswith("http://127.0.0.1:")
            time.sleep(2)
            before = len(lines())
            postgres.stop()
            wait_until(lambda: told("the database is away"))
            time.sleep(AWAY_S)
            postgres.start()
            wait_until(lambda: told("the database is back"), timeout_s=60)
            time.sleep(3)
            after = lines()[before:]
        finally:
            service.process.terminate()
            printed = service.process.stdout.read()
            service.process.stdout.close()
            service.process.wait(60)
    assert [line["code"] for line in after if "away" in line["message"]] == ["LB-7501"]
    assert len(after) <= 8, after
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in after))
    assert [json.loads(line)["level"] for line in printed.splitlines()] == ["info"] * len(printed.splitlines())
    assert json.loads(printed.splitlines()[-1])["message"] == "stopped"


def test_what_ends_a_service_at_its_start_is_a_json_line_too(tmp_path, command):
    common = ("--port", "0", "--log-format", "json")
    outcome = command("serve", *common, "--data", tmp_path / "d", "--database", "postgresql://u@127.0.0.1:1/none")
    [line] = outcome.err.splitlines()
    told = json.loads(line)
    assert (outcome.code, outcome.out, told["code"], told["level"]) == (1, "", "LB-7501", "critical")
