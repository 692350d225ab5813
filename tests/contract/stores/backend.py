"""A store's other side: what its consumers see, and what happens to it past the store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from landbridge.remote.publish import Store


class Backend(ABC):
    """A store's other side, seen without the store: one empty folder of a running server."""

    server_replaces_at_once = True
    """Whether a commit is one step inside the server, too: the test server for S3 copies objects in place."""

    @abstractmethod
    def open(self, *, visible_temporary: bool = False) -> AbstractAsyncContextManager[Store]:
        """The store under test on this folder."""

    @abstractmethod
    def raw(self) -> dict[str, bytes]:
        """All files in the folder and below, temporary ones too."""

    @abstractmethod
    def peek(self, name: str) -> bytes | None:
        """One file as a consumer would read it now; None where it is not there."""

    @abstractmethod
    def plant(self, name: str, content: bytes) -> None:
        """Put a file there past the store."""

    @abstractmethod
    def missing_folder(self) -> AbstractAsyncContextManager[Store]:
        """The store on a folder, bucket or container that does not exist."""

    def wrong_secret(self) -> AbstractAsyncContextManager[Store] | None:
        """The store with a wrong password, where it has one."""
        return None

    def unreachable(self) -> AbstractAsyncContextManager[Store] | None:
        """The store on a port where nobody listens, where it has one."""
        return None


class FolderBackend(Backend):
    """The other side is a folder of this machine, served or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def raw(self) -> dict[str, bytes]:
        found = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                found[str(path.relative_to(self.folder))] = path.read_bytes()
        return found

    def peek(self, name: str) -> bytes | None:
        path = self.folder / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def plant(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
