"""The client of the API: credentials, failures, repetitions, limits, secrets."""

import logging
import re
import threading
import time
from dataclasses import replace
from functools import partial

import anyio
import pytest

from landbridge.errors import AuthError, ConnectionFailed, FlowError, LandbridgeError, TransientError
from landbridge.remote.gigya import Client, client
from landbridge.remote.gigya_errors import CallRefused, CallUnfinished
from landbridge.remote.gigya_login import SiteLogin
from landbridge.remote.http import Retries
from tests.contract.gigya.local_site import running_site
from tests.contract.gigya.stub import stub

QUICK = Retries(attempts=4, first_delay_s=0.01, longest_delay_s=0.05)


@pytest.fixture(scope="module")
def one_site():
    with running_site(people=50, seed=5) as site:
        yield site


@pytest.fixture
def site(one_site):
    one_site.calm()
    yield one_site
    one_site.calm()


def login_to(site, **changes):
    given = {"api_key": site.site.api_key, "user_key": site.site.user_key, "secret": site.site.secret}
    return SiteLogin(**{**given, "url": site.site.url, **changes})


def ask(
    login, method="accounts.getPolicies", *, may_repeat=True, tier="none", retries=QUICK, timeout_s=10, **parameters
):
    async def one():
        async with client(login, tier=tier, connections=4, timeout_s=timeout_s, retries=retries) as api:
            return await api.call(method, parameters, may_repeat=may_repeat)

    return anyio.run(one)


COUNT = {"method": "accounts.search", "query": "SELECT count(*) FROM accounts"}


@pytest.mark.parametrize("way", ["secret", "signature", "bearer"])
def test_a_call_is_authenticated_in_each_of_the_three_ways(site, way):
    site.site.switches = replace(site.site.switches, secret_over_http=way == "secret")
    changes = {"signs": way == "signature"}
    if way == "bearer":
        changes = {"secret": None, "private_key": site.site.private_key}
    answer = ask(login_to(site, **changes), **COUNT)
    assert b'"count(*)":50' in answer.body


@pytest.mark.parametrize(
    ("changes", "code", "vendor"),
    [
        ({"api_key": "4_wrong"}, "LB-2301", "400093"),
        ({"user_key": "wrong"}, "LB-2301", "403005"),
        ({"secret": "d3Jvbmd3cm9uZw=="}, "LB-2301", "403010"),
        ({"secret": "d3Jvbmd3cm9uZw==", "signs": True}, "LB-2301", "403003"),
    ],
)
def test_wrong_credentials_end_the_job_at_once_and_are_not_told(site, changes, code, vendor):
    with pytest.raises(AuthError) as caught:
        ask(login_to(site, **changes), **COUNT)
    assert caught.value.code == code
    assert vendor in caught.value.message
    assert "d3Jvbmd3cm9uZw" not in str(caught.value)


def test_a_secret_over_plain_http_that_the_site_refuses_is_explained(site):
    site.site.switches = replace(site.site.switches, secret_over_http=False)
    with pytest.raises(AuthError, match="403006") as caught:
        ask(login_to(site), **COUNT)
    assert "signRequests" in caught.value.hint


def test_a_method_that_does_not_exist_is_told(site):
    with pytest.raises(FlowError) as caught:
        ask(login_to(site), "accounts.setAcountInfo")
    assert caught.value.code == "LB-1505"


@pytest.mark.parametrize("code", [403048, 409030, 500001, 500028, 503001, 504001])
def test_what_may_pass_is_tried_again(site, code):
    site.fail(method="accounts.search", error_code=code, times=2)
    assert b'"count(*)":50' in ask(login_to(site), **COUNT).body


@pytest.mark.parametrize("code", [400006, 403041, 404000, 413003, 500003])
def test_what_will_not_pass_is_not_tried_again(site, code):
    site.fail(method="accounts.search", error_code=code, times=1)
    with pytest.raises(CallRefused) as caught:
        ask(login_to(site), **COUNT)
    assert caught.value.vendor_code == code


@pytest.mark.parametrize("fault", [{"drop": True}, {"error_code": 500001}])
def test_a_call_that_must_not_be_repeated_is_made_once(site, fault):
    site.fail(method="accounts.search", times=1, **fault)
    with pytest.raises(CallUnfinished) as caught:
        ask(login_to(site), may_repeat=False, **COUNT)
    assert caught.value.code == "LB-3202"


@pytest.mark.parametrize("code", [403048, 503001, 409030])
def test_a_call_that_was_refused_before_any_work_is_always_repeated(site, code):
    site.fail(method="accounts.search", error_code=code, times=1)
    assert ask(login_to(site), may_repeat=False, **COUNT).after_uncertain is False


def test_an_answer_that_never_comes_is_given_up(site):
    site.fail(method="accounts.search", delay_s=5)
    with pytest.raises(CallUnfinished) as caught:
        ask(login_to(site), timeout_s=0.2, retries=replace(QUICK, attempts=2), **COUNT)
    assert "0.2 s" in caught.value.message


def test_a_site_that_is_out_of_order_ends_the_job_instead_of_failing_every_record(site):
    site.fail(method="accounts.search", error_code=500001)

    async def many():
        async with client(login_to(site), tier="none", connections=4, retries=replace(QUICK, attempts=1)) as api:
            for number in range(100):
                try:
                    await api.call("accounts.search", {"query": COUNT["query"]}, may_repeat=True)
                except CallUnfinished:
                    continue
                except TransientError as error:
                    return number, error
            return None

    number, error = anyio.run(many)
    assert (number, error.code) == (19, "LB-3204")


def test_nobody_listening_is_told_quickly():
    login = SiteLogin(api_key="4_k", user_key="u", secret="c2VjcmV0", url="http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(ConnectionFailed) as caught:
        ask(login)
    assert caught.value.code == "LB-2101"
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("status", "content", "code"),
    [
        (200, b"<html>", "LB-2107"),
        (404, b"not here", "LB-2107"),
        (302, b"", "LB-2107"),
        (503, b"busy", "LB-3201"),
        (200, b"", "LB-3201"),
        (200, {"errorCode": 301001, "apiDomain": "eu1.gigya.com"}, "LB-2302"),
    ],
)
def test_an_answer_of_something_else_is_told_apart(status, content, code):
    with stub(lambda *_: (status, content)) as server:
        login = SiteLogin(api_key="4_k", user_key="u", secret="c2VjcmV0", url=server.url)
        with pytest.raises(LandbridgeError) as caught:
            ask(login, retries=replace(QUICK, attempts=2))
    assert caught.value.code == code


def test_a_wrong_clock_is_corrected_once_by_the_date_of_the_answer():
    def answer(method, parameters, headers):
        late = abs(int(parameters["timestamp"]) - 4_000_000_000) > 60
        return 200, {"errorCode": 403002, "errorMessage": "Request has expired"} if late else {"errorCode": 0}

    with stub(answer) as server:
        server.date = "Sat, 02 Oct 2096 07:06:40 GMT"
        login = SiteLogin(api_key="4_k", user_key="u", secret="c2VjcmV0", url=server.url, signs=True)
        ask(login)
        assert len(server.asked) == 2
        server.date = "Sat, 02 Oct 2049 07:06:40 GMT"
        with pytest.raises(AuthError, match="403002"):
            ask(login)


def test_a_wrong_clock_is_corrected_for_all_calls_under_way():
    all_asked = threading.Barrier(4)

    def answer(method, parameters, headers):
        if abs(int(parameters["timestamp"]) - 4_000_000_000) < 60:
            return 200, {"errorCode": 0}
        all_asked.wait(60)
        return 200, {"errorCode": 403002, "errorMessage": "Request has expired"}

    async def four_calls(login):
        async with client(login, tier="none", connections=4, retries=QUICK) as api, anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(partial(api.call, "accounts.getPolicies", {}, may_repeat=True))

    with stub(answer) as server:
        server.date = "Sat, 02 Oct 2096 07:06:40 GMT"
        anyio.run(four_calls, SiteLogin(api_key="4_k", user_key="u", secret="c2VjcmV0", url=server.url, signs=True))
        assert len(server.asked) == 8


def test_what_the_api_says_is_told_without_secrets_and_people():
    details = 'Invalid argument: jo@example.com "Jo" 441234567 c2VjcmV0c2VjcmV0'
    with stub(lambda *_: (200, {"errorCode": 400006, "errorMessage": "Invalid", "errorDetails": details})) as server:
        login = SiteLogin(api_key="4_k", user_key="u", secret="c2VjcmV0c2VjcmV0", url=server.url)
        with pytest.raises(CallRefused) as caught:
            ask(login)
    assert not re.search("jo@|Jo|4412|c2Vj", str(caught.value))
    assert "Invalid argument" in caught.value.message


def test_secrets_are_in_no_log_line(site, caplog):
    caplog.set_level(logging.DEBUG)
    site.fail(method="accounts.search", error_code=500001, times=1)
    ask(login_to(site), **COUNT)
    assert site.site.secret not in caplog.text
    assert site.site.secret not in repr(login_to(site))


def pages_of(site, query, **switches):
    site.site.switches = replace(site.site.switches, **switches)

    async def collect():
        async with client(login_to(site), tier="none", connections=2, retries=QUICK) as api:
            return [page async for page in api.pages("accounts.search", query)]

    return anyio.run(collect)


@pytest.mark.parametrize("empty_last_page", [False, True])
def test_a_search_ends_after_its_last_result_whatever_the_last_page_says(site, empty_last_page):
    pages = pages_of(site, "SELECT UID FROM accounts LIMIT 10", empty_last_page=empty_last_page)
    assert [page.objects_count for page in pages] == [10] * 5


def test_a_lost_page_is_asked_for_again_by_the_same_cursor(site):
    for fault in ({"drop": True}, {"error_code": 500001}, {"error_code": 403048}):
        site.fail(method="accounts.search", skip=2, times=1, **fault)
    pages = pages_of(site, "SELECT UID FROM accounts LIMIT 10")
    uids = b"".join(page.elements for page in pages)
    assert len(set(re.findall(rb"[0-9a-f]{32}", uids))) == 50
    assert len(pages) == 5


def test_a_cursor_that_has_expired_is_told(site):
    site.fail(method="accounts.search", skip=1, error_code=400006, times=1)
    with pytest.raises(TransientError) as caught:
        pages_of(site, "SELECT UID FROM accounts LIMIT 10")
    assert caught.value.code == "LB-3205"


def test_leaving_a_search_early_leaves_nothing_open(site):
    async def first():
        async with client(login_to(site), tier="none", connections=2, retries=QUICK) as api:
            pages = api.pages("accounts.search", "SELECT UID FROM accounts LIMIT 10")
            page = await anext(pages)
            await pages.aclose()
            return page

    assert anyio.run(first).objects_count == 10


def test_the_quota_of_a_tier_is_used_and_never_exceeded(site):
    site.site.switches = replace(site.site.switches, calls_per_s=120)
    login = login_to(site)

    async def load():
        answered = []
        async with client(login, tier="5M", connections=20, retries=replace(QUICK, attempts=1)) as api:

            async def work():
                while time.monotonic() < end:
                    # A 403048 would end the test, because there is no second attempt.
                    await api.call("accounts.isAvailableLoginID", {"loginID": "nobody"}, may_repeat=True)
                    answered.append(time.monotonic())

            end = time.monotonic() + 3
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(work)
        return (len(answered) - 1) / (answered[-1] - answered[0])

    # A machine that stands still for a moment gets a second chance.
    rates = (anyio.run(load, backend_options={"use_uvloop": True}) for _ in range(4))
    assert any(0.95 * 120 <= rate <= 1.02 * 120 for rate in rates)


def test_https_is_spoken_with_those_whose_certificate_can_be_trusted(monkeypatch):
    with running_site(https_port=0) as secure:
        secure.site.switches = replace(secure.site.switches, secret_over_http=False)
        login = login_to(secure, url=secure.site.https_url)
        with pytest.raises(ConnectionFailed) as caught:
            ask(login, **COUNT)
        assert caught.value.code == "LB-2106"
        monkeypatch.setenv("SSL_CERT_FILE", str(secure.site.authority_file))
        assert b'"count(*)":0' in ask(login, **COUNT).body


def test_two_clients_of_one_site_share_its_quota(site):
    async def both():
        async with (
            client(login_to(site), tier="5M", connections=4) as one,
            client(login_to(site), tier="10M", connections=4) as other,
        ):
            assert isinstance(one, Client)
            paces = {one._paces.calls, other._paces.calls}
            return len(paces), paces.pop().per_s

    assert anyio.run(both) == (1, pytest.approx(117.6))


def test_an_account_is_imported_five_times_a_minute_and_the_site_never_has_to_refuse(site):
    site.site.switches = replace(site.site.switches, imports_per_uid_per_minute=5)
    site.fail(method="accounts.importFullAccount", error_code=500001, after_work=True, times=1)
    done = []

    async def imports(uid, count):
        async with client(login_to(site), tier="5M", connections=4, retries=QUICK) as api:
            with anyio.move_on_after(3):
                for number in range(count):
                    parameters = {"UID": uid, "importPolicy": "upsert", "data": f'{{"n": {number}}}'}
                    await api.call("accounts.importFullAccount", parameters, may_repeat=True)
                    done.append(uid)

    anyio.run(imports, "often", 10)
    # One of the five calls was made twice, because its answer was lost; a sixth waits for the minute to pass.
    assert done == ["often"] * 4
    assert site.call("accounts.importFullAccount", UID="often", importPolicy="upsert")["errorCode"] == 503001
    anyio.run(imports, "rarely", 3)
    assert done[4:] == ["rarely"] * 3
