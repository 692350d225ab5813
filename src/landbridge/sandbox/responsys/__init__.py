"""The emulated Responsys."""

from landbridge.sandbox.responsys.vendor import Responsys

__all__ = ["Responsys"]
