"""Runs the command line in processes that kill themselves, with signal 9, at the n-th moment that matters.

Moments are before and after everything that a job does to the outside or to its journal. The processes are forked from
one that has loaded everything, so that hundreds of kills take seconds.
"""

import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path


class Killable:
    """The forking process; a context manager."""

    def __init__(self, environ):
        self.environ = environ

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.killed_at"],
            env=self.environ,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)

    def run(self, *arguments, kill_at=0, only=()):
        """The exit code (-9 when killed) of ``landbridge`` with these arguments, and how many moments it had.

        Args:
            arguments: The command line.
            kill_at: Number of the moment that kills; 0 for none.
            only: Names of the functions around which there are moments; all when empty.
        """
        self.process.stdin.write(json.dumps([kill_at, only, [str(argument) for argument in arguments]]) + "\n")
        self.process.stdin.flush()
        return tuple(json.loads(self.process.stdout.readline()))


def around(owner, name, moment, only):
    """Let ``moment`` happen before and after each call of a function."""
    if only and name not in only:
        return
    original = getattr(owner, name)
    if inspect.iscoroutinefunction(original):

        async def wrapped(*arguments, **named):
            moment()
            result = await original(*arguments, **named)
            moment()
            return result
    else:

        def wrapped(*arguments, **named):
            moment()
            result = original(*arguments, **named)
            moment()
            return result

    setattr(owner, name, wrapped)


def child(kill_at, only, arguments, counted):
    from landbridge.cli.app import app
    from landbridge.components.datasource.gigya_writer import SiteWriter
    from landbridge.engine import journal
    from landbridge.engine.frames import Frames
    from landbridge.engine.rejects import RejectFile
    from landbridge.engine.segment import SegmentWriter
    from landbridge.remote.local import LocalUpload
    from landbridge.remote.objects import ObjectUpload
    from landbridge.remote.sftp import SftpStore
    from landbridge.remote.sftp_transfer import SftpUpload
    from landbridge.remote.silverpop import Client as SilverpopClient

    moments = 0

    def moment():
        nonlocal moments
        moments += 1
        if moments == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    around(Frames, "append", moment, only)
    around(journal, "write_whole", moment, only)
    around(SegmentWriter, "complete", moment, only)
    for upload in (LocalUpload, SftpUpload, ObjectUpload):
        around(upload, "publish", moment, only)
    around(RejectFile, "add", moment, only)
    around(SiteWriter, "write", moment, only)
    around(SilverpopClient, "call_and_tell", moment, only)
    around(SftpStore, "remove", moment, only)
    code = 0
    try:
        app(arguments)
    except SystemExit as end:
        code = end.code or 0
    os.write(counted, str(moments).encode())
    os._exit(code)


def main():
    import landbridge.cli.execution
    import landbridge.components.datasource.gigya_account
    import landbridge.components.datasource.local
    import landbridge.components.datasource.s3
    import landbridge.components.datasource.sftp
    import landbridge.components.datasource.silverpop  # noqa: F401 - loaded once for all children

    for line in sys.stdin:
        kill_at, only, arguments = json.loads(line)
        reading, counted = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            os.dup2(2, 1)
            child(kill_at, only, arguments, counted)
        os.close(counted)
        _, status = os.waitpid(pid, 0)
        with os.fdopen(reading) as pipe:
            moments = pipe.read()
        sys.stdout.write(json.dumps([os.waitstatus_to_exitcode(status), int(moments or 0)]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
