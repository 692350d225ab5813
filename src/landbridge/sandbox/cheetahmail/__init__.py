"""The emulated CheetahMail."""

from landbridge.sandbox.cheetahmail.vendor import CheetahMail

__all__ = ["CheetahMail"]
