"""The emulated Lytics, asked by plain requests as the vendor documents them."""

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from landbridge.sandbox import Sandbox
from tests.contract.sandbox.running import running_sandbox


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox("lytics") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox):
    one_sandbox.do(empty)
    yield one_sandbox
    one_sandbox.calm("lytics")


def empty(sandbox):
    own = sandbox["lytics"].audiences
    own.users.clear()
    for key, segment in list(own.segments.items()):
        if segment["slug_name"] != "all":
            del own.segments[key]


@pytest.fixture
def ask(sandbox):
    connection = sandbox.connection("lytics")

    def call(path, *, method="GET", body=None, token=connection["accessToken"]):
        headers = {"Authorization": token} if token else {}
        request = urllib.request.Request(connection["lyticsUrl"] + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    return call


def collect(ask, *users):
    return ask("/collect/json/default", method="POST", body=json.dumps(users).encode())


def made(ask, name, filter_ql, **more):
    body = {"name": name, "segment_ql": filter_ql, **more}
    status, reply = ask("/api/segment", method="POST", body=json.dumps(body).encode())
    assert status == 200, reply
    return reply["data"]


@pytest.mark.parametrize("way", ["header", "key"])
def test_a_token_opens_the_api_without_a_word_before_it(sandbox, ask, way):
    token = sandbox.connection("lytics")["accessToken"]
    if way == "header":
        assert ask("/api/segment", token=token)[0] == 200
        assert ask("/api/segment", token=f"Bearer {token}")[0] == 401
    else:
        assert ask(f"/api/segment?key={urllib.parse.quote(token)}", token="")[0] == 200
        status, reply = ask("/api/segment?key=wrong", token="")
        assert (status, reply["data"], reply["message"]) == (401, None, "Not authorized")


def test_an_audience_is_found_by_id_and_by_slug(ask):
    one = made(ask, "Keen Readers", "FILTER score > 50")
    assert one["slug_name"] == "keen_readers"
    for name in (one["id"], "keen_readers"):
        assert ask(f"/api/segment/{name}")[1]["data"] == one
    assert ask("/api/segment/nothing")[0] == 404
    assert {each["slug_name"] for each in ask("/api/segment?table=user")[1]["data"]} == {"all", "keen_readers"}
    assert ask("/api/segment?table=content")[1]["data"] == []


def test_a_filter_that_is_not_understood_is_refused(ask):
    assert ask("/api/segment/validate", method="POST", body=b"FILTER score > 5")[0] == 200
    assert ask("/api/segment/validate", method="POST", body=b"FILTER score >")[0] == 400
    assert ask("/api/segment", method="POST", body=b'{"name": "x", "segment_ql": "score"}')[0] == 400
    assert ask("/api/segment", method="POST", body=b"[]")[0] == 400


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_a_scan_gives_every_user_of_the_audience_page_by_page(sandbox, ask, limit, repeats):
    collect(ask, *({"gigya_uid": f"u{number}", "score": number} for number in range(20)))
    one = made(ask, "Half", "FILTER score >= 10")
    sandbox.switch("lytics", scan_repeats=repeats)
    found, start, pages = [], "", 0
    while True:
        _, reply = ask(f"/api/segment/{one['id']}/scan?limit={limit}&start={start}")
        assert len(reply["data"]) <= limit + repeats
        found += [user["gigya_uid"] for user in reply["data"]]
        pages, start = pages + 1, reply["_next"]
        if not start:
            break
    assert list(dict.fromkeys(found)) == [f"u{number}" for number in range(10, 20)]
    assert len(found) == 10 + (pages - 1) * repeats


def test_a_scan_goes_on_when_the_user_at_its_cursor_has_left(ask):
    collect(ask, *({"gigya_uid": f"u{number}", "score": 9} for number in range(4)))
    one = made(ask, "Nine", "FILTER score = 9")
    first = ask(f"/api/segment/{one['id']}/scan?limit=2")[1]
    collect(ask, {"gigya_uid": "u1", "score": 0})
    rest = ask(f"/api/segment/{one['id']}/scan?limit=2&start={first['_next']}")[1]
    assert [user["gigya_uid"] for user in rest["data"]] == ["u2", "u3"]


def test_a_user_tells_of_public_audiences_unless_asked_for_all(ask):
    collect(ask, {"gigya_uid": "u/1", "email": "a@example.com", "score": 60})
    made(ask, "Public", "FILTER score > 50")
    made(ask, "Private", "FILTER score > 50", is_public=False)
    path = f"/api/entity/user/gigya_uid/{urllib.parse.quote('u/1', safe='')}"
    assert "segments" not in ask(path)[1]["data"]
    assert ask(f"{path}?segments=true")[1]["data"]["segments"] == ["all", "public"]
    assert ask(f"{path}?allsegments=true")[1]["data"]["segments"] == ["all", "public", "private"]
    assert ask(f"{path}?fields=score")[1]["data"] == {"score": 60}
    assert ask("/api/entity/user/email/a%40example.com")[1]["data"]["gigya_uid"] == "u/1"
    assert ask("/api/entity/user/gigya_uid/nobody")[0] == 404


def test_data_of_one_identifier_is_merged_and_a_removed_user_is_gone(ask):
    collect(ask, {"gigya_uid": "u1", "email": "a@example.com"}, {"email": "a@example.com", "score": 3})
    assert ask("/api/entity/user/gigya_uid/u1")[1]["data"]["score"] == 3
    assert ask("/api/entity/user/gigya_uid/u1", method="DELETE")[0] == 200
    assert ask("/api/entity/user/email/a%40example.com")[0] == 404


def test_sizes_are_counted(ask):
    collect(ask, *({"gigya_uid": f"u{number}", "score": number} for number in range(5)))
    one = made(ask, "Some", "FILTER score > 2")
    assert ask(f"/api/segment/{one['id']}/sizes")[1]["data"]["size"] == 2
    assert [each["size"] for each in ask(f"/api/segment/sizes?ids={one['id']},all")[1]["data"]] == [2, 5]
    assert ask("/v2/segment?table=user&sizes=true&kind=segment")[1]["data"][0]["size"] == 2


def test_an_audience_that_nobody_keeps_is_scanned_by_its_filter(ask):
    collect(ask, {"gigya_uid": "u1", "score": 1}, {"gigya_uid": "u2", "score": 2})
    reply = ask("/api/segment/scan", method="POST", body=b"FILTER score = 2 FROM user")[1]
    assert [user["gigya_uid"] for user in reply["data"]] == ["u2"]


def test_too_many_calls_are_told_to_wait(sandbox, ask):
    sandbox.fail("rate_limit", operation="audiences", times=1)
    assert ask("/api/segment")[0] == 429
    assert ask("/api/segment")[0] == 200


def test_everything_is_there_again_after_a_restart(tmp_path):
    import anyio

    async def first():
        async with Sandbox("lytics", folder=tmp_path) as sandbox:
            own = sandbox["lytics"].audiences
            own.collect({"gigya_uid": "u1", "score": 5})
            return own.create("Five", "FILTER score = 5"), sandbox["lytics"].connection()["accessToken"]

    async def second():
        async with Sandbox("lytics", folder=tmp_path) as sandbox:
            own = sandbox["lytics"].audiences
            _, user = own.by("gigya_uid", "u1")
            return own.find("five")["id"], own.memberships(user, with_private=False), sandbox["lytics"].connection()

    kept, token = anyio.run(first)
    found, memberships, connection = anyio.run(second)
    assert (found, memberships, connection["accessToken"]) == (kept, ["all", "five"], token)
