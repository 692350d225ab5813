"""Files around Silverpop's jobs: small ones that are put into ``upload``, and what a job leaves in ``download``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from landbridge.errors import ConnectionFailed, LandbridgeError
from landbridge.remote.sftp import SftpStore
from landbridge.remote.silverpop_jobs import FinishedJob

UPLOAD, DOWNLOAD = "upload", "download"
_MAX_ERRORS: Final = 64 << 20


async def put(files: SftpStore, name: str, content: bytes) -> None:
    """Write a small file.

    Raises:
        LandbridgeError: See ``SftpStore.create``.
    """
    upload = await files.create(name)
    try:
        await upload.write(content)
        await upload.finish()
        await upload.publish()
    except BaseException:
        with suppress(ConnectionFailed):
            await upload.discard()
        raise


async def refused_rows(files: SftpStore, job: FinishedJob) -> Sequence[str]:
    """The rows in the job's error file. Its layout is not published: every line counts as one row."""
    name = job.parameters.get("ERROR_FILE_NAME")
    if not job.refused_rows or not name:
        return []
    content = bytearray()
    with suppress(ConnectionFailed):
        async for chunk in files.read(f"{DOWNLOAD}/{name}"):
            content += chunk
            if len(content) > _MAX_ERRORS:
                break
    return [line for line in content.decode("utf-8", "replace").splitlines() if line.strip()][: job.refused_rows]


async def remove_results(files: SftpStore, job: FinishedJob) -> None:
    """Remove the files in which an import tells what became of its rows; they hold personal data."""
    for parameter in ("RESULTS_FILE_NAME", "ERROR_FILE_NAME"):
        name = job.parameters.get(parameter)
        if name:
            with suppress(LandbridgeError):  # they may be kept by rule; the import is done all the same
                await files.remove(f"{DOWNLOAD}/{name}")
