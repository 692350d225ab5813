"""Names of files, temporary names, addresses and keys."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from landbridge.errors import FlowError
from landbridge.remote.endpoint import checked_endpoint
from landbridge.remote.known_hosts import host_label
from landbridge.remote.names import checked_name, upload_name
from landbridge.remote.pem import pem_text
from landbridge.remote.publish import is_abandoned, is_temporary

PEM = "-----BEGIN PRIVATE KEY-----\nAAAA\nBBBB\n-----END PRIVATE KEY-----\n"

good_parts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc",), exclude_characters="/"), min_size=1
).filter(lambda part: part not in (".", ".."))


@given(st.lists(good_parts, min_size=1, max_size=4))
def test_a_temporary_name_lies_in_the_same_folder_and_is_hidden(parts: list[str]) -> None:
    name = "/".join(parts)
    assert checked_name(name) == name
    temporary = upload_name(name, visible=False)
    assert temporary.rpartition("/")[0] == name.rpartition("/")[0]
    assert temporary.rpartition("/")[2].startswith(".")
    assert is_temporary(temporary)
    assert upload_name(name, visible=False) != temporary
    assert upload_name(name, visible=True) == f"{name}.uploading"


@given(st.lists(good_parts, min_size=1, max_size=4))
def test_a_temporary_name_of_this_process_is_not_abandoned(parts: list[str]) -> None:
    assert not is_abandoned(upload_name("/".join(parts), visible=False), datetime(2000, 1, 1, tzinfo=UTC))


@given(st.text(), st.sampled_from(["..", ".", ""]), st.text())
def test_no_name_leads_out_of_the_folder(before: str, step: str, after: str) -> None:
    with pytest.raises(FlowError) as raised:
        checked_name(f"{before}/{step}/{after}")
    assert raised.value.code == "LB-1301"


@pytest.mark.parametrize(
    "value",
    [
        PEM,
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\\n"),
        base64.b64encode(PEM.encode()).decode(),
        base64.encodebytes(PEM.encode() * 3).decode(),
        f"  {PEM}  ",
    ],
)
def test_a_key_is_read_in_every_form_in_which_people_paste_it(value: str) -> None:
    assert pem_text(value).startswith(PEM.strip())


@pytest.mark.parametrize("value", ["", "secret", base64.b64encode(b"secret").decode(), "c2VjcmV0!", "\udcff"])
def test_what_is_no_key_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(ValueError, match="not a private key") as raised:
        pem_text(value)
    assert not value or value not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["https://s3.example.com", "http://localhost:9000", "http://127.0.0.1:1/x", "http://[::1]:80"]
)
def test_an_encrypted_or_local_address_is_accepted(url: str) -> None:
    assert checked_endpoint(f"{url}/") == url


@pytest.mark.parametrize(
    "url",
    ["http://s3.example.com", "http://127.0.0.1.example.com", "s3.example.com", "ftp://localhost", "https://", ""],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(FlowError) as raised:
        checked_endpoint(url)
    assert raised.value.code == "LB-1303"


def test_a_server_is_named_as_the_command_line_takes_it() -> None:
    assert host_label("files.example.com", 22) == "files.example.com"
    assert host_label("files.example.com", 2222) == "files.example.com:2222"
    assert host_label("::1", 2222) == "[::1]:2222"
