"""The credentials of a site: made once, kept in ``credentials.json`` that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

from landbridge.errors import StorageError
from landbridge.gigya_wire.keys import new_api_key, new_rsa_key, new_secret, new_user_key, pem_of

FILE_NAME: Final = "credentials.json"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client needs to call a site as an application, and the site's own keys.

    Attributes:
        api_key: Names the site.
        user_key: Names the application.
        secret: The application's secret, base64.
        private_key: The application's RSA key for bearer tokens, PEM.
        partner_secret: The site's own secret, base64; signs UIDs and webhooks of version 1.
        token_key: The site's RSA key, which signs its JSON web tokens and webhooks, PEM.
        token_key_id: The ``kid`` of those tokens.
    """

    api_key: str
    user_key: str
    secret: str = field(repr=False)
    private_key: str = field(repr=False)
    partner_secret: str = field(repr=False)
    token_key: str = field(repr=False)
    token_key_id: str

    @classmethod
    def new(cls) -> Self:
        """New credentials."""
        return cls(
            api_key=new_api_key(),
            user_key=new_user_key(),
            secret=new_secret(),
            private_key=pem_of(new_rsa_key()),
            partner_secret=new_secret(),
            token_key=pem_of(new_rsa_key()),
            token_key_id=secrets.token_hex(8).upper(),
        )

    @classmethod
    def kept_in(cls, folder: Path) -> tuple[Self, bool]:
        """The credentials of the site in a folder, made and kept where there are none; whether they are new.

        Raises:
            StorageError: LB-7302; the file is damaged or cannot be written.
        """
        file = folder / FILE_NAME
        try:
            if file.exists():
                return cls(**json.loads(file.read_text())), False
            credentials = cls.new()
            folder.mkdir(parents=True, exist_ok=True)
            temporary = file.with_suffix(".new")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as output:
                output.write(json.dumps(asdict(credentials), indent=2))
                output.flush()
                os.fsync(descriptor)
            temporary.replace(file)
        except (OSError, TypeError, ValueError) as error:
            raise StorageError(
                "LB-7302",
                f'the credentials of the site in "{file}" cannot be used',
                hint="Check the file and its permissions; when it is deleted, new credentials are made.",
            ) from error
        return credentials, True
