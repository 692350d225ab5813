"""Landbridge keeps customer identities and marketing platforms in step."""

__version__ = "0.1.0"
