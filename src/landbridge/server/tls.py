"""HTTPS of the service itself, by a certificate that its operator has."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from landbridge.errors import FlowError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate with those that it is signed by, and its key; PEM, the key without a passphrase."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Refuse files that HTTPS cannot be spoken with.

        Raises:
            FlowError: LB-1784, one of them cannot be read, or they do not belong together.
        """
        for file in (self.certificate, self.key):
            try:
                file.open("rb").close()
            except OSError as error:
                raise _unusable(f"{file} cannot be read: {error.strerror}") from None
        try:
            # Without a passphrase given, a locked key would ask for one on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise _unusable(f"{self.key} is not the key of {self.certificate}") from None
            raise _unusable(f"{self.certificate} or {self.key} is not PEM, or the key has a passphrase") from None
        except ValueError:
            raise _unusable(f"the key {self.key} has a passphrase") from None


def _unusable(message: str) -> FlowError:
    return FlowError(
        "LB-1784", message, hint="Give the PEM files of a certificate and of its key, without a passphrase."
    )
