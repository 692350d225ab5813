"""The emulated Lytics."""

from landbridge.sandbox.lytics.vendor import Lytics

__all__ = ["Lytics"]
