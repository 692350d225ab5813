"""How calls come in and how they are answered: encodings, credentials, the envelope."""

import json
import re
import secrets
import socket
import time
import urllib.parse

import pytest

from tests.contract.idx.client import Client, signature, token_of

QUERY = "select * from scheduling"


def test_the_envelope_has_the_vendors_keys_in_the_vendors_order(client):
    reply = client("idx.search", query="SELECT * FROM dataflow WHERE id = 'none'", context='{"id":1}')
    assert list(reply) == [
        *("callId", "context", "errorCode", "apiVersion", "statusCode", "statusReason", "time"),
        *("resultCount", "totalCount"),
    ]
    assert re.fullmatch("[0-9a-f]{32}", reply["callId"])
    assert (reply["errorCode"], reply["statusCode"], reply["statusReason"], reply["apiVersion"]) == (0, 200, "OK", 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", reply["time"])
    assert reply["context"] == '{"id":1}'


def test_an_error_has_its_keys_in_the_vendors_order(client):
    assert list(client("idx.getDataflow")) == [
        *("callId", "errorCode", "errorDetails", "errorMessage", "apiVersion", "statusCode", "statusReason", "time")
    ]


def test_a_form_a_query_string_and_a_multipart_body_say_the_same(client):
    parameters = client.credentials | {"query": QUERY, "context": "Zürich & co"}
    for reply in (
        client.form("idx.search", parameters),
        client.query("idx.search", parameters),
        client.multipart("idx.search", parameters),
    ):
        assert (reply["errorCode"], reply["context"]) == (0, "Zürich & co"), reply


def test_parameters_of_body_and_query_string_are_merged_and_names_match_in_any_case(client):
    path = "/idx.search?" + urllib.parse.urlencode({"APIKEY": client.site.api_key, "UserKey": client.site.user_key})
    body = urllib.parse.urlencode({"Secret": client.site.secret, "Query": QUERY}).encode()
    _, _, reply = client.send("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert json.loads(reply)["errorCode"] == 0


def test_nulls_as_clients_write_them_count_as_absent(client):
    assert client("idx.search", query=QUERY, cursorId="null", openCursor="")["errorCode"] == 0
    assert client("idx.getDataflow", id="null")["errorCode"] == 400002


def test_the_http_status_is_200_unless_the_client_wants_it(client):
    for wanted, status in (("", 200), ("&httpStatusCodes=true", 400), ("&httpStatusCodes=1", 400)):
        found, headers, body = client.send("GET", "/idx.search?apiKey=wrong" + wanted)
        assert found == status
        assert json.loads(body)["errorCode"] == 400093
        assert headers["Date"]


def test_jsonp_and_unknown_formats(client):
    form = urllib.parse.urlencode(client.credentials | {"query": QUERY, "format": "jsonp", "callback": "done"})
    _, _, body = client.send("GET", f"/idx.search?{form}")
    assert body.startswith(b"done({")
    assert client("idx.search", query=QUERY, format="xml")["errorCode"] == 400096


def test_parameters_that_are_not_known_are_named_and_ignored(client):
    reply = client("idx.search", query=QUERY, foo="1", sdk="php_3.1.0", cid="x")
    assert reply["errorCode"] == 0
    assert [each["paramName"] for each in reply["ignoredParams"]] == ["foo"]


def test_a_target_in_absolute_form_is_told_by_its_path(client):
    parts = urllib.parse.urlsplit(client.url)
    query = urllib.parse.urlencode(client.credentials | {"query": QUERY})
    with socket.create_connection((parts.hostname, parts.port), 10) as connection:
        target = f"http://idx.eu1.gigya.com/idx.search?{query}"
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: idx.eu1.gigya.com\r\nConnection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["errorCode"] == 0


def test_an_unrelated_basic_header_is_ignored(client):
    headers = {"Authorization": "Basic eDp5"}
    assert client.form("idx.search", client.credentials | {"query": QUERY}, headers)["errorCode"] == 0


def test_signed_calls_of_all_kinds_of_clients(client):
    port = urllib.parse.urlsplit(client.url).port
    for url in (None, "https://127.0.0.1/idx.search", f"https://127.0.0.1:{port}/idx.search",
                "https://idx.eu1.gigya.com/idx.search", "https://idx.us1.gigya.com/idx.search"):  # fmt: skip
        assert client.signed("idx.search", query=QUERY, url=url)["errorCode"] == 0, url
    assert client.signed("idx.search", query=QUERY, milliseconds=True)["errorCode"] == 0
    own = client.signed("idx.search", query=QUERY, user_key=False, secret=client.site.partner_secret)
    assert own["errorCode"] == 0


def test_values_that_a_client_signs_as_empty(client):
    sent = {"apiKey": client.site.api_key, "userKey": client.site.user_key, "query": QUERY, "openCursor": "false"}
    sent |= {"timestamp": str(int(time.time())), "nonce": secrets.token_hex(8)}
    sent["sig"] = signature(client.site.secret, "POST", f"{client.url}/idx.search", sent | {"openCursor": ""})
    assert client.form("idx.search", sent)["errorCode"] == 0


def test_a_bearer_token_names_the_application(client):
    assert client.bearer("idx.search", query=QUERY)["errorCode"] == 0


def test_bad_credentials_get_the_vendors_codes(service, client):
    key, user, secret = (client.credentials[name] for name in ("apiKey", "userKey", "secret"))
    other = service.second.site
    for sent, code, message in (
        ({}, 400002, "Missing required parameter"),
        ({"apiKey": "nonsense"}, 400093, "Invalid ApiKey parameter"),
        ({"apiKey": "3_aaaaaaaaaaaaaaaaaaaaaaaa"}, 400093, "Invalid ApiKey parameter"),
        ({"apiKey": key}, 403007, "Permission denied"),
        ({"apiKey": key, "userKey": user}, 403007, "Permission denied"),
        ({"apiKey": key, "userKey": "nobody", "secret": secret}, 403005, "Unauthorized user"),
        ({"apiKey": key, "userKey": other.user_key, "secret": other.secret}, 403005, "Unauthorized user"),
        ({"apiKey": key, "userKey": user, "secret": "d3Jvbmc="}, 403010, "Invalid Secret"),
        ({"apiKey": key, "userKey": user, "secret": "ü"}, 403010, "Invalid Secret"),
        ({"apiKey": key, "secret": client.site.partner_secret}, 403010, "Invalid Secret"),
    ):
        reply = client.form("idx.search", {**sent, "query": QUERY})
        assert (reply["errorCode"], reply["errorMessage"]) == (code, message), sent
    wrong = client.signed("idx.search", query=QUERY, secret="d3Jvbmc=")
    assert wrong["errorCode"] == 403003
    assert client.signed("idx.search", query=QUERY, at=-1000)["errorCode"] == 403002
    nonce = secrets.token_hex(8)
    assert client.signed("idx.search", query=QUERY, nonce=nonce)["errorCode"] == 0
    assert client.signed("idx.search", query=QUERY, nonce=nonce)["errorCode"] == 403004
    stranger = token_of(other.private_key, {"alg": "RS256", "kid": user}, {"iat": 1, "jti": "1"})
    for token, code in (("nonsense", 400008), (stranger, 403025)):
        reply = client.form("idx.search", {"apiKey": key}, {"Authorization": f"Bearer {token}"})
        assert reply["errorCode"] == code


def test_a_secret_over_plain_http_from_another_machine_is_refused(client):
    # A proxy on this machine says for whom it speaks.
    form = client.credentials | {"query": QUERY}
    assert client.form("idx.search", form, {"X-Forwarded-For": "192.0.2.7"})["errorCode"] == 403006
    proxied = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    assert client.form("idx.search", form, proxied)["errorCode"] == 0


def test_methods_that_do_not_exist(client):
    assert client("idx.stopJob")["errorCode"] == 405001
    assert client.form("idx.stopJob", {"apiKey": client.site.api_key})["errorCode"] == 403007


def test_other_paths_are_not_touched(client):
    assert client.send("GET", "/healthz")[0] == 200
    assert client.send("GET", "/accounts.search")[0] == 404
    assert client.send("DELETE", "/idx.search")[0] in (404, 405)


def test_a_body_that_is_too_large_is_refused(client):
    body = b"apiKey=x&data=" + b"x" * (17 << 20)
    try:
        _, _, reply = client.send("POST", "/idx.createDataflow", body)
    except ConnectionError:
        pytest.skip("the server answered before the body was sent")
    assert json.loads(reply)["errorCode"] == 413001


def test_a_body_that_is_not_what_it_says_is_refused(client):
    _, _, reply = client.send("POST", "/idx.search", b"no parts", {"Content-Type": "multipart/form-data; boundary=x"})
    assert json.loads(reply)["errorCode"] in (400001, 400002)
    _, _, reply = client.send(
        "POST", "/idx.search", b"apiKey=%ff", {"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert json.loads(reply)["errorCode"] == 400001


def test_a_client_of_the_second_site_has_its_own_credentials(service):
    assert Client(service.client.url, service.second.site).ok("idx.search", query=QUERY)["totalCount"] == 0
