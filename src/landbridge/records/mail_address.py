"""What is taken for an e-mail address wherever mails are sent, or users named."""

from __future__ import annotations

import re
from typing import Final

ADDRESS: Final = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+")
"""An address. Anything else could begin another header of a mail, or another recipient."""
