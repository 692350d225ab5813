"""What all steps for Silverpop share: the organisation, the application that calls, the user of the SFTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Self

from pydantic import BeforeValidator, field_validator, model_validator

from landbridge.components.params import Address, ComponentParams, Param
from landbridge.remote.sftp import SftpStore
from landbridge.remote.sftp_session import SftpLogin
from landbridge.remote.silverpop import Client, SilverpopLogin, client
from landbridge.remote.silverpop_jobs import Patience
from landbridge.remote.silverpop_pods import PODS, api_url, sftp_host


class SilverpopParams(ComponentParams):
    """Parameters of every step that calls the API."""

    client_id: str = Param(
        "Client ID of the application (Organization Settings, Application Account Access).",
        example="1b7e9f3c-0000-4000-8000-example00000",
    )
    client_secret: str = Param(
        "Client secret of the application.", secret=True, example="${secret:silverpop-clientSecret}"
    )
    refresh_token: str = Param(
        "Refresh token that the API user was mailed.", secret=True, example="${secret:silverpop-refreshToken}"
    )
    pod_number: str | None = Param(
        "Pod of the organisation, as in the address of the user interface: 1 to 9, or A.",
        default=None,
        example="5",
        aliases=("podNumer",),
    )
    legacy_hosts: bool = Param("Use the pod's older host names (api5.silverpop.com).", default=False)
    url: Address | None = Param(
        "Address of the API, in place of the pod's. http:// only on this machine.",
        default=None,
        example="http://127.0.0.1:8700/silverpop",
    )
    timeout: int = Param("Longest wait for a single answer.", default=120, ge=10, le=600, unit="s")

    @field_validator("pod_number", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value

    @field_validator("pod_number")
    @classmethod
    def _exists(cls, value: str | None) -> str | None:
        if value is not None and value.upper() not in PODS:
            raise ValueError(f"there is no pod {value}; there are {', '.join(PODS)}")
        return value

    @model_validator(mode="after")
    def _has_address(self) -> Self:
        if self.pod_number is None and self.url is None:
            raise ValueError("give podNumber or url")
        return self

    @property
    def login(self) -> SilverpopLogin:
        """The organisation and the credentials."""
        url = self.url or api_url(self.pod_number or "", legacy=self.legacy_hosts)
        return SilverpopLogin(url, self.client_id, self.client_secret, self.refresh_token)


class SilverpopFileParams(SilverpopParams):
    """Parameters of every step that moves files."""

    host: str | None = Param(
        "SFTP host, in place of the pod's.", default=None, example="transfer-campaign-us-5.goacoustic.com"
    )
    port: int = Param("TCP port of the SFTP server.", default=22, ge=1, le=65535)
    username: str = Param("SFTP user: the API user's login name.", example="sync@example.com")
    password: str | None = Param("Password of the SFTP user.", default=None, secret=True)
    private_key: str | None = Param(
        "Private key for the SFTP login: OpenSSH or PEM text, or base64 of it.", default=None, secret=True
    )
    passphrase: str | None = Param("Passphrase of the private key.", default=None, secret=True)
    host_key: str | None = Param(
        "The SFTP server's host key: SHA256:… fingerprint or public key line. Without it the key must have been "
        "pinned with: landbridge connections pin.",
        default=None,
        example="SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDxNnSpjPGdhfpMhoA",
    )
    job_timeout: int = Param(
        "Longest wait for an import or export job of the platform.", default=4 * 3600, ge=60, unit="s"
    )
    keep_files: bool = Param(
        "Leave imported and exported files in the SFTP folders. They hold personal data, so they are removed "
        "otherwise.",
        default=False,
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if not self.password and not self.private_key:
            raise ValueError("give a password or a privateKey for the SFTP user")
        if self.host is None and self.pod_number is None:
            raise ValueError("give podNumber or host")
        return self

    @property
    def sftp(self) -> SftpLogin:
        """The SFTP server and its user."""
        return SftpLogin(
            host=self.host or sftp_host(self.pod_number or "", legacy=self.legacy_hosts),
            port=self.port,
            username=self.username,
            password=self.password,
            private_key=self.private_key,
            passphrase=self.passphrase,
            host_key=self.host_key,
            timeout_s=self.timeout,
        )

    def patience(self, progress: Callable[[], None]) -> Patience:
        """How long to wait for jobs."""
        return Patience(timeout_s=self.job_timeout, progress=progress)


def open_client(params: SilverpopParams) -> AbstractAsyncContextManager[Client]:
    """A client for the step's organisation."""
    return client(params.login, timeout_s=params.timeout)


@asynccontextmanager
async def open_both(params: SilverpopFileParams) -> AsyncIterator[tuple[Client, SftpStore]]:
    """A client, and the root of the SFTP server; logged in to both.

    Raises:
        LandbridgeError: One of the logins fails.
    """
    async with open_client(params) as api:
        await api.log_in()
        async with SftpStore(params.sftp) as files:
            yield api, files


def _texted(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[str, BeforeValidator(_texted)]
"""A parameter with an id of the platform, which a dataflow may also write as a number."""
