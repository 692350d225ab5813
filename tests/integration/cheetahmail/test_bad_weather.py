"""Sessions that end, replies that are lost, limits, and what is wrong with the connection."""

import pytest

from landbridge.errors import AuthError, ConnectionFailed, FlowError, TransientError
from tests.integration.cheetahmail.parts import VENDOR, person, state, written


def test_a_session_that_has_ended_is_replaced_once(sandbox, connection):
    sandbox.fail("token_expiry", times=1)
    assert len(written(connection, person("u1"))[0]) == 1
    sandbox.fail("token_expiry")
    with pytest.raises(AuthError):
        written(connection, person("u2"))


def test_lost_replies_limits_and_internal_errors_lose_and_double_nothing(sandbox, listed):
    for kind in ("lost_reply", "rate_limit", "concurrency"):
        sandbox.fail(kind, operation="*user1", skip=5, times=4)
    records = [person(f"u{number}", Subscribed="Yes") for number in range(60)]
    assert written(listed, *records) == (records, [])
    assert len(sandbox.rows(VENDOR, "subscribers")) == 60
    assert {state(sandbox, f"u{number}") for number in range(60)} == {"on"}


@pytest.mark.parametrize("kind", ["rate_limit", "concurrency"])
def test_a_platform_that_stays_out_of_order_ends_the_job_as_passing(sandbox, connection, kind):
    sandbox.fail(kind)
    with pytest.raises(TransientError):
        written(connection, person("u1"))


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"apiPassword": "wrong-password"}, AuthError, "LB-2104"),
        ({"affiliateId": "1"}, ConnectionFailed, "LB-2321"),
        ({"listId": "77"}, FlowError, "LB-1521"),
        ({"url": "http://127.0.0.1:9"}, ConnectionFailed, "LB-2101"),
    ],
)
def test_what_is_wrong_is_told_in_one_error(listed, change, kind, code):
    with pytest.raises(kind) as caught:
        written({**listed, **change}, person("u1", Subscribed="Yes"))
    assert caught.value.code == code
    assert listed["apiPassword"] not in str(caught.value)
    assert "wrong-password" not in str(caught.value)


def test_a_column_that_the_account_lacks_ends_the_job(connection):
    with pytest.raises(FlowError, match="field:name"):
        written(connection, person("u1", NONSENSE="x"))


def test_an_address_that_answers_otherwise_is_told(sandbox, connection):
    with pytest.raises(ConnectionFailed) as caught:
        written({**connection, "url": sandbox.sandbox.url}, person("u1"))
    assert caught.value.code == "LB-2107"
