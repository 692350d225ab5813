"""Names of files in a store: what is allowed, and the temporary name of an upload."""

from __future__ import annotations

import itertools

from landbridge.errors import FlowError
from landbridge.remote.publish import temporary_name

_SERIAL = itertools.count(1)


def checked_name(name: str) -> str:
    """Give ``name`` back when it names a file in or below a store's folder.

    The name may come from another system (a reader's file goes on to a writer), so it is never trusted:
    ``..``, absolute names, empty parts and control characters are refused.

    Raises:
        FlowError: LB-1301 when the name leads out of the folder or cannot be a file name.
    """
    parts = name.split("/")
    unusable = any(part in ("", ".", "..") for part in parts) or any(ord(char) < 32 for char in name)  # noqa: PLR2004
    if unusable or "\x7f" in name:
        raise FlowError(
            "LB-1301",
            f"{name!r} cannot be used as a file name in a store",
            hint="Use a name like out/accounts.csv: no leading slash, empty part, '..' or control character.",
        )
    return name


def upload_name(name: str, *, visible: bool, lasting: bool = False) -> str:
    """The temporary name for one upload of ``name``; see ``publish.temporary_name``.

    A hidden name gets a serial number, so that two jobs of one process never write into the same temporary
    file.
    """
    if visible:
        return temporary_name(name, visible=True)
    return temporary_name(f"{name}.{next(_SERIAL)}", lasting=lasting)
