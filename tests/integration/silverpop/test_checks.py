"""Silverpop against the emulated platform: what a test of the connection finds, and what it makes."""

from tests.integration.silverpop.parts import contact, findings, import_flow, person, table, write


def verdicts(found):
    return {finding.what: finding.verdict for finding in found}


def test_a_test_finds_what_is_missing_and_creating_makes_it(api, sandbox):
    fresh = sandbox.do(lambda s: s["silverpop"].create_database(f"Fresh {id(api)}", {"City": 0}).id)
    wanted = {"listId": fresh, "columns": ["UID:text", "Newsletter:yesno", "City:numeric"], "syncFields": ["UID"]}
    found = verdicts(findings(contact(api, **wanted).test()))
    assert (found["login"], found["column UID"], found["column Newsletter"]) == ("ok", "failed", "failed")
    assert found["column City"] == "failed", "a type cannot be changed"
    made = findings(contact(api, **wanted).create_missing())
    assert {finding.what for finding in made} == {"column UID", "column Newsletter"}
    found = verdicts(findings(contact(api, **wanted).test()))
    assert (found["column UID"], found["column Newsletter"], found["column City"]) == ("ok", "ok", "failed")
    assert findings(contact(api, **wanted).create_missing()) == []


def test_a_test_warns_where_addresses_are_the_key_and_where_the_zone_is_another(api, sandbox):
    by_mail = sandbox.do(lambda s: s["silverpop"].create_database(f"Mail {id(api)}", {}, keys=("EMAIL",)).id)
    write(contact(api, listId=by_mail), [{"EMAIL": "a@example.com"}])
    found = verdicts(findings(contact(api, listId=by_mail).test()))
    assert (found["key"], found["time zone"]) == ("warning", "warning")
    sandbox.switch("silverpop", api_user_zone="Asia/Tokyo")
    assert verdicts(findings(contact(api, listId=by_mail, gmtConfirmed=True).test()))["time zone"] == "failed"


def test_a_table_is_made_and_associated_once(api, sandbox):
    before = verdicts(findings_or_error(table(api)))
    assert before["error"] == "failed"
    assert [finding.what for finding in findings(table(api).create_missing())] == ["table", "association"]
    after = verdicts(findings(table(api).test()))
    assert set(after.values()) == {"ok"}
    assert findings(table(api).create_missing()) == []


def findings_or_error(component):
    from landbridge.components.check import Finding, tested

    return [
        Finding("error", each.verdict, each.message) if each.what == "connection" else each
        for each in findings(tested(component))
    ]


def test_the_command_prints_what_to_fix_and_creates_it(connection, sandbox, command, folders):
    fresh = sandbox.do(lambda s: s["silverpop"].create_database(f"Command {id(command)}", {}).id)
    flow = import_flow(
        command, folders, {**connection, "listId": fresh}, [person(1)], syncFields=["UID"], newsletterColumns="News"
    )
    outcome = command("check", flow)
    assert outcome.code == 1
    assert "FAILED   column News: the database does not have it" in outcome.out
    assert "ok       folder: the folder can be listed; it holds 1 files" in outcome.out
    assert connection["clientSecret"] not in outcome.out + outcome.err
    outcome = command("check", flow, "--create")
    assert outcome.code == 0, outcome.out
    assert "created  column News" in outcome.out
    outcome = command("check", import_flow(command, folders, {**connection, "password": "wrong"}, [person(1)]))
    assert "LB-2104" in outcome.out
    assert "wrong" not in outcome.out


def test_the_file_writer_refuses_a_database_that_does_not_fit(connection, command, folders):
    for params, told in (({"newsletterColumns": ["City"]}, "instead of yes/no"), ({"columns": ["Gone"]}, "Gone")):
        outcome = command.run(import_flow(command, folders, connection, [person(1)], **params))
        assert "LB-1521" in outcome.err
        assert told in outcome.err
