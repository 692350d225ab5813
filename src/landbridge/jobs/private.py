"""Files and folders that only their owner may read, because they hold personal data: made so, and put right."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_FILE: Final = 0o600
_FOLDER: Final = 0o700
_OTHERS: Final = 0o077


def private_file(path: Path) -> None:
    """Make ``path`` where it is missing; a copy that was put back with other rights loses those of others.

    Raises:
        OSError: It cannot be opened, or belongs to somebody else.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE)
    try:
        if os.fstat(descriptor).st_mode & _OTHERS:
            os.fchmod(descriptor, _FILE)
    finally:
        os.close(descriptor)


def private_folder(path: Path) -> None:
    """The same for a folder.

    Raises:
        OSError: It cannot be made, or belongs to somebody else.
    """
    path.mkdir(parents=True, exist_ok=True, mode=_FOLDER)
    if path.stat().st_mode & _OTHERS:
        path.chmod(_FOLDER)
