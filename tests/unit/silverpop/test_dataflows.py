"""Dataflows for Silverpop as IdentitySync writes them are understood, and what they cannot mean is told by lint."""

import json

import pytest

from landbridge.components.catalogue import InstalledComponents
from landbridge.components.registry import get
from landbridge.dataflow.lint import lint
from landbridge.dataflow.problems import errors_of

LOGIN = {
    "clientId": "id",
    "clientSecret": "${secret:x}",
    "refreshToken": "${secret:y}",
    "host": "transfer5.silverpop.com",
    "username": "u",
    "password": "${secret:z}",
    "listId": "123",
}


def flow(*steps):
    chained = [
        {"id": str(number), "type": kind, "params": params, "next": [str(number + 1)] if number < len(steps) else []}
        for number, (kind, params) in enumerate(steps, 1)
    ]
    return json.dumps({"name": "f", "steps": chained})


def outbound(**writer):
    yes_no = {"expression": "Subscribed eq 'true' ? 'Yes' : 'No'", "field": "Subscribed"}
    renamed = {"UID": "GigyaUid", "profile.email": "EMAIL", "data.subscribed": "Subscribed"}
    pairs = [{"sourceField": source, "targetField": target} for source, target in renamed.items()]
    return flow(
        ("datasource.read.gigya.account", {"select": "UID,profile.email,data.subscribed"}),
        ("field.rename", {"fields": pairs}),
        (" field.remove", {"fields": ["profile", "data"]}),
        ("field.evaluate", {"fields": [yes_no]}),
        ("file.format.dsv", {"fileName": "${now:YYMMdd_HHmm}.csv"}),
        (" datasource.write.silverpop", {**LOGIN, **writer}),
    )


@pytest.mark.parametrize(
    "pod", [{"podNumber": 5}, {"podNumer": "5"}, {"podNumber": "5", "newsletterField": "Subscribed"}]
)
def test_the_public_dataflow_to_the_platform_lints(pod):
    assert errors_of(lint(outbound(**pod), InstalledComponents())) == []


def test_the_public_dataflow_from_the_platform_lints():
    pairs = [{"sourceField": "GigyaUid", "targetField": "UID"}, {"sourceField": "Subscribed", "targetField": "data.s"}]
    inbound = flow(
        ("datasource.read.silverpop", {**LOGIN, "podNumber": 5, "columns": "GigyaUid,EMAIL,Subscribed"}),
        ("field.rename", {"fields": pairs}),
        ("field.evaluate", {"fields": [{"expression": "data.s eq 'Yes' ? 'true' : 'false'", "field": "data.s"}]}),
        ("datasource.write.gigya.account", {}),
    )
    assert errors_of(lint(inbound, InstalledComponents())) == []


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"podNumber": "12"}, "no pod 12"),
        ({"podNumber": "5", "columns": ["UID:blob"]}, "not a type of column"),
        ({"url": "http://files.example.com"}, "encryption"),
    ],
)
def test_lint_tells_what_cannot_be_meant(params, told):
    problems = errors_of(lint(outbound(**params), InstalledComponents()))
    assert any(told in problem.message + problem.hint for problem in problems), problems


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"consentTimeField": "t"}, "needs newsletterField"),
        ({"consentTimeField": "t", "newsletterField": "s"}, "gmtConfirmed"),
        ({"action": "remove", "newsletterField": "s"}, "no meaning"),
    ],
)
def test_a_wish_that_cannot_be_carried_is_refused(params, told):
    known = {**LOGIN, "podNumber": "5"}
    with pytest.raises(ValueError, match=told):
        get("datasource.write.silverpop.contact").Params.model_validate({**known, **params})


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({}, "podNumber or url"),
        ({"podNumber": "5", "tableId": "7"}, "either listId or tableId"),
        ({"podNumber": "5", "action": "OPT_OUT", "newsletterField": "x"}, "newsletterField"),
        ({"podNumber": "5", "password": ""}, "password or a privateKey"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(params, told):
    with pytest.raises(ValueError, match=told):
        get("datasource.write.silverpop").Params.model_validate({**LOGIN, **params})


def test_the_pod_leads_to_its_hosts_unless_they_are_named():
    params = get("datasource.write.silverpop").Params
    without_host = {name: value for name, value in LOGIN.items() if name != "host"}
    found = params.model_validate({**without_host, "podNumber": 7})
    assert (found.login.url, found.sftp.host) == (
        "https://api-campaign-ap-2.goacoustic.com",
        "transfer-campaign-ap-2.goacoustic.com",
    )
    old = params.model_validate({**without_host, "podNumber": 7, "legacyHosts": True})
    assert (old.login.url, old.sftp.host) == ("https://api7.silverpop.com", "transfer7.silverpop.com")
    assert params.model_validate({**LOGIN, "podNumber": 7}).sftp.host == "transfer5.silverpop.com"


def test_credentials_are_not_shown():
    found = get("datasource.write.silverpop").Params.model_validate({**LOGIN, "podNumber": 7, "password": "planted"})
    assert "planted" not in repr(found.sftp)
    assert "${secret:x}" not in repr(found.login)
