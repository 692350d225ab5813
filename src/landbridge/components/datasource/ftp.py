"""Files on FTP and FTPS servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from pydantic import model_validator

from landbridge.components.base import FileReader, FileWriter, OpenFile
from landbridge.components.datasource.files import FileSelection, offered
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.remote.ftp import FtpStore
from landbridge.remote.ftp_client import IMPLICIT_PORT, FtpLogin, Security
from landbridge.remote.sftp_transfer import ReplacePolicy


class FtpParams(ComponentParams):
    """Parameters of every step that talks to an FTP server."""

    host: str = Param("Name or address of the server.", example="ftp.example.com")
    port: int = Param("TCP port; 990 where security is implicit.", default=21, ge=1, le=65535)
    username: str = Param("Login name.", example="landbridge")
    password: str = Param("Login password.", secret=True, example="correct horse battery staple")
    security: Security = Param(
        "auto: TLS where the server offers it; explicit: TLS on the normal port or nothing; implicit: TLS "
        "from the first byte; none: never TLS.",
        default="auto",
    )
    ca_certificate: str | None = Param(
        "PEM text of a certificate to trust besides the system's, for a server with a private one.",
        default=None,
    )
    remote_path: str = Param("Folder on the server; empty for the login folder.", default="", example="upload")
    timeout: int = Param("Longest wait for a single answer.", default=60, ge=10, le=120, unit="s")

    @model_validator(mode="before")
    @classmethod
    def _implicit_port(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("security") == "implicit" and data.get("port") in (None, ""):
            return {**data, "port": IMPLICIT_PORT}
        return data

    @property
    def login(self) -> FtpLogin:
        """Server and credentials."""
        return FtpLogin(
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            security=self.security,
            ca_certificate=self.ca_certificate,
            timeout_s=self.timeout,
        )


class FtpReaderParams(FtpParams, FileSelection):
    """Parameters of the FTP reader."""


class FtpWriterParams(FtpParams):
    """Parameters of the FTP writer."""

    temporary_upload_extension: bool = Param(
        "Upload as <name>.uploading and rename when done, instead of under a hidden name.", default=False
    )
    create_folders: bool = Param(
        "Create the remotePath when it is missing. Folders named in a file's name are always created.",
        default=False,
    )
    replace_existing: ReplacePolicy = Param(
        "What to do on a server that cannot replace an existing file in one step: fail, or deleteFirst, "
        "which leaves a moment without the file.",
        default="fail",
    )


@component("datasource.read.ftp", title="Read files from FTP")
class FtpReader(FileReader):
    """Read files from a folder on an FTP or FTPS server, in the order of their time or name."""

    Params = FtpReaderParams

    def connect(self) -> FtpStore:
        """Log in to the server."""
        return FtpStore(self.params.login, folder=self.params.remote_path)

    def files(self) -> AsyncGenerator[OpenFile]:
        """Yield the matching files in order."""
        return offered(self.connect(), self.params)


@component("datasource.write.ftp", title="Write files to FTP")
class FtpWriter(FileWriter):
    """Upload files to a folder on an FTP or FTPS server. A file appears only when it is complete."""

    Params = FtpWriterParams

    def connect(self) -> FtpStore:
        """Log in to the server."""
        return FtpStore(
            self.params.login,
            folder=self.params.remote_path,
            create_folders=self.params.create_folders,
            visible_temporary=self.params.temporary_upload_extension,
            replace_policy=self.params.replace_existing,
        )
