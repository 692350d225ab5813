"""The file with a job's result: known to be writable before the job starts, and whole when it is there."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_TRIAL_BYTES: Final = 4096
"""What is written to see whether there is room for a report; most are smaller."""


class ReportFile:
    """A place for one report.

    A device or pipe, such as ``/dev/stdout``, is written as it is; any other file is replaced in one step.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_special = path.exists() and not path.is_file()
        self._target = path if self._is_special else path.resolve()
        self._draft = self._target.with_name(f".{self._target.name}.{os.getpid()}")

    def check(self) -> None:
        """Prove that a report can be written.

        Raises:
            OSError: It cannot.
        """
        if self._target.is_dir():
            raise IsADirectoryError(None, "it is a folder", str(self.path))
        if not self._target.parent.is_dir():
            raise NotADirectoryError(None, "its folder does not exist", str(self.path))
        if not self._is_special:
            self._write_draft(" " * _TRIAL_BYTES)
            self._draft.unlink()

    def write(self, document: dict[str, Any]) -> None:
        """Write the report.

        Raises:
            OSError: It cannot be written; an earlier report stays as it was.
        """
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        if self._is_special:
            self._target.write_text(text, encoding="utf-8")
        else:
            self._write_draft(text)
            self._draft.replace(self._target)

    def _write_draft(self, text: str) -> None:
        try:
            with self._draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                self._draft.unlink(missing_ok=True)
            raise
