"""Schedulings and their next runs through the API."""

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.contract.idx.flows import lines
from tests.contract.idx.test_hostile_calls import json_values, scheduling_keys, texts

ANY = {"If-Match": "*"}


@pytest.fixture(scope="module")
def flow(service):
    return service.api().post("/dataflows", lines(name="planned")).json["id"]


def daily(flow, **more):
    zone = {"timeZone": "Europe/Zurich", "timeOfDay": "02:30"}
    return {"name": "daily", "dataflowId": flow, "frequencyType": "day", "landbridge": zone, **more}


def test_a_scheduling_is_created_shown_changed_switched_and_removed(api, flow):
    made = api.post("/schedulings", daily(flow))
    assert (made.status, made.json["revision"], made.json["enabled"]) == (201, 1, True)
    place = made.headers["Location"].removeprefix("/api/v1")
    shown = api.get(place)
    assert shown.json == made.json
    assert shown.json["scheduling"]["landbridge"]["timeOfDay"] == "02:30"
    assert shown.json["nextStart"].endswith(("00:30:00Z", "01:30:00Z"))
    off = api("PATCH", place, {"enabled": False}, headers={"If-Match": shown.headers["ETag"]})
    assert (off.json["enabled"], off.json["revision"]) == (False, 2)
    late = api("PUT", place, daily(flow, name="late"), headers={"If-Match": shown.headers["ETag"]})
    assert (late.status, late.code) == (412, "LB-1793")
    changed = api(
        "PUT", place, daily(flow, name="weekly", frequencyType="week"), headers={"If-Match": off.headers["ETag"]}
    )
    assert (changed.json["name"], changed.json["revision"], changed.json["enabled"]) == ("weekly", 3, True)
    assert [each["id"] for each in api.get(f"/schedulings?dataflowId={flow}&enabled=true").json["items"]] == [
        made.json["id"]
    ]
    assert api.get(f"/schedulings?dataflowId={flow}&enabled=false").json["items"] == []
    assert api("DELETE", place).status == 428
    assert api("DELETE", place, headers=ANY).status == 204
    assert api.get(place).code == "LB-1721"


def test_a_scheduling_of_no_dataflow_is_refused(api, flow):
    refused = api.post("/schedulings", daily("nobody"))
    assert (refused.status, refused.code) == (422, "LB-1721")
    assert api.post("/schedulings", {"name": "x"}).json["problems"][0]["field"] == "dataflowId"
    place = api.post("/schedulings", daily(flow)).headers["Location"].removeprefix("/api/v1")
    assert api("PUT", place, daily("nobody"), headers=ANY).status == 422
    api("DELETE", place, headers=ANY)


def test_everything_that_cannot_be_understood_is_told(api, flow):
    wrong = daily(flow, frequencyInterval=0, landbridge={"timeZone": "Europe/Zurik", "timeOfDay": "25:00"})
    refused = api.post("/schedulings", wrong)
    assert refused.status == 422
    assert api.post("/schedulings/preview", wrong).status == 422
    wrong["frequencyInterval"] = 1
    told = api.post("/schedulings", wrong).json
    assert {each["field"] for each in told["problems"]} == {"landbridge.timeZone", "landbridge.timeOfDay"}
    assert "Europe/Zurich" in str(told)


def test_the_next_runs_tell_offsets_and_what_the_clock_takes_or_repeats(api, flow):
    start = {"nextJobStartTime": "2026-01-01T00:00:00Z"}
    spring = api.post("/schedulings/preview?count=3&after=2026-03-27T12:00:00Z", daily(flow, **start)).json
    assert spring["timeZone"] == "Europe/Zurich"
    assert [(each["local"], each["note"]) for each in spring["runs"]] == [
        ("2026-03-28T02:30:00+01:00", ""),
        ("2026-03-29T03:30:00+02:00", "shifted"),
        ("2026-03-30T02:30:00+02:00", ""),
    ]
    both = daily(flow, **start)
    both["landbridge"] |= {"doubledTime": "both", "missingTime": "skip"}
    place = api.post("/schedulings", both | {"enabled": False}).headers["Location"].removeprefix("/api/v1")
    autumn = api.get(f"{place}/preview?count=2&after=2026-10-24T12:00:00Z").json["runs"]
    assert [(each["utc"], each["note"]) for each in autumn] == [
        ("2026-10-25T00:30:00Z", "first"),
        ("2026-10-25T01:30:00Z", "second"),
    ]
    skipped = api.get(f"{place}/preview?count=1&after=2026-03-28T12:00:00Z").json["runs"]
    assert (skipped[0]["local"], skipped[0]["utc"], skipped[0]["note"]) == (None, None, "skipped")
    tokyo = api.get(f"{place}/preview?count=1&after=2026-03-28T12:00:00Z&zone=Asia/Tokyo").json
    assert tokyo["runs"][0]["local"].endswith("+09:00")
    assert api.get(f"{place}/preview?zone=Nowhere").code == "LB-1060"
    assert api.get(f"{place}/preview?count=1001").status == 422
    kept = api.post("/schedulings/preview", {"name": "k", "landbridge": {"keepUpdatedPauseSeconds": 60}}).json
    assert (kept["runs"], kept["keepUpdatedPauseSeconds"]) == ([], 60)
    api("DELETE", place, headers=ANY)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.dictionaries(scheduling_keys, json_values | texts, max_size=6))
def test_random_schedulings_are_stored_and_shown_or_refused(api, flow, document):
    sent = {"dataflowId": flow, **document, "enabled": False}
    assert api.post("/schedulings/preview", sent).status in (200, 422)
    made = api.post("/schedulings", sent)
    assert made.status in (201, 422), made.body
    if made.status == 201:
        place = made.headers["Location"].removeprefix("/api/v1")
        assert api.get(place).json == made.json
        assert api.get(f"{place}/preview").status == 200
        assert api("PUT", place, made.json["scheduling"], headers=ANY).status == 200
        assert api("DELETE", place, headers=ANY).status == 204
