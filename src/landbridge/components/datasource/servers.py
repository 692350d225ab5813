"""What the steps for file servers (SFTP, FTP) have in common: where the server is, and how files appear there."""

from __future__ import annotations

from landbridge.components.params import ComponentParams, Param
from landbridge.remote.publish import ReplacePolicy


class ServerParams(ComponentParams):
    """Parameters of every step that talks to a file server."""

    host: str = Param("Name or address of the server.", example="files.example.com")
    port: int = Param("TCP port.", ge=1, le=65535)
    username: str = Param("Login name.", example="landbridge")
    password: str | None = Param("Login password.", default=None, secret=True)
    remote_path: str = Param("Folder on the server; empty for the login folder.", default="", example="upload")
    timeout: int = Param("Longest wait for a single answer.", default=60, ge=10, le=120, unit="s")


class UploadParams(ComponentParams):
    """Parameters of every step that uploads to a file server."""

    temporary_upload_extension: bool = Param(
        "Upload as <name>.uploading and rename when done, instead of under a hidden name.", default=False
    )
    create_folders: bool = Param(
        "Create the remotePath when it is missing. Folders named in a file's name are always created.",
        default=False,
    )
    replace_existing: ReplacePolicy = Param(
        "What to do on a server that cannot replace an existing file in one step: fail, or deleteFirst, "
        "which leaves a moment without the file. SFTP servers like OpenSSH always replace in one step.",
        default="fail",
    )
