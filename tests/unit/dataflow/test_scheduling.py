"""The scheduling object as different clients send it."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from landbridge.dataflow import DataflowError, Scheduling
from tests.unit.dataflow.test_model import JSON, TEXT, canonical

FORM = {
    "id": "Will be generated upon creation",
    "name": "every hour",
    "dataflowId": "f1",
    "frequencyType": "hour",
    "frequencyInterval": 1,
    "daysOfWeek": None,
    "nextJobStartTime": "2021-12-01T10:03:14.607Z",
    "currentJobStartTime": None,
    "successEmails": None,
    "failureEmails": None,
    "limit": None,
    "fullExtract": False,
    "enabled": True,
    "logLevel": "info",
}


def load(**keys):
    return Scheduling.load(json.dumps({"dataflowId": "f1"} | keys))


def test_the_consoles_form_is_understood():
    scheduling = Scheduling.load(json.dumps(FORM))
    assert scheduling.id == ""
    assert (scheduling.frequency_type, scheduling.frequency_interval) == ("hour", 1)
    assert scheduling.next_job_start_time == datetime(2021, 12, 1, 10, 3, 14, 607000, tzinfo=UTC)
    assert (scheduling.limit, scheduling.full_extract, scheduling.enabled) == (None, False, True)
    assert scheduling.dump() == canonical(FORM)


def test_names_match_without_regard_to_case_and_keep_their_spelling():
    text = '{"id": null, "dataFlowId": "f1", "frequencyType": "once", "fullExtract": null}'
    scheduling = Scheduling.load(text)
    assert (scheduling.dataflow_id, scheduling.id, scheduling.enabled) == ("f1", "", True)
    changed = json.loads(replace(scheduling, dataflow_id="f2").dump())
    assert changed == json.loads(text) | {"dataFlowId": "f2"}


def test_the_least_that_clients_send_gets_the_documented_defaults():
    scheduling = load()
    assert scheduling == replace(Scheduling("", "f1"), raw=scheduling.raw)


@pytest.mark.parametrize("time", ["2026-03-02 05:00:00", "2026-03-02T05:00:00Z", "2026-03-02T07:00:00.000+02:00"])
def test_times_are_read_in_the_documented_and_the_sent_form(time):
    assert load(nextJobStartTime=time).next_job_start_time == datetime(2026, 3, 2, 5, tzinfo=UTC)


def test_numbers_and_truth_values_may_be_texts():
    scheduling = load(frequencyInterval="12", limit="10", fullExtract="true", frequencyType="Hour")
    assert (scheduling.frequency_interval, scheduling.limit) == (12, 10)
    assert (scheduling.full_extract, scheduling.frequency_type) == (True, "hour")


def test_addresses_come_from_both_keys_once():
    scheduling = load(successEmailNotification="a@example.com, b@example.com", successEmails=["b@example.com"])
    assert scheduling.success_emails == ("a@example.com", "b@example.com")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("frequencyType", "daily"),
        ("frequencyInterval", 0),
        ("frequencyInterval", "often"),
        ("limit", -1),
        ("limit", True),
        ("nextJobStartTime", "tomorrow"),
        ("nextJobStartTime", 5),
        ("fullExtract", "yes"),
        ("enabled", 1),
        ("logLevel", "verbose"),
        ("successEmailNotification", {"to": "x"}),
        ("name", ["x"]),
    ],
)
def test_a_value_that_cannot_be_understood_is_refused_by_its_key(key, value):
    with pytest.raises(DataflowError) as caught:
        load(**{key: value})
    assert caught.value.code == "LB-1060"
    assert [problem.field for problem in caught.value.problems] == [key]


def test_all_bad_values_are_told_at_once():
    with pytest.raises(DataflowError) as caught:
        load(limit=0, logLevel="loud")
    assert {problem.field for problem in caught.value.problems} == {"limit", "logLevel"}


def test_text_that_is_no_scheduling_is_refused():
    with pytest.raises(DataflowError, match="must hold a scheduling"):
        Scheduling.load("[]")


def test_an_id_may_be_a_number():
    assert load(jobId=17).job_id == "17"


def test_a_scheduling_without_a_dataflow_is_refused():
    with pytest.raises(DataflowError, match="names no dataflow"):
        Scheduling.load('{"name": "x"}')


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_unknown_keys_survive(extra):
    document = {"dataflowId": "f1"} | {f"x-{key}": value for key, value in extra.items()}
    assert Scheduling.load(json.dumps(document)).dump() == canonical(document)


def test_a_changed_scheduling_is_read_back_the_same():
    before = load(frequencyType="day")
    changed = replace(
        before,
        next_job_start_time=datetime(2026, 3, 2, 5, 0, 0, 250000, tzinfo=UTC),
        failure_emails=("a@example.com", "b@example.com"),
        limit=10,
        enabled=False,
    )
    assert replace(Scheduling.load(changed.dump()), raw={}) == replace(changed, raw={})


@pytest.mark.parametrize("addresses", ["nonsense", "a@example.com; b@example.com", ["a@example.com", "b"]])
def test_what_is_no_address_is_told_before_nobody_is_told_of_a_failure(addresses):
    with pytest.raises(DataflowError, match=r"failureEmailNotification must be e-mail addresses"):
        load(failureEmailNotification=addresses)
