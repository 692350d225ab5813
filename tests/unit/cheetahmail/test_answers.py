"""The platform's answers: what each text means, and that nothing personal or secret gets into a message."""

import pytest

from landbridge.errors import ConnectionFailed, FlowError
from landbridge.remote.cheetahmail import Subscriber
from landbridge.remote.cheetahmail_errors import RecordRefused, SessionExpired, failure
from landbridge.remote.http import Attempt


def meaning(text):
    return failure(text, "setuser1", place="ebm.example.com", secrets=("hunter2",))


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("err:auth\r\n", SessionExpired, None),
        ("err:internal error", Attempt, None),
        ("err:aid:illegal", ConnectionFailed, "LB-2321"),
        ("err:sub:non-numeric", FlowError, "LB-1521"),
        ("err:unsub:non-numeric", FlowError, "LB-1521"),
        ("err:e:illegal", FlowError, "LB-1521"),
        ("err:p:too long", FlowError, "LB-1521"),
        ("err:p:too short", FlowError, "LB-1521"),
        ("err:field:name:illegal", FlowError, "LB-1521"),
        ("err:field:modifier:illegal", FlowError, "LB-1521"),
        ("err:field:missing", RecordRefused, "LB-4631"),
        ("err:field:non-numeric", RecordRefused, "LB-4631"),
        ("err:email:missing", RecordRefused, "LB-4631"),
        ("err:email:illegal", RecordRefused, "LB-4631"),
        ("err:email:noexist", RecordRefused, "LB-4631"),
        ("err:email:blocked", RecordRefused, "LB-4635"),
        ("err:newemail:blocked", RecordRefused, "LB-4635"),
        ("err:HTML:invalid", RecordRefused, "LB-4631"),
        ("err:resub:illegal", RecordRefused, "LB-4631"),
        ("err:data:value too large for column", RecordRefused, "LB-4631"),
        ("err:data:non-numeric char where digit expected (for date)", RecordRefused, "LB-4631"),
        ("err:data:other", RecordRefused, "LB-4631"),
        ("err:something:nobody has seen", RecordRefused, "LB-4631"),
    ],
)
def test_every_known_answer_is_a_retry_a_new_login_a_reject_or_the_end(text, kind, code):
    found = meaning(text)
    assert type(found) is kind
    assert getattr(found, "code", None) == code


def test_an_internal_error_may_have_done_the_work():
    assert meaning("err:internal error").is_certain is False


def test_only_the_reasons_that_say_so_are_gone_or_blocked():
    gone, blocked, other = map(meaning, ("err:email:noexist", "err:email:blocked", "err:email:illegal"))
    assert (gone.is_gone, blocked.is_gone, other.is_gone) == (True, False, False)
    assert (gone.is_blocked, blocked.is_blocked, other.is_blocked) == (False, True, False)


def test_a_message_holds_no_address_no_number_and_no_secret():
    text = str(meaning("err:data:ada@example.com 123456789 hunter2 \n" + "x" * 500))
    assert "ada@" not in text
    assert "123456789" not in text
    assert "hunter2" not in text
    assert len(text) < 300


@pytest.mark.parametrize(
    ("fact", "is_known"),
    [
        ({"sub": "77"}, True),
        ({"unsub": "77", "reason": "w"}, True),
        ({"list": "77"}, True),
        ({"sub": "770"}, False),
        ({"77": "unsub"}, True),
        ({"unsub": "1,77"}, True),
        ({"177": "sub"}, False),
    ],
)
def test_any_word_on_a_list_counts_because_its_form_is_not_published(fact, is_known):
    assert Subscriber({}, [fact]).knows("77") is is_known
