"""Files on SFTP servers."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from landbridge.components.base import FileWriter
from landbridge.components.datasource.files import FileSelection, StoreReader
from landbridge.components.datasource.servers import ServerParams, UploadParams
from landbridge.components.params import Param
from landbridge.components.registry import component
from landbridge.remote.sftp import SftpStore
from landbridge.remote.sftp_session import SftpLogin


class SftpParams(ServerParams):
    """Parameters of every step that talks to an SFTP server."""

    port: int = Param("TCP port.", default=22, ge=1, le=65535)
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


class SftpWriterParams(UploadParams, SftpParams):
    """Parameters of the SFTP writer."""


@component("datasource.read.sftp", title="Read files from SFTP")
class SftpReader(StoreReader):
    """Read files from a folder on an SFTP server, in the order of their time or name."""

    Params = SftpReaderParams

    def connect(self) -> SftpStore:
        """Log in to the server."""
        return SftpStore(self.params.login, folder=self.params.remote_path)


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
