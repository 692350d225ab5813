"""Fields of subscribers, one record at a time or in bulk."""

from tests.integration.cheetahmail.parts import LIST, VENDOR, calls, people, person, state, written


def test_an_absent_field_is_left_alone_and_who_is_the_same_is_not_written(sandbox, connection):
    written(connection, person("u1", CITY="Bern", FNAME="Ada"), person("u2", CITY="Rom"))
    before = calls(sandbox)["setuser1"]
    assert written(connection, person("u1", CITY="Bern"), person("u2", ZIP="08001")) == (
        [person("u1", CITY="Bern"), person("u2", ZIP="08001")],
        [],
    )
    assert calls(sandbox)["setuser1"] == before + 1
    found = people(sandbox)
    assert (found["u1"]["FNAME"], found["u2"]["CITY"], found["u2"]["ZIP"]) == ("Ada", "Rom", "08001")
    assert state(sandbox, "u1") is None


def test_a_refused_record_is_rejected_alone(sandbox, connection):
    sandbox.do(lambda own: own[VENDOR].subscribers.suppressed.update({"u4@example.com": {"reason": "a"}}))
    records = [
        person("u1"),
        {**person("u2"), "EMAIL": "nonsense"},
        {"UID": "u3"},
        person("u4"),
        person("u5", SCORE="x"),
    ]
    done, refused = written(connection, *records, person("u6", sub=LIST))
    assert [record["UID"] for record in done] == ["u1"]
    assert [code for code, _ in refused] == ["LB-4631", "LB-4631", "LB-4635", "LB-4631", "LB-4631"]
    assert "err:email:illegal" in refused[0][1]
    assert "no EMAIL" in refused[1][1]
    assert "err:data:invalid number" in refused[3][1]
    assert "upper case" in refused[4][1], "a field is never taken for a parameter of the API"
    assert set(people(sandbox)) == {"u1"}


def test_suppressed_people_can_be_left_alone_in_place_of_rejected(sandbox, connection):
    sandbox.do(lambda own: own[VENDOR].subscribers.suppressed.update({"u1@example.com": {"reason": "b"}}))
    assert written({**connection, "blocked": "leave"}, person("u1")) == ([person("u1")], [])
    assert people(sandbox) == {}


def test_several_records_of_one_person_are_written_in_their_order(sandbox, connection):
    written(connection, *(person("u1", CITY=f"c{number}") for number in range(5)))
    assert people(sandbox)["u1"]["CITY"] == "c4"


def test_update_changes_who_is_there_and_makes_nobody(sandbox, connection):
    written(connection, person("u1"))
    done, refused = written({**connection, "action": "update"}, person("u1", CITY="Bern"), person("u2"))
    assert [record["UID"] for record in done] == ["u1"]
    assert refused == [("LB-4631", "there is no subscriber with the address")]
    assert people(sandbox)["u1"]["CITY"] == "Bern"


def test_a_subscriber_of_somebody_else_is_never_changed(sandbox, connection):
    written(connection, {**person("u1"), "EMAIL": "shared@example.com"})
    done, refused = written(connection, {**person("u2"), "EMAIL": "shared@example.com"})
    [(code, message)] = refused
    assert (done, code) == ([], "LB-4631")
    assert "another subscriber has the address" in message
    assert "look at the platform" in message, "a hint what to do"
    assert set(people(sandbox)) == {"u1"}


def test_of_two_people_with_one_address_one_is_written_and_one_rejected(sandbox, connection):
    both = [{**person(uid), "EMAIL": "shared@example.com"} for uid in ("u1", "u2")]
    done, refused = written(connection, *both)
    assert len(done) == 1
    assert [code for code, _ in refused] == ["LB-4631"]
    assert set(people(sandbox)) == {done[0]["UID"]}


def test_bulk_loads_profiles_without_an_empty_cell_and_without_a_subscription(sandbox, listed, connection):
    written(listed, person("u1", CITY="Bern", ZIP="1", Subscribed="Yes"))
    bulk = {**connection, "bulk": True, "masterList": True}
    sandbox.switch(VENDOR, load_list_parameter="list")
    bulk["loadListParameter"] = "list"
    records = [person("u1", CITY="Rom"), person("u2", ZIP="2"), person("u1", CITY="Oslo"), {"UID": "u3"}]
    done, refused = written(bulk, *records)
    sandbox.idle()
    assert (done, [code for code, _ in refused]) == (records[:3], ["LB-4631"])
    found = people(sandbox)
    assert (found["u1"]["CITY"], found["u1"]["ZIP"], found["u2"]["ZIP"]) == ("Oslo", "1", "2")
    assert (state(sandbox, "u1"), state(sandbox, "u2")) == ("on", None)
    assert {row["LIST"] for row in sandbox.rows(VENDOR, "loads")} == {"0"}
