"""How the emulated Responsys says no."""

from __future__ import annotations

import msgspec
from starlette.responses import Response


class Refused(Exception):
    """A call is refused as a whole.

    Args:
        code: The vendor's code.
        detail: In words.
        status: Of the reply.
    """

    def __init__(self, code: str, detail: str = "", *, status: int = 400) -> None:
        super().__init__(code)
        self.code, self.detail, self.status = code, detail, status

    def reply(self) -> Response:
        """The reply; its ``type`` and ``errorDetails`` are always empty."""
        title = self.code.replace("_", " ").capitalize()
        whole = {"type": "", "title": title, "errorCode": self.code, "detail": self.detail, "errorDetails": []}
        return Response(msgspec.json.encode(whole), status_code=self.status, media_type="application/json")
