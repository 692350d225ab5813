"""Opt-outs that survive an import, however the platform treats them: noted before it, imported again behind it.

The vendor does not say in public whether an import can opt somebody in who has opted out.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from landbridge.errors import ConnectionFailed, TransientError
from landbridge.remote.sftp import SftpStore
from landbridge.remote.silverpop import Client
from landbridge.remote.silverpop_jobs import Export, MapFile, Patience, export, import_file

UPLOAD, DOWNLOAD = "upload", "download"
_ATTEMPTS: Final = 2


@dataclass(frozen=True, slots=True)
class NotedOptOuts:
    """Who had opted out before an import: a file in the folder ``upload`` with the keys of the contacts.

    Attributes:
        name: Of the file; empty where nobody has opted out.
        list_id: The database.
        keys: Its columns.
    """

    name: str
    list_id: str
    keys: Sequence[str]

    async def restore(self, client: Client, files: SftpStore, *, patience: Patience, keep_file: bool) -> None:
        """Opt all of them out again.

        Raises:
            LandbridgeError: See ``import_file``.
        """
        if not self.name:
            return
        map_name = f"{self.name}.map.xml"
        text = MapFile(columns=self.keys, separator=",", keys=self.keys).for_list(self.list_id, "OPT_OUT")
        await put(files, f"{UPLOAD}/{map_name}", text.encode())
        await import_file(client, "ImportList", map_file=map_name, source=self.name, patience=patience)
        if not keep_file:
            for name in (self.name, map_name):
                with suppress(ConnectionFailed):
                    await files.remove(f"{UPLOAD}/{name}")


async def note_opt_outs(
    client: Client, files: SftpStore, *, list_id: str, keys: Sequence[str], name: str, patience: Patience
) -> NotedOptOuts:
    """Note who has opted out; ``name`` is that of the file in the folder ``upload``.

    Raises:
        TransientError: LB-3223; the platform's file was not complete.
        LandbridgeError: See ``export``.
    """
    for _ in range(_ATTEMPTS):
        job, exported = await export(client, Export(list_id, "OPT_OUT", keys), patience=patience)
        source = f"{DOWNLOAD}/{exported}"
        upload = await files.create(f"{UPLOAD}/{name}")
        lines = 0
        try:
            async for chunk in files.read(source):
                lines += chunk.count(b"\n")
                await upload.write(chunk)
            await upload.finish()
            await files.remove(source)
            if lines - 1 == job.count("NUM_PROCESSED"):
                if lines == 1:
                    await upload.discard()
                    return NotedOptOuts("", list_id, keys)
                await upload.publish()
                return NotedOptOuts(name, list_id, keys)
            await upload.discard()
        except BaseException:
            with suppress(ConnectionFailed):
                await upload.discard()
            raise
    raise TransientError(
        "LB-3223",
        "the export of the contacts who have opted out is not complete, so nothing was imported",
        hint="Run the job again later.",
    )


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
