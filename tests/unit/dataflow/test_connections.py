"""Stored connections in dataflows: what a step says itself counts more than what is stored."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow import Dataflow, DataflowError, EnvironmentSecrets, JobValues, resolve
from landbridge.dataflow.connections import Connection, StoredSecrets, connect, fits, kinds, named_in
from landbridge.dataflow.lint import lint

CATALOGUE = InstalledComponents()
SFTP = Connection("files", "sftp", {"host": "h", "port": "2222", "username": "u"}, {"password": "p"})


def flow_of(type="datasource.write.sftp", **params):
    return Dataflow.from_json({"name": "f", "steps": [{"id": "w", "type": type, "params": params}]})[0]


def filled(flow, *connections):
    """The parameters as a job gets them."""
    whole = connect(flow, {connection.name: connection for connection in connections}, CATALOGUE)
    source = StoredSecrets(whole.secrets, EnvironmentSecrets({"HOST": "from the environment"}))
    resolved = resolve(whole.flow, job=JobValues(datetime(2026, 1, 1, tzinfo=UTC), "j"), source=source)
    return resolved.flow.steps[0].params, resolved.secrets


def test_stored_values_stand_in_for_what_the_step_leaves_out_or_blank():
    params, secrets = filled(flow_of(connection="files", host="", username=None, port=22, remotePath="/in"), SFTP)
    assert params == {"host": "h", "username": "u", "port": 22, "remotePath": "/in", "password": "p"}
    assert secrets == {"p"}


@pytest.mark.parametrize(
    ("component", "kind", "stored", "own"),
    [
        ("datasource.write.sftp", "sftp", {"host": "h"}, {"host": "elsewhere"}),
        ("datasource.write.amazon.s3", "amazon", {}, {"endpoint": "https://elsewhere.example.com"}),
        ("datasource.read.gigya.account", "gigya", {"dataCenter": "eu1"}, {"url": "https://elsewhere.example.com"}),
    ],
)
def test_a_step_cannot_send_the_secrets_of_a_connection_elsewhere(component, kind, stored, own):
    secret = {"sftp": "password", "amazon": "secretKey", "gigya": "secret"}[kind]
    [field] = own
    with pytest.raises(DataflowError) as caught:
        filled(flow_of(component, connection="c", **own), Connection("c", kind, stored, {secret: "p"}))
    assert [(each.code, each.field) for each in caught.value.problems] == [("LB-1764", f"steps[0].params.{field}")]
    params, _ = filled(flow_of(component, connection="c", **own), Connection("c", kind, stored))
    assert params[field] == own[field], "without secrets the step's own values count"


def test_a_dataflow_cannot_refer_to_the_secrets_of_a_connection_itself():
    own = [{"connection": "files"}, {"host": "elsewhere", "password": "${secret:connection/files/password}"}]
    steps = [{"id": f"s{place}", "type": "datasource.write.sftp", "params": each} for place, each in enumerate(own)]
    with pytest.raises(DataflowError, match='the secret "connection/files/password" is not set'):
        filled(Dataflow.from_json({"name": "f", "steps": steps})[0], SFTP)


def test_a_connection_without_a_host_is_meant_for_any():
    params, secrets = filled(flow_of(connection="c", host="h"), Connection("c", "sftp", {}, {"password": "p"}))
    assert (params["host"], secrets) == ("h", {"p"})


def test_every_spelling_of_a_parameter_counts_as_the_step_s_own():
    stored = Connection("files", "sftp", {"privateKey": "stored", "host": "h"})
    assert filled(flow_of(connection="files", private_key="own"), stored)[0] == {"private_key": "own", "host": "h"}


def test_stored_values_that_the_component_does_not_know_are_left_out():
    stored = Connection("files", "sftp", {"fileNameRegex": "x", "host": "h"})
    assert filled(flow_of(connection="files"), stored)[0] == {"host": "h"}
    assert filled(flow_of("datasource.read.sftp", connection="files"), stored)[0] == {"host": "h", "fileNameRegex": "x"}


def test_variables_in_stored_values_are_filled_in_like_those_of_a_step():
    assert filled(flow_of(connection="files"), Connection("files", "sftp", {"host": "${env:HOST}"}))[0] == {
        "host": "from the environment"
    }


@given(st.text(alphabet="${}<>[]:abpw nowsecret", min_size=1, max_size=30))
def test_a_stored_secret_is_taken_as_it_is_whatever_it_looks_like(secret):
    params, secrets = filled(flow_of(connection="files"), Connection("files", "sftp", {}, {"password": secret}))
    assert params["password"] == secret
    assert secrets == {secret}


def test_an_unknown_connection_and_one_of_another_system_are_refused():
    with pytest.raises(DataflowError, match=r'there is no connection "fils".*\[LB-1761\]\nDid you mean "files"'):
        filled(flow_of(connection="fils"), SFTP)
    with pytest.raises(DataflowError, match=r'"files" is one to sftp, which .*\.ftp does not use.*LB-1764'):
        filled(flow_of("datasource.write.ftp", connection="files"), SFTP)


@pytest.mark.parametrize(
    ("kind", "component", "expected"),
    [
        ("gigya", "datasource.read.gigya.account", True),
        ("gigya.account", "datasource.read.gigya.account", True),
        ("gig", "datasource.read.gigya.account", False),
        ("amazon.s3", "datasource.write.amazon.s3", True),
        ("pgp", "file.encrypt.pgp", True),
        ("account", "datasource.read.gigya.account", False),
    ],
)
def test_a_connection_serves_the_components_of_its_system(kind, component, expected):
    assert fits(kind, component) is expected


def test_the_kinds_are_the_ends_of_component_ids():
    assert kinds(["datasource.read.amazon.s3", "datasource.write.sftp", "field.add", "file.empty"]) == [
        "amazon",
        "amazon.s3",
        "sftp",
    ]


def codes(flow):
    return {(problem.code, problem.field.rpartition(".")[2]) for problem in lint(flow, CATALOGUE)}


def test_lint_takes_what_a_connection_may_hold_for_given_and_judges_the_rest():
    assert codes(flow_of(connection="files")) & {("LB-1071", "host"), ("LB-1070", "connection")} == set()
    assert ("LB-1071", "host") in codes(flow_of())
    assert ("LB-1073", "port") in codes(flow_of(connection="files", port="x"))
    assert ("LB-1073", "connection") in codes(flow_of(connection=7))
    assert ("LB-1070", "hots") in codes(flow_of(connection="files", hots="h"))


def test_a_step_without_a_connection_stays_as_it_is():
    flow = flow_of(host="h", connection="")
    assert named_in(flow, CATALOGUE) == frozenset()
    assert connect(flow, {}, CATALOGUE).flow == flow
    assert named_in(flow_of(connection=5), CATALOGUE) == frozenset()
