"""Files on FTP and FTPS servers."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from landbridge.components.base import FileWriter
from landbridge.components.datasource.files import FileSelection, StoreReader
from landbridge.components.datasource.servers import ServerParams, UploadParams
from landbridge.components.params import Param
from landbridge.components.registry import component
from landbridge.remote.ftp import FtpStore
from landbridge.remote.ftp_client import IMPLICIT_PORT, FtpLogin, Security


class FtpParams(ServerParams):
    """Parameters of every step that talks to an FTP server."""

    port: int = Param("TCP port; 990 where security is implicit.", default=21, ge=1, le=65535)
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


class FtpWriterParams(UploadParams, FtpParams):
    """Parameters of the FTP writer."""


@component("datasource.read.ftp", title="Read files from FTP")
class FtpReader(StoreReader):
    """Read files from a folder on an FTP or FTPS server, in the order of their time or name."""

    Params = FtpReaderParams

    def connect(self) -> FtpStore:
        """Log in to the server."""
        return FtpStore(self.params.login, folder=self.params.remote_path)


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
