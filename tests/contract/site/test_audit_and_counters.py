"""audit.search over a log that is really written; counters; loyalty."""

from __future__ import annotations

from pathlib import Path

from tests.contract.site.client import Client, run


def test_deleted_accounts_are_found_in_the_audit_log(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        for uid in ("u1", "u2"):
            await client.ok("accounts.importFullAccount", UID=uid)
            await client.ok("accounts.deleteAccount", UID=uid)
        await client.call("accounts.deleteAccount", UID="u3")
        deleted = (
            'SELECT * FROM auditLog WHERE endpoint = "accounts.deleteAccount" AND errCode = "0" ORDER BY @timestamp'
        )
        rows = await client.find(deleted, "audit.search")
        assert [row["uid"] for row in rows] == ["u1", "u2"]
        assert [row["params"]["UID"] for row in rows] == ["u1", "u2"]
        assert rows[0]["userKey"] == client.site.user_key
        (failed,) = await client.find("SELECT * FROM auditLog WHERE errCode != '0'", "audit.search")
        assert (failed["errCode"], failed["errMessage"]) == ("403005", "Unauthorized user")
        since = f"SELECT * FROM auditLog WHERE @timestamp > '{rows[0]['@timestamp']}' AND endpoint LIKE 'accounts.%'"
        assert {row["uid"] for row in await client.find(since, "audit.search")} <= {"u1", "u2", "u3"}
        assert await client.find("SELECT count(*) FROM auditLog", "audit.search") == [{"count(*)": 3}]
        pages = await client.pages("SELECT * FROM auditLog LIMIT 2", "audit.search")
        assert [page["objectsCount"] for page in pages] == [2, 1]

    run(scenario, folder)


def test_the_audit_log_holds_no_secret(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u1")
        await client.ok("accounts.setAccountInfo", UID="u1", newPassword="correct horse")
        (row,) = await client.find("SELECT * FROM auditLog", "audit.search")
        assert row["params"]["secret"] == row["params"]["newPassword"] == "********"
        assert client.site.secret not in str(row)
        assert "correct horse" not in str(row)

    run(scenario, folder)


def test_only_everything_can_be_selected_from_the_audit_log(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        for query in ("SELECT uid FROM auditLog", "SELECT * FROM accounts"):
            assert (await client.call("audit.search", query=query))["errorCode"] == 400006

    run(scenario, folder)


def test_counters_count_and_sum(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u1")
        await client.ok(
            "accounts.registerCounters", counters=[{"class": "_views"}, {"class": "_views", "path": "shop"}]
        )
        for value in (2, 5):
            await client.ok("accounts.incrementCounters", UID="u1", counters=[{"class": "_views", "value": value}])
        (total,) = (await client.ok("accounts.getCounters", UID="u1"))["counters"]
        assert (total["class"], total["path"], total["count"], total["value"]) == ("_views", "/", 2, 7)
        week = await client.ok("accounts.getCounters", UID="u1", counters=[{"class": "_views", "period": "last7Days"}])
        assert [each["value"] for each in week["counters"]] == [7]
        (row,) = await client.find("SELECT counters FROM accounts WITH counters")
        assert {each["period"] for each in row["counters"]} > {"total"}
        query = "SELECT counters FROM accounts FILTER counters.period = 'total' WITH counters"
        (row,) = await client.find(query)
        assert [each["value"] for each in row["counters"]] == [7]
        assert len((await client.ok("accounts.getRegisteredCounters"))["counters"]) == 2

    run(scenario, folder)


def test_counters_that_are_wrong_are_refused(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u1")
        for method, parameters, code in (
            ("accounts.incrementCounters", {"UID": "u1", "counters": [{"class": "_none"}]}, 409011),
            ("accounts.incrementCounters", {"UID": "nobody", "counters": []}, 403005),
            ("accounts.unregisterCounters", {"counters": [{"class": "_none"}]}, 409011),
            ("accounts.registerCounters", {}, 400002),
            ("accounts.registerCounters", {"counters": [{"path": "x"}]}, 400006),
            ("accounts.registerCounters", {"counters": [{"class": "_x", "path": "a/b/c"}]}, 400006),
            ("accounts.getCounters", {"UID": "nobody"}, 403005),
        ):
            assert (await client.call(method, **parameters))["errorCode"] == code, method

    run(scenario, folder)


def test_actions_earn_points_and_points_reach_levels(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u1")
        levels = [{"level": 1, "points": 10, "title": "one"}, {"level": 2, "points": 100, "title": "two"}]
        await client.ok("gm.setChallengeConfig", challenges=[{"challengeID": "buyer", "levels": levels}])
        await client.ok(
            "gm.setActionConfig", actions=[{"actionID": "buy", "points": 30, "challenges": ["buyer"], "dailyCap": 2}]
        )
        for _ in range(2):
            await client.ok("gm.notifyAction", UID="u1", action="buy")
        capped = await client.call("gm.notifyAction", UID="u1", action="buy")
        assert capped["errorCode"] == 400124
        both = (await client.ok("gm.getChallengeStatus", UID="u1", details="full"))["achievements"]
        assert [each["challengeID"] for each in both] == ["_default", "buyer"]
        (buyer,) = (await client.ok("gm.getChallengeStatus", UID="u1", includeChallenges="buyer"))["achievements"]
        assert (buyer["pointsTotal"], buyer["points7Days"], buyer["level"], buyer["levelTitle"]) == (60, 60, 1, "one")
        assert (buyer["isNewLevel"], buyer["achievementsToNextLevel"]) == (True, 40)
        await client.ok("gm.resetLevelStatus", UID="u1", challenges="buyer")
        await client.ok("gm.redeemPoints", UID="u1", challenge="buyer", points=50)
        (buyer,) = (await client.ok("gm.getChallengeStatus", UID="u1", excludeChallenges="_default"))["achievements"]
        assert (buyer["pointsTotal"], buyer["pointsCurrent"], buyer["isNewLevel"]) == (60, 10, False)
        log = (await client.ok("gm.getActionsLog", UID="u1"))["actions"]
        assert [entry["action"] for entry in log] == ["buy", "buy", "_redeem"]
        assert (await client.ok("gm.getTopUsers", challenge="buyer"))["users"][0]["UID"] == "u1"

    run(scenario, folder)


def test_loyalty_calls_that_are_wrong_are_refused(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("accounts.importFullAccount", UID="u1")
        await client.ok("gm.setActionConfig", actions={"actionID": "slow", "points": 1, "frequencyCapSec": 60})
        await client.ok("gm.notifyAction", UID="u1", action="slow")
        for method, parameters, code in (
            ("gm.notifyAction", {"UID": "u1", "action": "slow"}, 400125),
            ("gm.notifyAction", {"UID": "u1", "action": "none"}, 400126),
            ("gm.notifyAction", {"UID": "nobody", "action": "slow"}, 403005),
            ("gm.redeemPoints", {"UID": "u1", "points": 50}, 400127),
            ("gm.redeemPoints", {"UID": "u1", "points": -1}, 400006),
            ("gm.redeemPoints", {"UID": "u1"}, 400002),
            ("gm.getChallengeStatus", {"UID": "nobody"}, 403005),
            ("gm.getChallengeStatus", {"UID": "u1", "details": "all"}, 400006),
            ("gm.setActionConfig", {"actions": [{"points": 1}]}, 400006),
            ("gm.setChallengeConfig", {"challenges": [{"challengeID": "x", "levels": [1]}]}, 400006),
            ("gm.deleteAction", {"actionID": "none"}, 404000),
            ("gm.deleteChallenge", {"challengeID": "none"}, 404000),
            ("gm.setGlobalConfig", {}, 400002),
        ):
            assert (await client.call(method, **parameters))["errorCode"] == code, method

    run(scenario, folder)


def test_loyalty_is_configured(folder: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.ok("gm.setGlobalConfig", config={"a": {"b": 1}})
        await client.ok("gm.setGlobalConfig", config={"a": {"c": 2}})
        assert (await client.ok("gm.getGlobalConfig"))["config"] == {"a": {"b": 1, "c": 2}}
        await client.ok("gm.setActionConfig", actions=[{"actionID": "x", "points": 1}])
        assert [each["actionID"] for each in (await client.ok("gm.getActionConfig"))["actions"]] == ["x"]
        await client.ok("gm.deleteAction", actionID="x")
        assert (await client.ok("gm.getActionConfig"))["actions"] == []
        await client.ok("gm.setChallengeConfig", challenges=[{"challengeID": "off", "enabled": False}])
        assert len((await client.ok("gm.getChallengeConfig"))["challenges"]) == 1
        assert len((await client.ok("gm.getChallengeConfig", includeDisabledChallenges=True))["challenges"]) == 2
        await client.ok("gm.deleteChallenge", challengeID="off")
        assert (await client.ok("gm.getChallengeVariants"))["variants"] == []

    run(scenario, folder)
