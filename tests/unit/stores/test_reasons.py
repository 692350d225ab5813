"""What is told of an error of the machine: words, without numbers and addresses."""

import errno
import socket

import pytest

from landbridge.remote.failures import reason_of, unreachable


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 113] Connect call failed"),
            "Connection refused",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), "No such file or directory"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "it is not UTF-8 text"),
        (ValueError("something else"), "something else"),
        (OSError("no number"), "no number"),
    ],
)
def test_an_error_is_told_in_words(error, reason):
    assert reason_of(error) == reason


def test_a_server_that_is_silent_is_told_with_the_time_waited():
    assert "no answer within 5 s" in unreachable("host", 22, TimeoutError(), timeout_s=5).message
