"""Notes in Silverpop's folder ``upload``: who had opted out before an import, and how far that import has come.

A note is a handful of files whose names begin alike. Which of them are there tells everything, so that any later
process can go on where a killed one ended, and no file is ever replaced, which some servers cannot do:

============  ==========================================================================================
``.json``     who wrote the note, for which database and which file; written first and removed last
``.csv``      keys of the contacts who had opted out
``.begun``    from here on an import may be under way
``.job-N``    it is job N
``.unsure``   another one may be under way, and nobody knows its job
``.left``     its writer has given up, though the process may live on
``.map-X``    map file of a job that opts the contacts out again
``.redo-N``   job N opts the contacts out again
``.done``     the import has ended, and behind its end the contacts were opted out again
============  ==========================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import Final

import msgspec

from landbridge.errors import ConnectionFailed, LandbridgeError, TransientError
from landbridge.remote.publish import ABANDONED_AFTER, is_abandoned, temporary_name
from landbridge.remote.sftp import SftpStore
from landbridge.remote.silverpop_results import UPLOAD, put

_PREFIX: Final = "landbridge-opt-outs"
_NAME: Final = re.compile(
    rf"(?P<base>{_PREFIX}-\w+-[0-9a-f]{{16}})\.(?P<part>json|csv|begun|unsure|left|done|(?:job|map|redo)-\w+)"
)
_LAST: Final = "json"
_MARK: Final = b"Left by Landbridge, and removed by it: see the documentation of Silverpop, keepOptOuts.\n"


class Claim(msgspec.Struct, frozen=True):
    """What the first file of a note holds.

    Attributes:
        list_id: The database.
        keys: Columns of the note's file, by which contacts are matched.
        source: The file in the folder ``upload`` that is imported.
        writer: Name of a temporary file of the process that wrote the note; tells whether that is dead.
    """

    list_id: str
    keys: Sequence[str]
    source: str
    writer: str


@dataclass(frozen=True, slots=True)
class Note:
    """A note as its files tell it.

    Attributes:
        base: What their names begin with.
        claim: What the first one holds.
        parts: When each part was written, by the server's clock, by the end of its name.
    """

    base: str
    claim: Claim
    parts: Mapping[str, datetime]

    @property
    def file(self) -> str:
        """Name of the file with the keys."""
        return f"{self.base}.csv"

    @property
    def has_keys(self) -> bool:
        """Whether anybody had opted out."""
        return "csv" in self.parts

    @property
    def has_begun(self) -> bool:
        """Whether an import may have begun behind it."""
        return "begun" in self.parts

    @property
    def is_unsure(self) -> bool:
        """Whether an import may be under way of which nobody knows the job."""
        return "unsure" in self.parts

    @property
    def is_done(self) -> bool:
        """Whether the contacts were opted out again behind the end of the import."""
        return "done" in self.parts

    def jobs(self, kind: str) -> list[str]:
        """Ids of its jobs: ``job`` for imports, ``redo`` for those that opt out again."""
        return [part.partition("-")[2] for part in self.parts if part.startswith(f"{kind}-")]

    def is_left(self, *, after_s: float) -> bool:
        """Whether its writer is dead or has given up, or has not come further for so many seconds."""
        if "left" in self.parts:
            return True
        begun = self.parts.get("begun", self.parts[_LAST])
        age = datetime.now(UTC) - begun
        still_s = after_s if self.has_begun else ABANDONED_AFTER.total_seconds()
        return is_abandoned(self.claim.writer, begun) or age.total_seconds() > still_s

    def is_over(self, *, after_s: float) -> bool:
        """Whether it is done with, ``after_s`` being the longest time that an unknown import may take.

        Both times are the server's: each time people are opted out again a map file is written.
        """
        if not self.is_done:
            return False
        if not self.is_unsure or not self.has_keys:
            return True
        begun = self.parts["begun"]
        tried = [written for part, written in self.parts.items() if part.startswith("map-")]
        return bool(tried) and (max(tried) - begun).total_seconds() > after_s


class Notes:
    """The notes of one database.

    Args:
        files: The SFTP server's root, open.
        list_id: The database.
    """

    def __init__(self, files: SftpStore, list_id: str) -> None:
        self._files = files
        self._list_id = list_id

    async def all(self) -> list[Note]:
        """Every note, the oldest first. Parts of one that is being removed are no note.

        Raises:
            LandbridgeError: See ``SftpStore.list``.
        """
        found: dict[str, dict[str, datetime]] = {}
        for entry in await self._files.list(UPLOAD):
            match = _NAME.fullmatch(entry.name)
            if match is not None:
                found.setdefault(match["base"], {})[match["part"]] = entry.modified
        notes = []
        for base, parts in found.items():
            claim = await self._claim(base) if _LAST in parts else None
            if claim is not None and claim.list_id == self._list_id:
                notes.append(Note(base, claim, parts))
        return sorted(notes, key=lambda note: (note.parts[_LAST], note.base))

    async def claim(self, keys: Sequence[str], *, source: str) -> Note:
        """Begin a note; from now on others know that an import is coming.

        Raises:
            LandbridgeError: See ``put``.
        """
        plain = re.sub(r"\W", "", self._list_id, flags=re.ASCII)
        base = f"{_PREFIX}-{plain or 'list'}-{token_hex(8)}"
        claim = Claim(self._list_id, list(keys), source, temporary_name("note"))
        await put(self._files, f"{UPLOAD}/{base}.{_LAST}", msgspec.json.encode(claim))
        return Note(base, claim, {_LAST: datetime.now(UTC)})

    async def mark(self, note: Note, part: str) -> None:
        """Add a part to a note that is still there.

        Raises:
            LandbridgeError: See ``put``.
        """
        name = f"{UPLOAD}/{note.base}.{part}"
        if await self._is_there(note.base, _LAST) and await self._files.stored_size(name) is None:
            try:
                await put(self._files, name, _MARK)
            except ConnectionFailed as error:
                if error.code != "LB-2207":  # another process has just added it
                    raise

    async def mark_job(self, note: Note, job: str) -> None:
        """Add the import's job, which nobody else can add, as fast as that goes.

        Raises:
            LandbridgeError: See ``put``.
        """
        await put(self._files, f"{UPLOAD}/{note.base}.job-{job}", _MARK)

    async def unmark(self, note: Note, part: str) -> None:
        """Take a part away.

        Raises:
            LandbridgeError: See ``SftpStore.remove``.
        """
        await self._files.remove(f"{UPLOAD}/{note.base}.{part}")

    async def has_keys(self, note: Note) -> bool:
        """Whether the file with the keys is there now.

        Raises:
            LandbridgeError: See ``SftpStore.stored_size``.
        """
        return await self._is_there(note.base, "csv")

    async def verify(self, note: Note) -> None:
        """Prove that nobody has taken a living process's note for a dead one's.

        Raises:
            TransientError: LB-3223; it is gone.
        """
        parts = (_LAST, "csv") if note.has_keys else (_LAST,)
        for part in parts:
            if not await self._is_there(note.base, part):
                raise TransientError(
                    "LB-3223",
                    f"the note {note.base} of the contacts who have opted out is gone, so nothing was imported",
                    hint="Run the job again. Leave files of this name to Landbridge: it removes them itself.",
                )

    async def remove(self, note: Note) -> None:
        """Remove a note, so that at every moment what is left of it says no less than that it is done.

        Raises:
            LandbridgeError: See ``SftpStore.remove``.
        """
        order = ("csv", *(part for part in note.parts if part not in (_LAST, "csv")))
        for part in (*order, _LAST):
            await self.unmark(note, part)

    async def remove_source(self, note: Note) -> None:
        """Remove the files that a dead process has imported, unless another file of that name lies there by now."""
        begun = note.parts.get("begun")
        names = (note.claim.source, f"{note.claim.source}.map.xml")
        for entry in await self._files.list(UPLOAD):
            if entry.name in names and begun is not None and entry.modified <= begun:
                with suppress(LandbridgeError):
                    await self._files.remove(f"{UPLOAD}/{entry.name}")

    async def remove_remains(self) -> None:
        """Remove parts whose removal was interrupted."""
        for entry in await self._files.list(UPLOAD):
            match = _NAME.fullmatch(entry.name)
            if match and match["part"] != _LAST and not await self._is_there(match["base"], _LAST):
                with suppress(LandbridgeError):
                    await self._files.remove(f"{UPLOAD}/{entry.name}")

    async def _is_there(self, base: str, part: str) -> bool:
        return await self._files.stored_size(f"{UPLOAD}/{base}.{part}") is not None

    async def _claim(self, base: str) -> Claim | None:
        content = bytearray()
        try:
            async for chunk in self._files.read(f"{UPLOAD}/{base}.{_LAST}"):
                content += chunk
        except TransientError as error:
            if error.code == "LB-3105":  # another process has removed it meanwhile
                return None
            raise
        try:
            return msgspec.json.decode(content, type=Claim)
        except msgspec.DecodeError:
            return None  # somebody else's
