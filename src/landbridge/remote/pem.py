"""Private keys as people paste them: PEM text, or base64 of it as IdentitySync's forms ask for."""

from __future__ import annotations

import base64

_MARK = "-----BEGIN "


def pem_text(value: str) -> str:
    r"""The PEM text in ``value``, which may be base64 of it or hold ``\n`` written out.

    Raises:
        ValueError: It is neither. The message does not repeat the value.
    """
    text = value.strip()
    if not text.startswith(_MARK):
        try:
            text = base64.b64decode("".join(text.split()), validate=True).decode("ascii").strip()
        except ValueError:  # not base64, or base64 of something else
            text = ""
    if not text.startswith(_MARK):
        raise ValueError("not a private key: neither PEM text (-----BEGIN …) nor base64 of it")
    return text.replace("\\n", "\n").replace("\r\n", "\n") + "\n"
