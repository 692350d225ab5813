"""Opt-outs that survive an import, however the platform treats them: noted before it, imported again behind it.

The vendor does not say in public whether an import can opt somebody in who has opted out. Between the note and the end
of what is imported behind it a process may be killed, and the platform goes on with the import meanwhile; so the note
lies at the platform, and whoever imports next into the database first finishes what is unfinished (``take_up``).

Imports of several processes into one database may overlap, and the note of one may lack whom another one's import has
just opted in again. Therefore each says that it is coming before it notes, each opts out what is in all notes, and
notes are removed when nobody is left who is in the middle of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from secrets import token_hex
from typing import Final

import anyio

from landbridge.errors import ConnectionFailed, DataError, LandbridgeError, TransientError
from landbridge.remote.sftp import SftpStore
from landbridge.remote.silverpop import Client
from landbridge.remote.silverpop_errors import OperationRefused
from landbridge.remote.silverpop_jobs import (
    Begun,
    Export,
    FinishedJob,
    MapFile,
    Patience,
    begin_import,
    ended,
    export,
)
from landbridge.remote.silverpop_notes import Note, Notes
from landbridge.remote.silverpop_results import DOWNLOAD, UPLOAD, put, refused_rows, remove_results

_ATTEMPTS: Final = 2
_FAREWELL_S: Final = 5.0
"""A process that is stopped has this long to say how far it has come."""
_AT_ONCE: Final = 0.0
_ENDED_IN_ERROR: Final = "LB-4632"
_NOT_ENDED: Final = "LB-3222"

Refused = Callable[[str, FinishedJob, Sequence[str]], None]


class OptOuts:
    """The opt-outs of one database.

    Args:
        client: An open client.
        files: The SFTP server's root, open.
        list_id: The database.
        patience: How long to wait for a job.
        refused: Called with file, job and rows where the platform did not take all that were to be opted out again.
        keep_files: Leave files in the folders that a dead process has imported.
    """

    def __init__(
        self,
        client: Client,
        files: SftpStore,
        list_id: str,
        *,
        patience: Patience,
        refused: Refused,
        keep_files: bool = False,
    ) -> None:
        self._client = client
        self._files = files
        self._list_id = list_id
        self._patience = patience
        self._refused = refused
        self._keep_files = keep_files
        self._notes = Notes(files, list_id)

    async def take_up(self) -> None:
        """Finish what others have left unfinished: wait for the end of their imports, and opt out again behind it.

        Raises:
            TransientError: LB-3222; an import of theirs has not ended in time.
            LandbridgeError: See ``begin_import`` and ``ended``.
        """
        notes = await self._notes.all()
        for note in notes:
            imports = note.jobs("job")
            if not note.has_begun or (note.is_done and not note.is_unsure):
                continue
            if not imports and not note.is_unsure and not note.is_left(after_s=self._patience.timeout_s):
                continue  # its import begins at this moment, and its writer will see it through
            for job in imports:
                await self._await_end(job)
            if not imports:
                await self._notes.mark(note, "unsure")
                note = replace(note, parts={**note.parts, "unsure": note.parts["begun"]})  # noqa: PLW2901 - the same note
            await self._redo(note)
            await self._notes.mark(note, "done")
        if notes:
            await self._clear()
        await self._notes.remove_remains()

    async def kept(self, begin: Callable[[], Awaitable[Begun]], *, keys: Sequence[str], source: str) -> FinishedJob:
        """Do an import so that nobody is opted in by it; gives its job.

        Args:
            begin: Begins the import.
            keys: Columns by which contacts are matched.
            source: Name of the file.

        Raises:
            TransientError: LB-3223; the platform's file of the opt-outs was not complete. LB-3222; the import has not
                ended in time: its note stays for the next process.
            LandbridgeError: See ``begin_import`` and ``ended``.
        """
        note = await self._noted(keys, source)
        try:
            begun = await self._begun(note, begin)
            return await self._seen_through(note, begun.job)
        except BaseException:
            with anyio.move_on_after(_FAREWELL_S, shield=True), suppress(LandbridgeError):
                await self._notes.mark(note, "left")
            raise

    async def _seen_through(self, note: Note, number: str) -> FinishedJob:
        """Wait for the end of the import, and opt out again behind it."""
        try:
            job = await ended(self._client, "ImportList", number, patience=self._patience)
        except LandbridgeError as error:
            if error.code == _ENDED_IN_ERROR:  # it may have read a part of the file
                await self._finish(note)
            elif error.code == _NOT_ENDED:
                # The platform may work it off behind the import; if it does not, the next process does it again.
                with suppress(LandbridgeError):
                    await self._redo(note, timeout_s=_AT_ONCE)
                raise TransientError(
                    error.code,
                    error.message,
                    hint="It may still be done. Then contacts who have opted out may be opted in by it: the next run "
                    "of a dataflow into this database waits for its end and opts them out again, so run it soon. Or "
                    "raise the step's jobTimeout.",
                ) from None
            raise
        await self._finish(note)
        return job

    async def _noted(self, keys: Sequence[str], source: str) -> Note:
        """Note who has opted out; the claim comes first."""
        note = await self._notes.claim(keys, source=source)
        try:
            if await self._export(note):
                note = replace(note, parts={**note.parts, "csv": note.parts["json"]})
            await self._notes.mark(note, "begun")
            await self._notes.verify(note)
        except BaseException:
            with anyio.move_on_after(_FAREWELL_S, shield=True), suppress(LandbridgeError):
                await self._notes.remove(replace(note, parts={**note.parts, "begun": note.parts["json"]}))
            raise
        return note

    async def _begun(self, note: Note, begin: Callable[[], Awaitable[Begun]]) -> Begun:
        """Begin the import and note its job; where that is not known, note that."""
        try:
            begun = await begin()
        except OperationRefused as error:
            if not error.after_uncertain:
                await self._notes.remove(replace(note, parts={**note.parts, "begun": note.parts["json"]}))
            else:
                await self._notes.mark(note, "unsure")
            raise
        except BaseException:
            with anyio.move_on_after(_FAREWELL_S, shield=True), suppress(LandbridgeError):
                await self._notes.mark(note, "unsure")
            raise
        with anyio.CancelScope(shield=True):  # a few small files, each with its time-out
            await self._notes.mark_job(note, begun.job)
            if begun.may_have_twin:
                await self._notes.mark(note, "unsure")
        return begun

    async def _finish(self, note: Note) -> None:
        """The import has ended: opt out again who is in any note, and remove those that nobody needs any more."""
        for each in await self._notes.all():
            if each.has_begun:
                await self._redo(each)
        await self._notes.mark(note, "done")
        await self._clear()

    async def _redo(self, note: Note, *, timeout_s: float | None = None) -> None:
        """Opt out again who is in a note."""
        if not note.has_keys:
            return
        files, part = self._files, f"map-{token_hex(4)}"  # of its own: another process may do the same
        map_name = f"{note.base}.{part}"
        keys = note.claim.keys
        text = MapFile(columns=keys, separator=",", keys=keys).for_list(self._list_id, "OPT_OUT")
        await put(files, f"{UPLOAD}/{map_name}", text.encode())
        try:
            begun = await begin_import(self._client, "ImportList", map_file=map_name, source=note.file)
            await self._notes.mark(note, f"redo-{begun.job}")
            patience = self._patience if timeout_s is None else replace(self._patience, timeout_s=timeout_s)
            job = await ended(self._client, "ImportList", begun.job, patience=patience)
        except (OperationRefused, DataError):
            if await self._notes.has_keys(note):
                raise
            await self._notes.unmark(note, part)
            return  # another process has done it meanwhile, and removed the note
        refused = await refused_rows(files, job)
        if job.refused_rows:
            self._refused(note.file, job, refused)
        await remove_results(files, job)
        await self._notes.unmark(note, f"redo-{job.id}")
        if not note.is_unsure:
            await self._notes.unmark(note, part)

    async def _clear(self) -> None:
        """Remove all notes that are done with, unless somebody may still need them."""
        notes = await self._notes.all()
        patience_s = self._patience.timeout_s
        abandoned = [note for note in notes if not note.has_begun and note.is_left(after_s=patience_s)]
        for note in abandoned:
            await self._notes.remove(note)
        if all(note.is_done for note in notes if note not in abandoned):
            for note in notes:
                if note not in abandoned and note.is_over(after_s=patience_s):
                    await self._sweep(note)
                    await self._notes.remove(note)

    async def _sweep(self, note: Note) -> None:
        """Remove what the jobs of a note have left, and the file of a dead process."""
        jobs = note.jobs("redo")
        if note.is_left(after_s=self._patience.timeout_s) and not self._keep_files:
            jobs += note.jobs("job")
            await self._notes.remove_source(note)
        for job in jobs:
            with suppress(LandbridgeError):
                at_once = replace(self._patience, timeout_s=_AT_ONCE)
                await remove_results(self._files, await ended(self._client, "ImportList", job, patience=at_once))

    async def _await_end(self, job: str) -> None:
        """Wait for the end of another process's import, good or bad."""
        try:
            await ended(self._client, "ImportList", job, patience=self._patience)
        except OperationRefused:
            return  # so old that the platform does not know it any more
        except LandbridgeError as error:
            if error.code == _NOT_ENDED:
                raise TransientError(
                    error.code,
                    f"nothing was imported: an earlier import into this database has not ended ({error.message})",
                    hint="It may opt contacts in who have opted out, and they are opted out again behind it. Run the "
                    "dataflow again later, or look at the job in the platform (Resources, Data Jobs).",
                ) from None
            if error.code != _ENDED_IN_ERROR:
                raise

    async def _export(self, note: Note) -> bool:
        """Write the file with the keys; whether there are any."""
        for _ in range(_ATTEMPTS):
            wanted = Export(self._list_id, "OPT_OUT", note.claim.keys)
            job, exported = await export(self._client, wanted, patience=self._patience)
            source = f"{DOWNLOAD}/{exported}"
            upload = await self._files.create(f"{UPLOAD}/{note.file}")
            lines = 0
            try:
                async for chunk in self._files.read(source):
                    lines += chunk.count(b"\n")
                    await upload.write(chunk)
                await upload.finish()
                await self._files.remove(source)
                if lines - 1 == job.count("NUM_PROCESSED"):
                    if lines == 1:
                        await upload.discard()
                        return False
                    await upload.publish()
                    return True
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
