"""Files on SFTP servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Self

from pydantic import model_validator

from landbridge.components.base import FileReader, FileWriter, OpenFile
from landbridge.components.datasource.files import FileSelection, offered
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.remote.sftp import SftpStore
from landbridge.remote.sftp_session import SftpLogin
from landbridge.remote.sftp_transfer import ReplacePolicy


class SftpParams(ComponentParams):
    """Parameters of every step that talks to an SFTP server."""

    host: str = Param("Name or address of the server.", example="files.example.com")
    port: int = Param("TCP port.", default=22, ge=1, le=65535)
    username: str = Param("Login name.", example="landbridge")
    password: str | None = Param("Login password.", default=None, secret=True)
    private_key: str | None = Param(
        "Private key for the login: OpenSSH or PEM text, or base64 of it.", default=None, secret=True
    )
    passphrase: str | None = Param("Passphrase of the private key.", default=None, secret=True)
    host_key: str | None = Param(
        "The server's host key: SHA256:… fingerprint or public key line. Without it the key must have been "
        "pinned with: landbridge connections pin.",
        default=None,
        example="SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDxNnSpjPGdhfpMhoA",
    )
    remote_path: str = Param("Folder on the server; empty for the login folder.", default="", example="upload")
    timeout: int = Param("Longest wait for a single answer.", default=60, ge=10, le=120, unit="s")

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        if not self.password and not self.private_key:
            raise ValueError("give a password or a privateKey")
        return self

    @property
    def login(self) -> SftpLogin:
        """Server and credentials."""
        return SftpLogin(
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            private_key=self.private_key,
            passphrase=self.passphrase,
            host_key=self.host_key,
            timeout_s=self.timeout,
        )


class SftpReaderParams(SftpParams, FileSelection):
    """Parameters of the SFTP reader."""


class SftpWriterParams(SftpParams):
    """Parameters of the SFTP writer."""

    temporary_upload_extension: bool = Param(
        "Upload as <name>.uploading and rename when done, instead of under a hidden name.", default=False
    )
    create_folders: bool = Param(
        "Create the remotePath when it is missing. Folders named in a file's name are always created.",
        default=False,
    )
    replace_existing: ReplacePolicy = Param(
        "What to do on a server that cannot replace an existing file in one step: fail, or deleteFirst, "
        "which leaves a moment without the file. Servers like OpenSSH always replace in one step.",
        default="fail",
    )


@component("datasource.read.sftp", title="Read files from SFTP")
class SftpReader(FileReader):
    """Read files from a folder on an SFTP server, in the order of their time or name."""

    Params = SftpReaderParams

    def connect(self) -> SftpStore:
        """Log in to the server."""
        return SftpStore(self.params.login, folder=self.params.remote_path)

    def files(self) -> AsyncGenerator[OpenFile]:
        """Yield the matching files in order."""
        return offered(self.connect(), self.params)


@component("datasource.write.sftp", title="Write files to SFTP")
class SftpWriter(FileWriter):
    """Upload files to a folder on an SFTP server. A file appears under its name only when it is complete."""

    Params = SftpWriterParams

    def connect(self) -> SftpStore:
        """Log in to the server."""
        return SftpStore(
            self.params.login,
            folder=self.params.remote_path,
            create_folders=self.params.create_folders,
            visible_temporary=self.params.temporary_upload_extension,
            replace_policy=self.params.replace_existing,
        )
