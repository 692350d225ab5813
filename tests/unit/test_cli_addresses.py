"""Servers as the commands take them."""

import pytest
import typer
from typer.testing import CliRunner

from landbridge.cli.app import app
from landbridge.cli.connections import _host_and_port


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("files.example.com", ("files.example.com", 22)),
        ("files.example.com:2222", ("files.example.com", 2222)),
        ("::1", ("::1", 22)),
        ("[::1]", ("::1", 22)),
        ("[::1]:2222", ("::1", 2222)),
    ],
)
def test_a_port_stands_behind_the_last_colon_of_a_name(text, server):
    assert _host_and_port(text) == server


@pytest.mark.parametrize("text", ["host:", "host:0", "host:65536", "host:ssh"])
def test_a_port_that_cannot_be_one_is_wrong_usage(text):
    with pytest.raises(typer.BadParameter, match="is not a port number"):
        _host_and_port(text)


@pytest.mark.parametrize("text", ["", " ", ":22", "[]"])
def test_a_server_without_a_name_is_wrong_usage(text):
    outcome = CliRunner().invoke(app, ["connections", "pin", text, "--fingerprint", "x"])
    assert outcome.exit_code == 2
    assert "name a server" in outcome.output
