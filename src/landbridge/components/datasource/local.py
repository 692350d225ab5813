"""Files in folders of this machine."""

from __future__ import annotations

from pathlib import Path

from landbridge.components.base import FileWriter
from landbridge.components.datasource.files import FileSelection, StoreReader
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.remote.local import LocalStore


class LocalReaderParams(FileSelection):
    """Parameters of the local file reader."""

    path: Path = Param("The folder to read; relative to the working folder of landbridge.", example="in")


class LocalWriterParams(ComponentParams):
    """Parameters of the local file writer."""

    path: Path = Param("The folder to write to; relative to the working folder of landbridge.", example="out")
    create_folders: bool = Param(
        "Create the folder when it is missing. Folders named in a file's name are always created.",
        default=False,
    )
    temporary_upload_extension: bool = Param(
        "Write as <name>.uploading and rename when done, instead of under a hidden name.", default=False
    )


@component("datasource.read.local", title="Read files from a folder")
class LocalReader(StoreReader):
    """Read files from a folder of this machine, in the order of their time or name."""

    Params = LocalReaderParams

    def connect(self) -> LocalStore:
        """Open the folder."""
        return LocalStore(self.params.path)


@component("datasource.write.local", title="Write files to a folder")
class LocalWriter(FileWriter):
    """Write files to a folder of this machine. A file appears under its name only when it is complete."""

    Params = LocalWriterParams

    def connect(self) -> LocalStore:
        """Open the folder."""
        return LocalStore(
            self.params.path,
            create_folders=self.params.create_folders,
            visible_temporary=self.params.temporary_upload_extension,
        )
