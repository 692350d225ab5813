"""Where landbridge keeps its own files."""

from __future__ import annotations

import os
from pathlib import Path


def home_folder() -> Path:
    """``$LANDBRIDGE_HOME``, or ``~/.landbridge``."""
    return Path(os.environ.get("LANDBRIDGE_HOME") or Path.home() / ".landbridge")
