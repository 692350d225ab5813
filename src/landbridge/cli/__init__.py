"""The ``landbridge`` command."""

from landbridge.cli.app import main

__all__ = ["main"]
